//! Somebody who is logged on, with a profile and an environment, for programs to run as.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::ffi::OsStringExt as _;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::OwnedHandle;
use std::path::Path;
use std::{mem, ptr, thread};

use thiserror::Error;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_LOGON_FAILURE, ERROR_LOGON_TYPE_NOT_GRANTED, ERROR_PRIVILEGE_NOT_HELD, HANDLE,
};
use windows_sys::Win32::NetworkManagement::NetManagement::SERVICE_ACCOUNT_PASSWORD;
use windows_sys::Win32::Security::{
    ImpersonateLoggedOnUser, LOGON32_LOGON, LOGON32_LOGON_SERVICE, LOGON32_PROVIDER, LOGON32_PROVIDER_DEFAULT,
    LogonUserW, PSID, QUOTA_LIMITS, TOKEN_GROUPS,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_EXECUTE, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES, FILE_READ_DATA, FILE_TRAVERSE, SYNCHRONIZE,
};
use windows_sys::Win32::System::Environment::{CreateEnvironmentBlock, DestroyEnvironmentBlock};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::UI::Shell::{LoadUserProfileW, PROFILEINFOW, UnloadUserProfile};
use windows_sys::core::{BOOL, PCWSTR};

use super::identity::Proof;
use super::rights::{ACT_AS_SYSTEM, ASSIGN_TOKEN, BACK_UP, IMPERSONATE, INCREASE_QUOTA, RESTORE, turn_on};
use super::{User, current};
use crate::error::describe;
use crate::win32::{Permissions, checked, owned, raw, size_of_u32, wide};

/// The provider of virtual accounts (`LOGON32_PROVIDER_VIRTUAL` of winbase.h).
const VIRTUAL: LOGON32_PROVIDER = 4;
/// Nobody is there to be shown a message (`PI_NOUI` of userenv.h).
const WITHOUT_MESSAGES: u32 = 1;

/// See the module. The profile is unloaded with it.
#[derive(Debug)]
pub(crate) struct Session {
    token: OwnedHandle,
    user: User,
    /// The number of the profile's key in the registry, where it was loaded.
    profile: Option<usize>,
}

