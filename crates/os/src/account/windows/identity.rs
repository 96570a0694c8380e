//! Whom a program is to run as, and what proves that the guard may have it do so.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::session::Session;
use super::{Sid, User, UserId, account_of, current, find};
use crate::account::{AccountError, Logon, Password, Wanted, WindowsName};

/// Another account than the guard's own. Its logon is shared by everything that runs under it at one time.
#[derive(Debug, Clone)]
pub struct Identity(Arc<Account>);

#[derive(Debug)]
struct Account {
    user: User,
    proof: Proof,
    session: Mutex<Weak<Session>>,
}

/// How an account is logged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// One of the system's own, of this name.
    OfSystem(&'static str),
    /// `NT SERVICE\NAME`.
    Virtual(String),
    /// Windows knows its password.
    Managed { domain: String, name: String },
    /// We know its password. A name as directories write it has no domain.
    User { domain: Option<String>, name: String, password: Password },
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        (&self.0.user, &self.0.proof) == (&other.0.user, &other.0.proof)
    }
}

impl Eq for Identity {}

impl Identity {
    fn new(user: User, proof: Proof) -> Self {
        Self(Arc::new(Account { user, proof, session: Mutex::default() }))
    }

    /// Its user.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.0.user.id()
    }

    /// Its logon: that of what runs under it already, or a new one.
    pub(crate) fn session(&self) -> io::Result<Arc<Session>> {
        let Account { user, proof, session } = &*self.0;
        let mut known = session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = known.upgrade() {
            return Ok(session);
        }
        let session = Arc::new(Session::begin(user, proof).map_err(io::Error::other)?);
        *known = Arc::downgrade(&session);
        Ok(session)
    }
}

/// What the system needs to know to run something as a user; `None` for the guard's own account.
///
/// # Errors
/// When there is no such user, when its password is lacking or it has none, and when groups are spoken of, which an account has
/// of itself here.
pub fn identity(wanted: Wanted<'_>) -> Result<Option<Identity>, AccountError> {
    match wanted {
        Wanted { group: Some(_), .. } => return Err(AccountError::Unavailable("group")),
        Wanted { groups: Some(_), .. } => return Err(AccountError::Unavailable("groups")),
        Wanted { user: None, password: Some(_), .. } => return Err(AccountError::NoUser),
        Wanted { group: None, groups: None, .. } => {}
    }
    let Some(account) = wanted.user else { return Ok(None) };
    let user = find(account).ok_or_else(|| AccountError::NoSuchUser(account.to_owned()))?;
    match (logon_of(&user, account), wanted.password) {
        (Logon::Own, _) => Ok(None),
        (Logon::Password, None) => Err(AccountError::NeedsPassword(account.to_owned())),
        (Logon::Rights, Some(_)) => Err(AccountError::HasNoPassword(account.to_owned())),
        (Logon::Rights, None) | (Logon::Password, Some(_)) => {
            let proof = proof(&user, account, wanted.password)?;
            Ok(Some(Identity::new(user, proof)))
        }
    }
}

/// What it takes to run something as this user, who was called so.
#[must_use]
pub fn logon_of(user: &User, account: &str) -> Logon {
    if user.id() == current().id() {
        return Logon::Own;
    }
    match meant(account) {
        Some(
            WindowsName::LocalSystem
            | WindowsName::LocalService
            | WindowsName::NetworkService
            | WindowsName::Virtual(_)
            | WindowsName::Managed { .. },
        ) => Logon::Rights,
        Some(WindowsName::User { .. } | WindowsName::Principal(_) | WindowsName::Sid(_)) | None => Logon::Password,
    }
}

/// Which account is meant; a SID is that of something that has a name.
fn meant(account: &str) -> Option<WindowsName> {
    match account.parse().ok()? {
        WindowsName::Sid(sid) => {
            let found = account_of(&Sid::of_text(&sid)?)?;
            format!(r"{}\{}", found.domain, found.name).parse().ok()
        }
        name @ (WindowsName::LocalSystem
        | WindowsName::LocalService
        | WindowsName::NetworkService
        | WindowsName::Virtual(_)
        | WindowsName::Managed { .. }
        | WindowsName::User { .. }
        | WindowsName::Principal(_)) => Some(name),
    }
}

