//! Security descriptors as people write them.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR};

use crate::text::{text, wide};

/// A security descriptor that Windows has read.
#[derive(Debug)]
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    /// Reads one.
    pub(crate) fn parse(sddl: &str) -> io::Result<Self> {
        let sddl = wide(sddl)?;
        let mut descriptor = ptr::null_mut();
        // SAFETY: the text ends with a zero, and what comes out is freed when this is dropped.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(descriptor)) }
    }

    /// For functions of Windows.
    pub(crate) const fn raw(&self) -> PSECURITY_DESCRIPTOR {
        self.0
    }

    /// Who may do what, as Windows writes it.
    pub(crate) fn text(&self) -> io::Result<String> {
        // SAFETY: it is a descriptor.
        unsafe { text_of(self.0) }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: Windows allocated it so, and nobody uses it any more.
        unsafe { LocalFree(self.0) };
    }
}

/// Who may do what, as Windows writes it.
///
/// # Safety
/// It leads to a whole security descriptor.
pub(crate) unsafe fn text_of(descriptor: PSECURITY_DESCRIPTOR) -> io::Result<String> {
    let mut sddl = ptr::null_mut();
    // SAFETY: it is a descriptor, and what comes out is freed below.
    let done = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut sddl,
            ptr::null_mut(),
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it ends with a zero.
    let found = unsafe { text(sddl) };
    // SAFETY: Windows allocated it so, and nobody uses it any more.
    unsafe { LocalFree(sddl.cast()) };
    Ok(found)
}
