//! `--name value` arguments.

/// The value after a flag, or a default.
#[must_use]
pub fn value(flag: &str, default: &str) -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag);
    arguments.nth(1).unwrap_or_else(|| default.to_owned())
}

/// Whether a flag is there.
#[must_use]
pub fn has(flag: &str) -> bool {
    std::env::args().any(|argument| argument == flag)
}

/// The port after `--port`.
///
/// # Errors
/// When it is not a port.
pub fn port(default: u16) -> Result<u16, String> {
    let text = value("--port", &default.to_string());
    text.parse().map_err(|_| format!("'{text}' is not a port"))
}
