//! Users and groups as Windows knows them: by security identifiers (SIDs).

#[path = "windows/identity.rs"]
mod identity;
#[path = "windows/rights.rs"]
mod rights;
#[path = "windows/session.rs"]
mod session;
#[path = "windows/virtual_account.rs"]
mod virtual_account;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::path::PathBuf;
use std::ptr;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{ConvertSidToStringSidW, ConvertStringSidToSidW};
use windows_sys::Win32::Security::{
    CheckTokenMembership, GetTokenInformation, LookupAccountNameW, LookupAccountSidW, PSID, SID_AND_ATTRIBUTES,
    SID_NAME_USE, SidTypeComputer, SidTypeUser, SidTypeWellKnownGroup, TOKEN_ACCESS_MASK, TOKEN_GROUPS,
    TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TOKEN_USER, TokenGroups, TokenUser,
};
use windows_sys::Win32::System::SystemInformation::{ComputerNameNetBIOS, GetComputerNameExW};
use windows_sys::Win32::System::SystemServices::SE_GROUP_ENABLED;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{Domain, WindowsName};
use crate::win32::{checked, narrow, owned, raw, wide};

#[cfg(test)]
pub(crate) use identity::tests as identity_tests;
pub use identity::{Identity, identity, logon_of};
pub(crate) use session::Session;

/// What tells a user from all others: its SID as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub String);
/// What tells a group from all others: its SID as text.
pub type GroupId = String;

/// The built-in group of administrators.
const ADMINISTRATORS: &str = "S-1-5-32-544";
/// The system itself.
const LOCAL_SYSTEM: &str = "S-1-5-18";
/// Its services with few rights.
const LOCAL_SERVICE: &str = "S-1-5-19";
const NETWORK_SERVICE: &str = "S-1-5-20";
/// The longest SID, in bytes (`SECURITY_MAX_SID_SIZE`).
const SID_BYTES_MAX: usize = 68;
/// The longest name of an account or domain, in characters, with its end.
const NAME_MAX: usize = 1024;

impl fmt::Display for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its SID.
    pub sid: UserId,
    /// Name, with its domain where that is not the machine.
    pub name: String,
    /// Home folder.
    pub home: PathBuf,
    /// Shell.
    pub shell: PathBuf,
    /// Whether it may do everything, as far as can be told without logging on.
    is_master: bool,
}

impl User {
    /// What tells it from all others.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.sid.clone()
    }

    /// Whether it may do everything.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.is_master
    }
}

/// The user of a name or SID.
#[must_use]
pub fn find(account: &str) -> Option<User> {
    // What can be nobody may still be a name that the system has for many.
    let Ok(name) = account.parse() else { return person(account).map(|sid| user(UserId(sid), false)) };
    let sid = match name {
        WindowsName::LocalSystem => LOCAL_SYSTEM.to_owned(),
        WindowsName::LocalService => LOCAL_SERVICE.to_owned(),
        WindowsName::NetworkService => NETWORK_SERVICE.to_owned(),
        WindowsName::Virtual(name) => virtual_account::sid(&name)?,
        WindowsName::User { domain: Some(Domain::Machine), name } => {
            person(&format!(r"{}\{name}", own_domain().to_string_lossy()))?
        }
        WindowsName::User { domain: Some(Domain::Named(_)) | None, .. }
        | WindowsName::Managed { .. }
        | WindowsName::Principal(_) => person(account)?,
        WindowsName::Sid(sid) => person(&sid)?,
    };
    let is_master = sid == LOCAL_SYSTEM;
    Some(user(UserId(sid), is_master))
}

/// The user the guard runs as.
#[must_use]
pub fn current() -> User {
    let sid = own_token(TOKEN_QUERY).and_then(|token| Credentials::of(&token)).map(|credentials| credentials.user);
    user(sid.unwrap_or_else(|_| UserId(String::new())), is_administrator())
}

/// The SID of a group.
#[must_use]
pub fn group_id(group: &str) -> Option<GroupId> {
    let (sid, kind) = lookup(group)?;
    (kind != SidTypeUser).then_some(sid)
}

/// What a token says of whoever has it.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub user: UserId,
    /// The groups that count.
    pub groups: Vec<GroupId>,
}

