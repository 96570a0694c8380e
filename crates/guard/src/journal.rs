//! The journal of events: SQLite, bounded by age and size.
//!
//! The file's `user_version` is the version of its tables. Each file in `journal/migrations` leads to the version it is named
//! after; one that was ever released is never edited again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen_api::Time;
use menshen_api::types::{Event, EventQuery};
use menshen_os::fail_point::{FailPoint, reach};
use rusqlite::{Connection, OpenFlags, Row, params};
use thiserror::Error;

use crate::since::{self, SinceError};

/// So many events are looked at for age and size between two prunings.
const PRUNE_EVERY: u32 = 1000;
/// When the journal is too large, tenths of its events go until it is a tenth smaller than it may be, so that it is not
/// pruned again at once.
const PRUNE_PARTS: u64 = 10;
/// From an event to the next no more of the time that is kept passes than one of so many parts: what is more is a clock that was
/// set, or a machine that was off, and neither is to take the whole history.
const LEAP_PARTS: i64 = 10;
/// Memory SQLite may use for pages, in KiB: the journal is written far more than read.
const CACHE_KIB: u32 = 256;

/// Whoever else has the file locked is waited for so long; then events are kept in memory until it is free.
const LOCKED_MAX: Duration = Duration::from_millis(500);

/// What leads from each version of the tables to the next; version 0 is a new file, or one from before versions were noted,
/// whose tables were those of version 1.
const MIGRATIONS: [&str; 1] = [include_str!("journal/migrations/1.sql")];

/// The most a journal takes that has no file, in bytes.
const IN_MEMORY_BYTES_MAX: u64 = 4 << 20;

/// The most events a file may have that cannot be seen without writing beside it: those of a few prunings.
const NOT_SEEN_MAX: u64 = 100_000;

/// Why the journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// SQLite says so.
    #[error("the journal {} cannot be used: {source}", .path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Written by a newer version; nothing was changed.
    #[error("the journal {} has version {found}, and this guard knows versions up to {known}", .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest one this guard knows.
        known: u32,
    },
}

/// Why a journal was not read back.
#[derive(Debug, Error)]
pub enum ReadBackError {
    /// The time since when makes no sense.
    #[error(transparent)]
    Since(#[from] SinceError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Events older than this go, as far as the clock was not set.
    pub keep: Duration,
    /// When the file is larger, the oldest events go.
    pub bytes: u64,
}

/// What became of the journal that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It goes on, or is the first.
    Whole,
    /// It was damaged and put aside; a new one has begun.
    Anew,
    /// The disk does not take one now, for this reason: until it does, it is kept in memory.
    InMemory(String),
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this service.
    pub service: Option<String>,
    /// Only since this time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Only after this number.
    pub after: Option<u64>,
    /// The first so many, or, with `last`, the last so many. They come oldest first either way.
    pub limit: u32,
    /// Whether the last events are wanted.
    pub last: bool,
}

impl Filter {
    /// Whether it lets an event through, be it one too many.
    pub(crate) fn lets_through(&self, event: &Event) -> bool {
        self.service.as_ref().is_none_or(|service| event.service.as_ref() == Some(service))
            && self.since_ms.is_none_or(|since_ms| event.time.as_ms() >= since_ms)
            && self.after.is_none_or(|after| event.sequence > after)
    }
}

/// The journal of one guard.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    bounds: Bounds,
    since_pruning: u32,
    /// Numbers up to this one are taken by events that are elsewhere.
    taken: u64,
}

