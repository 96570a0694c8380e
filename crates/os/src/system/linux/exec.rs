//! Going on as another program.

use std::ffi::{CString, OsString};
use std::io;
use std::path::Path;

use super::prepare::{c_string, pointers, variable};

/// Executes another program in this very process. Returns only when that fails.
#[expect(unsafe_code, reason = "the standard library's exec would let signals through that wait for the program")]
pub(super) fn become_program(
    program: &Path,
    arguments: &[OsString],
    environment: &[(OsString, OsString)],
) -> io::Error {
    let made_ready = || -> io::Result<_> {
        let arguments = arguments.iter().map(|word| c_string(word)).collect::<io::Result<Vec<CString>>>()?;
        let environment = environment.iter().map(|(name, value)| variable(name, value));
        Ok((c_string(program.as_os_str())?, arguments, environment.collect::<io::Result<Vec<CString>>>()?))
    };
    let (program, arguments, environment) = match made_ready() {
        Ok(ready) => ready,
        Err(error) => return error,
    };
    // SAFETY: both arrays end with null, and what they point to outlives the call.
    unsafe {
        libc::execve(program.as_ptr(), pointers(&arguments).as_ptr(), pointers(&environment).as_ptr());
    }
    io::Error::last_os_error()
}
