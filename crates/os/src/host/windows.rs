//! What the system says.

use std::ffi::OsString;

use windows_sys::Win32::System::SystemInformation::{ComputerNamePhysicalDnsHostname, GetComputerNameExW};

use super::Kind;
use crate::win32::narrow;

/// The kind of system this is.
pub const KIND: Kind = Kind::Windows;

/// The machine's name, for people.
#[must_use]
pub fn name() -> String {
    let mut name = [0_u16; 256];
    let mut length = u32::try_from(name.len()).unwrap_or(0);
    // SAFETY: there is as much room as is said; a name that does not fit is an error, and the room stays empty.
    unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, name.as_mut_ptr(), &raw mut length) };
    narrow(&name).to_string_lossy().into_owned()
}

/// How many handles this process may have.
#[must_use]
pub const fn descriptors_max() -> u64 {
    // What the kernel's table of a process's handles has room for.
    1 << 24
}

/// The environment of this process. The case of names means nothing here, so they are all upper-case, as a definition has them.
/// Those the command interpreter keeps for itself are left out.
pub fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    let own = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with('='));
    own.map(|(name, value)| (name.to_ascii_uppercase(), value))
}