impl Journal {
    /// Opens the journal, and makes it where there is none. One that is damaged is put aside, with `.damaged` added to its
    /// name, and a new one begun; where the disk is full, or somebody has it locked, it is kept in memory: history must not keep
    /// a guard from guarding.
    ///
    /// # Errors
    /// When it was written by a newer version, or not even a new one can be made.
    pub fn open(path: &Path, bounds: Bounds) -> Result<(Self, Opened), JournalError> {
        refuse_newer(path)?;
        let mut opened = Opened::Whole;
        let mut journal = Self::try_open(path, bounds);
        if journal.as_ref().is_err_and(is_damage) {
            put_aside(path);
            opened = Opened::Anew;
            journal = Self::try_open(path, bounds);
        }
        match journal {
            Ok(journal) => Ok((journal, opened)),
            Err(error) if is_of_disk(&error) => {
                let mut journal = Connection::open_in_memory()
                    .and_then(|connection| Self::on(connection, path, bounds))
                    .map_err(|source| at(path, source))?;
                journal.taken = read_with_log(path, newest_in).unwrap_or_else(|| {
                    // What has been written beside a file that is there is not seen, and may be all there is.
                    let newest = read_as_it_lies(path, newest_in).or_else(|| path.exists().then_some(0));
                    newest.map_or(0, |newest| newest + NOT_SEEN_MAX)
                });
                Ok((journal, Opened::InMemory(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    fn try_open(path: &Path, bounds: Bounds) -> Result<Self, JournalError> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(LOCKED_MAX)?;
            let version = version_of(&connection)?;
            Ok((connection, version))
        };
        let (connection, version) = open().map_err(|source| at(path, source))?;
        refuse_version(path, version)?;
        Self::on(connection, path, bounds).map_err(|source| at(path, source))
    }

    fn on(mut connection: Connection, path: &Path, bounds: Bounds) -> Result<Self, rusqlite::Error> {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let is_new = pages == 0;
        // A new file has nothing to lose, and programs are not to wait for the disk: the first events do.
        connection.pragma_update(None, "synchronous", if is_new { "off" } else { "normal" })?;
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        migrate(&mut connection)?;
        connection.pragma_update(None, "synchronous", "normal")?;
        let mut journal = Self { connection, path: path.to_owned(), bounds, since_pruning: PRUNE_EVERY, taken: 0 };
        if !is_new {
            journal.prune()?;
        }
        Ok(journal)
    }

    /// Reads the journal of a guard that is not there, and changes nothing of it: the events that a query asks for, oldest first,
    /// at a point in time in milliseconds since 1970.
    ///
    /// # Errors
    /// When the query makes no sense, or the journal cannot be read.
    pub fn read_back(path: &Path, query: &EventQuery, now_ms: i64) -> Result<Vec<Event>, ReadBackError> {
        let since = query.since.as_deref().map(|text| since::parse(text, Time::from_ms(now_ms))).transpose()?;
        refuse_newer(path)?;
        let filter = Filter {
            service: query.service.clone(),
            since_ms: since.map(Time::as_ms),
            after: query.after,
            limit: query.limit.unwrap_or(u32::MAX),
            last: false,
        };
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let connection = connection.map_err(|source| at(path, source))?;
        let bounds = Bounds { keep: Duration::MAX, bytes: u64::MAX };
        let journal = Self { connection, path: path.to_owned(), bounds, since_pruning: 0, taken: 0 };
        Ok(journal.query(&filter)?)
    }

    /// The number of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn newest(&self) -> Result<u64, JournalError> {
        newest_in(&self.connection).map(|newest| newest.max(self.taken)).map_err(|source| at(&self.path, source))
    }

    /// Moves a journal that is kept in memory into its file, once the disk takes it.
    ///
    /// # Errors
    /// When the disk does not take it yet.
    pub(crate) fn settle(&mut self) -> Result<(), JournalError> {
        if self.has_file() {
            return Ok(());
        }
        let all = Filter { limit: u32::MAX, ..Filter::default() };
        let mut in_file = Self::try_open(&self.path, self.bounds)?;
        in_file.append(&self.query(&all)?)?;
        *self = in_file;
        Ok(())
    }

    /// Whether it is kept in its file, and not in memory.
    pub(crate) fn has_file(&self) -> bool {
        self.connection.path().is_some_and(|path| !path.is_empty())
    }

    /// Changes how much is kept.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.since_pruning = PRUNE_EVERY;
    }

    /// Adds events, all or none.
    ///
    /// # Errors
    /// When they cannot be written; the journal is then as it was.
    pub fn append<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) -> Result<(), JournalError> {
        let path = self.path.clone();
        let mut count = 0;
        let write = || {
            let transaction = self.connection.transaction()?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT OR REPLACE INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
                for event in events {
                    let details = serde_json::to_string(&event.details).unwrap_or_default();
                    let sequence = i64::try_from(event.sequence).unwrap_or(i64::MAX);
                    insert.execute(params![
                        sequence,
                        event.time.as_ms(),
                        event.service,
                        event.kind,
                        event.reason,
                        event.by,
                        details
                    ])?;
                    count += 1;
                }
            }
            reach(FailPoint::JournalInserted);
            transaction.commit()
        };
        write().map_err(|source| at(&path, source))?;
        reach(FailPoint::JournalCommitted);
        self.since_pruning = self.since_pruning.saturating_add(count);
        if self.since_pruning >= PRUNE_EVERY {
            self.prune().map_err(|source| at(&path, source))?;
        }
        Ok(())
    }

