//! A change of guards: what the next one needs is kept, and it goes on where the last one was.

use menshen_core::{Memory, ServiceId, ServiceStatus};

use super::{Checker, Invariant};

impl Checker {
    /// After an event, what is on the disk is what the core would write.
    pub fn check_memory(&mut self, id: ServiceId, kept: Option<&Memory>, current: Option<&Memory>) {
        if kept.is_some() && kept != current {
            let what = format!("the disk has {kept:?}, and the core is at {current:?}");
            self.broken(Invariant::MemoryIsCurrent, Some(id), what);
        }
    }

    /// After a boot nothing is known of what people were told before.
    pub fn forget_alerts(&mut self) {
        self.alerts.clear();
    }

    /// The next guard has taken over and has not begun.
    pub fn check_takeover(&mut self, statuses: &[(ServiceId, ServiceStatus)], forgotten: &[String]) {
        // Nobody will tell of what is no longer in the definition.
        self.alerts.retain(|name, _| statuses.iter().any(|(_, status)| status.name == *name));
        for what in forgotten {
            let what = format!("{what} lives, and the next guard does not know of it");
            self.broken(Invariant::GoesOnWhereItWas, None, what);
        }
        for (id, status) in statuses {
            let Some(service) = self.model.services.get(id) else { continue };
            let resumed = (status.state, status.wanted, status.restarts, status.restarts_total, status.breaker.state);
            let left = (service.state, service.wanted, service.restarts, service.restarts_total, service.breaker);
            if resumed != left {
                let what = format!("the next guard begins with {resumed:?}, and the last one left {left:?}");
                self.broken(Invariant::GoesOnWhereItWas, Some(*id), what);
            }
        }
    }
}
