//! Which descriptor is which process, where the holder finds it.
//!
//! A row is taken before the process is born, and the kernel itself fills it in at the birth: there is no instant at which a
//! guard that is killed leaves a process behind of which the ledger does not know.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// So many processes are looked after at once, at most. Only the rows that are used take memory. The first is nobody's: it
/// says how many were ever used.
const ROWS_MAX: usize = 1 << 16;
const BYTES: usize = ROWS_MAX * size_of::<Entry>();

/// One row, as it is in memory.
#[derive(Debug)]
#[repr(C)]
struct Entry {
    /// Which program.
    place: AtomicU64,
    /// Which run of it.
    run: AtomicU64,
    /// Not 0 when the rest is to be believed.
    pid: AtomicI32,
    pidfd: AtomicI32,
}

/// The descriptor of a process, as the holder knows it. The row ends first.
#[derive(Debug)]
pub(crate) struct Entered {
    row: Row,
    pidfd: OwnedFd,
}

/// One row, as it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub place: u64,
    pub run: u64,
    pub pid: u32,
    pub pidfd: RawFd,
}

/// The rows of all processes the guard looks after.
#[derive(Debug)]
pub(crate) struct Ledger {
    memory: OwnedFd,
    entries: NonNull<Entry>,
    free: Mutex<Free>,
    /// Rows stay as they are when they are dropped.
    closed: AtomicBool,
}

#[derive(Debug)]
struct Free {
    /// Rows that were used.
    again: Vec<usize>,
    /// From here on none was.
    never_used: usize,
}

/// The rows of a ledger, for the holder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows(*const Entry);

// SAFETY: what the rows hold is atomic.
#[expect(unsafe_code, reason = "a pointer to shared memory")]
unsafe impl Send for Rows {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a pointer to shared memory")]
unsafe impl Sync for Rows {}

/// The row of one process; free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Row {
    ledger: Arc<Ledger>,
    index: usize,
}

// SAFETY: the entries are atomic, and mapped for as long as the ledger lives.
#[expect(unsafe_code, reason = "a pointer to shared memory")]
unsafe impl Send for Ledger {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a pointer to shared memory")]
unsafe impl Sync for Ledger {}

impl Ledger {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let memory = rustix::fs::memfd_create("ledger", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, BYTES as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory is asked for, wherever there is some; it begins as zeros, which are valid entries.
        #[expect(unsafe_code, reason = "mapping memory")]
        let mapped = unsafe { rustix::mm::mmap(ptr::null_mut(), BYTES, protection, MapFlags::SHARED, &memory, 0)? };
        let entries = NonNull::new(mapped.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let free = Mutex::new(Free { again: Vec::new(), never_used: 1 });
        Ok(Arc::new(Self { memory, entries, free, closed: AtomicBool::new(false) }))
    }

    /// Nothing is taken out of it any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Its rows. They are there as long as the ledger is, or its memory in a copy of this process.
    pub(super) const fn rows(&self) -> Rows {
        Rows(self.entries.as_ptr())
    }

    fn entry(&self, index: usize) -> &Entry {
        // SAFETY: the index is below the number of rows, and the memory is mapped while the ledger lives.
        #[expect(unsafe_code, reason = "a row in shared memory")]
        unsafe {
            self.entries.add(index).as_ref()
        }
    }

    /// The row of a process that is about to be born.
    pub(crate) fn row(self: &Arc<Self>, place: u64, run: u64) -> io::Result<Row> {
        let index = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.again.pop().or_else(|| {
                let index = Some(free.never_used).filter(|index| *index < ROWS_MAX)?;
                free.never_used += 1;
                self.entry(0).run.store(free.never_used as u64, Ordering::Release);
                Some(index)
            })
        };
        let index = index.ok_or_else(|| io::Error::other(format!("{ROWS_MAX} processes are looked after already")))?;
        let row = Row { ledger: Arc::clone(self), index };
        let entry = row.entry();
        entry.place.store(place, Ordering::Release);
        entry.run.store(run, Ordering::Release);
        Ok(row)
    }
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and every row keeps the ledger.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let _ = unsafe { rustix::mm::munmap(self.entries.as_ptr().cast(), BYTES) };
    }
}

impl Row {
    fn entry(&self) -> &Entry {
        self.ledger.entry(self.index)
    }

    /// Where the kernel writes the number of the process.
    pub(crate) fn pid(&self) -> *mut i32 {
        self.entry().pid.as_ptr()
    }

    /// Where it writes the number of the descriptor.
    pub(crate) fn pidfd(&self) -> *mut RawFd {
        self.entry().pidfd.as_ptr()
    }

    /// The process is this one.
    pub(crate) fn set(&self, pid: u32, pidfd: RawFd) {
        let entry = self.entry();
        entry.pid.store(0, Ordering::Release);
        entry.pidfd.store(pidfd, Ordering::Release);
        entry.pid.store(pid.cast_signed(), Ordering::Release);
    }
}

