//! What a command costs before and after its work.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use menshen_tests::command::menshen;
use menshen_tests::{Bed, Trees};

/// The loader itself, and what the kernel brings.
const NO_LIBRARIES: [&str; 2] = ["linux-vdso", "ld-linux"];

#[test]
fn a_start_loads_the_library_of_c_and_no_other() {
    // Asked so, the loader lists what it would load and starts nothing.
    let listed = Command::new(menshen()).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let is_library = |line: &&str| !NO_LIBRARIES.iter().any(|none| line.contains(none));
    let libraries: Vec<&str> =
        listed.lines().filter(is_library).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(libraries, ["libc.so.6"], "{listed}");
}

#[test]
fn a_table_and_a_list_are_written_at_once() {
    let services: String =
        (0..40).map(|number| format!("[service.idle-{number}]\ncommand = \"sleep 1000\"\n")).collect();
    let bed = Bed::new(Trees::Walk, &services).up();
    for arguments in [&["status"][..], &["status", "--json"]] {
        // What is written at once arrives as one message.
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut command = bed.command();
        let ended = command.args(arguments).stdout(OwnedFd::from(theirs)).status().unwrap();
        drop(command);
        let mut buffer = vec![0; 1 << 17];
        let length = ours.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]);
        assert!(ended.success(), "{arguments:?} {ended}: {text}");
        assert_eq!(text.matches("idle-").count(), 40, "{arguments:?}: {text}");
        assert!(text.ends_with('\n'), "{arguments:?}: {text}");
    }
}