/// Why something cannot run as somebody.
#[derive(Debug, Error)]
pub(crate) enum LogonError {
    /// The guard's account lacks a privilege.
    #[error(
        "running something as {account} takes the privilege {privilege}, which LocalSystem has and {guard}, whom this guard \
         runs as, has not"
    )]
    Privilege { account: String, privilege: &'static str, guard: String },
    /// The password is not the account's.
    #[error("{0} cannot be logged on: the password is not its own, or it may not log on")]
    Password(String),
    /// An administrator has to grant that.
    #[error("{0} lacks the right to log on as a service (SeServiceLogonRight)")]
    Right(String),
    /// This system does not know how.
    #[error("this system has no virtual accounts, such as {0}")]
    NoVirtualAccounts(String),
    /// The system refuses for another reason.
    #[error("{account} cannot be logged on: {why}")]
    Refused { account: String, why: String },
    /// The account may not do something that its program must.
    #[error("{account} may not {what} {path}; it can be granted with: icacls \"{path}\" /grant \"{account}:(RX)\"")]
    Access { account: String, what: &'static str, path: String },
}

impl Session {
    /// Logs somebody on.
    pub(super) fn begin(user: &User, proof: &Proof) -> Result<Self, LogonError> {
        let refused = |error: &io::Error| LogonError::Refused { account: shown(user, proof), why: describe(error) };
        let lacks = |privilege: &'static str| LogonError::Privilege {
            account: shown(user, proof),
            privilege,
            guard: current().name,
        };
        if let Some(lacking) = turn_on(&[ASSIGN_TOKEN, INCREASE_QUOTA]).map_err(|error| refused(&error))? {
            return Err(lacks(lacking.0));
        }
        // Those help where they are there; who logs on without them says what it lacks.
        for helpful in [ACT_AS_SYSTEM, BACK_UP, RESTORE, IMPERSONATE] {
            turn_on(&[helpful]).map_err(|error| refused(&error))?;
        }
        let token = log_on(proof).map_err(|error| {
            let account = shown(user, proof);
            match error.raw_os_error().map(i32::cast_unsigned) {
                Some(ERROR_LOGON_FAILURE) => LogonError::Password(account),
                Some(ERROR_LOGON_TYPE_NOT_GRANTED) => LogonError::Right(account),
                Some(ERROR_PRIVILEGE_NOT_HELD) => lacks(ACT_AS_SYSTEM.0),
                Some(_) => refused(&error),
                None => LogonError::NoVirtualAccounts(account),
            }
        })?;
        let profile = load_profile(&token, user);
        Ok(Self { token, user: User { name: shown(user, proof), ..user.clone() }, profile })
    }

    /// Its token, for a process to be made with.
    pub(crate) const fn token(&self) -> &OwnedHandle {
        &self.token
    }

    /// Who may do what with its processes: itself, the guard and the system, which may be the next guard.
    pub(crate) fn permissions(&self) -> io::Result<Permissions> {
        Permissions::of(&format!("D:P(A;;GA;;;SY)(A;;GA;;;{})(A;;GA;;;{})", current().sid, self.user.sid))
    }

    /// Its own variables.
    pub(crate) fn environment(&self) -> io::Result<Vec<(OsString, OsString)>> {
        let mut block = ptr::null_mut();
        // SAFETY: the token is open, and the block is there to be written to.
        checked(unsafe { CreateEnvironmentBlock(&raw mut block, raw(&self.token), 0) })?;
        // SAFETY: the system has made texts that each end with a zero, and one more is behind the last. They are copied, and
        // then let go.
        unsafe {
            let first = block.cast::<u16>().cast_const();
            let length = (1..).take_while(|at| *first.add(at - 1) != 0 || *first.add(*at) != 0).count();
            let variables = variables(std::slice::from_raw_parts(first, length));
            DestroyEnvironmentBlock(block);
            Ok(variables)
        }
    }

    /// Finds out whether the account may enter the folder and execute the program, to say so better than the system does.
    pub(crate) fn check_access(&self, folder: &Path, program: &Path) -> io::Result<()> {
        let enter = FILE_TRAVERSE | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
        let execute = FILE_EXECUTE | FILE_READ_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
        // A thread that has become somebody else is not used for anything more.
        let is_refused = thread::scope(|scope| {
            let look = || {
                // SAFETY: the token is open. It counts for this thread alone, which ends soon.
                if unsafe { ImpersonateLoggedOnUser(raw(&self.token)) } == 0 {
                    return [false, false];
                }
                [is_denied(folder, enter), is_denied(program, execute)]
            };
            thread::Builder::new().spawn_scoped(scope, look).map(|looking| looking.join().unwrap_or_default())
        })?;
        let refusal = |what, path: &Path| {
            let (account, path) = (self.user.name.clone(), path.display().to_string());
            Err(io::Error::new(io::ErrorKind::PermissionDenied, LogonError::Access { account, what, path }))
        };
        match is_refused {
            [true, _] => refusal("enter the folder", folder),
            [false, true] => refusal("execute the program", program),
            [false, false] => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(profile) = self.profile {
            // SAFETY: the profile was loaded for this token, and this is the last that knows of it.
            unsafe { UnloadUserProfile(raw(&self.token), profile as HANDLE) };
        }
    }
}

/// The account, for people.
fn shown(user: &User, proof: &Proof) -> String {
    match proof {
        Proof::OfSystem(name) => (*name).to_owned(),
        Proof::Virtual(name) => format!(r"NT SERVICE\{name}"),
        Proof::Managed { domain, name } => format!(r"{domain}\{name}"),
        Proof::User { domain: Some(domain), name, .. } => format!(r"{domain}\{name}"),
        Proof::User { domain: None, .. } => user.name.clone(),
    }
}

/// Whether whoever this thread is may not do that with a file or folder. What else is wrong with it is found soon enough.
fn is_denied(path: &Path, access: u32) -> bool {
    let opened = OpenOptions::new().access_mode(access).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path);
    opened.is_err_and(|error| error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()))
}

