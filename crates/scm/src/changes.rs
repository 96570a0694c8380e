//! What changes between two settings of a service, in the order in which it is done.
//!
//! Nobody can read a password, so a change of the account cannot be taken back. It comes last: whatever fails before it leaves the
//! account as it was, and after it nothing is left to fail.

use crate::settings::Settings;

/// Something of a service that is changed as a whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// What the service control manager has of every service, but for the account.
    Base,
    /// What came to Windows later, a level each.
    Levels,
    /// Who may do what with it.
    Security,
    /// The variables of its environment.
    Environment,
    /// What it reads itself.
    Parameters,
    /// Whom it runs as, and that one's password.
    Account,
}

/// Whether a password is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// It is, and is set whatever is there: it cannot be compared.
    Given,
    /// It is not.
    None,
}

/// What has to be changed, in order.
#[must_use]
pub fn of(from: &Settings, to: &Settings, password: Password) -> Vec<Change> {
    let base = |settings: &Settings| {
        let Settings { command_line, display_name, load_order_group, dependencies, start, .. } = settings.clone();
        (command_line, display_name, load_order_group, dependencies, start)
    };
    let levels = |settings: &Settings| {
        let Settings { description, start, sid, required_privileges, failures, preshutdown, triggers, .. } =
            settings.clone();
        (description, start, sid, required_privileges, failures, preshutdown, triggers)
    };
    let all = [
        (Change::Base, base(from) != base(to)),
        (Change::Levels, levels(from) != levels(to)),
        (Change::Security, to.security.is_some() && from.security != to.security),
        (Change::Environment, from.environment != to.environment),
        (Change::Parameters, from.parameters != to.parameters),
        (Change::Account, from.account != to.account || password == Password::Given),
    ];
    all.into_iter().filter_map(|(change, is_needed)| is_needed.then_some(change)).collect()
}

/// What takes back everything but the account: the settings that a service has as far as it was changed, and those it had.
#[must_use]
pub fn without_account(from: &Settings, to: &Settings) -> Vec<Change> {
    let mut changes = of(to, from, Password::None);
    changes.retain(|change| *change != Change::Account);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Parameter, Sid, Start};

    fn before() -> Settings {
        let mut settings = Settings::new("web.exe".to_owned(), "Web".to_owned());
        settings.account = r".\old".to_owned();
        settings
    }

    fn after() -> Settings {
        let mut settings = before();
        settings.account = r".\new".to_owned();
        settings.start = Start::Auto;
        settings.sid = Sid::Unrestricted;
        settings.security = Some("D:".to_owned());
        settings.environment = vec!["A=b".to_owned()];
        settings.parameters = vec![Parameter { name: "Directory", value: None }];
        settings
    }

    #[test]
    fn the_account_comes_last_and_is_never_taken_back() {
        let changes = of(&before(), &after(), Password::Given);
        assert_eq!(changes.len(), 6);
        assert_eq!(changes.last(), Some(&Change::Account));
        let back = without_account(&before(), &after());
        assert_eq!(back, [Change::Base, Change::Levels, Change::Environment, Change::Parameters]);
    }

    #[test]
    fn a_password_is_set_each_time_it_is_given_and_nothing_else_is() {
        assert_eq!(of(&before(), &before(), Password::None), []);
        assert_eq!(of(&before(), &before(), Password::Given), [Change::Account]);
    }

    #[test]
    fn who_may_do_what_stays_where_nothing_is_said() {
        let silent = Settings { security: None, ..after() };
        assert!(!of(&after(), &silent, Password::None).contains(&Change::Security));
    }
}
