//! The fake guard: a core, and a disk on which it keeps what the next guard needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use menshen_core::{Core, Effect, Event, Instant, Memory, ServiceId, ServiceStatus};
use menshen_plan::{Plan, ServiceName};

use crate::definition::plan_of_stranger;
use crate::world::Found;

/// What survives the guard.
#[derive(Debug, Default)]
pub struct Disk {
    /// Counts the starts of the machine.
    boot: u64,
    kept: BTreeMap<ServiceName, Kept>,
}

/// What is kept of one service.
#[derive(Debug)]
struct Kept {
    /// When it was written: in another boot its instants and processes mean nothing.
    boot: u64,
    memory: Memory,
}

impl Disk {
    /// What is kept of a service in this boot.
    #[must_use]
    pub fn get(&self, name: &ServiceName) -> Option<&Memory> {
        self.kept.get(name).filter(|kept| kept.boot == self.boot).map(|kept| &kept.memory)
    }

    /// The machine is started anew.
    pub const fn boot(&mut self) {
        self.boot += 1;
    }
}

/// The guard that is there now.
pub struct Guard {
    core: Core,
    names: BTreeMap<ServiceId, ServiceName>,
}

impl Guard {
    /// The first guard, or the first after a boot.
    #[must_use]
    pub fn new(now: Instant, plan: &Arc<Plan>, seed: u64) -> Self {
        let mut guard = Self { core: Core::new(now, plan, seed), names: BTreeMap::new() };
        guard.learn_names();
        guard
    }

    /// The guard after one that died, or after a boot, with what was kept for it. Also the runs it has to look for.
    ///
    /// # Errors
    /// When a memory cannot be written as JSON, read back or used.
    pub fn successor(now: Instant, plan: &Arc<Plan>, seed: u64, disk: &mut Disk) -> Result<(Self, Vec<Found>), String> {
        let mut guard = Self::new(now, plan, seed);
        let mut found = Vec::new();
        let boot = disk.boot;
        // What left the definition matters as long as it lives.
        disk.kept.retain(|name, kept| {
            plan.services.contains_key(name) || (kept.boot == boot && kept.memory.runs().next().is_some())
        });
        for (name, kept) in &disk.kept {
            let memory = read_back(&kept.memory)?;
            if kept.boot == boot {
                found.extend(guard.resume(plan, name, memory)?);
            } else if let Some((service, wanted)) = guard.core.id(name.as_str()).zip(memory.asked()) {
                guard.core.resume_wanted(service, wanted);
            }
        }
        guard.learn_names();
        Ok((guard, found))
    }

    fn resume(&mut self, plan: &Plan, name: &ServiceName, memory: Memory) -> Result<Vec<Found>, String> {
        let runs: Vec<_> = memory.runs().collect();
        let (service, plan) = match self.core.id(name.as_str()).zip(plan.services.get(name)) {
            Some((service, plan)) => {
                self.core.resume(service, memory).map_err(|error| error.to_string())?;
                (service, Arc::clone(plan))
            }
            None => {
                let plan = plan_of_stranger(name)?;
                (self.core.resume_gone(&plan, memory).map_err(|error| error.to_string())?, plan)
            }
        };
        Ok(runs.into_iter().map(|run| Found { service, plan: Arc::clone(&plan), run }).collect())
    }

    /// Gives an event to the core and takes its effects.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        self.core.handle(now, event);
        self.learn_names();
        std::iter::from_fn(|| self.core.poll_effect()).collect()
    }

    /// Does to the disk what an effect asks for.
    pub fn keep(&mut self, effect: &Effect, disk: &mut Disk) {
        match effect {
            Effect::Remember { service } => {
                if let Some((name, memory)) = self.names.get(service).zip(self.core.memory(*service)) {
                    disk.kept.insert(name.clone(), Kept { boot: disk.boot, memory });
                }
            }
            Effect::Removed { service } => {
                if let Some(name) = self.names.remove(service) {
                    disk.kept.remove(&name);
                }
            }
            Effect::Spawn { .. }
            | Effect::Signal { .. }
            | Effect::Kill { .. }
            | Effect::Freeze { .. }
            | Effect::Thaw { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::DropFds { .. }
            | Effect::Replanned { .. }
            | Effect::Record(_)
            | Effect::Alert(_)
            | Effect::Reply(_)
            | Effect::ShutdownComplete { .. } => {}
        }
    }

    /// The core, to be looked at.
    #[must_use]
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// Every service as it is.
    #[must_use]
    pub fn statuses(&self) -> Vec<(ServiceId, ServiceStatus)> {
        self.core.services().filter_map(|id| self.core.status(id).map(|status| (id, status))).collect()
    }

    fn learn_names(&mut self) {
        for id in self.core.services() {
            if let Some(name) = self.core.name(id).filter(|_| !self.names.contains_key(&id)) {
                self.names.insert(id, name.clone());
            }
        }
    }
}

/// A memory as the next guard reads it.
fn read_back(memory: &Memory) -> Result<Memory, String> {
    let json = serde_json::to_string(memory).map_err(|error| error.to_string())?;
    serde_json::from_str(&json).map_err(|error| format!("{error} in {json}"))
}