    /// The events a filter lets through, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn query(&self, filter: &Filter) -> Result<Vec<Event>, JournalError> {
        let direction = if filter.last { "DESC" } else { "ASC" };
        let text = format!(
            "SELECT sequence, time_ms, service, kind, reason, asked_by, details FROM event
             WHERE (?1 IS NULL OR service = ?1) AND (?2 IS NULL OR time_ms >= ?2) AND sequence > ?3
             ORDER BY sequence {direction} LIMIT ?4"
        );
        let after = i64::try_from(filter.after.unwrap_or(0)).unwrap_or(i64::MAX);
        let read = || -> Result<Vec<Event>, rusqlite::Error> {
            let mut statement = self.connection.prepare_cached(&text)?;
            let rows = statement.query_map(params![filter.service, filter.since_ms, after, filter.limit], event_of)?;
            rows.collect()
        };
        let mut events = read().map_err(|source| at(&self.path, source))?;
        if filter.last {
            events.reverse();
        }
        Ok(events)
    }

    /// Drops what is too old, and the oldest where there is too much.
    fn prune(&mut self) -> Result<(), rusqlite::Error> {
        self.since_pruning = 0;
        if let Some(sequence) = self.newest_too_old(menshen_os::clock::wall_ms())? {
            self.connection.execute("DELETE FROM event WHERE sequence <= ?1", [sequence])?;
        }
        reach(FailPoint::JournalPruned);
        let most = if self.has_file() { self.bounds.bytes } else { self.bounds.bytes.min(IN_MEMORY_BYTES_MAX) };
        if self.size()? > most {
            let enough = most / PRUNE_PARTS * (PRUNE_PARTS - 1);
            let mut count: i64 = self.connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
            while count > 0 && self.size()? > enough {
                let surplus = i64::try_from(count.unsigned_abs().div_ceil(PRUNE_PARTS)).unwrap_or(count);
                let oldest = "SELECT sequence FROM event ORDER BY sequence LIMIT ?1";
                self.connection.execute(&format!("DELETE FROM event WHERE sequence IN ({oldest})"), [surplus])?;
                count -= surplus;
            }
        }
        self.connection.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")?;
        Ok(())
    }

    /// The number of the newest event that is too old at this time. Its age is the time from it to the next event, and from
    /// each of those to the next, as far as time can have passed between them.
    fn newest_too_old(&self, now_ms: i64) -> Result<Option<i64>, rusqlite::Error> {
        let keep_ms = i64::try_from(self.bounds.keep.as_millis()).unwrap_or(i64::MAX);
        let oldest =
            self.connection.query_row("SELECT min(time_ms) FROM event", [], |row| row.get::<_, Option<i64>>(0))?;
        if oldest.is_none_or(|oldest| oldest >= now_ms.saturating_sub(keep_ms)) {
            return Ok(None);
        }
        let mut newest_first =
            self.connection.prepare_cached("SELECT sequence, time_ms FROM event ORDER BY sequence DESC")?;
        let mut rows = newest_first.query([])?;
        let (mut age_ms, mut next_ms) = (0_i64, now_ms);
        while let Some(row) = rows.next()? {
            let time_ms: i64 = row.get(1)?;
            age_ms = age_ms.saturating_add(next_ms.saturating_sub(time_ms).clamp(0, keep_ms / LEAP_PARTS));
            if age_ms > keep_ms || keep_ms == 0 {
                return row.get(0).map(Some);
            }
            next_ms = time_ms;
        }
        Ok(None)
    }

    /// What the events take on disk, in bytes.
    fn size(&self) -> Result<u64, rusqlite::Error> {
        let pragma =
            |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
        Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
    }
}

