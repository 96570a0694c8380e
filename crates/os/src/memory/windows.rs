//! What Windows takes back, and memory that outlives the process.

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::ptr::{self, NonNull};

use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, GetProcessHeap, HeapCompact, MEMORY_MAPPED_VIEW_ADDRESS,
    MapViewOfFile, PAGE_READWRITE, UnmapViewOfFile,
};
use windows_sys::Win32::System::ProcessStatus::EmptyWorkingSet;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use crate::win32::{owned, raw};

/// Gives back to the system what only the past needed: freed memory that the heap kept, and pages that are read again when
/// they are touched.
pub fn give_back() {
    trim();
    // SAFETY: it is advice to the system about this process, and changes nothing that it sees.
    unsafe {
        EmptyWorkingSet(GetCurrentProcess());
    }
}

/// Gives back to the system freed memory that the heap kept.
pub fn trim() {
    // SAFETY: it is advice to the system about this process, and changes nothing that it sees.
    unsafe {
        HeapCompact(GetProcessHeap(), 0);
    }
}

/// A value that any bytes are, and that is changed by whoever has a reference to it.
///
/// # Safety
/// It consists of atomic numbers alone.
pub(crate) unsafe trait Record {}

/// A record in memory that is a file: whenever the process is killed, the file has it as it was at that instruction. All who
/// have it mapped see the same. Where nothing was written yet, it is all zeroes.
#[derive(Debug)]
pub(crate) struct Mapped<T>(NonNull<T>);

// SAFETY: it points to memory that stays mapped as long as it lives, and everything in it is atomic.
unsafe impl<T: Record> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Record> Sync for Mapped<T> {}

impl<T: Record> Mapped<T> {
    /// The record of the file at a path, which is created first where it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, or there is no room for it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = crate::file::open_private(path)?;
        let size = size_of::<T>();
        if file.metadata()?.len() < size as u64 {
            file.set_len(size as u64)?;
        }
        // SAFETY: the file is open for reading and writing, and long enough.
        let view = unsafe {
            let mapping = owned(CreateFileMappingW(raw(&file), ptr::null(), PAGE_READWRITE, 0, 0, ptr::null()))?;
            MapViewOfFile(raw(&mapping), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, size)
        };
        NonNull::new(view.Value.cast()).map(Self).ok_or_else(io::Error::last_os_error)
    }
}

impl<T: Record> Deref for Mapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it is mapped as long as this lives, aligned to a page, and any bytes are such a record.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: it was mapped, and nobody has a reference into it any more.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.0.as_ptr().cast() }) };
    }
}
