//! The right of an account to be logged on as a service, without which nothing can run as it.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_INSUFFICIENT_BUFFER, NTSTATUS};
use windows_sys::Win32::Security::Authentication::Identity::{
    LSA_HANDLE, LSA_OBJECT_ATTRIBUTES, LSA_UNICODE_STRING, LsaAddAccountRights, LsaClose, LsaEnumerateAccountRights,
    LsaFreeMemory, LsaNtStatusToWinError, LsaOpenPolicy, LsaRemoveAccountRights, POLICY_CREATE_ACCOUNT,
    POLICY_LOOKUP_NAMES,
};
use windows_sys::Win32::Security::{LookupAccountNameW, PSID, SID_NAME_USE};

use crate::account;
use crate::manager::is;
use crate::text::wide;

const RIGHT: &str = "SeServiceLogonRight";

/// Whether an account got a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// It has it now.
    Now,
    /// It had it.
    Before,
}

/// Gives an account the right.
///
/// # Errors
/// When there is no such account, or whoever asks may not do this.
pub fn grant(account: &str) -> io::Result<Granted> {
    let policy = Policy::open()?;
    let sid = Sid::of(account)?;
    if policy.has(&sid)? {
        return Ok(Granted::Before);
    }
    let mut right = Right::new()?;
    // SAFETY: policy, identifier and the one right are whole while this runs.
    check(unsafe { LsaAddAccountRights(policy.0, sid.raw(), &right.lsa(), 1) })?;
    Ok(Granted::Now)
}

/// Takes the right from an account.
///
/// # Errors
/// As [`grant`].
pub fn revoke(account: &str) -> io::Result<()> {
    let policy = Policy::open()?;
    let sid = Sid::of(account)?;
    let mut right = Right::new()?;
    // SAFETY: policy, identifier and the one right are whole while this runs.
    match check(unsafe { LsaRemoveAccountRights(policy.0, sid.raw(), false, &right.lsa(), 1) }) {
        // Somebody has taken it already: an account without any right is not known.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        revoked => revoked,
    }
}

/// Whether two names are of one account: by what Windows knows them as, or, where it does not know one of them, by the names.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let machine = std::env::var("COMPUTERNAME").unwrap_or_default();
    let [one, other] = [one, other].map(|name| account::normal(name, &machine));
    one == other || matches!((Sid::of(&one), Sid::of(&other)), (Ok(one), Ok(other)) if one.0 == other.0)
}

fn check(status: NTSTATUS) -> io::Result<()> {
    if status >= 0 {
        return Ok(());
    }
    // SAFETY: it takes any number.
    let code = unsafe { LsaNtStatusToWinError(status) };
    Err(io::Error::from_raw_os_error(code.cast_signed()))
}

/// What this machine's local security authority keeps.
struct Policy(LSA_HANDLE);

impl Policy {
    fn open() -> io::Result<Self> {
        let attributes = LSA_OBJECT_ATTRIBUTES::default();
        let access = (POLICY_LOOKUP_NAMES | POLICY_CREATE_ACCOUNT).cast_unsigned();
        let mut handle = LSA_HANDLE::default();
        // SAFETY: null is this machine, and no attribute means anything.
        check(unsafe { LsaOpenPolicy(ptr::null(), &raw const attributes, access, &raw mut handle) })?;
        Ok(Self(handle))
    }