/// The token of a new logon.
fn log_on(proof: &Proof) -> io::Result<OwnedHandle> {
    match proof {
        Proof::OfSystem(name) => log_on_with("NT AUTHORITY", name, &[0]),
        Proof::Virtual(name) => log_on_virtual(name),
        Proof::Managed { domain, name } => {
            // SAFETY: it is a text of the system's, which ends with a zero.
            let known_to_windows = unsafe { OsString::from_wide(units(SERVICE_ACCOUNT_PASSWORD)) };
            log_on_with(domain, name, &wide(known_to_windows))
        }
        Proof::User { domain, name, password } => {
            let mut password = wide(&password.0);
            let token = log_on_as(domain.as_deref(), name, &password);
            password.fill(0);
            token
        }
    }
}

fn log_on_with(domain: &str, name: &str, password: &[u16]) -> io::Result<OwnedHandle> {
    log_on_as(Some(domain), name, password)
}

fn log_on_as(domain: Option<&str>, name: &str, password: &[u16]) -> io::Result<OwnedHandle> {
    let (domain, name) = (domain.map(wide), wide(name));
    let mut token = ptr::null_mut();
    // SAFETY: all texts end with a zero, and the token is there to be written to.
    checked(unsafe {
        LogonUserW(
            name.as_ptr(),
            domain.as_ref().map_or(ptr::null(), Vec::as_ptr),
            password.as_ptr(),
            LOGON32_LOGON_SERVICE,
            LOGON32_PROVIDER_DEFAULT,
            &raw mut token,
        )
    })?;
    owned(token)
}

/// `LogonUserExExW`, which is in no library to be linked with.
type LogOn = unsafe extern "system" fn(
    name: PCWSTR,
    domain: PCWSTR,
    password: PCWSTR,
    kind: LOGON32_LOGON,
    provider: LOGON32_PROVIDER,
    groups: *const TOKEN_GROUPS,
    token: *mut HANDLE,
    sid: *mut PSID,
    profile: *mut *mut core::ffi::c_void,
    profile_length: *mut u32,
    quota: *mut QUOTA_LIMITS,
) -> BOOL;

/// Logs a virtual account on. An error without a number: this system cannot.
fn log_on_virtual(name: &str) -> io::Result<OwnedHandle> {
    let (name, domain, password) = (wide(name), wide("NT SERVICE"), [0_u16]);
    let library = wide("advapi32.dll");
    // SAFETY: both names end with a zero; the library is one this program is linked with, and stays.
    let found = unsafe { GetProcAddress(GetModuleHandleW(library.as_ptr()), c"LogonUserExExW".as_ptr().cast()) };
    let log_on = found.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let mut token = ptr::null_mut();
    // SAFETY: the function of this name has these arguments; the texts end with a zero, and only the token is asked for.
    checked(unsafe {
        let log_on: LogOn = mem::transmute(log_on);
        log_on(
            name.as_ptr(),
            domain.as_ptr(),
            password.as_ptr(),
            LOGON32_LOGON_SERVICE,
            VIRTUAL,
            ptr::null(),
            &raw mut token,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        )
    })?;
    owned(token)
}

/// The units of a text that ends with a zero.
///
/// # Safety
/// It does, and it stays.
unsafe fn units(text: PCWSTR) -> &'static [u16] {
    // SAFETY: the caller says so.
    unsafe {
        let length = (0..).take_while(|at| *text.add(*at) != 0).count();
        std::slice::from_raw_parts(text, length)
    }
}

