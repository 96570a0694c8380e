//! The plan: a definition with everything resolved. This is what the guard carries out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use crate::command_line::CommandLine;
use crate::definition::{
    Access, Account, AlertKind, Condition, Dependency, FallbackUntil, Journal, Limits, Log, ProbeKind, Restart,
    RestartPolicy, ServiceType, StartType, StatusMatch, Stop, Target, Umask,
};
use crate::duration;
use crate::fingerprint::Fingerprint;
use crate::load::Layer;
use crate::order;
use crate::secret::{Secret, Secrets};
use crate::signal::Signal;

pub use crate::definition::ServiceName;

/// Everything one guard looks after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The name of the guard.
    pub name: ServiceName,
    /// The folder of the definition.
    pub folder: PathBuf,
    /// Who may do what.
    pub access: Access,
    /// How much history is kept.
    pub journal: Journal,
    /// The services, in the order of the definition.
    pub services: IndexMap<ServiceName, Arc<ServicePlan>>,
    /// Who is told.
    pub alerts: IndexMap<ServiceName, Arc<AlertPlan>>,
    /// The texts it was made of, from which it can be made again whatever has become of the files.
    #[serde(skip)]
    pub texts: Arc<[Layer]>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePlan {
    /// Its name.
    pub name: ServiceName,
    /// One line for people.
    pub description: Option<String>,
    /// The name service managers show.
    pub display_name: String,
    /// The program and its arguments, never empty.
    pub command: CommandLine,
    /// The working directory, absolute if the definition's folder is.
    pub directory: PathBuf,
    /// The account to run as.
    pub user: Option<Account>,
    /// The password of that account.
    #[serde(skip)]
    pub password: Option<Secret>,
    /// The group to run as.
    pub group: Option<Account>,
    /// Supplementary groups; `None` for those of the user.
    pub groups: Option<Vec<Account>>,
    /// The file mode creation mask.
    pub umask: Option<Umask>,
    /// The scheduling priority.
    pub nice: Option<i8>,
    /// The whole environment; nothing is added but what tells the program about its guard.
    pub environment: BTreeMap<String, String>,
    /// What must be there before it starts.
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// Whether it starts with the guard.
    pub start: StartType,
    /// How it tells that it is up.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Whether the guard ends when it has failed.
    pub essential: bool,
    /// How long it may take until it is up (notify) or done (one-shot).
    #[serde(with = "duration::optional")]
    pub start_timeout: Option<Duration>,
    /// How many file descriptors it may leave with the guard.
    pub fd_store: u16,
    /// How its health is known.
    pub probes: ProbePlans,
    /// What happens when it ends; `policy` is always there.
    pub restart: RestartPlan,
    /// When restarting is given up for a while.
    pub breaker: BreakerPlan,
    /// How it is stopped.
    pub stop: Stop,
    /// How it is told to read its configuration again.
    pub reload: ReloadPlan,
    /// Where its output goes.
    pub log: Log,
    /// What it may use.
    pub limits: Limits,
    /// What must not be shown.
    #[serde(skip)]
    pub secrets: Secrets,
    /// What it is started with, as a number.
    #[serde(skip)]
    pub fingerprint: Fingerprint,
    /// Its own configuration files, as a number; `None` where the definition names none.
    #[serde(skip)]
    pub configuration: Option<Fingerprint>,
}

/// The probes of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProbePlans {
    /// Has it come up?
    pub startup: Option<ProbePlan>,
    /// Does it still work?
    pub liveness: Option<ProbePlan>,
    /// Can it be used now?
    pub readiness: Option<ProbePlan>,
}

impl ProbePlans {
    /// The probe of a kind.
    #[must_use]
    pub const fn get(&self, kind: ProbeKind) -> Option<&ProbePlan> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
        }
    }
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbePlan {
    /// What is asked.
    pub check: ProbeCheck,
    /// From one to the next.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// How long one may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Successes in a row until it counts as well.
    pub success: u16,
    /// Failures in a row until it counts as failed.
    pub failure: u16,
    /// The wait before the first one.
    #[serde(with = "duration")]
    pub delay: Duration,
}

impl ProbePlan {
    /// How long the probe waits for a sign of life in all: the start-up window, or the time a watchdog waits.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.interval.saturating_mul(u32::from(self.failure))
    }
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeCheck {
    /// A URL.
    Http(Box<HttpCheck>),
    /// An address that accepts connections.
    Tcp(Target),
    /// A command that exits with 0.
    Exec(CommandLine),
    /// `grpc.health.v1`.
    Grpc {
        /// Where.
        target: Target,
        /// About which service; empty for the server as a whole.
        service: String,
    },
    /// The program says so itself.
    Notify,
    /// A file that is there and young.
    File {
        /// Which.
        path: PathBuf,
        /// How old it may be.
        #[serde(with = "duration::optional")]
        younger_than: Option<Duration>,
    },
    /// A line of output that matches a regular expression.
    Log(String),
}

impl ProbeCheck {
    /// Whether the guard asks (and so keeps time), or the program tells.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        match self {
            Self::Http(_) | Self::Tcp(_) | Self::Exec(_) | Self::Grpc { .. } | Self::File { .. } => true,
            Self::Notify | Self::Log(_) => false,
        }
    }
}

