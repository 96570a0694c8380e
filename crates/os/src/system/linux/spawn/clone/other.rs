//! On these processors every child gets a copy of the guard's memory.

use syscalls::Errno;

/// Whether a child may share the guard's memory here.
pub(super) const SHARES_MEMORY: bool = false;

/// There is no such way here.
///
/// # Safety
/// Nothing is done.
#[expect(unsafe_code, reason = "the same signature everywhere")]
pub(super) unsafe fn clone_on_stack<T>(
    _: &mut libc::clone_args,
    _: unsafe extern "C" fn(*const T) -> !,
    _: *const T,
) -> Result<usize, Errno> {
    Err(Errno::ENOSYS)
}
