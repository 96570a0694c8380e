//! What goes over the wire. Fields are added, never renamed or given another meaning.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// Where a service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not wanted, not running.
    Stopped,
    /// Wanted; a dependency is not there yet.
    Waiting,
    /// Spawned; the start-up probe or READY=1 is outstanding.
    Starting,
    /// Up; `ready` and `healthy` are separate facts.
    Running,
    /// Being frozen.
    Pausing,
    /// Frozen.
    Paused,
    /// Being thawed.
    Continuing,
    /// The stop sequence is under way.
    Stopping,
    /// Died; will be started at a known instant.
    Backoff,
    /// The breaker is open.
    Tripped,
    /// A one-shot that ended well.
    Completed,
    /// Gave up; an operator must start or reset it.
    Failed,
}

impl State {
    /// The name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Continuing => "continuing",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Tripped => "tripped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// What is wanted of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// To run.
    Up,
    /// To be stopped.
    Down,
    /// To be frozen.
    Paused,
}

/// One page of the services of a guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceList {
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
    /// What does not work now, of the guard itself and of its services.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
    /// Whether every service of the guard is as it is wanted, be it on this page or not: who asks for nothing else need not look
    /// at each. Null from a guard that does not say so.
    #[serde(default)]
    pub as_wanted: Option<bool>,
    /// The services, in the order of the definition. They come last, each on a line of its own.
    pub services: Vec<Service>,
}

/// Something that does not work now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// The name of the guard.
    pub instance: String,
    /// Of which service; null for the guard itself.
    pub service: Option<String>,
    /// Since when.
    pub since: Time,
    /// What, and why, for people.
    pub text: String,
}

/// A service as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The name of the guard that looks after it.
    pub instance: String,
    /// Its state.
    pub state: State,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// The main process; null when there is none.
    pub pid: Option<u32>,
    /// Whether it can be used now; a one-shot, whether it has completed.
    pub ready: bool,
    /// Whether it works; null when no liveness probe tells.
    pub healthy: Option<bool>,
    /// Failures after which it was started again, or is about to be, since they were last forgotten: by `reset_after` of its
    /// definition, or a reset.
    pub restarts: u32,
    /// The same in all, whatever was forgotten, until its guard ends in order.
    pub restarts_total: u64,
    /// When it entered its state.
    pub since: Time,
    /// Why it is in its state.
    pub reason: String,
    /// One line about it.
    pub description: Option<String>,
    /// When the main process was started.
    pub started: Option<Time>,
    /// Whether it runs as it was defined earlier: what was changed while no guard was there takes a restart, or a reload. Not
    /// there while it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
    /// When it will be started again, if that is known.
    pub next_start: Option<Time>,
    /// The process of the breaker's fallback.
    pub fallback_pid: Option<u32>,
    /// The breaker.
    pub breaker: Breaker,
    /// How it ended last: `exit 1`, `killed by SIGKILL`.
    pub last_exit: Option<String>,
    /// What went wrong last.
    pub last_failure: Option<String>,
    /// What it says of itself (sd_notify's `STATUS=`).
    pub status_text: Option<String>,
    /// Which group of the start order it belongs to, from 0; groups are stopped in reverse.
    pub order: u32,
    /// In the answer to a command: why it cannot be written down that this was asked. It is done, but a guard that begins
    /// before it can be written does not know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unremembered: Option<String>,
    /// Which probe keeps it from being up, ready or healthy, and what was wrong the last time; not there while none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_probe: Option<String>,
}

impl Service {
    /// Why it is as it is: what a probe says of it that fails, and else why it is in its state.
    #[must_use]
    pub fn why(&self) -> &str {
        self.failing_probe.as_deref().unwrap_or(&self.reason)
    }

    /// Whether it is where it is wanted: ready, or done where it ends by itself; frozen; or stopped, and not because it failed.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        match self.wanted {
            Wanted::Up => {
                self.ready || self.state == State::Completed || (self.state == State::Stopped && self.pid.is_none())
            }
            Wanted::Paused => self.state == State::Paused,
            Wanted::Down => self.state != State::Failed,
        }
    }
}

/// A breaker as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Breaker {
    /// Its state.
    pub state: BreakerState,
    /// Openings in a row.
    pub trips: u32,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Failures are waited out.
    Closed,
    /// Nothing is started until the trial.
    Open,
    /// The trial is under way.
    HalfOpen,
}