impl Entered {
    /// A descriptor and its row as it is: written by the kernel at the birth of the process, or blank, so that no next guard
    /// hears of it.
    pub(crate) fn as_written(row: Row, pidfd: OwnedFd) -> Self {
        Self { row, pidfd }
    }

    /// Which program it is of.
    pub(crate) fn place(&self) -> u64 {
        self.row.entry().place.load(Ordering::Acquire)
    }

    /// Enters a process.
    pub(crate) fn new(row: Row, pid: u32, pidfd: OwnedFd) -> Self {
        row.set(pid, pidfd.as_raw_fd());
        Self { row, pidfd }
    }
}

impl AsFd for Entered {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if self.ledger.closed.load(Ordering::Acquire) {
            return;
        }
        self.entry().pid.store(0, Ordering::Release);
        self.ledger.free.lock().unwrap_or_else(PoisonError::into_inner).again.push(self.index);
    }
}

impl Rows {
    /// No ledger's.
    pub(super) const NONE: Self = Self(ptr::null());

    /// The descriptors of processes.
    ///
    /// # Safety
    /// The ledger's memory must be there.
    #[expect(unsafe_code, reason = "rows in shared memory")]
    pub(super) unsafe fn pidfds(self) -> impl Iterator<Item = RawFd> {
        // SAFETY: the caller says that the memory is there, and the first row tells how much of it was used.
        let entry = move |index: usize| unsafe { &*self.0.add(index) };
        let used = usize::try_from(entry(0).run.load(Ordering::Acquire)).unwrap_or(0);
        let pidfd = move |index| {
            let entry = entry(index);
            (entry.pid.load(Ordering::Acquire) != 0).then(|| entry.pidfd.load(Ordering::Acquire))
        };
        (1..used).filter_map(pidfd)
    }
}

/// Reads the rows of a guard that is gone.
pub(super) fn read(memory: OwnedFd) -> io::Result<Vec<Written>> {
    const PLACE: usize = 0;
    const RUN: usize = 8;
    const PID: usize = 16;
    const PIDFD: usize = 20;
    let mut bytes = vec![0; BYTES];
    File::from(memory).read_exact_at(&mut bytes, 0)?;
    let number = |row: &[u8], at: usize| i32::from_ne_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
    let long = |row: &[u8], at: usize| u64::from_ne_bytes(std::array::from_fn(|index| row[at + index]));
    let written = |row: &[u8]| Written {
        place: long(row, PLACE),
        run: long(row, RUN),
        pid: number(row, PID).cast_unsigned(),
        pidfd: number(row, PIDFD),
    };
    Ok(bytes.chunks_exact(size_of::<Entry>()).map(written).filter(|row| row.pid != 0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_row_is_nobodys() {
        let ledger = Ledger::new().unwrap();
        let descriptor = || File::open("/dev/null").unwrap().into();
        drop(Entered::new(ledger.row(7, 1).unwrap(), 100, descriptor()));
        let blank = Entered::as_written(ledger.row(7, 2).unwrap(), descriptor());
        assert_eq!(read(ledger.as_fd().try_clone_to_owned().unwrap()).unwrap(), [], "the row was another's before");
        drop(blank);
    }

    #[test]
    fn rows_are_read_as_they_were_written_until_they_are_dropped() {
        let ledger = Ledger::new().unwrap();
        let rows: Vec<Row> = (1..=3).map(|run| ledger.row(7, run).unwrap()).collect();
        rows[0].set(100, 10);
        rows[2].set(300, 30);
        let written = || read(ledger.as_fd().try_clone_to_owned().unwrap()).unwrap();
        let first = Written { place: 7, run: 1, pid: 100, pidfd: 10 };
        let third = Written { place: 7, run: 3, pid: 300, pidfd: 30 };
        assert_eq!(written(), [first, third], "one that was never filled in is nobody's");
        drop(rows);
        assert_eq!(written(), []);
        let again = ledger.row(8, 1).unwrap();
        again.set(5, 4);
        assert_eq!(written(), [Written { place: 8, run: 1, pid: 5, pidfd: 4 }]);
    }

    #[test]
    fn nothing_leaves_a_closed_ledger() {
        let ledger = Ledger::new().unwrap();
        let row = ledger.row(7, 1).unwrap();
        row.set(100, 10);
        ledger.close();
        drop(row);
        let written = read(ledger.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(written, [Written { place: 7, run: 1, pid: 100, pidfd: 10 }]);
    }

    #[test]
    fn there_is_an_end_to_the_rows() {
        let ledger = Ledger::new().unwrap();
        let rows: Vec<Row> = (1..ROWS_MAX as u64).map(|run| ledger.row(1, run).unwrap()).collect();
        assert!(ledger.row(1, 0).unwrap_err().to_string().contains("65536 processes"));
        drop(rows);
        assert!(ledger.row(1, 0).is_ok());
    }
}