impl Credentials {
    pub(crate) fn of(token: &OwnedHandle) -> io::Result<Self> {
        let user = information(token, TokenUser)?;
        // SAFETY: the system has filled it with this structure, and it is aligned to eight bytes.
        let user = unsafe { &*user.as_ptr().cast::<TOKEN_USER>() };
        let user = UserId(text_of(user.User.Sid)?);
        let groups = information(token, TokenGroups)?;
        // SAFETY: as above; behind the structure there are as many entries as it says.
        let groups = unsafe {
            let groups = groups.as_ptr().cast::<TOKEN_GROUPS>();
            let first = (&raw const (*groups).Groups).cast::<SID_AND_ATTRIBUTES>();
            std::slice::from_raw_parts(first, usize::try_from((*groups).GroupCount).unwrap_or(0))
        };
        let enabled = groups.iter().filter(|group| group.Attributes & SE_GROUP_ENABLED.cast_unsigned() != 0);
        let groups = enabled.filter_map(|group| text_of(group.Sid).ok()).collect();
        Ok(Self { user, groups })
    }

    /// Whether it may do everything on this machine.
    pub(crate) fn is_master(&self) -> bool {
        self.user.0 == LOCAL_SYSTEM || self.groups.iter().any(|group| group == ADMINISTRATORS)
    }
}

/// Whether this is somebody, or a group, that may do everything.
pub(crate) fn is_masters(sid: &UserId) -> bool {
    [LOCAL_SYSTEM, ADMINISTRATORS].contains(&sid.0.as_str())
}

/// The name of a SID, or else the SID.
pub(crate) fn name_of(sid: &UserId) -> String {
    try_name_of(&sid.0).unwrap_or_else(|| sid.0.clone())
}

