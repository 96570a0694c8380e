//! What the guard's own account may do besides reading and writing: its privileges, which have to be turned on to count.

use std::io;
use std::os::windows::io::OwnedHandle;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_NOT_ALL_ASSIGNED, GetLastError, LUID};
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED, TOKEN_ADJUST_PRIVILEGES,
    TOKEN_PRIVILEGES, TOKEN_QUERY,
};

use crate::win32::{checked, raw, wide};

/// A privilege, by the name the system has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Privilege(pub &'static str);

/// To give a new process another account.
pub(super) const ASSIGN_TOKEN: Privilege = Privilege("SeAssignPrimaryTokenPrivilege");
/// To give it a share of memory.
pub(super) const INCREASE_QUOTA: Privilege = Privilege("SeIncreaseQuotaPrivilege");
/// To act as a part of the system, which logs its own accounts on.
pub(super) const ACT_AS_SYSTEM: Privilege = Privilege("SeTcbPrivilege");
/// To load the profile of an account.
pub(super) const BACK_UP: Privilege = Privilege("SeBackupPrivilege");
pub(super) const RESTORE: Privilege = Privilege("SeRestorePrivilege");
/// To look at files as somebody else.
pub(super) const IMPERSONATE: Privilege = Privilege("SeImpersonatePrivilege");

/// Turns privileges on. Returns the first that the guard's account does not have.
pub(super) fn turn_on(privileges: &[Privilege]) -> io::Result<Option<Privilege>> {
    let token = super::own_token(TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY)?;
    for privilege in privileges {
        if !is_turned_on(&token, *privilege)? {
            return Ok(Some(*privilege));
        }
    }
    Ok(None)
}

fn is_turned_on(token: &OwnedHandle, privilege: Privilege) -> io::Result<bool> {
    let name = wide(privilege.0);
    let mut luid = LUID::default();
    // SAFETY: the name ends with a zero, and the number is there to be written to.
    checked(unsafe { LookupPrivilegeValueW(ptr::null(), name.as_ptr(), &raw mut luid) })?;
    let on = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES { Luid: luid, Attributes: SE_PRIVILEGE_ENABLED }],
    };
    // SAFETY: the structure is whole, and nobody asks how it was before. What is not there is told by the last error alone.
    unsafe {
        checked(AdjustTokenPrivileges(raw(token), 0, &raw const on, 0, ptr::null_mut(), ptr::null_mut()))?;
        Ok(GetLastError() != ERROR_NOT_ALL_ASSIGNED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_that_the_account_has_not_is_named() {
        // Everybody may pass through folders; nobody but the system makes tokens.
        let everybodys = Privilege("SeChangeNotifyPrivilege");
        assert_eq!(turn_on(&[everybodys]).unwrap(), None);
        let makes_tokens = Privilege("SeCreateTokenPrivilege");
        assert_eq!(turn_on(&[everybodys, makes_tokens]).unwrap(), Some(makes_tokens));
    }
}
