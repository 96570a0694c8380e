//! What is to be written down and told: what the core remembers of services, for the next guard, and what happened.
//!
//! A service changes several times on its way from its end to its next start, and the start does not wait for any of it to be
//! written: only its last state is, a moment after the program is born (of many at once, after the last), and before anybody is
//! answered but who asks for the guard's own end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use menshen_api::Time;
use menshen_core::{Instant, Record, RecordKind, Role, RunId, ServiceId, State};
use menshen_os::OsEvent;
use menshen_os::file::Durability;
use menshen_os::system::{Earlier, Unnoted};
use menshen_plan::definition::Stop;

use super::status::event;
use super::store::{self, Stored, StoredProcess};
use super::{Guard, now};
use crate::disk::DiskHandle;
use crate::hub::BEHIND_MAX;

/// While many programs are born at once, what changes is written within this time: the other threads would take the processors
/// from them. Until then a next guard would know what runs by its marks, and where the kernel tells, how it ended.
const WRITE_WITHIN: Duration = Duration::from_millis(100);
/// The same while services that were at rest are started, and nothing else happens: of each there would be written only that it
/// is on its way. A guard that is killed meanwhile leaves to the next that they run, and not by which definition.
const WRITE_STARTS_WITHIN: Duration = Duration::from_secs(1);
/// Room for so many events is kept: more than a restart has.
const HAPPENED_KEPT: usize = 16;
/// One program is left the processors for so long, in which it gets to its first instructions.
const START_IN_PEACE: Duration = Duration::from_millis(1);

/// What the disk is to be told, and was told.
#[derive(Debug)]
pub(super) struct Notes {
    pub disk: DiskHandle,
    /// Services that have changed since.
    changed: BTreeSet<ServiceId>,
    /// Events that nobody was told of yet, each with its number and its time.
    happened: Vec<(Record, u64, Time)>,
    written_at: Instant,
    /// Something has changed or happened since.
    is_behind: bool,
    /// Nothing has happened since but that services which were at rest are started.
    only_starts: bool,
    /// The programs that were born since the other threads were last woken.
    newborn: Option<Newborn>,
}

#[derive(Debug, Clone, Copy)]
struct Newborn {
    /// When the first of them was.
    since: Instant,
    /// All of them run again, so nobody waits for them.
    again: bool,
}

impl Newborn {
    /// For how long they are still left the processors.
    fn peace(&self) -> Duration {
        START_IN_PEACE.saturating_sub(now().since(self.since))
    }
}

/// Whether a service that was at rest is started, or the guard itself.
const fn is_start(kind: &RecordKind) -> bool {
    matches!(kind, RecordKind::Started | RecordKind::Transition { from: State::Stopped | State::Waiting, .. })
}

/// Whether a memory is written at an orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orderly {
    Yes,
    No,
}

impl Notes {
    pub(super) fn new(disk: DiskHandle) -> Self {
        let written_at = now();
        Self {
            disk,
            changed: BTreeSet::new(),
            happened: Vec::new(),
            written_at,
            is_behind: false,
            only_starts: true,
            newborn: None,
        }
    }

    /// What the core remembers of this service is another than was written.
    pub(super) fn change(&mut self, service: ServiceId) {
        self.changed.insert(service);
        self.is_behind = true;
    }

    /// An event of this number happened.
    pub(super) fn happened(&mut self, record: Record, sequence: u64, time: Time) {
        self.only_starts &= is_start(&record.kind);
        self.happened.push((record, sequence, time));
        self.is_behind = true;
    }

    /// Whether so much has happened that it has to be told now: who follows has room for no more at once.
    pub(super) const fn are_full(&self) -> bool {
        self.happened.len() >= BEHIND_MAX
    }

    /// What changes from now on is written as if something had just been: services that end at once are written as ended only.
    pub(super) fn put_off_writing(&mut self) {
        self.written_at = now();
    }

    /// Nothing is remembered of it any more.
    pub(super) fn forget(&mut self, service: ServiceId) {
        self.changed.remove(&service);
    }
}

