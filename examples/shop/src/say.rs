//! What the programs write; a guard that keeps it must not be spared anything.

use std::fmt::Display;
use std::io::Write as _;

/// A line on stdout.
pub fn out(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    // A program whose output nobody takes goes on with its work.
    let _ = writeln!(stdout, "{text}");
    let _ = stdout.flush();
}

/// A line on stderr.
pub fn err(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