fn event_of(row: &Row<'_>) -> Result<Event, rusqlite::Error> {
    let details: String = row.get(6)?;
    let details: BTreeMap<String, serde_json::Value> = serde_json::from_str(&details).unwrap_or_default();
    Ok(Event {
        sequence: row.get::<_, i64>(0)?.unsigned_abs(),
        time: Time::from_ms(row.get(1)?),
        service: row.get(2)?,
        kind: row.get(3)?,
        reason: row.get(4)?,
        by: row.get(5)?,
        details,
    })
}

fn at(path: &Path, source: rusqlite::Error) -> JournalError {
    JournalError::Sqlite { path: path.to_owned(), source }
}

fn is_damage(error: &JournalError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let JournalError::Sqlite { source: error, .. } = error else { return false };
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
        // A table of another shape is not our journal either.
        || matches!(error, rusqlite::Error::SqliteFailure(_, Some(text)) if text.contains("no such column"))
}

/// Whether it is the disk that does not take it, or somebody who has the file locked, rather than who asks.
fn is_of_disk(error: &JournalError) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly, SystemIoFailure};
    let JournalError::Sqlite { source: error, .. } = error else { return false };
    let code = error.sqlite_error_code();
    matches!(code, Some(CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | ReadOnly | SystemIoFailure))
}

/// Brings the tables to today's version, step by step: each is done whole or not at all.
fn migrate(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let version = version_of(connection)?;
    for (done, step) in (1_u32..).zip(MIGRATIONS).filter(|(done, _)| *done > version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", done)?;
        transaction.commit()?;
        reach(FailPoint::JournalMigrated);
    }
    Ok(())
}

/// Refuses a journal whose tables are of a version nobody here knows.
pub(crate) fn refuse_newer(path: &Path) -> Result<(), JournalError> {
    // What a newer guard did before it was killed may be in the log alone.
    let found = read_with_log(path, version_of).or_else(|| read_as_it_lies(path, version_of));
    // What cannot be read is somebody else's to find.
    found.map_or(Ok(()), |found| refuse_version(path, found))
}