impl Guard {
    /// A program was born. What did not matter until then is done when the guard waits, or now if it does not come to that.
    pub(super) fn born(&mut self, run: RunId) {
        let newborn = self.notes.newborn.get_or_insert_with(|| Newborn { since: now(), again: true });
        newborn.again &= run.number > 1;
        let within = if self.notes.only_starts { WRITE_STARTS_WITHIN } else { WRITE_WITHIN };
        if now().since(newborn.since) >= within {
            self.catch_up();
            self.write_down();
        }
    }

    /// Waits until something happens or the time is over. Before that it wakes the other threads for what they have to do; but
    /// they, and the guard itself, would take a processor from a program that was just born.
    pub(super) fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<OsEvent>) -> std::io::Result<()> {
        let Some(newborn) = self.notes.newborn.filter(|newborn| !newborn.peace().is_zero()) else {
            self.catch_up();
            let until_written = self.write_down_in_time();
            return self.system.wait(timeout.into_iter().chain(until_written).min(), events);
        };
        let at_most = timeout.unwrap_or(Duration::MAX).min(newborn.peace());
        // What starts for the first time may be what others wait for.
        if newborn.again { self.system.wait_in_peace(at_most, events) } else { self.system.wait(Some(at_most), events) }
    }

    fn catch_up(&mut self) {
        self.notes.newborn = None;
        self.tell();
        self.logs.wake();
    }

    /// Not each stop on the way to the guard's own end: what is left in the end is written then, once, and what a guard that
    /// does not get there has not noted is started again by the next all the same. Returns after what time this has to be looked
    /// at again, whatever happens until then: a stop may take long.
    fn write_down_in_time(&mut self) -> Option<Duration> {
        const WRITE_AT_END_WITHIN: Duration = Duration::from_millis(200);
        let left = WRITE_AT_END_WITHIN.saturating_sub(now().since(self.notes.written_at));
        if !self.shutting_down || left.is_zero() {
            self.write_down();
            return None;
        }
        self.notes.is_behind.then_some(left)
    }

    /// Has everything written that there is to write.
    pub(super) fn write_down(&mut self) {
        (self.notes.written_at, self.notes.is_behind, self.notes.only_starts) = (now(), false, true);
        // What the core has yet to hear of is not in what it remembers.
        let all_is_heard = self.later.is_empty();
        let unnoted = if all_is_heard { self.system.take_unnoted() } else { Unnoted::default() };
        let disk = self.disk();
        disk.hold(unnoted);
        disk.wake();
    }

    /// Hands what happened to the journal and to whoever follows.
    pub(super) fn tell(&mut self) {
        for (record, sequence, time) in self.notes.happened.drain(..) {
            let event = Arc::new(event(record, sequence, time));
            self.notes.disk.record((*event).clone());
            if let Some(watcher) = &mut self.watcher {
                (watcher.event)(&event);
            }
            self.hub.publish(event);
        }
        // Room for as many as happen at once is not kept.
        self.notes.happened.shrink_to(HAPPENED_KEPT);
    }

    /// The disk, with all that happened and changed before.
    pub(super) fn disk(&mut self) -> &DiskHandle {
        self.tell();
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
            let run = RunId { service: id, role, number };
            let token = self.jobs.token_of(run)?;
            if let Some(Earlier { pid, start_time, first, folder }) = self.succession.unseen.get(run).cloned() {
                return Some(StoredProcess { role, number, pid, start_time, first, folder });
            }
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
        // What an operator asked for has to survive a loss of power, and so has the file it is in from then on; the rest means
        // nothing after one.
        let durability = match self.services.get_mut(&id) {
            Some(local) if local.asked != asked => {
                local.asked = asked;
                Durability::Power
            }
            _ if asked.is_some() => Durability::Order,
            Some(_) | None => Durability::Guard,
        };
        self.notes.disk.remember(store::path(&self.paths.memory(&self.instance), &name), content, durability);
    }
}
