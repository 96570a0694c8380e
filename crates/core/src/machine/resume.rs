//! Taking over from the last guard, before this one begins.

use std::sync::Arc;

use menshen_plan::ServicePlan;
use menshen_plan::definition::StartType;

use super::Core;
use crate::event::ServiceId;
use crate::memory::{Found, Memory, MemoryError};
use crate::service::{Life, default_wanted};
use crate::state::Wanted;
use crate::time::Instant;
use crate::timer::Timer;

impl Core {
    /// Takes over a service as the last guard of this boot left it. To be called before [`Event::Begin`]; the guard then
    /// reports what became of its processes.
    ///
    /// # Errors
    /// When the memory is not this service's; nothing is changed then.
    pub fn resume(&mut self, service: ServiceId, memory: Memory) -> Result<(), MemoryError> {
        let Some(known) = self.services.get(&service) else { return Ok(()) };
        let name = known.plan.name.clone();
        self.take_over(service, memory.open(&name)?);
        Ok(())
    }

    /// Takes over a service that is no longer in the definition: it ends by the stop rules of `plan`, and is forgotten. To be
    /// called before [`Event::Begin`], for what has processes ([`Memory::runs`]); the rest can simply be dropped.
    ///
    /// # Errors
    /// When the memory is not about the plan's service; nothing is changed then.
    pub fn resume_gone(&mut self, plan: &Arc<ServicePlan>, memory: Memory) -> Result<ServiceId, MemoryError> {
        let remembered = memory.open(&plan.name)?;
        let id = self.resume_unknown(plan);
        self.take_over(id, remembered);
        Ok(id)
    }

    /// The same for a service of which nothing is remembered. To be called for what runs, and is told of by
    /// [`Self::resume_found`] then.
    pub fn resume_unknown(&mut self, plan: &Arc<ServicePlan>) -> ServiceId {
        let id = self.add(Arc::clone(plan));
        if let Some(service) = self.services.get_mut(&id) {
            service.gone = true;
        }
        self.link();
        id
    }

    /// Takes over a program that was found and of which the memory does not know, because the last guard died before
    /// it could note it, or the memory is older. It is the service's run from now on; where only something is left of it, its
    /// process is `None` and its end is yet to be told. To be called before [`Event::Begin`].
    pub fn resume_found(&mut self, service: ServiceId, found: Found) {
        self.with_service(service, |service, context| service.found(context, found));
    }

    fn take_over(&mut self, service: ServiceId, (life, timers): (Life, Vec<(Timer, Instant)>)) {
        let Some(known) = self.services.get_mut(&service) else { return };
        known.life = life;
        if !known.life.wanted_by_operator && known.life.wanted == Wanted::Down {
            // The start type may have changed meanwhile; it starts what was not wanted, and never stops what runs.
            known.life.wanted = default_wanted(known.plan.start);
            if known.life.wanted != Wanted::Down {
                known.life.delayed = known.plan.start == StartType::Delayed;
                self.touched.insert(service);
            }
        }
        if known.life.stop_held && known.life.wanted != Wanted::Down {
            // A stop that was only the last guard's own end is not this one's.
            known.life.stop_held = false;
            self.touched.insert(service);
        }
        for (timer, at) in timers {
            self.timers.set(service, timer, at);
        }
    }

    /// Takes over what an operator asked for in an earlier boot, or before an orderly end. To be called before
    /// [`Event::Begin`].
    pub fn resume_wanted(&mut self, service: ServiceId, wanted: Wanted) {
        if let Some(known) = self.services.get_mut(&service) {
            known.life.wanted = wanted;
            known.life.wanted_by_operator = true;
            if wanted == Wanted::Down {
                "stopped by an operator earlier".clone_into(&mut known.life.reason);
            }
            // What was kept until now was kept elsewhere, in the words of another boot.
            self.touched.insert(service);
        }
    }
}
