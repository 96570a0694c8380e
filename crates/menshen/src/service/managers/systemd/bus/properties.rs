//! What systemd says of a unit, as types. All of it is made of its own words, which are the same in every language.

use std::collections::HashMap;
use std::marker::PhantomData;

use zbus::OwnedVariant;

use crate::service::managers::systemd::cause::Bond;
use crate::service::status::{Exit, State};

/// How a process ended, as `waitid` has it.
const EXITED: i32 = 1;
const KILLED: i32 = 2;
const DUMPED: i32 = 3;
/// No time-out.
const NEVER: u64 = u64::MAX;

/// Properties of an interface.
#[derive(Debug)]
pub(super) struct Properties<Interface> {
    values: HashMap<String, OwnedVariant>,
    interface: PhantomData<Interface>,
}

/// An interface of a unit.
pub(super) trait Interface {
    /// What it is called on the bus.
    const NAME: &'static str;
}

/// What every unit has.
#[derive(Debug)]
pub(super) struct Unit;

impl Interface for Unit {
    const NAME: &'static str = "org.freedesktop.systemd1.Unit";
}

/// What only services have.
#[derive(Debug)]
pub(super) struct Service;

impl Interface for Service {
    const NAME: &'static str = "org.freedesktop.systemd1.Service";
}

/// What every job has.
#[derive(Debug)]
pub(super) struct Job;

impl Interface for Job {
    const NAME: &'static str = "org.freedesktop.systemd1.Job";
}

impl<Interface> Properties<Interface> {
    pub(super) fn of(values: HashMap<String, OwnedVariant>) -> Self {
        Self { values, interface: PhantomData }
    }

    /// A value; that of nothing, where this version of systemd has none of that name.
    fn get<T: TryFrom<OwnedVariant> + Default>(&self, name: &str) -> T {
        self.values.get(name).and_then(|value| T::try_from(value.clone()).ok()).unwrap_or_default()
    }

    fn text_of(&self, name: &str) -> String {
        self.get(name)
    }
}

impl Properties<Unit> {
    /// Its state. That there is no unit is one, and none other is taken for it.
    pub(super) fn state(&self) -> State {
        let active = self.text_of("ActiveState");
        match (&*active, &*self.text_of("SubState"), &*self.text_of("FreezerState")) {
            ("active", _, "frozen" | "frozen-by-parent") => State::Paused,
            ("active", _, "freezing" | "freezing-by-parent") => State::Pausing,
            ("active", _, "thawing") => State::Continuing,
            ("active", _, _) => State::Running,
            ("reloading" | "refreshing", _, _) => State::Reloading,
            ("activating", "auto-restart" | "auto-restart-queued", _) => State::Backoff,
            ("activating", _, _) => State::Starting,
            ("deactivating", _, _) => State::Stopping,
            ("failed", _, _) => State::Failed,
            _ if self.text_of("LoadState") == "not-found" => State::NotInstalled,
            _ => State::Stopped,
        }
    }

    /// Its state in systemd's own words.
    pub(super) fn words(&self) -> String {
        format!("{} ({})", self.text_of("ActiveState"), self.text_of("SubState"))
    }

    /// Whether it is a timer that has nothing to do any more.
    pub(super) fn is_elapsed(&self) -> bool {
        self.text_of("SubState") == "elapsed"
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        self.text_of("Id")
    }

    /// The units whose stop is one of this one, too. Slices and the like, to which every unit belongs, are not among them: they
    /// stop when the machine does.
    pub(super) fn needs(&self) -> Vec<(String, Bond)> {
        let all = [
            ("BindsTo", Bond::End),
            ("Requires", Bond::Stop),
            ("Requisite", Bond::Stop),
            ("PartOf", Bond::Stop),
            ("StopPropagatedFrom", Bond::Stop),
        ];
        let needed =
            all.into_iter().flat_map(|(name, bond)| self.units(name).into_iter().map(move |unit| (unit, bond)));
        needed.collect()
    }

    /// The units that it cannot run beside.
    pub(super) fn conflicts(&self) -> Vec<String> {
        [self.units("Conflicts"), self.units("ConflictedBy")].concat()
    }

    fn units(&self, name: &str) -> Vec<String> {
        self.get(name)
    }

    /// Whether it is up, or on its way.
    pub(super) fn is_up(&self) -> bool {
        self.is_active() || self.text_of("ActiveState") == "activating"
    }

    /// Whether it is up.
    pub(super) fn is_active(&self) -> bool {
        matches!(&*self.text_of("ActiveState"), "active" | "reloading" | "refreshing")
    }

