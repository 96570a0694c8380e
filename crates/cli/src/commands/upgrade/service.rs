//! The next version of a guard that is a service: its manager starts it, once it has been told of the other binary.

use std::path::Path;
use std::time::{Duration, Instant};

use menshen::service::{Registration, Scope, ServiceManager, ServiceName, Verb};
use menshen_api::types::GuardInfo;
use menshen_guard::handover::note_failure;

use super::ASK_AGAIN;
use crate::definition::{home, paths};
use crate::failure::{Exit, Failure};
use crate::registering::guarded;
use crate::registering::manager::choose;
use crate::registering::record::Record;

/// A guard that is a service, before its upgrade.
pub(super) struct Registered {
    name: ServiceName,
    manager: Box<dyn ServiceManager>,
    before: Registration,
    next: Registration,
}

impl Registered {
    /// The service of this name, which `menshen install` installed.
    pub(super) fn find(name: &str, before: &Path, next: &Path) -> Result<Self, Failure> {
        let name: ServiceName = name.parse()?;
        let record = Record::load(&name)?.ok_or_else(|| {
            let message = format!("the guard is the service '{name}', which `menshen install` did not install");
            Failure::new(Exit::Failed, message).help(
                "`menshen down --leave` ends it alone; once its service is told of the other binary and started, that takes \
                 over what runs",
            )
        })?;
        let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
        let of = |binary: &Path| guarded::registration(&name, &record, binary, home().as_deref(), manager.as_ref());
        let (before, next) = (of(before), of(next));
        // What cannot be registered is said before anything is done.
        manager.plan(&next)?;
        manager.hold_ours(&name)?;
        Ok(Self { name, manager, before, next })
    }

    /// Has the manager start the next version when this one has ended; or, if that one does not guard, the one before, which is
    /// to say so.
    pub(super) async fn start_next(&self, before: &GuardInfo, timeout: Duration) -> Result<(), Failure> {
        let end = Instant::now() + timeout;
        while menshen_os::system::exists(before.pid) {
            if Instant::now() >= end {
                let message = format!("the guard '{}' (process {}) does not end", before.instance, before.pid);
                return Err(Failure::new(Exit::NoGuard, message).help(self.what_to_do()));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        match self.start(&self.next) {
            Ok(()) => Ok(()),
            Err(why) => self.go_back(&before.instance, &why),
        }
    }

    fn go_back(&self, instance: &str, why: &Failure) -> Result<(), Failure> {
        if self.before.program == self.next.program {
            return Err(Failure::new(Exit::NoGuard, format!("the next version does not guard: {}", why.message))
                .help(format!("put the version before back in its place; then {}", self.what_to_do())));
        }
        // Without the note the version before guards as well, and it is not seen that it does; the time-out tells then.
        let _ = note_failure(&paths(), instance, why.message.clone());
        self.start(&self.before).map_err(|again| {
            let message = format!(
                "the next version does not guard ({}), nor does the one before: {}",
                why.message, again.message
            );
            Failure::new(Exit::NoGuard, message).help(self.what_to_do())
        })
    }

    /// What the manager is told of stays so: that is what it starts after the next boot.
    fn start(&self, registration: &Registration) -> Result<(), Failure> {
        self.manager.install(registration)?;
        Ok(self.manager.act(&self.name, Verb::Start)?)
    }

    fn what_to_do(&self) -> String {
        format!("start the service '{}': it takes over what runs, which nobody guards now", self.name)
    }
}
