//! The way to systemd, and what it is asked in general.

use std::collections::HashMap;
use std::time::Duration;

use zbus::connection::Builder;
use zbus::{Connection, DynamicType, Message, OwnedObjectPath, OwnedVariant};

use super::job::Doing;
use super::properties::{Interface, Properties, Service, Unit};
use crate::service::manager::{ManagerError, ManagerKind, Scope};
use crate::service::managers::systemd::cause::UnitJob;
use crate::service::managers::systemd::linger;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Longer than it takes to read all units of a big machine again.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// What may not be done, by the names of errors.
const NOT_PERMITTED: [&str; 4] = [
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.AuthFailed",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    "org.freedesktop.PolicyKit1.Error.NotAuthorized",
];
/// Who has asked is told already.
const ALREADY_SUBSCRIBED: &str = "org.freedesktop.systemd1.AlreadySubscribed";
/// What is not there.
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const NO_SUCH_FILE: [&str; 2] = ["org.freedesktop.DBus.Error.FileNotFound", NO_SUCH_UNIT];

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// Whoever asks may not.
    NotPermitted,
    /// A job takes longer than somebody waits.
    Overdue(Doing),
    /// Something else.
    Told(String),
    /// What D-Bus said.
    Bus(zbus::Error),
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        if NOT_PERMITTED.contains(&&*name_of(&error)) { Self::NotPermitted } else { Self::Bus(error) }
    }
}

impl Failure {
    fn into_error(self, call: &str) -> ManagerError {
        let manager = ManagerKind::Systemd;
        let call = call.to_owned();
        match self {
            Self::NotPermitted => ManagerError::NotPermitted { manager, what: call },
            Self::Overdue(doing) => ManagerError::Call { manager, call, told: doing.to_string() },
            Self::Told(told) => ManagerError::Call { manager, call, told },
            Self::Bus(error) => ManagerError::Call { manager, call, told: error.to_string() },
        }
    }
}

/// The name of an error that was answered; empty, where it is one of our own.
fn name_of(error: &zbus::Error) -> String {
    if let zbus::Error::MethodError(name, _, _) = error {
        name.to_string()
    } else if let zbus::Error::FDO(error) = error {
        zbus::DBusError::name(&**error).to_string()
    } else {
        String::new()
    }
}

/// Asks systemd something. Whoever waits may be within a runtime of its own, which must not be waited in: so a thread does.
pub(super) fn ask<T: Send>(
    scope: Scope,
    what: &str,
    question: impl AsyncFnOnce(&Bus) -> Result<T, Failure> + Send,
) -> Result<T, ManagerError> {
    let answered = std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            zbus::block_on(async {
                let bus = Bus::connect(scope).await?;
                question(&bus).await
            })
        });
        thread.join()
    });
    let answered = answered.unwrap_or_else(|_| Err(Failure::Told("the thread that asked has panicked".to_owned())));
    answered.map_err(|failure| failure.into_error(what))
}

/// A connection to systemd.
#[derive(Debug)]
pub(super) struct Bus {
    pub(super) connection: Connection,
}

