//! Accounts as people write them for services of Windows.

use std::str::FromStr;

use thiserror::Error;

/// Which account a text means on Windows. Case means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowsName {
    /// `LocalSystem`: the system itself.
    LocalSystem,
    /// `LocalService`: few rights, nobody on the network.
    LocalService,
    /// `NetworkService`: few rights, the machine on the network.
    NetworkService,
    /// `NT SERVICE\NAME`: an account that Windows has for every name, without a password.
    Virtual(String),
    /// `DOMAIN\NAME$`: a managed service account, whose password Windows keeps.
    Managed {
        /// The domain.
        domain: String,
        /// The name, with its dollar sign.
        name: String,
    },
    /// `NAME` or `DOMAIN\NAME`: somebody with a password.
    User {
        /// The domain; `None` for wherever the name is found first, beginning with the machine.
        domain: Option<Domain>,
        /// The name.
        name: String,
    },
    /// `NAME@DOMAIN`: the same, as directories write it.
    Principal(String),
    /// `S-1-…`: whoever this identifies.
    Sid(String),
}

/// Where a user is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// `.`: on this machine.
    Machine,
    /// There.
    Named(String),
}

/// A text that can be no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an account is written NAME, .\\NAME, DOMAIN\\NAME or NAME@DOMAIN")]
pub struct BadName;

/// The domain of the system's own accounts.
const AUTHORITY: &str = "NT AUTHORITY";
/// The domain of virtual accounts.
const SERVICE: &str = "NT SERVICE";

impl FromStr for WindowsName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let text = text.trim();
        if text.to_ascii_uppercase().starts_with("S-1-") {
            return Ok(Self::of_sid(&text.to_ascii_uppercase()));
        }
        let Some((domain, name)) = text.split_once('\\') else { return Self::of_bare(text) };
        if domain.is_empty() || name.is_empty() || name.contains('\\') {
            return Err(BadName);
        }
        let is = |other: &str| domain.eq_ignore_ascii_case(other);
        let name = name.to_owned();
        Ok(match (is(AUTHORITY) || domain == ".", Self::of_system(&name)) {
            (true, Some(own)) => own,
            (true, None) if domain == "." => Self::User { domain: Some(Domain::Machine), name },
            (true, None) => return Err(BadName),
            (false, _) if is(SERVICE) => Self::Virtual(name),
            (false, _) if name.ends_with('$') => Self::Managed { domain: domain.to_owned(), name },
            (false, _) => Self::User { domain: Some(Domain::Named(domain.to_owned())), name },
        })
    }
}

impl WindowsName {
    /// One of the system's own accounts, by any of its English names.
    fn of_system(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "localsystem" | "system" => Some(Self::LocalSystem),
            "localservice" | "local service" => Some(Self::LocalService),
            "networkservice" | "network service" => Some(Self::NetworkService),
            _ => None,
        }
    }

    fn of_sid(sid: &str) -> Self {
        match sid {
            "S-1-5-18" => Self::LocalSystem,
            "S-1-5-19" => Self::LocalService,
            "S-1-5-20" => Self::NetworkService,
            other => Self::Sid(other.to_owned()),
        }
    }

    fn of_bare(name: &str) -> Result<Self, BadName> {
        if let Some(own) = Self::of_system(name) {
            return Ok(own);
        }
        match name.split_once('@') {
            _ if name.is_empty() => Err(BadName),
            Some((user, domain)) if user.is_empty() || domain.is_empty() => Err(BadName),
            Some(_) => Ok(Self::Principal(name.to_owned())),
            None => Ok(Self::User { domain: None, name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> WindowsName {
        text.parse().unwrap_or_else(|_| panic!("{text} is an account"))
    }

    #[test]
    fn the_systems_own_accounts_are_known_by_each_of_their_names() {
        for text in ["LocalSystem", "system", r"NT AUTHORITY\SYSTEM", r".\LocalSystem", "S-1-5-18"] {
            assert_eq!(parsed(text), WindowsName::LocalSystem, "{text}");
        }
        for text in ["LocalService", r"nt authority\localservice", r"NT AUTHORITY\LOCAL SERVICE", "s-1-5-19"] {
            assert_eq!(parsed(text), WindowsName::LocalService, "{text}");
        }
        for text in ["NetworkService", r"NT AUTHORITY\NetworkService", "Network Service", "S-1-5-20"] {
            assert_eq!(parsed(text), WindowsName::NetworkService, "{text}");
        }
    }

    #[test]
    fn other_accounts_are_told_apart_by_how_they_are_written() {
        assert_eq!(parsed(r"nt service\web"), WindowsName::Virtual("web".to_owned()));
        let managed = WindowsName::Managed { domain: "SHOP".to_owned(), name: "web$".to_owned() };
        assert_eq!(parsed(r"SHOP\web$"), managed);
        let user = |domain| WindowsName::User { domain, name: "ada".to_owned() };
        assert_eq!(parsed("ada"), user(None));
        assert_eq!(parsed(r".\ada"), user(Some(Domain::Machine)));
        assert_eq!(parsed(r"SHOP\ada"), user(Some(Domain::Named("SHOP".to_owned()))));
        assert_eq!(parsed("ada@shop.example"), WindowsName::Principal("ada@shop.example".to_owned()));
        assert_eq!(parsed("s-1-5-21-1-2-3-1001"), WindowsName::Sid("S-1-5-21-1-2-3-1001".to_owned()));
    }

    #[test]
    fn what_can_be_no_account_is_refused() {
        for text in ["", " ", r"\ada", r"SHOP\", r"a\b\c", r"NT AUTHORITY\ada", "@shop", "ada@"] {
            assert_eq!(text.parse::<WindowsName>(), Err(BadName), "{text}");
        }
    }
}