    /// Whether what is written has changed since it was read.
    pub(super) fn is_stale(&self) -> bool {
        self.get("NeedDaemonReload")
    }

    pub(super) fn can_reload(&self) -> bool {
        self.get("CanReload")
    }

    pub(super) fn can_freeze(&self) -> bool {
        self.get("CanFreeze")
    }

    /// Why it cannot run as it is written.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.text_of("LoadState") {
            "bad-setting" => Some("its unit has a mistake".to_owned()),
            "error" => Some("its unit cannot be read".to_owned()),
            "masked" => Some("it is masked".to_owned()),
            _ => None,
        }
    }
}

impl Properties<Job> {
    /// What is to be done with the unit, such as `start`.
    pub(super) fn kind(&self) -> String {
        self.text_of("JobType")
    }

    /// `waiting` or `running`.
    pub(super) fn progress(&self) -> String {
        self.text_of("State")
    }
}

impl Properties<Service> {
    pub(super) fn pid(&self) -> Option<u32> {
        Some(self.get::<u32>("MainPID")).filter(|pid| *pid != 0)
    }

    /// How it ended the last time. While it runs there is nothing to say.
    pub(super) fn exit(&self) -> Option<Exit> {
        let status = self.get::<i32>("ExecMainStatus");
        match self.get::<i32>("ExecMainCode") {
            EXITED => Some(Exit::Code(status)),
            KILLED | DUMPED => Some(Exit::Signal(status)),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        Some(self.text_of("StatusText")).filter(|text| !text.is_empty())
    }

    /// A word for how it went the last time.
    pub(super) fn result(&self) -> String {
        self.text_of("Result")
    }

    pub(super) fn has_watchdog(&self) -> bool {
        ![0, NEVER].contains(&self.get::<u64>("WatchdogUSec"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(values: [&str; 4]) -> Properties<Unit> {
        let names = ["LoadState", "ActiveState", "SubState", "FreezerState"];
        let variant = |value: &str| OwnedVariant::try_from(zbus::Variant::from(value)).unwrap();
        Properties::of(names.into_iter().zip(values).map(|(name, value)| (name.to_owned(), variant(value))).collect())
    }

    #[test]
    fn no_state_is_shown_as_another() {
        for (values, state) in [
            (["loaded", "active", "running", "running"], State::Running),
            (["loaded", "active", "exited", "running"], State::Running),
            (["loaded", "active", "running", "frozen"], State::Paused),
            (["loaded", "active", "running", "freezing"], State::Pausing),
            (["loaded", "active", "running", "thawing"], State::Continuing),
            (["loaded", "reloading", "reload-notify", "running"], State::Reloading),
            (["loaded", "activating", "start", "running"], State::Starting),
            (["loaded", "activating", "auto-restart", "running"], State::Backoff),
            (["loaded", "activating", "auto-restart-queued", "running"], State::Backoff),
            (["loaded", "deactivating", "stop-sigterm", "running"], State::Stopping),
            (["loaded", "failed", "failed", "running"], State::Failed),
            (["loaded", "inactive", "dead", "running"], State::Stopped),
            (["masked", "inactive", "dead", "running"], State::Stopped),
            (["bad-setting", "inactive", "dead", "running"], State::Stopped),
            (["not-found", "inactive", "dead", "running"], State::NotInstalled),
            // Its file is gone, and it is there all the same.
            (["not-found", "active", "running", "running"], State::Running),
            (["not-found", "deactivating", "stop-sigterm", "running"], State::Stopping),
            (["not-found", "failed", "failed", "running"], State::Failed),
        ] {
            assert_eq!(unit(values).state(), state, "{values:?}");
        }
        assert!(unit(["bad-setting", "inactive", "dead", ""]).trouble().is_some());
        assert!(unit(["loaded", "inactive", "dead", ""]).trouble().is_none());
    }

    #[test]
    fn an_exit_is_a_code_or_a_signal() {
        let service = |code: i32, status: i32| {
            let values = [("ExecMainCode", code), ("ExecMainStatus", status)];
            let variant = |value: i32| OwnedVariant::try_from(zbus::Variant::from(value)).unwrap();
            Properties::<Service>::of(values.map(|(name, value)| (name.to_owned(), variant(value))).into())
        };
        assert_eq!(service(0, 0).exit(), None);
        assert_eq!(service(1, 3).exit(), Some(Exit::Code(3)));
        assert_eq!(service(2, 9).exit(), Some(Exit::Signal(9)));
        assert_eq!(service(3, 6).exit(), Some(Exit::Signal(6)));
        assert_eq!(service(1, 3).pid(), None);
    }
}
