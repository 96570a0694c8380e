//! What the signals that a definition may name mean on Windows. The numbers are those of the C library there, and of its
//! documentation.

/// Ctrl-Break to the process group, and then `WM_CLOSE` to its windows.
pub(crate) const TERMINATE: i32 = 15;
/// The end at once.
pub(crate) const KILL: i32 = 9;

/// The number behind `SIGTERM` and `SIGKILL`; Windows has a like of no other that can be sent to a process.
#[must_use]
pub fn number(name: &str) -> Option<i32> {
    match name {
        "SIGTERM" => Some(TERMINATE),
        "SIGKILL" => Some(KILL),
        _ => None,
    }
}

/// The name of a number.
#[must_use]
pub fn name(number: i32) -> Option<String> {
    match number {
        TERMINATE => Some("SIGTERM".to_owned()),
        KILL => Some("SIGKILL".to_owned()),
        _ => None,
    }
}
