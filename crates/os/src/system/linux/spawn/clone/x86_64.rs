//! `clone3` for a child that goes on elsewhere than its parent: it has a stack of its own, in the same memory.

use std::arch::asm;

use syscalls::{Errno, Sysno};

/// Whether a child may share the guard's memory here.
pub(super) const SHARES_MEMORY: bool = true;

/// Bears a child that calls `entry` with `argument` on the stack of `arguments`. Returns its number, in the parent only.
///
/// # Safety
/// `entry` must keep to what is allowed in memory that a parent goes on using. The stack and what `argument` points to must
/// stay until the child is gone from this memory.
#[expect(unsafe_code, reason = "no crate wraps clone3 with a stack")]
pub(super) unsafe fn clone_on_stack<T>(
    arguments: &mut libc::clone_args,
    entry: unsafe extern "C" fn(*const T) -> !,
    argument: *const T,
) -> Result<usize, Errno> {
    let result: usize;
    // SAFETY: the parent goes on behind the call with the registers the kernel keeps. The child begins with an empty stack
    // and never comes back; a frame pointer of zero ends its chain of frames.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") Sysno::clone3 as usize => result,
            in("rdi") &raw mut *arguments,
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") entry,
            in("r13") argument,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    Errno::from_ret(result)
}