/// Loads the account's profile. An account whose profile cannot be loaded runs without one, as the system's own services do.
fn load_profile(token: &OwnedHandle, user: &User) -> Option<usize> {
    let mut name = wide(&user.name);
    let mut profile = PROFILEINFOW {
        dwSize: size_of_u32::<PROFILEINFOW>(),
        dwFlags: WITHOUT_MESSAGES,
        lpUserName: name.as_mut_ptr(),
        ..PROFILEINFOW::default()
    };
    // SAFETY: the token is open, the name ends with a zero, and the structure is as long as it says.
    let answer = unsafe { LoadUserProfileW(raw(token), &raw mut profile) };
    (answer != 0).then_some(profile.hProfile as usize)
}

/// The variables of a block: `NAME=value` and a zero, again and again. What the command interpreter keeps for itself begins with
/// an equals sign, and is left out.
fn variables(block: &[u16]) -> Vec<(OsString, OsString)> {
    const EQUALS: u16 = b'=' as u16;
    let texts = block.split(|unit| *unit == 0).filter(|text| !text.is_empty() && text[0] != EQUALS);
    let both = texts.filter_map(|text| {
        let at = text.iter().position(|unit| *unit == EQUALS)?;
        Some((OsString::from_wide(&text[..at]), OsString::from_wide(&text[at + 1..])))
    });
    both.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use windows_sys::Win32::Security::{
        DuplicateTokenEx, SecurityImpersonation, TOKEN_ALL_ACCESS, TOKEN_DUPLICATE, TokenPrimary,
    };

    use super::*;
    use crate::account::platform::own_token;

    /// A logon of whoever runs the tests, as good as any other to make processes with.
    pub(crate) fn own_session() -> Session {
        let own = own_token(TOKEN_DUPLICATE).unwrap();
        let mut token = ptr::null_mut();
        // SAFETY: the token is open, and the other is there to be written to.
        checked(unsafe {
            DuplicateTokenEx(
                raw(&own),
                TOKEN_ALL_ACCESS,
                ptr::null(),
                SecurityImpersonation,
                TokenPrimary,
                &raw mut token,
            )
        })
        .unwrap();
        let token = owned(token).unwrap();
        let profile = load_profile(&token, &current());
        Session { token, user: current(), profile }
    }

    #[test]
    fn variables_are_told_apart_and_those_of_the_command_interpreter_left_out() {
        let block: Vec<u16> = "=C:=C:\\x\0PATH=a=b\0EMPTY=\0".encode_utf16().collect();
        let expected = [("PATH", "a=b"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(variables(&block), expected);
    }

    #[test]
    fn an_account_has_variables_of_its_own() {
        let environment = own_session().environment().unwrap();
        let of = |name: &str| environment.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        assert_eq!(of("USERNAME").map(|(_, value)| value.clone()), Some(OsString::from(current().name)));
        assert!(of("USERPROFILE").is_some() && of("SystemRoot").is_some(), "{environment:?}");
    }

    #[test]
    fn what_the_account_may_do_is_not_refused() {
        let folder = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        own_session().check_access(folder.path(), &program).unwrap();
    }

    #[test]
    fn a_guard_without_the_privilege_says_which() {
        let lacks = turn_on(&[ASSIGN_TOKEN]).unwrap().is_some();
        let user = super::super::find("LocalService").unwrap();
        let begun = Session::begin(&user, &Proof::OfSystem("LocalService"));
        if lacks {
            let error = begun.unwrap_err().to_string();
            assert!(error.contains("SeAssignPrimaryTokenPrivilege") && error.contains("LocalService"), "{error}");
        } else {
            assert_eq!(begun.unwrap().user.sid.0, "S-1-5-19");
        }
    }

    #[test]
    fn what_is_missing_on_the_way_to_a_program_is_told_with_a_remedy() {
        let path = r"C:\shop".to_owned();
        let error = LogonError::Access { account: r"SHOP\ada".to_owned(), what: "enter the folder", path };
        let told = error.to_string();
        assert!(told.ends_with(r#"icacls "C:\shop" /grant "SHOP\ada:(RX)""#), "{told}");
    }
}
