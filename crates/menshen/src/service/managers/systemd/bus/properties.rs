//! What systemd says of a unit, as types. All of it is made of its own words, which are the same in every language.

use std::collections::HashMap;
use std::marker::PhantomData;

use zbus::OwnedVariant;

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