fn refuse_version(path: &Path, found: u32) -> Result<(), JournalError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known { Err(JournalError::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

/// The version of the tables.
fn version_of(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The number of the newest event; 0 if there is none.
fn newest_in(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let newest = connection.query_row("SELECT max(sequence) FROM event", [], |row| row.get::<_, Option<i64>>(0));
    newest.map(|number| number.map_or(0, i64::unsigned_abs))
}

/// Reads a file with its write-ahead log, where there is something in one, and changes nothing of either.
fn read_with_log<T>(path: &Path, read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Option<T> {
    std::fs::metadata(beside(path, "-wal")).ok().filter(|log| log.len() > 0)?;
    // The index of the log is not written either: where nobody has the file open, there is one in memory.
    read_opened(path, "readonly_shm=1", read)
}

/// Reads a file without writing anything, not even beside it: what is only in its write-ahead log is not seen.
fn read_as_it_lies<T>(path: &Path, read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Option<T> {
    read_opened(path, "immutable=1", read)
}

/// Reads a file that is opened to be read only, and in this way.
fn read_opened<T>(path: &Path, way: &str, read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Option<T> {
    let path = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{path}?{way}"), flags).ok()?;
    connection.busy_timeout(LOCKED_MAX).ok()?;
    read(&connection).ok()
}

fn put_aside(path: &Path) {
    for (from, to) in aside(path) {
        // One that is not there need not be put aside.
        if std::fs::rename(from, to).is_ok() {
            reach(FailPoint::JournalPutAside);
        }
    }
}

/// Where each file of a damaged journal goes. The journal itself comes last: as long as it is there the next guard finds it
/// damaged, too, should this one be killed. No new journal ever lies beside what belongs to the damaged one.
fn aside(path: &Path) -> [(PathBuf, PathBuf); 3] {
    ["-wal", "-shm", ""].map(|ending| (beside(path, ending), beside(path, &format!(".damaged{ending}"))))
}

/// The file beside another one whose name goes on like this.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENEROUS: Bounds = Bounds { keep: Duration::from_secs(86_400), bytes: 1 << 30 };

    /// A journal that was killed with events that are only in its write-ahead log, and whose file is damaged; so many of its
    /// files are put aside already.
    fn damaged(folder: &Path, put_aside: usize) -> PathBuf {
        let (alive, path) = (folder.join("alive.db"), folder.join("journal.db"));
        let (mut journal, _) = Journal::open(&alive, GENEROUS).unwrap();
        journal.append(&[event(7, "old")]).unwrap();
        for ending in ["-wal", "-shm", ""] {
            let from = PathBuf::from(format!("{}{ending}", alive.display()));
            std::fs::copy(from, format!("{}{ending}", path.display())).unwrap();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[..16].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        for (from, to) in aside(&path).into_iter().take(put_aside) {
            std::fs::rename(from, to).unwrap();
        }
        path
    }

    fn event(sequence: u64, service: &str) -> Event {
        let time = Time::from_ms(menshen_os::clock::wall_ms());
        let details = [("from".to_owned(), "running".into())].into();
        Event {
            sequence,
            time,
            service: Some(service.to_owned()),
            kind: "transition".into(),
            reason: "x".repeat(100),
            by: None,
            details,
        }
    }

    #[test]
    fn what_is_written_is_read_back_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let events: Vec<Event> =
            (1..=10).map(|number| event(number, if number % 2 == 0 { "a" } else { "b" })).collect();
        Journal::open(&path, GENEROUS).unwrap().0.append(&events).unwrap();
        let journal = Journal::open(&path, GENEROUS).unwrap().0;
        assert_eq!(journal.newest().unwrap(), 10);
        let numbers =
            |filter: &Filter| journal.query(filter).unwrap().iter().map(|event| event.sequence).collect::<Vec<_>>();
        assert_eq!(numbers(&Filter { limit: 3, ..Filter::default() }), [1, 2, 3]);
        assert_eq!(numbers(&Filter { limit: 3, last: true, ..Filter::default() }), [8, 9, 10]);
        assert_eq!(
            numbers(&Filter { limit: 9, service: Some("a".into()), after: Some(4), ..Filter::default() }),
            [6, 8, 10]
        );
        assert_eq!(journal.query(&Filter { limit: 1, ..Filter::default() }).unwrap(), [events[0].clone()]);
    }

    #[test]
    fn what_a_guard_left_is_read_back_as_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let mut journal = Journal::open(&path, GENEROUS).unwrap().0;
        journal.append(&[event(1, "a"), event(2, "b")]).unwrap();
        let now_ms = menshen_os::clock::wall_ms();
        let numbers = |query: &EventQuery| {
            let events = Journal::read_back(&path, query, now_ms).unwrap();
            events.iter().map(|event| event.sequence).collect::<Vec<_>>()
        };
        // As long as it is open, what it wrote last is in the file beside, where a guard that is killed leaves it.
        assert_eq!(numbers(&EventQuery::default()), [1, 2]);
        assert_eq!(
            numbers(&EventQuery { service: Some("b".into()), since: Some("1h".into()), ..EventQuery::default() }),
            [2]
        );
        let wrong = EventQuery { since: Some("soon".into()), ..EventQuery::default() };
        assert!(matches!(Journal::read_back(&path, &wrong, now_ms), Err(ReadBackError::Since(_))));
        let missing = folder.path().join("missing.db");
        assert!(matches!(Journal::read_back(&missing, &EventQuery::default(), now_ms), Err(ReadBackError::Journal(_))));
        assert!(!missing.exists());
        drop(journal);
    }

    #[test]
    fn a_journal_stays_within_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let bounds = Bounds { bytes: 256 << 10, ..GENEROUS };
        let mut journal = Journal::open(&path, bounds).unwrap().0;
        for batch in 0..40_u64 {
            journal.append(&(0..500).map(|number| event(batch * 500 + number + 1, "a")).collect::<Vec<_>>()).unwrap();
        }
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 2 * bounds.bytes, "{size}");
        assert_eq!(journal.newest().unwrap(), 20_000, "the newest are kept");
    }

    #[test]
    fn a_journal_in_memory_stays_small_whatever_a_file_may_take() {
        let connection = Connection::open_in_memory().unwrap();
        let mut journal = Journal::on(connection, Path::new("journal.db"), GENEROUS).unwrap();
        for batch in 0..80_u64 {
            journal.append(&(0..500).map(|number| event(batch * 500 + number + 1, "a")).collect::<Vec<_>>()).unwrap();
        }
        assert!(journal.size().unwrap() <= IN_MEMORY_BYTES_MAX);
        assert_eq!(journal.newest().unwrap(), 40_000, "the newest are kept");
    }

    #[test]
    fn a_journal_in_memory_goes_on_in_its_file_when_that_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("100%?#/journal.db");
        let connection = Connection::open_in_memory().unwrap();
        let mut journal = Journal::on(connection, &path, GENEROUS).unwrap();
        journal.append([&event(6, "a")]).unwrap();
        journal.settle().unwrap_err();
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        Journal::open(&path, GENEROUS).unwrap().0.append([&event(5, "a")]).unwrap();
        assert_eq!(read_as_it_lies(&path, newest_in), Some(5));
        journal.settle().unwrap();
        drop(journal);
        let journal = Journal::open(&path, GENEROUS).unwrap().0;
        let events = journal.query(&Filter { limit: 9, ..Filter::default() }).unwrap();
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn what_is_too_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let hour_ms = 3_600_000;
        // One every hour, of which those of a day are kept.
        let at = |number: u64| {
            Time::from_ms(menshen_os::clock::wall_ms() - i64::try_from(30 - number).unwrap() * hour_ms - hour_ms / 2)
        };
        let events: Vec<Event> = (1..=30).map(|number| Event { time: at(number), ..event(number, "a") }).collect();
        Journal::open(&path, GENEROUS).unwrap().0.append(&events).unwrap();
        let journal = Journal::open(&path, GENEROUS).unwrap().0;
        let kept = journal.query(&Filter { limit: 99, ..Filter::default() }).unwrap();
        assert_eq!(kept.iter().map(|event| event.sequence).collect::<Vec<_>>(), (7..=30).collect::<Vec<_>>());
    }

    #[test]
    fn a_clock_that_is_set_takes_no_events_along() {
        let connection = Connection::open_in_memory().unwrap();
        let mut journal = Journal::on(connection, Path::new("journal.db"), GENEROUS).unwrap();
        let now_ms = menshen_os::clock::wall_ms();
        journal.append(&(1..=9).map(|number| event(number, "a")).collect::<Vec<_>>()).unwrap();
        let year_ms = 365 * 86_400_000;
        assert_eq!(journal.newest_too_old(now_ms + year_ms).unwrap(), None, "while it is ahead");
        let ahead = Event { time: Time::from_ms(now_ms + year_ms), ..event(10, "a") };
        let behind = Event { time: Time::from_ms(now_ms - year_ms), ..event(11, "a") };
        journal.append([&ahead, &behind, &event(12, "a")]).unwrap();
        assert_eq!(journal.newest_too_old(now_ms).unwrap(), None, "and once it is right again");
        // What really is old goes, whatever the times of some say.
        let later = |hours: i64| now_ms + hours * 3_600_000;
        let events =
            (13..=43).zip(1..).map(|(number, hours)| Event { time: Time::from_ms(later(hours)), ..event(number, "a") });
        journal.append(&events.collect::<Vec<_>>()).unwrap();
        assert_eq!(journal.newest_too_old(later(31)).unwrap(), Some(18));
    }

    /// The journal an older version left, as it left it; opened where it may be changed.
    fn fixture(version: u32, folder: &Path) -> PathBuf {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/state/{version}/journal.db"));
        let path = folder.join("journal.db");
        std::fs::copy(kept, &path).unwrap();
        path
    }

    #[test]
    fn what_an_older_version_wrote_is_read_and_goes_on() {
        let ages = Bounds { keep: Duration::from_secs(1 << 40), ..GENEROUS };
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&fixture(1, folder.path()), ages).unwrap().0;
        assert_eq!(journal.newest().unwrap(), 93);
        journal.append([&event(94, "running")]).unwrap();
        let all = journal.query(&Filter { limit: 1000, ..Filter::default() }).unwrap();
        assert_eq!(all.len(), 94);
        assert_eq!((all[0].kind.as_str(), all[0].reason.as_str()), ("started", "guarding 11 services"));
        let noted: u32 = journal.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(noted as usize, MIGRATIONS.len());
    }

    #[test]
    fn a_journal_of_a_newer_version_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = fixture(1, folder.path());
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len() + 1).unwrap()).unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let error = Journal::open(&path, GENEROUS).unwrap_err();
        assert!(
            matches!(error, JournalError::Newer { found, .. } if found as usize == MIGRATIONS.len() + 1),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing beside it");
    }

    #[test]
    fn a_journal_of_a_newer_version_is_refused_though_only_its_log_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (alive, path) = (folder.path().join("alive.db"), folder.path().join("journal.db"));
        let (journal, _) = Journal::open(&alive, GENEROUS).unwrap();
        let newer = i64::try_from(MIGRATIONS.len() + 1).unwrap();
        journal.connection.pragma_update(None, "user_version", newer).unwrap();
        // As a newer guard leaves it that is killed.
        for ending in ["-wal", "-shm", ""] {
            std::fs::copy(beside(&alive, ending), beside(&path, ending)).unwrap();
        }
        let read = || ["-wal", "-shm", ""].map(|ending| std::fs::read(beside(&path, ending)).unwrap());
        let before = read();
        let known = u32::try_from(MIGRATIONS.len()).unwrap();
        assert!(read_as_it_lies(&path, version_of).is_none_or(|version| version <= known));
        let is_newer = |error: &JournalError| matches!(error, JournalError::Newer { found, .. } if *found == known + 1);
        assert!(Journal::open(&path, GENEROUS).is_err_and(|error| is_newer(&error)));
        assert!(read() == before, "nothing of it was changed");
        // Nor is what was kept in memory while nobody could look added to one that turns out to be newer.
        let mut in_memory = Journal::on(Connection::open_in_memory().unwrap(), &path, GENEROUS).unwrap();
        assert!(in_memory.settle().is_err_and(|error| is_newer(&error)));
    }

    #[test]
    fn a_journal_that_somebody_has_locked_is_kept_in_memory_until_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        Journal::open(&path, GENEROUS).unwrap().0.append([&event(5, "a")]).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; DELETE FROM event WHERE sequence = 0").unwrap();
        let (mut journal, opened) = Journal::open(&path, GENEROUS).unwrap();
        assert!(matches!(opened, Opened::InMemory(why) if why.contains("locked")));
        let next = journal.newest().unwrap() + 1;
        assert!(next > 5);
        journal.append([&event(next, "a")]).unwrap();
        journal.settle().unwrap_err();
        other.execute_batch("COMMIT").unwrap();
        journal.settle().unwrap();
        let events = journal.query(&Filter { limit: 9, ..Filter::default() }).unwrap();
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [5, next]);
    }

    #[test]
    fn a_guard_killed_while_it_puts_a_damaged_journal_aside_is_followed_by_one_that_does() {
        for done in 0..=2 {
            let folder = tempfile::tempdir().unwrap();
            let path = damaged(folder.path(), done);
            let (mut journal, opened) = Journal::open(&path, GENEROUS).unwrap();
            assert_eq!(opened, Opened::Anew, "{done} of its files were aside");
            assert_eq!(journal.newest().unwrap(), 0, "nothing of the damaged one is in the new one");
            journal.append(&[event(1, "new")]).unwrap();
            drop(journal);
            assert_eq!(Journal::open(&path, GENEROUS).unwrap().0.newest().unwrap(), 1);
            for ending in ["", "-wal", "-shm"] {
                assert!(folder.path().join(format!("journal.db.damaged{ending}")).exists(), "{ending}");
            }
        }
    }

    #[test]
    fn a_damaged_journal_is_put_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        let (mut journal, opened) = Journal::open(&path, GENEROUS).unwrap();
        assert_eq!(opened, Opened::Anew);
        journal.append([&event(1, "a")]).unwrap();
        assert!(folder.path().join("journal.db.damaged").exists());
    }
}
