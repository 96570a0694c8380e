//! What is to be written down: what the core remembers of services, for the next guard.
//!
//! A service changes several times on its way from its end to its next start, and the start does not wait for any of it to be
//! written: only its last state is, as soon as the program is born, and before anybody is told.

use std::collections::BTreeSet;
use std::time::Duration;

use menshen_core::{Instant, Role, RunId, ServiceId};
use menshen_os::file::Durability;
use menshen_plan::definition::Stop;

use super::store::{self, Stored, StoredProcess};
use super::{Guard, now};
use crate::disk::DiskHandle;

/// While many programs are started at once, what changes is written within this time: the disk's thread would take the
/// processors from them. Until then a next guard would know what runs by its marks.
const WRITE_WITHIN: Duration = Duration::from_millis(100);

/// What the disk is to be told, and was told.
#[derive(Debug)]
pub(super) struct Notes {
    pub disk: DiskHandle,
    /// Services that have changed since.
    changed: BTreeSet<ServiceId>,
    written_at: Instant,
}

/// Whether a memory is written at an orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orderly {
    Yes,
    No,
}

impl Notes {
    pub(super) fn new(disk: DiskHandle) -> Self {
        Self { disk, changed: BTreeSet::new(), written_at: now() }
    }

    /// What the core remembers of this service is another than was written.
    pub(super) fn change(&mut self, service: ServiceId) {
        self.changed.insert(service);
    }

    /// Nothing is remembered of it any more.
    pub(super) fn forget(&mut self, service: ServiceId) {
        self.changed.remove(&service);
    }
}

impl Guard {
    /// A program was started: what did not matter until then is done, unless it was a moment ago.
    pub(super) fn catch_up(&mut self) {
        self.logs.wake();
        if now().since(self.notes.written_at) >= WRITE_WITHIN {
            self.write_down();
        }
    }

    /// Has everything written before the guard waits. Not each stop on the way to its own end: what is left in the end is
    /// written then, once, and what a guard that does not get there has not noted is started again by the next all the same.
    pub(super) fn write_down_in_time(&mut self) {
        const WRITE_AT_END_WITHIN: Duration = Duration::from_millis(200);
        if !self.shutting_down || now().since(self.notes.written_at) >= WRITE_AT_END_WITHIN {
            self.write_down();
        }
    }

    /// Has everything written that there is to write.
    pub(super) fn write_down(&mut self) {
        self.notes.written_at = now();
        // What the core has yet to hear of is not in what it remembers.
        let all_is_heard = self.later.is_empty();
        match all_is_heard.then(|| self.system.take_unnoted()).flatten() {
            // How processes ended is held for the next guard until it is on the disk.
            Some(unnoted) => self.disk().then(move || drop(unnoted)),
            None => self.disk().wake(),
        }
    }

    /// The disk, with all that changed before.
    pub(super) fn disk(&mut self) -> &DiskHandle {
        for id in std::mem::take(&mut self.notes.changed) {
            self.remember(id, Orderly::No);
        }
        &self.notes.disk
    }

    /// Hands what the core remembers of a service to the disk.
    pub(super) fn remember(&mut self, id: ServiceId, orderly: Orderly) {
        self.notes.forget(id);
        let Some(memory) = self.core.memory(id) else { return };
        let process = |(role, number, pid): (Role, u64, Option<u32>)| {
            let token = self.jobs.token_of(RunId { service: id, role, number })?;
            let (start_time, first) = (self.system.start_time(token)?, self.system.first(token));
            let folder = self.system.folder(token);
            Some(StoredProcess { role, number, pid: pid?, start_time, first, folder })
        };
        let processes = memory.runs().filter_map(process).collect();
        let asked = memory.asked();
        let name = memory.service().to_string();
        let stop = self.services.get(&id).map_or_else(Stop::default, |local| local.plan.stop.clone());
        // What survived being killed is still there: the next guard must not start its twin.
        let orderly = orderly == Orderly::Yes && memory.runs().next().is_none();
        let stored = Stored {
            format: store::VERSION,
            boot: self.boot.clone(),
            orderly,
            processes,
            stop: Stop { command: None, ..stop },
            memory,
        };
        let Ok(content) = serde_json::to_vec(&stored) else { return };
        // What an operator asked for has to survive a loss of power; the rest means nothing after one.
        let local = self.services.get_mut(&id);
        let durability = match local {
            Some(local) if local.asked != asked => {
                local.asked = asked;
                Durability::Power
            }
            Some(_) | None => Durability::Guard,
        };
        self.notes.disk.remember(store::path(&self.paths.memory(&self.instance), &name), content, durability);
    }
}