fn proof(user: &User, account: &str, password: Option<&Password>) -> Result<Proof, AccountError> {
    let no_user = || AccountError::NoSuchUser(account.to_owned());
    let password = || password.cloned().ok_or_else(|| AccountError::NeedsPassword(account.to_owned()));
    Ok(match meant(account).ok_or_else(no_user)? {
        WindowsName::LocalSystem => return Err(AccountError::NotLocalSystem),
        WindowsName::LocalService => Proof::OfSystem("LocalService"),
        WindowsName::NetworkService => Proof::OfSystem("NetworkService"),
        WindowsName::Virtual(name) => Proof::Virtual(name),
        WindowsName::Managed { domain, name } => Proof::Managed { domain, name },
        WindowsName::Principal(name) => Proof::User { domain: None, name, password: password()? },
        // Wherever it was found is where it is logged on.
        WindowsName::User { .. } | WindowsName::Sid(_) => {
            let found = Sid::of_text(&user.sid.0).and_then(|sid| account_of(&sid)).ok_or_else(no_user)?;
            Proof::User { domain: Some(found.domain), name: found.name, password: password()? }
        }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::account::platform::LOCAL_SYSTEM;
    use crate::account::platform::session::tests::own_session;

    /// The own account as if it were another one, logged on as long as the session is kept.
    pub(crate) fn own_identity() -> (Identity, Arc<Session>) {
        let identity = Identity::new(current(), Proof::OfSystem("nobody"));
        let session = Arc::new(own_session());
        *identity.0.session.lock().unwrap() = Arc::downgrade(&session);
        (identity, session)
    }

    fn of(user: &str, password: Option<&Password>) -> Result<Option<Identity>, AccountError> {
        identity(Wanted { user: Some(user), password, ..Wanted::default() })
    }

    fn proof_of(user: &str) -> Proof {
        of(user, None).unwrap().unwrap().0.proof.clone()
    }

    #[test]
    fn accounts_without_a_password_are_logged_on_by_what_they_are() {
        assert_eq!(proof_of("LocalService"), Proof::OfSystem("LocalService"));
        assert_eq!(proof_of(r"NT AUTHORITY\NetworkService"), Proof::OfSystem("NetworkService"));
        assert_eq!(proof_of(r"NT SERVICE\web"), Proof::Virtual("web".to_owned()));
        assert_eq!(of("LocalService", None), of("S-1-5-19", None));
    }

    #[test]
    fn what_runs_under_one_account_at_one_time_shares_its_logon() {
        let (identity, session) = own_identity();
        assert!(Arc::ptr_eq(&identity.session().unwrap(), &session));
        drop(session);
        // Nobody is logged on as this, so a new logon would be refused.
        assert!(identity.session().is_err());
    }

    #[test]
    fn what_no_account_has_is_an_error_that_names_the_option() {
        let groups = ["x".to_owned()];
        assert_eq!(identity(Wanted::default()), Ok(None));
        let of_group = Wanted { group: Some("x"), ..Wanted::default() };
        assert_eq!(identity(of_group), Err(AccountError::Unavailable("group")));
        let of_groups = Wanted { groups: Some(&groups), ..Wanted::default() };
        assert_eq!(identity(of_groups), Err(AccountError::Unavailable("groups")));
        let password = Password("correct horse".to_owned());
        assert_eq!(identity(Wanted { password: Some(&password), ..Wanted::default() }), Err(AccountError::NoUser));
        assert_eq!(of("LocalService", Some(&password)), Err(AccountError::HasNoPassword("LocalService".to_owned())));
        assert_eq!(of("no such user", None), Err(AccountError::NoSuchUser("no such user".to_owned())));
    }

    #[test]
    fn the_guards_own_account_takes_nothing_whatever_it_is_called() {
        let me = current();
        let password = Password("any".to_owned());
        assert_eq!(of(&me.name, None), Ok(None));
        assert_eq!(of(&me.sid.0, Some(&password)), Ok(None));
        if me.sid.0 != LOCAL_SYSTEM {
            assert_eq!(of("LocalSystem", None), Err(AccountError::NotLocalSystem));
        }
    }
}
