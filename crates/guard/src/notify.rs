//! The sd_notify protocol: lines of `NAME=value` in a datagram, as sd_notify(3) describes them.

use std::time::Duration;

use menshen_core::Notification;

/// The longest status text kept, in characters.
const STATUS_CHARACTERS_MAX: usize = 512;
/// The longest name of a stored file descriptor, in bytes; systemd's own bound.
const FD_NAME_BYTES_MAX: usize = 255;

/// What a datagram says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// What concerns the service's state, in the order said.
    pub notifications: Vec<Notification>,
    /// `MAINPID=`.
    pub main_pid: Option<u32>,
    /// What to do with file descriptors.
    pub descriptors: Option<Descriptors>,
    /// The name of those descriptors (`FDNAME=`).
    pub descriptor_name: Option<String>,
}

/// What to do with file descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptors {
    /// `FDSTORE=1`: keep those that come along for the next start.
    Store,
    /// `FDSTOREREMOVE=1`: let go of those of that name.
    Remove,
}

/// Reads a datagram. What is not understood is passed over, as the protocol wants it.
///
/// ```
/// use menshen_core::Notification;
/// use menshen_guard::notify::parse;
/// let message = parse(b"READY=1\nSTATUS=serving\nX_MINE=1");
/// assert_eq!(message.notifications, [Notification::Ready, Notification::Status("serving".into())]);
/// ```
#[must_use]
pub fn parse(datagram: &[u8]) -> Message {
    let mut message = Message::default();
    for line in datagram.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        if let Some((name, value)) = line.split_once('=') {
            take(&mut message, name, value.trim_end_matches(['\r', '\0']));
        }
    }
    message
}

fn take(message: &mut Message, name: &str, value: &str) {
    let notification = match (name, value) {
        ("READY", "1") => Some(Notification::Ready),
        ("RELOADING", "1") => Some(Notification::Reloading),
        ("STOPPING", "1") => Some(Notification::Stopping),
        ("WATCHDOG", "1") => Some(Notification::Watchdog),
        ("WATCHDOG", "trigger") => Some(Notification::WatchdogTrigger),
        ("STATUS", text) => Some(Notification::Status(printable(text))),
        ("WATCHDOG_USEC", number) => microseconds(number).map(Notification::WatchdogPeriod),
        ("EXTEND_TIMEOUT_USEC", number) => microseconds(number).map(Notification::ExtendTimeout),
        ("MAINPID", number) => {
            message.main_pid = process(number).or(message.main_pid);
            None
        }
        ("FDSTORE", "1") => {
            message.descriptors = Some(Descriptors::Store);
            None
        }
        ("FDSTOREREMOVE", "1") => {
            message.descriptors = Some(Descriptors::Remove);
            None
        }
        ("FDNAME", text) if is_descriptor_name(text) => {
            message.descriptor_name = Some(text.to_owned());
            None
        }
        _ => None,
    };
    message.notifications.extend(notification);
}

/// Without control characters, which could do things to a terminal, and not longer than a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STATUS_CHARACTERS_MAX).collect()
}

/// The kernel's numbers of processes have no sign and 31 bits; 1 is never a service.
fn process(number: &str) -> Option<u32> {
    number.parse().ok().filter(|pid| *pid > 1 && i32::try_from(*pid).is_ok())
}

fn microseconds(number: &str) -> Option<Duration> {
    number.parse().ok().map(Duration::from_micros)
}

/// Names are joined with colons in `LISTEN_FDNAMES`.
fn is_descriptor_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= FD_NAME_BYTES_MAX && name.chars().all(|c| c.is_ascii_graphic() && c != ':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_line_of_the_protocol_is_understood() {
        let text = "READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=a=b\nWATCHDOG=1\nWATCHDOG=trigger\nWATCHDOG_USEC=5\nEXTEND_TIMEOUT_USEC=7\nMAINPID=42\nFDSTORE=1\nFDNAME=web";
        let message = parse(text.as_bytes());
        assert_eq!(
            message.notifications,
            [
                Notification::Ready,
                Notification::Reloading,
                Notification::Stopping,
                Notification::Status("a=b".into()),
                Notification::Watchdog,
                Notification::WatchdogTrigger,
                Notification::WatchdogPeriod(Duration::from_micros(5)),
                Notification::ExtendTimeout(Duration::from_micros(7)),
            ]
        );
        assert_eq!(
            (message.main_pid, message.descriptors, message.descriptor_name.as_deref()),
            (Some(42), Some(Descriptors::Store), Some("web"))
        );
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for text in [
            "",
            "=",
            "READY",
            "READY=0",
            "READY=1x",
            "ready=1",
            "MAINPID=x",
            "MAINPID=0",
            "MAINPID=1",
            "MAINPID=2147483648",
            "MAINPID=4294967295",
            "WATCHDOG_USEC=-1",
            "FDNAME=a:b",
            "\n\n\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Message::default(), "{text:?}");
        }
    }

    #[test]
    fn a_status_cannot_do_things_to_a_terminal() {
        let message = parse("STATUS=\u{1b}[2Jgone\u{7}".as_bytes());
        assert_eq!(message.notifications, [Notification::Status(" [2Jgone ".into())]);
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
