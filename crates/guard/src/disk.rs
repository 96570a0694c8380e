//! What the guard writes for itself: memories and the journal, in one thread, so that the loop never waits for a disk.
//!
//! Everything is done in the order given: what was remembered before an answer is on disk before the answer goes out.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use menshen_api::types::Event;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::file::{Durability, replace};
use menshen_os::system::Unnoted;
use menshen_plan::count::counted;

use crate::journal::{Bounds, Filter, Journal, JournalError};

/// Events that wait for a disk that does not take them; beyond this the oldest go, and the journal says how many.
const EVENTS_MAX: usize = 10_000;
/// Answers and questions that wait for a disk that does not answer; their callers may be gone long since.
const JOBS_MAX: usize = 4096;
/// After a failed write, this long until the next try.
const RETRY: Duration = Duration::from_secs(1);

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Gives it work; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DiskHandle(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Shared")
    }
}

#[derive(Default)]
struct Queue {
    /// The latest memory of each file; `None` to remove it. Earlier ones need not be written any more.
    memories: BTreeMap<PathBuf, (Option<Vec<u8>>, Durability)>,
    /// Each to be let go of once the record of its service is written: that says how it ended.
    unnoted: Unnoted,
    events: VecDeque<Event>,
    events_dropped: u64,
    jobs: VecDeque<Job>,
    bounds: Option<Bounds>,
    stop: bool,
    /// The thread waits to be woken: for the first who has work, not for each.
    sleeps: bool,
}

enum Job {
    /// To be called when everything before it is written.
    Then(Box<dyn FnOnce() + Send>),
    /// To be called then with why the memory at this path could not be, if that is so.
    Tell(PathBuf, Box<dyn FnOnce(Option<String>) + Send>),
    Query(Filter, Box<dyn FnOnce(Result<Vec<Event>, JournalError>) + Send>),
}

/// What the thread reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DiskReport {
    /// Something cannot be written; it will be tried again.
    Trouble(String),
    /// It can be written again.
    TroubleOver,
}