/// Everything about one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceDetail {
    /// The service as in the list.
    #[serde(flatten)]
    pub service: Service,
    /// `daemon`, `oneshot`, `notify`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `auto`, `delayed`, `manual`, `disabled`.
    pub start: String,
    /// The program and its arguments; secrets are masked.
    pub command: Vec<String>,
    /// The working directory.
    pub directory: String,
    /// The account it runs as; null for the guard's own.
    pub user: Option<String>,
    /// What it waits for.
    pub depends_on: Vec<Dependency>,
    /// Its probes.
    pub probes: Vec<Probe>,
    /// What it uses now; null when nothing of it runs.
    pub usage: Option<Usage>,
    /// The last things that happened to it, oldest first.
    pub history: Vec<Event>,
    /// The last lines it wrote, oldest first.
    pub log: Vec<LogLine>,
    /// The folder its logs are in.
    pub log_folder: String,
    /// What does not work now, of the service and of the guard itself.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
}

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dependency {
    /// On which service.
    pub name: String,
    /// `started`, `ready`, `completed`.
    pub condition: String,
    /// `ignore`, `stop`, `restart`.
    pub on_loss: String,
    /// Whether the condition holds now.
    pub holds: bool,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// `startup`, `liveness`, `readiness`.
    pub kind: String,
    /// What it asks: `http http://127.0.0.1:8080/healthz`.
    pub check: String,
    /// Successes in a row.
    pub successes: u16,
    /// Failures in a row.
    pub failures: u16,
    /// What was wrong the last time.
    pub last_error: Option<String>,
}

/// What a service uses: its program and everything that started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Processor time of the current run so far, in seconds. The metrics have that of all runs.
    pub cpu_seconds: f64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processes.
    pub processes: u32,
    /// Processes and threads.
    pub tasks: u32,
    /// Open file descriptors.
    pub files: u64,
}

/// What a signal is asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    /// The signal's name: `SIGHUP`.
    pub signal: String,
}

/// What an answer to a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// The service is up.
    Running,
    /// It can be used; a one-shot has completed.
    Ready,
    /// It is frozen.
    Paused,
    /// Nothing of it runs.
    Stopped,
}

/// How to ask for the services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListQuery {
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// How many at most; 1000 at most and without it.
    pub limit: Option<u32>,
}

/// How a command is answered, or a question about one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WaitQuery {
    /// Answer when this is so. Without it, as soon as the command is taken and remembered, and a question at once.
    pub wait: Option<WaitFor>,
    /// Wait no longer than this; `"30s"` without it.
    pub timeout: Option<String>,
}

/// How to ask for logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogQuery {
    /// Go on with what is written from now on.
    #[serde(deserialize_with = "flag")]
    pub follow: bool,
    /// Only what has been written so far, told as to one who follows and goes on after it in another call: with the position of each
    /// line, and without one that has not ended.
    #[serde(deserialize_with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub so_far: bool,
    /// Only what was written since: a duration (`"10m"`) or a time.
    pub since: Option<String>,
    /// Only lines that match this regular expression.
    pub grep: Option<String>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Only the last so many lines.
    pub tail: Option<u32>,
    /// Only what comes after the line of this `position`; `since` and `tail` say nothing then.
    pub after: Option<String>,
}

/// A query flag may be given as `follow`, `follow=true`, `follow=1`.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
    match text.as_ref() {
        "" | "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        other => Err(serde::de::Error::custom(format!("'{other}' is neither true nor false"))),
    }
}

/// Which of a program's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line a program wrote. Logs are answered as one of these per line (NDJSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When the guard read it; null where that is not known any more.
    pub time: Option<Time>,
    /// On which stream.
    pub stream: Stream,
    /// The line without its end. Bytes that are not UTF-8 are replaced here and whole in `base64`.
    pub text: String,
    /// The line's bytes, where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The line goes on in the next one: it was too long for one, or has not ended yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Where to go on after this line, also with another guard of the service; told to those who follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// How to ask for events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventQuery {
    /// Only of this service.
    pub service: Option<String>,
    /// Only since: a duration (`"1h"`) or a time.
    pub since: Option<String>,
    /// Only after the event of this number; what `Last-Event-ID` says, too.
    pub after: Option<u64>,
    /// How many at most; 1000 at most and without it. A stream that follows has no end.
    pub limit: Option<u32>,
}