    fn has(&self, sid: &Sid) -> io::Result<bool> {
        let (mut rights, mut count) = (ptr::null_mut(), 0);
        // SAFETY: policy and identifier are whole, and what comes out is freed below.
        let found = check(unsafe { LsaEnumerateAccountRights(self.0, sid.raw(), &raw mut rights, &raw mut count) });
        match found {
            Ok(()) => {}
            // Of an account that has no rights at all nothing is known.
            Err(error) if is(&error, ERROR_FILE_NOT_FOUND) => return Ok(false),
            Err(error) => return Err(error),
        }
        let mut has = false;
        for index in 0..count as usize {
            // SAFETY: there are so many, and the length of each is in bytes.
            let name = unsafe {
                let right: &LSA_UNICODE_STRING = &*rights.add(index);
                std::slice::from_raw_parts(right.Buffer, usize::from(right.Length) / 2)
            };
            has |= String::from_utf16_lossy(name) == RIGHT;
        }
        // SAFETY: the authority allocated it, and nobody uses it any more.
        unsafe { LsaFreeMemory(rights.cast()) };
        Ok(has)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody uses it any more.
        unsafe { LsaClose(self.0) };
    }
}

/// An account's security identifier.
struct Sid(Vec<u8>);

impl Sid {
    fn of(account: &str) -> io::Result<Self> {
        // Windows knows a local account by its name alone.
        let name = wide(account.strip_prefix(r".\").unwrap_or(account))?;
        let (mut sid, mut domain) = (Vec::<u8>::new(), Vec::<u16>::new());
        loop {
            let mut sid_length = u32::try_from(sid.len()).map_err(io::Error::other)?;
            let mut domain_length = u32::try_from(domain.len()).map_err(io::Error::other)?;
            let mut kind = SID_NAME_USE::default();
            // SAFETY: the name ends with a zero, and both buffers are as long as is said.
            let done = unsafe {
                LookupAccountNameW(
                    ptr::null(),
                    name.as_ptr(),
                    sid.as_mut_ptr().cast(),
                    &raw mut sid_length,
                    domain.as_mut_ptr(),
                    &raw mut domain_length,
                    &raw mut kind,
                )
            };
            if done != 0 {
                return Ok(Self(sid));
            }
            let error = io::Error::last_os_error();
            let is_longer = sid_length as usize > sid.len() || domain_length as usize > domain.len();
            if !is(&error, ERROR_INSUFFICIENT_BUFFER) || !is_longer {
                return Err(error);
            }
            sid = vec![0_u8; sid_length as usize];
            domain = vec![0_u16; domain_length as usize];
        }
    }

    fn raw(&self) -> PSID {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// The name of the right.
struct Right(Vec<u16>);

impl Right {
    fn new() -> io::Result<Self> {
        wide(RIGHT).map(Self)
    }

    /// For functions of the authority, as long as this is there.
    fn lsa(&mut self) -> LSA_UNICODE_STRING {
        let bytes = |units: usize| u16::try_from(units * 2).unwrap_or(u16::MAX);
        LSA_UNICODE_STRING {
            Length: bytes(self.0.len() - 1),
            MaximumLength: bytes(self.0.len()),
            Buffer: self.0.as_mut_ptr(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_is_named_in_full_without_the_zero_at_its_end() {
        let mut right = Right::new().unwrap();
        let lsa = right.lsa();
        assert_eq!((usize::from(lsa.Length), usize::from(lsa.MaximumLength)), (RIGHT.len() * 2, RIGHT.len() * 2 + 2));
        // SAFETY: the text is there as long as the right is, and its length is in bytes.
        let units = unsafe { std::slice::from_raw_parts(lsa.Buffer, usize::from(lsa.Length) / 2) };
        assert_eq!(String::from_utf16(units).unwrap(), "SeServiceLogonRight");
    }

    /// Wine takes a right and forgets it: that an account has it then cannot be seen there.
    #[test]
    fn an_account_that_is_there_can_be_given_the_right_and_nobody_else() {
        let user = std::env::var("USERNAME").unwrap();
        assert_eq!(grant(&user).unwrap(), Granted::Now);
        revoke(&user).unwrap();
        for nobody in ["nobody-there", r"NOWHERE\shop$"] {
            assert!(grant(nobody).is_err() && revoke(nobody).is_err(), "{nobody}");
        }
        assert!(is_same(&user, &format!(r".\{user}")) && !is_same(&user, "nobody-there"));
    }
}