impl Bus {
    async fn connect(scope: Scope) -> Result<Self, Failure> {
        let builder = match scope {
            Scope::System => Builder::system(),
            Scope::User => Builder::address(&*user_bus()?),
        };
        let connected = tokio::time::timeout(ANSWER_WITHIN, builder.method_timeout(ANSWER_WITHIN).build()).await;
        match connected {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(error)) => Err(Failure::Told(unreachable(scope, &error))),
            Err(_) => Err(Failure::Told(format!("the way to it did not open within {ANSWER_WITHIN:?}"))),
        }
    }

    /// Calls a method of the manager.
    pub(super) async fn manager<B: serde::Serialize + DynamicType>(
        &self,
        method: &str,
        body: &B,
    ) -> Result<Message, Failure> {
        self.call(PATH, MANAGER, method, body).await.map_err(Failure::from)
    }

    async fn call<B: serde::Serialize + DynamicType>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> zbus::Result<Message> {
        self.connection.call_method(Some(NAME), path, Some(interface), method, body).await
    }

    /// Has it tell what becomes of jobs, from now on. It does so for whoever has asked once.
    pub(super) async fn hear(&self) -> Result<(), Failure> {
        match self.call(PATH, MANAGER, "Subscribe", &()).await {
            Err(error) if name_of(&error) != ALREADY_SUBSCRIBED => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What it says its version is.
    pub(super) async fn version(&self) -> Result<String, Failure> {
        self.own("Version").await
    }

    /// How it says the machine is, such as `running` and `stopping`.
    pub(super) async fn system_state(&self) -> Result<String, Failure> {
        self.own("SystemState").await
    }

    /// The folders it looks for units in.
    pub(super) async fn unit_path(&self) -> Result<Vec<String>, Failure> {
        self.own("UnitPath").await
    }

    /// One of its own properties.
    async fn own<T: TryFrom<OwnedVariant, Error: std::fmt::Display>>(&self, property: &str) -> Result<T, Failure> {
        let answer = self.call(PATH, PROPERTIES, "Get", &(MANAGER, property)).await?;
        let value: OwnedVariant = answer.body().deserialize()?;
        T::try_from(value).map_err(|error| Failure::Told(error.to_string()))
    }

    /// Has it read its units again.
    pub(super) async fn reload(&self) -> Result<(), Failure> {
        self.manager("Reload", &()).await.map(drop)
    }

    /// Has it start a unit at boot.
    pub(super) async fn enable(&self, unit: &str) -> Result<(), Failure> {
        self.manager("EnableUnitFiles", &([unit].as_slice(), false, false)).await?;
        self.reload().await
    }

    /// Has it not start a unit at boot.
    pub(super) async fn disable(&self, unit: &str) -> Result<(), Failure> {
        self.manager("DisableUnitFiles", &([unit].as_slice(), false)).await?;
        self.reload().await
    }

    /// Has it forget that a unit has failed.
    pub(super) async fn forget(&self, unit: &str) -> Result<(), Failure> {
        self.manager("ResetFailedUnit", &(unit,)).await.map(drop)
    }

    /// What becomes of a unit at boot; `None` where there is no such file.
    pub(super) async fn file_state(&self, unit: &str) -> Result<Option<String>, Failure> {
        match self.call(PATH, MANAGER, "GetUnitFileState", &(unit,)).await {
            Ok(answer) => Ok(Some(answer.body().deserialize()?)),
            Err(error) if NO_SUCH_FILE.contains(&&*name_of(&error)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A unit, which is read if it has not been.
    pub(super) async fn load(&self, unit: &str) -> Result<Properties<Unit>, Failure> {
        let answer = self.manager("LoadUnit", &(unit,)).await?;
        self.all(&answer.body().deserialize()?).await
    }

    /// A unit, if it has been read.
    pub(super) async fn loaded(&self, unit: &str) -> Result<Option<Properties<Unit>>, Failure> {
        match self.call(PATH, MANAGER, "GetUnit", &(unit,)).await {
            Ok(answer) => self.all(&answer.body().deserialize()?).await.map(Some),
            Err(error) if name_of(&error) == NO_SUCH_UNIT => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The unit that a process belongs to.
    pub(super) async fn unit_of(&self, pid: u32) -> Result<Properties<Unit>, Failure> {
        let answer = self.manager("GetUnitByPID", &(pid,)).await?;
        self.all(&answer.body().deserialize()?).await
    }

    /// Everything that is to be done.
    pub(super) async fn jobs(&self) -> Result<Vec<UnitJob>, Failure> {
        type Job = (u32, String, String, String, OwnedObjectPath, OwnedObjectPath);
        let answer = self.manager("ListJobs", &()).await?;
        let jobs: Vec<Job> = answer.body().deserialize()?;
        Ok(jobs.into_iter().map(|(_, unit, kind, ..)| UnitJob { unit, kind }).collect())
    }

    /// What only services have.
    pub(super) async fn service(&self, unit: &str) -> Result<Properties<Service>, Failure> {
        let answer = self.manager("LoadUnit", &(unit,)).await?;
        self.all(&answer.body().deserialize()?).await
    }

    /// Everything that an object says by an interface.
    pub(super) async fn all<Of: Interface>(&self, path: &OwnedObjectPath) -> Result<Properties<Of>, Failure> {
        let answer = self.call(path.as_str(), PROPERTIES, "GetAll", &(Of::NAME,)).await?;
        let values: HashMap<String, OwnedVariant> = answer.body().deserialize()?;
        Ok(Properties::of(values))
    }
}

/// Where the bus of the user's systemd is.
fn user_bus() -> Result<String, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let address = variable("XDG_RUNTIME_DIR").map(|folder| format!("unix:path={folder}/bus"));
    let address = address.or_else(|| variable("DBUS_SESSION_BUS_ADDRESS"));
    address.ok_or_else(|| Failure::Told(why_not_reached()))
}

fn unreachable(scope: Scope, error: &zbus::Error) -> String {
    match scope {
        Scope::System => format!("there is no way to it ({error}); is there a D-Bus daemon (the package `dbus`)?"),
        Scope::User => format!(
            "{} ({error}); and a D-Bus daemon of the user's (the package `dbus-user-session`)",
            why_not_reached()
        ),
    }
}

fn why_not_reached() -> String {
    linger::trouble(&linger::ThisMachine)
        .map_or_else(|| "there is no way to it".to_owned(), |trouble| trouble.to_string())
}