/// One page of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventList {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The number to go on after; null when there are no more.
    pub next: Option<u64>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number: each is higher than the last.
    pub sequence: u64,
    /// When.
    pub time: Time,
    /// To which service; null for the guard itself.
    pub service: Option<String>,
    /// What: `transition`, `command`, `probe`, `alert`, …
    pub kind: String,
    /// Why, for people.
    pub reason: String,
    /// Who asked, if somebody did.
    pub by: Option<String>,
    /// What belongs to the kind: `from` and `to` of a transition, `command` and `refusal` of a command.
    #[serde(flatten)]
    pub details: BTreeMap<String, serde_json::Value>,
}

/// How to ask for a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadQuery {
    /// Only say what would change.
    #[serde(deserialize_with = "flag")]
    pub dry_run: bool,
}

/// What a reload changes, or would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadReport {
    /// Whether it was done.
    pub applied: bool,
    /// Changes of the guard's own settings and alerts.
    pub guard: Vec<Change>,
    /// The services that change.
    pub services: Vec<ServiceChange>,
    /// Warnings about the new definition, one line each.
    pub warnings: Vec<String>,
}

/// What changes of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceChange {
    /// Which.
    pub name: String,
    /// The highest cost of its changes while it runs: `live`, `signal`, `restart`, `new`, `gone`.
    pub cost: String,
    /// What comes of them, the way the service is: a `cost`; or `start`, where a wait for the next start is over; or
    /// `next-start`, where nothing runs that they could be for.
    #[serde(default)]
    pub outcome: Option<String>,
    /// Where none of the fields costs this: what does. Of what changed while no guard was there is known only that it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The fields; empty for a service that is new or gone.
    pub changes: Vec<Change>,
}

/// One changed field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Which: `restart.delay`.
    pub field: String,
    /// What it costs.
    pub cost: String,
    /// What it was; secrets are masked.
    pub old: serde_json::Value,
    /// What it will be; secrets are masked.
    pub new: serde_json::Value,
}

/// The guard itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuardInfo {
    /// Its name.
    pub instance: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started: Time,
    /// How it tells the processes of services apart.
    pub trees: String,
    /// The files of its definition, by their whole paths; none where it has no file.
    pub definition: Vec<String>,
    /// How many services it looks after.
    pub services: u32,
    /// Whether it is stopping everything.
    pub shutting_down: bool,
    /// The upgrade this guard came from; null for one that was started.
    pub upgraded: Option<Upgraded>,
    /// The path of the binary it was started from.
    pub binary: String,
    /// The service it is to a manager that calls it within its process, as that of Windows; null for any other guard. Such a
    /// guard ends when it is upgraded, and whoever asked for that has the manager start the other binary.
    pub service: Option<String>,
    /// What the caller may do.
    pub role: crate::endpoint::Role,
}

/// What is to take the guard's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// The path of a `menshen`, from the root.
    pub binary: String,
}

/// An upgrade that begins when this has been answered. It is over when the guard answers with an `upgraded` of this number;
/// connections made meanwhile wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrading {
    /// The number of the event that tells of it.
    pub id: u64,
    /// The version of the guard that answers.
    pub from: String,
    /// The version of the one that takes its place.
    pub to: String,
}

/// An upgrade that has been done, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upgraded {
    /// The number of the event that told of it.
    pub id: u64,
    /// The version of the guard before.
    pub from: String,
    /// The path of the binary.
    pub binary: String,
    /// Who asked for it.
    pub by: String,
    /// How many programs were running and run on.
    pub adopted: u32,
    /// What was running, has left the definition, and is stopped.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Why the binary could not take over; the guard went on as it was then.
    pub failure: Option<String>,
}

/// How to end the guard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownQuery {
    /// Kill instead of asking.
    #[serde(deserialize_with = "flag")]
    pub now: bool,
    /// End the guard alone: everything runs on, for the next guard.
    #[serde(deserialize_with = "flag")]
    pub leave: bool,
}

/// That something was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Always true.
    pub accepted: bool,
}

/// Whether the guard, or everything it looks after, is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Whether it is.
    pub ok: bool,
    /// What is not, with the reason.
    pub failing: BTreeMap<String, String>,
}
