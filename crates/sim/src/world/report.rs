//! What the guard hears of the world, and when.

use menshen_core::{Event, Exit, Frost, Notification, Role, ServiceId};
use menshen_plan::definition::ProbeKind;

use super::tree::End;
use super::{TreeId, World, tree_state};

/// News on their way.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub tree: TreeId,
    pub news: News,
}

/// What can be told of a tree, or of a probe.
#[derive(Debug, Clone)]
pub(super) enum News {
    Spawned,
    SpawnFailed,
    Exited,
    Empty,
    MainChanged(u32),
    Frozen,
    Adopted,
    FreezeFailed,
    Thawed,
    Notified(Notification),
    Line(ProbeKind),
    Limit,
    Unkillable(u32),
    Probed { service: ServiceId, probe: ProbeKind, round: u64, outcome: Result<(), &'static str> },
    NotProbed { service: ServiceId, probe: ProbeKind, round: u64 },
}

impl News {
    /// Whether a pipe or a socket keeps it while there is no guard. The rest the next guard finds out by looking.
    pub(super) const fn is_kept(&self) -> bool {
        match self {
            Self::Notified(_) | Self::Line(_) => true,
            Self::Spawned
            | Self::SpawnFailed
            | Self::Exited
            | Self::Empty
            | Self::MainChanged(_)
            | Self::Frozen
            | Self::Adopted
            | Self::FreezeFailed
            | Self::Thawed
            | Self::Limit
            | Self::Unkillable(_)
            | Self::Probed { .. }
            | Self::NotProbed { .. } => false,
        }
    }
}

impl World {
    /// News arrive: as an event, if there is a guard that knows what they are about.
    pub(super) fn deliver(&mut self, report: Report) -> Option<Event> {
        if !self.guarded {
            if report.news.is_kept() && self.random.percent(70) {
                self.held.push(report);
            }
            return None;
        }
        if let News::Probed { service, probe, round, outcome } = report.news {
            self.rounds.remove(&(service, probe))?;
            return Some(Event::Probed { service, probe, round, outcome: outcome.map_err(str::to_owned) });
        }
        if let News::NotProbed { service, probe, round } = report.news {
            self.rounds.remove(&(service, probe))?;
            return Some(Event::NotProbed { service, probe, round, why: "too many open files".to_owned() });
        }
        self.event(report)
    }

    fn event(&mut self, report: Report) -> Option<Event> {
        let tree = self.trees.get_mut(&report.tree)?;
        let run = tree.run?;
        let what = || "sim".to_owned();
        let event = match report.news {
            News::Spawned => Event::Spawned { run, pid: tree.main_pid() },
            News::SpawnFailed => {
                tree.told.empty = true;
                let error = tree.program.spawn_error.unwrap_or("the last guard ended before it was started").to_owned();
                Event::SpawnFailed { run, error }
            }
            News::Exited => {
                let alive = tree.is_alive();
                tree.told.exited = true;
                tree.told.empty = !alive;
                tree.let_go |= alive && tree.role == Role::Main && !tree.plan.stop.tree;
                let End { exit, oom } = tree.end.unwrap_or(End { exit: Exit::Unknown, oom: false });
                Event::Exited { run, exit, oom, tree: tree_state(alive) }
            }
            News::Empty => {
                tree.told.empty = true;
                Event::TreeEmpty { run }
            }
            News::MainChanged(pid) => Event::MainChanged { run, pid },
            News::Frozen => Event::Frozen { run },
            News::Adopted => {
                Event::Adopted { run, frost: if tree.is_frozen() { Frost::Frozen } else { Frost::Thawed } }
            }
            News::FreezeFailed => Event::FreezeFailed { run, error: "no such device".to_owned() },
            News::Thawed => Event::Thawed { run },
            News::Notified(notification) => Event::Notified { run, notification },
            News::Line(probe) => Event::LogMatched { run, probe },
            News::Limit if tree.is_alive() => Event::LimitExceeded { run, what: what() },
            News::Unkillable(pid) => Event::Unkillable { run, what: format!("pid {pid} (uninterruptible)") },
            News::Limit | News::Probed { .. } | News::NotProbed { .. } => return None,
        };
        Some(event)
    }
}