fn user(sid: UserId, is_master: bool) -> User {
    let variable = |name: &str, otherwise: &str| std::env::var_os(name).unwrap_or_else(|| otherwise.into());
    User {
        name: name_of(&sid),
        sid,
        home: variable("USERPROFILE", r"C:\").into(),
        shell: variable("ComSpec", r"C:\Windows\System32\cmd.exe").into(),
        is_master,
    }
}

fn own_token(access: TOKEN_ACCESS_MASK) -> io::Result<OwnedHandle> {
    let mut token = ptr::null_mut();
    // SAFETY: the token is there to be written to.
    checked(unsafe { OpenProcessToken(GetCurrentProcess(), access, &raw mut token) })?;
    owned(token)
}

/// Whether this process is one of an administrator, with all rights.
fn is_administrator() -> bool {
    let Some(sid) = Sid::of_text(ADMINISTRATORS) else { return false };
    let mut is_member = 0;
    // SAFETY: the SID is whole, and the answer is there to be written to.
    let answer = unsafe { CheckTokenMembership(ptr::null_mut(), sid.0, &raw mut is_member) };
    answer != 0 && is_member != 0
}

fn information(token: &OwnedHandle, class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<u64>> {
    let mut length = 0;
    // SAFETY: with no room, it only says how much there is.
    unsafe { GetTokenInformation(raw(token), class, ptr::null_mut(), 0, &raw mut length) };
    let mut room = vec![0_u64; usize::try_from(length).unwrap_or(0).div_ceil(8).max(1)];
    // SAFETY: there is as much room as it said.
    checked(unsafe { GetTokenInformation(raw(token), class, room.as_mut_ptr().cast(), length, &raw mut length) })?;
    Ok(room)
}

pub(crate) fn text_of(sid: PSID) -> io::Result<String> {
    let mut text = ptr::null_mut();
    // SAFETY: the SID comes from the system, and the text is there to be written to.
    checked(unsafe { ConvertSidToStringSidW(sid, &raw mut text) })?;
    // SAFETY: the system has made a text that ends with a zero; it is copied, and then let go.
    unsafe {
        let length = (0..).take_while(|at| *text.add(*at) != 0).count();
        let copied = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(copied)
    }
}

/// A SID the system has made of its text.
struct Sid(PSID);

impl Sid {
    fn of_text(text: &str) -> Option<Self> {
        let mut sid = ptr::null_mut();
        let text = wide(text);
        // SAFETY: the text ends with a zero, and the SID is there to be written to.
        checked(unsafe { ConvertStringSidToSidW(text.as_ptr(), &raw mut sid) }).ok().map(|()| Self(sid))
    }
}

impl Drop for Sid {
    fn drop(&mut self) {
        // SAFETY: the system has made it for us.
        unsafe { LocalFree(self.0) };
    }
}

/// The SID of somebody one can be.
fn person(account: &str) -> Option<String> {
    let (sid, kind) = lookup(account)?;
    // Managed accounts are computers to some systems. What the system has given a name of its own may be granted something.
    [SidTypeUser, SidTypeComputer, SidTypeWellKnownGroup].contains(&kind).then_some(sid)
}

/// The name of the machine, which is the domain of its own users.
fn own_domain() -> OsString {
    let mut name = [0_u16; NAME_MAX];
    let mut length = u32::try_from(name.len()).unwrap_or(0);
    // SAFETY: there is as much room as is said; a name that does not fit is an error, and the room stays empty.
    unsafe { GetComputerNameExW(ComputerNameNetBIOS, name.as_mut_ptr(), &raw mut length) };
    narrow(&name)
}

/// The SID of an account of this name, or that is written as one, with what it is.
fn lookup(account: &str) -> Option<(String, SID_NAME_USE)> {
    if account.starts_with("S-1-") {
        let sid = Sid::of_text(account)?;
        let found = account_of(&sid)?;
        return Some((account.to_owned(), found.kind));
    }
    let name = wide(account);
    let mut sid = [0_u8; SID_BYTES_MAX];
    let mut domain = [0_u16; NAME_MAX];
    let mut lengths = (u32::try_from(sid.len()).ok()?, u32::try_from(domain.len()).ok()?);
    let mut kind = 0;
    // SAFETY: the name ends with a zero, and there is as much room as the lengths say.
    let answer = unsafe {
        LookupAccountNameW(
            ptr::null(),
            name.as_ptr(),
            sid.as_mut_ptr().cast(),
            &raw mut lengths.0,
            domain.as_mut_ptr(),
            &raw mut lengths.1,
            &raw mut kind,
        )
    };
    checked(answer).ok()?;
    Some((text_of(sid.as_mut_ptr().cast()).ok()?, kind))
}

fn try_name_of(sid: &str) -> Option<String> {
    account_of(&Sid::of_text(sid)?).map(|found| found.name)
}

/// What the system has under a SID.
struct Found {
    domain: String,
    name: String,
    kind: SID_NAME_USE,
}

fn account_of(sid: &Sid) -> Option<Found> {
    let mut name = [0_u16; NAME_MAX];
    let mut domain = [0_u16; NAME_MAX];
    let mut lengths = (u32::try_from(name.len()).ok()?, u32::try_from(domain.len()).ok()?);
    let mut kind = 0;
    // SAFETY: the SID is whole, and there is as much room as the lengths say.
    let answer = unsafe {
        LookupAccountSidW(
            ptr::null(),
            sid.0,
            name.as_mut_ptr(),
            &raw mut lengths.0,
            domain.as_mut_ptr(),
            &raw mut lengths.1,
            &raw mut kind,
        )
    };
    checked(answer).ok()?;
    let text = |wide: &[u16]| narrow(wide).to_string_lossy().into_owned();
    Some(Found { domain: text(&domain), name: text(&name), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_is_found_by_its_sid() {
        let me = current();
        assert_eq!(find(&me.sid.0).map(|found| found.name), Some(me.name));
    }

    #[test]
    fn the_own_user_is_found_however_it_is_written() {
        let me = current();
        for written in [me.name.clone(), format!(r".\{}", me.name), me.sid.0.to_ascii_lowercase()] {
            assert_eq!(find(&written).map(|found| found.sid), Some(me.sid.clone()), "{written}");
        }
    }

    #[test]
    fn the_systems_own_accounts_are_found_without_asking_by_name() {
        assert_eq!(
            find("LocalSystem").map(|found| (found.sid.0, found.is_master)),
            Some((LOCAL_SYSTEM.to_owned(), true))
        );
        assert_eq!(find(r"NT AUTHORITY\LocalService").map(|found| found.sid.0), Some(LOCAL_SERVICE.to_owned()));
        assert_eq!(find("no such user"), None);
        assert_eq!(find("BUILTIN\\Administrators"), None, "it is a group");
    }
}