impl Disk {
    /// Starts the thread with an opened journal. `record` says where the memory of a service is. `report` is called in the
    /// thread when writing fails and when it works again, be it for a journal that was opened in memory.
    pub(crate) fn start(
        journal: Journal,
        record: impl Fn(&str) -> PathBuf + Send + 'static,
        report: impl Fn(DiskReport) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        // Whoever opened a journal that has no file has told of it.
        let in_trouble = !journal.has_file();
        let writer = Writer {
            shared: Arc::clone(&shared),
            journal,
            unnoted: Unnoted::default(),
            record: Box::new(record),
            report: Box::new(report),
            in_trouble,
        };
        let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn handle(&self) -> DiskHandle {
        DiskHandle(Arc::clone(&self.shared))
    }

    /// Has everything written that waits, and the thread end. What is given afterwards is not written.
    pub(crate) fn begin_to_stop(&self) {
        lock(&self.shared).stop = true;
        self.shared.wake.notify_one();
    }

    /// Returns when everything is written that waits, or was tried once more where it fails.
    pub(crate) fn stop(mut self) {
        self.begin_to_stop();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}

impl DiskHandle {
    /// Has what was given so far done. Memories and events alone wake nobody: a change of a service's state is several of
    /// them, and the loop is on its way to the next start, which is not to wait for a processor.
    pub(crate) fn wake(&self) {
        let queue = lock(&self.0);
        if !queue.is_idle() {
            self.wake_with(queue);
        }
    }

    /// Replaces a file, once somebody calls [`Self::wake`].
    pub(crate) fn remember(&self, path: PathBuf, content: Vec<u8>, durability: Durability) {
        let mut queue = lock(&self.0);
        let slot = queue.memories.entry(path).or_insert((None, durability));
        // What had to survive more still has to.
        *slot = (Some(content), durability.max(slot.1));
    }

    /// Removes a file, once somebody calls [`Self::wake`].
    pub(crate) fn forget(&self, path: PathBuf) {
        lock(&self.0).memories.insert(path, (None, Durability::Guard));
    }

    /// Holds how processes ended for the next guard, each until the memory of its service that was given so far is written.
    pub(crate) fn hold(&self, unnoted: Unnoted) {
        lock(&self.0).unnoted.join(unnoted);
    }

    /// Adds an event to the journal, once somebody calls [`Self::wake`].
    pub(crate) fn record(&self, event: Event) {
        let mut queue = lock(&self.0);
        if queue.events.len() >= EVENTS_MAX {
            queue.events.pop_front();
            queue.events_dropped += 1;
        }
        queue.events.push_back(event);
    }

    /// Calls back when everything given so far is written, or drops the call where too many wait already.
    pub(crate) fn then(&self, job: impl FnOnce() + Send + 'static) {
        self.add_job(Job::Then(Box::new(job)));
    }

    /// Calls back when everything given so far is written, with why the memory at this path could not be, if that is so; or
    /// drops the call where too many wait already.
    pub(crate) fn then_tell(&self, memory: PathBuf, job: impl FnOnce(Option<String>) + Send + 'static) {
        self.add_job(Job::Tell(memory, Box::new(job)));
    }

    /// Reads the journal, after everything given so far is written.
    pub(crate) fn query(&self, filter: Filter, answer: impl FnOnce(Result<Vec<Event>, JournalError>) + Send + 'static) {
        self.add_job(Job::Query(filter, Box::new(answer)));
    }

    /// A job for which there is no room, or that comes too late, is dropped, and so is what it holds: whoever waits for its
    /// answer sees that none comes.
    fn add_job(&self, job: Job) {
        let mut queue = lock(&self.0);
        if queue.jobs.len() < JOBS_MAX && !queue.stop {
            queue.jobs.push_back(job);
        }
        self.wake_with(queue);
    }

    /// Changes how much of the journal is kept.
    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        let mut queue = lock(&self.0);
        queue.bounds = Some(bounds);
        self.wake_with(queue);
    }

    /// Wakes the thread if it sleeps.
    fn wake_with(&self, mut queue: MutexGuard<'_, Queue>) {
        let sleeps = std::mem::take(&mut queue.sleeps);
        drop(queue);
        if sleeps {
            self.0.wake.notify_one();
        }
    }
}

/// A panic elsewhere does not make the queue unusable: every change of it is whole.
fn lock(shared: &Shared) -> MutexGuard<'_, Queue> {
    shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    /// What ended in a memory that could not be written yet.
    unnoted: Unnoted,
    record: Box<dyn Fn(&str) -> PathBuf + Send>,
    report: Box<dyn Fn(DiskReport) + Send>,
    in_trouble: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let batch = self.next_batch();
            let last = batch.stop;
            self.write(batch);
            if last {
                return;
            }
        }
    }

    /// Waits for work and takes all there is. What failed is tried again after a while, or together with what comes sooner.
    fn next_batch(&self) -> Queue {
        let mut queue = lock(&self.shared);
        if self.in_trouble && !queue.stop {
            queue.sleeps = true;
            queue = self.shared.wake.wait_timeout(queue, RETRY).unwrap_or_else(PoisonError::into_inner).0;
        } else {
            while queue.is_idle() {
                queue.sleeps = true;
                queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        // Nothing comes after the last.
        let stop = queue.stop;
        std::mem::replace(&mut *queue, Queue { stop, ..Queue::default() })
    }

    fn write(&mut self, mut batch: Queue) {
        if let Some(bounds) = batch.bounds {
            self.journal.set_bounds(bounds);
        }
        let unwritten = write_memories(&mut batch.memories);
        self.unnoted.join(std::mem::take(&mut batch.unnoted));
        // As a rule all is written, and no record has to be named.
        let all_written = unwritten.is_empty();
        self.unnoted.retain(|service| !all_written && unwritten.contains_key(&(self.record)(service)));
        let mut failure = unwritten.values().next().cloned();
        if let Err(error) = self.write_events(&mut batch) {
            failure.get_or_insert(error);
        }
        if failure.is_none() {
            failure = self.journal.settle().err().map(|error| error.to_string());
        }
        // Callers hear back also when the disk does not take it: what they asked for is done, only not remembered yet.
        for job in std::mem::take(&mut batch.jobs) {
            match job {
                Job::Then(call) => {
                    reach(FailPoint::AnswerReady);
                    call();
                }
                Job::Tell(memory, call) => {
                    reach(FailPoint::AnswerReady);
                    call(unwritten.get(&memory).cloned());
                }
                Job::Query(filter, answer) => answer(self.query(&filter, &batch)),
            }
        }
        self.report_change(failure.as_ref());
        if failure.is_some() && !batch.stop {
            lock(&self.shared).put_back(batch);
        }
    }

    fn write_events(&mut self, batch: &mut Queue) -> Result<(), String> {
        if !batch.events.is_empty() {
            let gap = batch.gap();
            self.journal.append(gap.iter().chain(&batch.events)).map_err(|error| error.to_string())?;
            batch.events.clear();
            batch.events_dropped = 0;
        }
        Ok(())
    }

    /// What the journal has, and after that what it could not take yet.
    fn query(&self, filter: &Filter, waiting: &Queue) -> Result<Vec<Event>, JournalError> {
        let mut events = self.journal.query(filter)?;
        let gap = waiting.gap();
        events.extend(gap.iter().chain(&waiting.events).filter(|event| filter.lets_through(event)).cloned());
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        if filter.last {
            events.drain(..events.len().saturating_sub(limit));
        } else {
            events.truncate(limit);
        }
        Ok(events)
    }

    fn report_change(&mut self, failure: Option<&String>) {
        match (failure, self.in_trouble) {
            (Some(text), false) => (self.report)(DiskReport::Trouble(text.clone())),
            (None, true) => (self.report)(DiskReport::TroubleOver),
            (Some(_), true) | (None, false) => {}
        }
        self.in_trouble = failure.is_some();
    }
}

/// Writes what can be written; the rest stays in the map, and is returned with why.
fn write_memories(memories: &mut BTreeMap<PathBuf, (Option<Vec<u8>>, Durability)>) -> BTreeMap<PathBuf, String> {
    let mut unwritten = BTreeMap::new();
    memories.retain(|path, (content, durability)| {
        let written = match content {
            Some(content) => replace(path, content, *durability),
            None => remove(path),
        };
        let error = written.err();
        unwritten.extend(error.as_ref().map(|error| (path.clone(), error.to_string())));
        error.is_some()
    });
    unwritten
}

impl Queue {
    /// What could not be written waits before what has come meanwhile.
    fn put_back(&mut self, unwritten: Self) {
        for (path, (content, durability)) in unwritten.memories {
            let (_, newer) = self.memories.entry(path).or_insert((content, durability));
            // What had to survive more still has to.
            *newer = durability.max(*newer);
        }
        let mut events = unwritten.events;
        events.append(&mut self.events);
        let surplus = events.len().saturating_sub(EVENTS_MAX);
        events.drain(..surplus);
        self.events = events;
        self.events_dropped += unwritten.events_dropped + surplus as u64;
    }

    /// What says in the place of the last event that was dropped how many were.
    fn gap(&self) -> Option<Event> {
        let first = self.events.front().filter(|_| self.events_dropped > 0)?;
        let events = counted(self.events_dropped, "event", "events");
        Some(Event {
            sequence: first.sequence.saturating_sub(1),
            time: first.time,
            service: None,
            kind: "gap".to_owned(),
            reason: format!("{events} before this one could not be written"),
            by: None,
            details: BTreeMap::new(),
        })
    }

    fn is_idle(&self) -> bool {
        self.memories.is_empty()
            && self.unnoted.is_empty()
            && self.events.is_empty()
            && self.jobs.is_empty()
            && self.bounds.is_none()
            && !self.stop
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => {
            reach(FailPoint::RecordRemoved);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use menshen_api::Time;

    use super::*;

    fn record_in(folder: &Path) -> impl Fn(&str) -> PathBuf + use<> {
        let folder = folder.to_owned();
        move |service| folder.join(service)
    }

    fn start(folder: &Path) -> (Disk, mpsc::Receiver<DiskReport>) {
        let bounds = Bounds { keep: Duration::from_secs(3600), bytes: 1 << 30 };
        let journal = Journal::open(&folder.join("journal.db"), bounds).unwrap().0;
        let (sender, receiver) = mpsc::channel();
        let report = move |report| sender.send(report).unwrap_or_default();
        (Disk::start(journal, record_in(folder), report).unwrap(), receiver)
    }

    fn event(sequence: u64) -> Event {
        let time = Time::from_ms(menshen_os::clock::wall_ms());
        Event {
            sequence,
            time,
            service: None,
            kind: "x".into(),
            reason: String::new(),
            by: None,
            details: BTreeMap::new(),
        }
    }

    #[test]
    fn answers_that_wait_for_a_disk_that_hangs_are_bounded() {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        let handle = DiskHandle(shared);
        // Nobody takes them, as nobody does while the disk hangs.
        let receivers: Vec<mpsc::Receiver<()>> = (0..JOBS_MAX + 3)
            .map(|_| {
                let (sender, receiver) = mpsc::channel();
                handle.then(move || sender.send(()).unwrap());
                receiver
            })
            .collect();
        let dropped = receivers.iter().filter(|receiver| receiver.try_recv() == Err(mpsc::TryRecvError::Disconnected));
        assert_eq!(dropped.count(), 3);
    }

    #[test]
    fn what_had_to_survive_a_loss_of_power_still_has_to_when_it_is_tried_again() {
        let mut queue = Queue::default();
        let memory = |content: &str, durability| (Some(content.into()), durability);
        queue.memories.insert("web".into(), memory("new", Durability::Order));
        let unwritten = [("web", Durability::Power), ("db", Durability::Guard)];
        let memories = unwritten.map(|(path, durability)| (path.into(), memory("old", durability))).into();
        queue.put_back(Queue { memories, ..Queue::default() });
        let waiting =
            [("db".into(), memory("old", Durability::Guard)), ("web".into(), memory("new", Durability::Power))];
        assert_eq!(queue.memories, waiting.into());
    }

    #[test]
    fn what_the_disk_did_not_take_for_long_is_told_as_one_gap_of_so_many_events() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = Journal::open(&path, Bounds { keep: Duration::from_secs(3600), bytes: 1 << 30 }).unwrap().0;
        let other = rusqlite::Connection::open(&path).unwrap();
        other
            .execute_batch("CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(FAIL, 'full'); END")
            .unwrap();
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        let handle = DiskHandle(Arc::clone(&shared));
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            journal,
            unnoted: Unnoted::default(),
            record: Box::new(record_in(folder.path())),
            report: Box::new(|_| ()),
            in_trouble: false,
        };
        let surplus = 5000;
        (1..=EVENTS_MAX + surplus).for_each(|number| {
            handle.record(event(number as u64));
            if number % 2500 == 0 {
                let batch = std::mem::take(&mut *lock(&shared));
                writer.write(batch);
            }
        });
        other.execute_batch("DROP TRIGGER full").unwrap();
        let batch = std::mem::take(&mut *lock(&shared));
        writer.write(batch);
        let events = writer.journal.query(&Filter { limit: u32::MAX, ..Filter::default() }).unwrap();
        assert_eq!(events.len(), 1 + EVENTS_MAX);
        assert_eq!((events[0].sequence, events[0].kind.as_str()), (surplus as u64, "gap"));
        assert_eq!(events[0].reason, "5000 events before this one could not be written");
    }

    #[test]
    fn an_answer_goes_out_after_what_was_remembered_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = start(folder.path());
        let handle = disk.handle();
        for round in 0..50_u32 {
            let path = folder.path().join("web.json");
            handle.remember(path.clone(), round.to_string().into_bytes(), Durability::Guard);
            let (sender, receiver) = mpsc::channel();
            handle.then(move || sender.send(std::fs::read_to_string(path).unwrap()).unwrap());
            assert_eq!(receiver.recv().unwrap().trim_end(), round.to_string());
        }
        disk.stop();
    }

    #[test]
    fn who_waits_is_told_why_what_was_to_be_remembered_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = start(folder.path());
        let (sender, told) = mpsc::channel();
        let handle = disk.handle();
        let [web, db] = ["web.json", "missing/db.json"].map(|name| folder.path().join(name));
        for path in [&web, &db] {
            handle.remember(path.clone(), b"1".to_vec(), Durability::Guard);
        }
        // Two may ask for the same at once.
        for path in [web, db.clone(), db] {
            let sender = sender.clone();
            handle.then_tell(path, move |why| sender.send(why).unwrap());
        }
        assert_eq!(told.recv().unwrap(), None);
        for _ in 0..2 {
            assert!(told.recv().unwrap().is_some_and(|why| why.contains("missing/db.json")));
        }
        disk.stop();
    }

    #[test]
    fn a_query_sees_every_event_recorded_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = start(folder.path());
        let handle = disk.handle();
        for number in 1..=100 {
            handle.record(event(number));
        }
        let (sender, receiver) = mpsc::channel();
        handle.query(Filter { limit: 1000, ..Filter::default() }, move |events| {
            sender.send(events.unwrap().len()).unwrap();
        });
        assert_eq!(receiver.recv().unwrap(), 100);
        disk.stop();
    }

    #[test]
    fn what_cannot_be_written_is_reported_once_and_written_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, reports) = start(folder.path());
        let handle = disk.handle();
        let missing = folder.path().join("missing");
        let path = missing.join("web.json");
        handle.remember(path.clone(), b"1".to_vec(), Durability::Guard);
        handle.wake();
        assert!(
            matches!(reports.recv_timeout(Duration::from_secs(10)).unwrap(), DiskReport::Trouble(text) if text.contains("web.json"))
        );
        std::fs::create_dir(&missing).unwrap();
        assert_eq!(reports.recv_timeout(Duration::from_secs(10)).unwrap(), DiskReport::TroubleOver);
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim_end(), "1");
        disk.stop();
    }

    #[test]
    fn a_query_sees_also_what_the_disk_does_not_take() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, reports) = start(folder.path());
        let handle = disk.handle();
        let query = |filter: Filter| {
            let (sender, receiver) = mpsc::channel();
            handle.query(filter, move |events| sender.send(events.unwrap()).unwrap());
            receiver.recv().unwrap().iter().map(|event| event.sequence).collect::<Vec<_>>()
        };
        (1..=3).for_each(|number| handle.record(event(number)));
        assert_eq!(query(Filter { limit: 9, ..Filter::default() }), [1, 2, 3]);
        let other = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
        other
            .execute_batch("CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(FAIL, 'full'); END")
            .unwrap();
        (4..=6).for_each(|number| handle.record(event(number)));
        handle.wake();
        assert!(matches!(reports.recv_timeout(Duration::from_secs(60)).unwrap(), DiskReport::Trouble(_)));
        assert_eq!(query(Filter { limit: 9, ..Filter::default() }), [1, 2, 3, 4, 5, 6]);
        assert_eq!(query(Filter { limit: 4, ..Filter::default() }), [1, 2, 3, 4]);
        assert_eq!(query(Filter { limit: 2, after: Some(1), last: true, ..Filter::default() }), [5, 6]);
        assert!(query(Filter { limit: 9, service: Some("web".to_owned()), ..Filter::default() }).is_empty());
        other.execute_batch("DROP TRIGGER full").unwrap();
        assert_eq!(reports.recv_timeout(Duration::from_secs(60)).unwrap(), DiskReport::TroubleOver);
        assert_eq!(query(Filter { limit: 9, ..Filter::default() }), [1, 2, 3, 4, 5, 6]);
        disk.stop();
    }

    #[test]
    fn stopping_writes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = start(folder.path());
        let handle = disk.handle();
        for number in 1..=1000 {
            handle.record(event(number));
        }
        handle.remember(folder.path().join("last"), b"x".to_vec(), Durability::Power);
        disk.stop();
        assert!(folder.path().join("last").exists());
        let bounds = Bounds { keep: Duration::from_secs(3600), bytes: 1 << 30 };
        assert_eq!(Journal::open(&folder.path().join("journal.db"), bounds).unwrap().0.newest().unwrap(), 1000);
    }
}
