//! The guard as a whole: it does not spin, sleeps when there is nothing to do, and ends when it is told to.

use menshen_core::{Effect, Event, Instant, Role};

use super::{Checker, Invariant};
use crate::world::{Tree, World};

/// So many time-outs at one instant are a loop.
const TIMEOUTS_AT_ONCE_MAX: u32 = 200;

/// Time-outs at one instant.
#[derive(Debug, Default)]
pub(super) struct Spin {
    at: Instant,
    count: u32,
}

/// The guard's end.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    asked: bool,
    by_essential: bool,
    complete: bool,
}

impl Checker {
    pub(super) fn check_spin(&mut self, event: &Event) {
        if *event != Event::Timeout {
            return;
        }
        self.spin.count = if self.spin.at == self.now { self.spin.count + 1 } else { 1 };
        self.spin.at = self.now;
        if self.spin.count == TIMEOUTS_AT_ONCE_MAX {
            self.broken(Invariant::IdleIsSilent, None, format!("{TIMEOUTS_AT_ONCE_MAX} time-outs at one instant"));
        }
    }

    /// Whether the core asks for time-outs in a loop, so that a run would never end.
    #[must_use]
    pub const fn is_spinning(&self) -> bool {
        self.spin.count >= TIMEOUTS_AT_ONCE_MAX
    }

    /// Whether the core has said that it is over.
    #[must_use]
    pub const fn is_shut_down(&self) -> bool {
        self.shutdown.complete
    }

    pub(super) fn check_shutdown_event(&mut self, event: &Event) {
        self.shutdown.asked |= matches!(event, Event::Shutdown { .. });
    }

    pub(super) fn check_whole(&mut self, effect: &Effect, world: &World) {
        match effect {
            Effect::Record(record) if record.kind == menshen_core::RecordKind::ShuttingDown => {
                // Nobody asked: an essential service has failed.
                if !self.shutdown.asked {
                    self.essential_failed();
                }
            }
            Effect::ShutdownComplete { code } => self.check_complete(*code, world),
            Effect::Record(_)
            | Effect::Remember { .. }
            | Effect::Spawn { .. }
            | Effect::Signal { .. }
            | Effect::Kill { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::DropFds { .. }
            | Effect::Replanned { .. }
            | Effect::Removed { .. }
            | Effect::Alert(_)
            | Effect::Reply(_) => {}
        }
    }

    fn essential_failed(&mut self) {
        let failed =
            |service: &crate::model::Service| service.plan.essential && service.state == menshen_core::State::Failed;
        if !self.model.services.values().any(failed) {
            self.broken(
                Invariant::ShutdownEnds,
                None,
                "the guard shuts down by itself, and nothing essential has failed",
            );
        }
        self.shutdown.asked = true;
        self.shutdown.by_essential = true;
        self.model.shut_down(false);
    }

    fn check_complete(&mut self, code: u8, world: &World) {
        let roles = [Role::Main, Role::Stop, Role::Fallback];
        let left = self.model.services.values().find_map(|service| {
            let mut trees = roles.iter().flat_map(|role| world.living_of(&service.name, *role));
            // What was killed and does not go may be left, if the code says so.
            let counts = |tree: &&Tree| !tree.let_go && (code == 0 || !tree.is_unkillable());
            trees.find(counts).map(|tree| format!("{:?} of {}", tree.role, service.name))
        });
        let right = if self.shutdown.by_essential { 7 } else { 0 };
        let what = if !self.shutdown.asked {
            Some("a shutdown nobody asked for is complete".to_owned())
        } else if std::mem::replace(&mut self.shutdown.complete, true) {
            Some("the shutdown is complete for the second time".to_owned())
        } else if let Some(left) = left {
            Some(format!("the shutdown is complete with code {code}, and {left} lives"))
        } else {
            (code != right && code != right.max(1)).then(|| format!("the code is {code} instead of {right}"))
        };
        if let Some(what) = what {
            self.broken(Invariant::ShutdownEnds, None, what);
        }
    }

    /// The next guard has not been told to stop.
    pub fn forget_shutdown(&mut self) {
        self.shutdown = Shutdown::default();
    }

    /// A guard with nothing to do asks for no time-out.
    pub fn check_idle(&mut self, wake: Option<Instant>) {
        if let Some(at) = wake {
            self.broken(Invariant::IdleIsSilent, None, format!("everything is at rest, and it will wake at {at}"));
        }
    }
}
