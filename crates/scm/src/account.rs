//! Names of accounts, of which several can mean the same one.

/// The account that services run as when nothing else is said, as the service control manager writes it.
pub const LOCAL_SYSTEM: &str = "LocalSystem";

/// What else Windows' own accounts are called, and how they are called here.
const OWN: [(&str, &[&str]); 3] = [
    (r"nt authority\system", &["localsystem", "system", r".\localsystem", r".\system"]),
    (r"nt authority\localservice", &["localservice", "local service", r"nt authority\local service"]),
    (r"nt authority\networkservice", &["networkservice", "network service", r"nt authority\network service"]),
];

/// A name that is the same for all names of one account, as far as the names alone tell: in lower case, Windows' own accounts by
/// one of their names, and those of this machine by the machine's.
#[must_use]
pub fn normal(name: &str, machine: &str) -> String {
    let name = name.trim().to_lowercase();
    let is_own = |(own, others): &&(&str, &[&str])| *own == name || others.contains(&name.as_str());
    if let Some((own, _)) = OWN.iter().find(is_own) {
        return (*own).to_owned();
    }
    match name.split_once('\\') {
        Some((".", user)) => format!("{}\\{user}", machine.to_lowercase()),
        None if !name.contains('@') => format!("{}\\{name}", machine.to_lowercase()),
        Some(_) | None => name,
    }
}

/// Whether it is one of Windows' own accounts, which have an empty password.
#[must_use]
pub fn is_own(name: &str) -> bool {
    OWN.iter().any(|(own, _)| *own == normal(name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_account_are_the_same() {
        let one = |name: &str| normal(name, "HOST");
        for names in [
            &["LocalSystem", r"NT AUTHORITY\SYSTEM", r".\LocalSystem", "system", " LocalSystem "][..],
            &[r"NT AUTHORITY\LocalService", r"NT AUTHORITY\LOCAL SERVICE", "LocalService"],
            &[r"NT AUTHORITY\NetworkService", r"nt authority\network service"],
            &[r".\shop", r"HOST\shop", r"host\SHOP", "shop"],
            &[r"CORP\shop", r"corp\Shop"],
            &[r"NT SERVICE\web", r"nt service\WEB"],
            &["shop@corp.example", "Shop@Corp.Example"],
        ] {
            assert!(names.iter().all(|name| one(name) == one(names[0])), "{names:?}");
        }
    }

    #[test]
    fn windows_own_accounts_are_those_that_every_machine_has() {
        for own in ["LocalSystem", r"NT AUTHORITY\LocalService", "Network Service"] {
            assert!(is_own(own), "{own}");
        }
        for other in [r"NT SERVICE\web", r"CORP\web$", r".\shop", "shop@corp.example"] {
            assert!(!is_own(other), "{other}");
        }
    }

    #[test]
    fn names_of_different_accounts_are_not() {
        let names = [
            "LocalSystem",
            "LocalService",
            "NetworkService",
            r".\shop",
            r"CORP\shop",
            "shop@corp.example",
            r"NT SERVICE\shop",
            r"CORP\system",
            r".\other",
        ];
        for (index, one) in names.iter().enumerate() {
            for other in &names[index + 1..] {
                assert_ne!(normal(one, "HOST"), normal(other, "HOST"), "{one} and {other}");
            }
        }
    }
}
