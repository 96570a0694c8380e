//! What every call of the Windows API takes and gives: wide text, handles, answers.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::windows::io::{AsRawHandle, FromRawHandle as _, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{
    DUPLICATE_CLOSE_SOURCE, DUPLICATE_SAME_ACCESS, DuplicateHandle, FILETIME, HANDLE, INVALID_HANDLE_VALUE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::ConvertStringSecurityDescriptorToSecurityDescriptorW;
use windows_sys::Win32::Security::{PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// Text as the system takes it, with a zero at its end. What comes after a zero in it is not seen by the system.
pub(crate) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// Text as the system gives it, up to its first zero.
pub(crate) fn narrow(wide: &[u16]) -> OsString {
    let end = wide.iter().position(|unit| *unit == 0).unwrap_or(wide.len());
    OsString::from_wide(&wide[..end])
}

/// An answer that is zero when something failed.
pub(crate) fn checked(answer: i32) -> io::Result<()> {
    if answer == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A handle that the system has just given, or why it did not.
pub(crate) fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller has it from the system this moment, and gives it away.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The number of a handle, as long as its owner lives.
pub(crate) fn raw(handle: &impl AsRawHandle) -> HANDLE {
    handle.as_raw_handle()
}

/// The size of something, as the system takes it.
pub(crate) const fn size_of_u32<T>() -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "nothing of the system's is that large")]
    let size = size_of::<T>() as u32;
    size
}

/// The same handle once more, which a child that is told to inherits; with the same rights or with these.
pub(crate) fn heirloom(handle: &impl AsRawHandle, rights: Option<u32>) -> io::Result<OwnedHandle> {
    const INHERITED: i32 = 1;
    let mut copy = ptr::null_mut();
    let options = if rights.is_none() { DUPLICATE_SAME_ACCESS } else { 0 };
    // SAFETY: both processes are this one, and `copy` is there to be written to.
    let answer = unsafe {
        let me = GetCurrentProcess();
        DuplicateHandle(me, raw(handle), me, &raw mut copy, rights.unwrap_or(0), INHERITED, options)
    };
    checked(answer)?;
    owned(copy)
}

/// Gives a copy of a handle to another process, and says which number it has there.
pub(crate) fn give(handle: &impl AsRawHandle, to: &OwnedHandle) -> io::Result<u64> {
    let mut copy = ptr::null_mut();
    // SAFETY: the handles are open, and `copy` is there to be written to.
    let answer = unsafe {
        DuplicateHandle(GetCurrentProcess(), raw(handle), raw(to), &raw mut copy, 0, 0, DUPLICATE_SAME_ACCESS)
    };
    checked(answer).map(|()| copy as usize as u64)
}

/// Takes a copy of the handle that has this number in another process.
pub(crate) fn take(number: u64, from: &OwnedHandle) -> io::Result<OwnedHandle> {
    let mut copy = ptr::null_mut();
    let number = usize::try_from(number).map_err(io::Error::other)? as HANDLE;
    // SAFETY: a number that is no handle there is an error, and `copy` is there to be written to.
    let answer =
        unsafe { DuplicateHandle(raw(from), number, GetCurrentProcess(), &raw mut copy, 0, 0, DUPLICATE_SAME_ACCESS) };
    checked(answer)?;
    owned(copy)
}

/// Closes the handle that has this number in another process.
pub(crate) fn close_there(number: u64, process: &OwnedHandle) {
    let Ok(number) = usize::try_from(number) else { return };
    // SAFETY: the other process does nothing with its handles but hold them. One that is closed already is an error.
    let _ = unsafe {
        DuplicateHandle(raw(process), number as HANDLE, ptr::null_mut(), ptr::null_mut(), 0, 0, DUPLICATE_CLOSE_SOURCE)
    };
}

/// A time of the system's: hundreds of nanoseconds since 1601, or how long.
pub(crate) const fn ticks(time: FILETIME) -> u64 {
    (time.dwHighDateTime as u64) << 32 | time.dwLowDateTime as u64
}

/// Who may do what with a thing that is to be made.
pub(crate) struct Permissions {
    descriptor: PSECURITY_DESCRIPTOR,
    attributes: SECURITY_ATTRIBUTES,
}

// SAFETY: nobody writes to the descriptor once it is made.
unsafe impl Send for Permissions {}

impl Permissions {
    /// From their text form (SDDL).
    pub(crate) fn of(text: &str) -> io::Result<Self> {
        const REVISION: u32 = 1;
        let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
        let text = wide(text);
        // SAFETY: the text ends with a zero, and the descriptor is there to be written to.
        checked(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                REVISION,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        })?;
        let attributes = SECURITY_ATTRIBUTES {
            nLength: size_of_u32::<SECURITY_ATTRIBUTES>(),
            lpSecurityDescriptor: descriptor,
            bInheritHandle: 0,
        };
        Ok(Self { descriptor, attributes })
    }

    /// As the system takes them when something is made.
    pub(crate) const fn attributes(&self) -> *const SECURITY_ATTRIBUTES {
        &raw const self.attributes
    }
}

impl Drop for Permissions {
    fn drop(&mut self) {
        // SAFETY: the system has made it for us, and this is the last that knows of it.
        unsafe { LocalFree(self.descriptor) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_its_first_zero() {
        assert_eq!(narrow(&wide("a ö")), "a ö");
        assert_eq!(narrow(&[97, 0, 98]), "a");
    }
}