/// What an HTTP probe asks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpCheck {
    /// The URL: `http` or `https`.
    pub url: String,
    /// The request method.
    pub method: String,
    /// Request headers.
    pub headers: Vec<(String, String)>,
    /// What counts as success; empty for 200 to 399.
    pub status: Vec<StatusMatch>,
    /// A regular expression the body must match.
    pub body: Option<String>,
}

/// What happens when a program ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestartPlan {
    /// When to start it again.
    #[serde(skip)]
    pub policy: RestartPolicy,
    /// The timing and the exit rules.
    #[serde(flatten)]
    pub rules: Restart,
}

/// When restarting is given up for a while.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BreakerPlan {
    /// Failures that open it; 0 for never.
    pub failures: u16,
    /// The window they are counted in.
    #[serde(with = "duration")]
    pub within: Duration,
    /// How long it stays open at first.
    #[serde(with = "duration")]
    pub open_for: Duration,
    /// How long it stays open at most.
    #[serde(with = "duration")]
    pub max_open: Duration,
    /// How long a trial must stay ready.
    #[serde(with = "duration")]
    pub close_after: Duration,
    /// Openings in a row until the service has failed; 0 for never.
    pub give_up_after: u32,
    /// What runs meanwhile.
    pub fallback: Option<FallbackPlan>,
}

/// What runs while the breaker is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FallbackPlan {
    /// The program.
    pub command: CommandLine,
    /// When it makes way.
    pub until: FallbackUntil,
}

/// How a program is told to read its configuration again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadPlan {
    /// The signal.
    pub signal: Option<Signal>,
    /// The program's configuration files, each with a number that changes when it does.
    pub files: BTreeMap<PathBuf, Option<u64>>,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertPlan {
    /// How.
    pub route: AlertRoute,
    /// What.
    pub on: Vec<AlertKind>,
    /// About which services; `None` for all.
    pub services: Option<Vec<ServiceName>>,
    /// The same again only after this long.
    #[serde(with = "duration")]
    pub repeat_after: Duration,
    /// How often to try again.
    pub retries: u8,
    /// How long one try may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// What must not be shown.
    #[serde(skip)]
    pub secrets: Secrets,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertRoute {
    /// A POST with JSON.
    Webhook {
        /// Where.
        url: String,
        /// Request headers.
        headers: Vec<(String, String)>,
    },
    /// A command with JSON on its stdin.
    Exec(CommandLine),
}

impl Plan {
    /// Groups of services that can start at the same time, each needing only groups before it.
    #[must_use]
    pub fn start_order(&self) -> Vec<Vec<&str>> {
        let graph: order::Graph<'_> = self
            .services
            .iter()
            .map(|(name, service)| (name.as_str(), service.depends_on.keys().map(ServiceName::as_str).collect()))
            .collect();
        order::levels(&graph)
    }

    /// Keeps these services and everything they depend on, directly or not.
    ///
    /// # Errors
    /// With the first name that is no service's; nothing is changed then.
    pub fn keep_only(&mut self, names: &[String]) -> Result<(), UnknownService> {
        let mut kept = BTreeSet::new();
        let mut wanted: Vec<ServiceName> = Vec::new();
        for name in names {
            let (known, _) = self.services.get_key_value(name.as_str()).ok_or_else(|| self.unknown(name))?;
            wanted.push(known.clone());
        }
        while let Some(name) = wanted.pop() {
            if let Some(service) = self.services.get(&name) {
                wanted.extend(service.depends_on.keys().filter(|needed| !kept.contains(*needed)).cloned());
            }
            kept.insert(name);
        }
        self.services.retain(|name, _| kept.contains(name));
        Ok(())
    }

    fn unknown(&self, name: &str) -> UnknownService {
        let similar = crate::decode::nearest(name, self.services.keys().map(ServiceName::as_str));
        UnknownService { name: name.to_owned(), similar: similar.map(str::to_owned) }
    }
}

/// A name that is no service's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the definition has no service '{name}'{}", similar.as_ref().map(|similar| format!("; did you mean '{similar}'?")).unwrap_or_default())]
pub struct UnknownService {
    /// The name.
    pub name: String,
    /// A service's name that is nearly the same.
    pub similar: Option<String>,
}

impl ServicePlan {
    /// Whether anything tells when the service can be used.
    #[must_use]
    pub const fn has_readiness(&self) -> bool {
        self.probes.readiness.is_some()
    }

    /// Whether the program may speak the sd_notify protocol to the guard.
    #[must_use]
    pub fn uses_notify(&self) -> bool {
        let asks = |kind| self.probes.get(kind).is_some_and(|probe| probe.check == ProbeCheck::Notify);
        self.kind == ServiceType::Notify || self.fd_store > 0 || ProbeKind::ALL.into_iter().any(asks)
    }

    /// Whether nobody said how long a start may take.
    #[must_use]
    pub fn has_usual_start_timeout(&self) -> bool {
        self.start_timeout.is_none_or(|timeout| timeout == crate::build::NOTIFY_START_TIMEOUT)
    }

    /// Whether this service waits for `other` to be in `condition`.
    #[must_use]
    pub fn needs(&self, other: &str, condition: Condition) -> bool {
        self.depends_on.get(other).is_some_and(|dependency| dependency.condition == condition)
    }
}
