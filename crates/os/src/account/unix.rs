//! Users and groups from the system's databases.

use std::ffi::CString;
use std::fmt;
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User as Entry, getgrouplist};

use super::{AccountError, Logon, Wanted};

/// What tells a user from all others: its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u32);

impl fmt::Display for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What tells a group from all others: its number.
pub type GroupId = u32;

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number.
    pub uid: u32,
    /// Number of its main group.
    pub gid: u32,
    /// Name.
    pub name: String,
    /// Home folder.
    pub home: PathBuf,
    /// Shell.
    pub shell: PathBuf,
}

impl User {
    /// What tells it from all others.
    #[must_use]
    pub const fn id(&self) -> UserId {
        UserId(self.uid)
    }

    /// Whether it may do everything.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// An account as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Identity {
    /// Its user.
    #[must_use]
    pub const fn user(&self) -> UserId {
        UserId(self.uid)
    }
}

/// The user of a name or number.
#[must_use]
pub fn find(account: &str) -> Option<User> {
    let by_number = || Entry::from_uid(Uid::from_raw(account.parse().ok()?)).ok().flatten();
    let entry = Entry::from_name(account).ok().flatten().or_else(by_number)?;
    Some(from_entry(entry))
}

/// The name of the user of this number, or the number where the machine has none. Somebody else's name may look like it.
pub(crate) fn name_of(uid: u32) -> String {
    let entry = Entry::from_uid(Uid::from_raw(uid)).ok().flatten();
    entry.map_or_else(|| uid.to_string(), |entry| entry.name)
}

/// What it takes to run something as this user, whatever it was called.
#[must_use]
pub fn logon_of(user: &User, _account: &str) -> Logon {
    if Uid::effective().as_raw() == user.uid { Logon::Own } else { Logon::Rights }
}

/// The user the guard runs as.
#[must_use]
pub fn current() -> User {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let entry = Entry::from_uid(uid).ok().flatten().map(from_entry);
    let nameless = || User {
        uid: uid.as_raw(),
        gid: gid.as_raw(),
        name: uid.to_string(),
        home: "/".into(),
        shell: "/bin/sh".into(),
    };
    entry.unwrap_or_else(nameless)
}

/// The number of a group.
#[must_use]
pub fn group_id(group: &str) -> Option<u32> {
    let entry = Group::from_name(group).ok().flatten();
    entry.map(|entry| entry.gid.as_raw()).or_else(|| group.parse().ok())
}

/// Every group of a user, its main group included.
fn groups_of(user: &User) -> Vec<u32> {
    let Ok(name) = CString::new(user.name.as_str()) else { return vec![user.gid] };
    let groups = getgrouplist(&name, Gid::from_raw(user.gid)).unwrap_or_default();
    if groups.is_empty() { vec![user.gid] } else { groups.into_iter().map(Gid::as_raw).collect() }
}

/// What the kernel needs to know to run something as a user and group; `None` for the guard's own account.
///
/// # Errors
/// When the machine has no such user or group, or passwords are spoken of, which nothing here asks for.
pub fn identity(wanted: Wanted<'_>) -> Result<Option<Identity>, AccountError> {
    let Wanted { user, password, group, groups } = wanted;
    if password.is_some() {
        return Err(AccountError::Unavailable("password"));
    }
    if user.is_none() && group.is_none() && groups.is_none() {
        return Ok(None);
    }
    let no_group = |group: &str| AccountError::NoSuchGroup(group.to_owned());
    let gid = group.map(|group| group_id(group).ok_or_else(|| no_group(group))).transpose()?;
    let supplementary: Option<Vec<u32>> = groups
        .map(|groups| groups.iter().map(|group| group_id(group).ok_or_else(|| no_group(group))).collect())
        .transpose()?;
    let (uid, own_gid, own_groups) = match user {
        None => {
            let me = current();
            (me.uid, me.gid, groups_of(&me))
        }
        Some(user) => match (find(user), user.parse::<u32>()) {
            (Some(entry), _) => (entry.uid, entry.gid, groups_of(&entry)),
            (None, Ok(uid)) => {
                let gid = gid.ok_or(AccountError::NoGroup(uid))?;
                (uid, gid, vec![gid])
            }
            (None, Err(_)) => return Err(AccountError::NoSuchUser(user.to_owned())),
        },
    };
    Ok(Some(Identity { uid, gid: gid.unwrap_or(own_gid), groups: supplementary.unwrap_or(own_groups) }))
}

fn from_entry(entry: Entry) -> User {
    User { uid: entry.uid.as_raw(), gid: entry.gid.as_raw(), name: entry.name, home: entry.dir, shell: entry.shell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Password;

    fn wanted<'a>(user: Option<&'a str>, group: Option<&'a str>) -> Wanted<'a> {
        Wanted { user, group, ..Wanted::default() }
    }

    #[test]
    fn a_number_without_a_user_is_its_own_name() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_000_000_123), "4000000123");
    }

    #[test]
    fn root_is_found_by_name_and_by_number() {
        assert_eq!(find("root").map(|user| user.uid), Some(0));
        assert_eq!(find("0").map(|user| user.name), Some("root".to_owned()));
        assert_eq!(group_id("root"), Some(0));
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let error = identity(wanted(Some("no-such-user"), None)).unwrap_err();
        assert_eq!(error, AccountError::NoSuchUser("no-such-user".to_owned()));
        assert_eq!(identity(wanted(Some("4242424"), None)), Err(AccountError::NoGroup(4_242_424)));
        let numbers = identity(wanted(Some("4242424"), Some("77"))).unwrap().unwrap();
        assert_eq!((numbers.uid, numbers.gid, numbers.groups), (4_242_424, 77, vec![77]));
    }

    #[test]
    fn without_any_wish_it_is_the_guards_own_account() {
        assert_eq!(identity(Wanted::default()), Ok(None));
    }

    #[test]
    fn a_password_is_an_error_that_names_the_option() {
        let password = Password("correct horse".to_owned());
        let error =
            identity(Wanted { user: Some("root"), password: Some(&password), ..Wanted::default() }).unwrap_err();
        assert_eq!(error, AccountError::Unavailable("password"));
        assert!(!format!("{password:?}{error}").contains("horse"));
    }
}
