//! Programs for themselves: no manager of Windows is spoken to by one.

use std::io;
use std::process::{Child, Command};

/// There are no groups.
pub(super) const fn lead(_command: &mut Command) {}

/// Ends a program.
pub(super) fn end(child: &mut Child) -> io::Result<()> {
    child.kill()
}
