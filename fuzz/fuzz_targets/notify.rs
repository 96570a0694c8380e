//! Any datagram a program may send on its notify socket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_core::Notification;
use menshen_fuzz::notify::{Message, parse};

/// The longest status text kept, in characters.
const STATUS_CHARACTERS_MAX: usize = 512;

fuzz_target!(|datagram: &[u8]| {
    let message = parse(datagram);
    assert_sound(&message, datagram);
    assert_eq!(parse(datagram), message, "a datagram always says the same");
    assert_lines_count_one_by_one(&message, datagram);
});

fn assert_sound(message: &Message, datagram: &[u8]) {
    let lines = datagram.split(|byte| *byte == b'\n').count();
    assert!(message.notifications.len() <= lines);
    assert!(message.main_pid.is_none_or(|pid| pid > 1 && i32::try_from(pid).is_ok()), "{message:?} names no process");
    for notification in &message.notifications {
        if let Notification::Status(text) = notification {
            assert!(text.chars().count() <= STATUS_CHARACTERS_MAX && !text.contains(char::is_control), "{text:?}");
        }
    }
    if let Some(name) = &message.descriptor_name {
        assert!(!name.is_empty() && name.len() <= 255 && !name.contains([':', '\n', ' ']), "{name:?}");
    }
}

/// Each line says what it says alone; for what there can be only one of, the last counts.
fn assert_lines_count_one_by_one(message: &Message, datagram: &[u8]) {
    let alone: Vec<Message> = datagram.split(|byte| *byte == b'\n').map(parse).collect();
    let together: Vec<&Notification> = alone.iter().flat_map(|line| &line.notifications).collect();
    assert_eq!(message.notifications.iter().collect::<Vec<_>>(), together);
    assert_eq!(message.main_pid, alone.iter().rev().find_map(|line| line.main_pid));
    assert_eq!(message.descriptors, alone.iter().rev().find_map(|line| line.descriptors));
    let name = alone.iter().rev().find_map(|line| line.descriptor_name.as_ref());
    assert_eq!(message.descriptor_name.as_ref(), name);
}
