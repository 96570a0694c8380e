//! What Linux takes back, and what copies of this process share with it.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::ops::{Deref, Range};
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// Gives back to the system what only the past needed: freed memory that the allocator kept, and pages of the program's own
/// file. Those stay in the page cache and are mapped again when they are touched; until then they count for nobody, and the
/// kernel finds them first when memory is short.
pub fn give_back() {
    trim();
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for range in unchanged_files(&smaps) {
        // SAFETY: nothing of these pages differs from the file, nobody may write to them, and reading them brings them back.
        #[expect(unsafe_code, reason = "advice about memory is unsafe in general")]
        unsafe {
            // It is advice.
            let _ = rustix::mm::madvise(range.start as *mut _, range.len(), rustix::mm::Advice::LinuxDontNeed);
        }
    }
}

/// Gives back to the system freed memory that the allocator kept.
#[cfg(target_env = "gnu")]
pub fn trim() {
    // SAFETY: the allocator's own function, which takes its locks.
    #[expect(unsafe_code, reason = "a C function")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives nothing back: this allocator does so by itself.
#[cfg(not(target_env = "gnu"))]
pub const fn trim() {}

/// The mappings of files that nobody may write to and of which no page is a copy: `START-END r-xp … /path`, and below it
/// `Anonymous: 0 kB`.
fn unchanged_files(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        if let Some((range, rest)) = line.split_once(' ').filter(|(range, _)| range.contains('-')) {
            let is_file = rest.rsplit(' ').next().is_some_and(|path| path.starts_with('/'));
            let read_only = rest.starts_with("r-xp") || rest.starts_with("r--p");
            mapping = (is_file && read_only).then(|| parse_range(range)).flatten();
        } else if let Some(amount) = line.strip_prefix("Anonymous:")
            && amount.trim() == "0 kB"
        {
            found.extend(mapping.take());
        }
    }
    found
}

/// The range of a mapping, as `/proc/PID/maps` writes it.
pub(crate) fn parse_range(range: &str) -> Option<Range<usize>> {
    let (start, end) = range.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// A file in memory with this in it, to be read from its beginning.
pub(crate) fn file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// A value in memory that a copy of this process shares with it, whatever becomes of the rest of its memory.
#[derive(Debug)]
pub(crate) struct Shared<T>(NonNull<T>);

// SAFETY: it is the only pointer to the value in this process, and another process is as another thread.
#[expect(unsafe_code, reason = "a pointer to mapped memory")]
unsafe impl<T: Send + Sync> Send for Shared<T> {}

impl<T> Shared<T> {
    /// # Errors
    /// When there is no memory left.
    pub(crate) fn new(value: T) -> io::Result<Self> {
        const { assert!(!std::mem::needs_drop::<T>(), "the copy may still use it") };
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory is asked for, wherever there is some; it is large enough and aligned to a page.
        #[expect(unsafe_code, reason = "mapping memory")]
        unsafe {
            let memory = rustix::mm::mmap_anonymous(ptr::null_mut(), size_of::<T>(), protection, MapFlags::SHARED)?;
            let memory = NonNull::new(memory.cast::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
            memory.write(value);
            Ok(Self(memory))
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it is mapped as long as this lives, and holds a value.
        #[expect(unsafe_code, reason = "a value in mapped memory")]
        unsafe {
            self.0.as_ref()
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length; a copy of this process has its own mapping.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_parts_of_files_are_given_back() {
        let smaps = "1000-3000 r-xp 00000000 08:01 12  /usr/bin/menshen\nRss: 8 kB\nAnonymous: 0 kB\n\
                     3000-4000 r--p 00002000 08:01 12  /usr/bin/menshen\nAnonymous: 4 kB\n\
                     4000-5000 rw-p 00003000 08:01 12  /usr/bin/menshen\nAnonymous: 0 kB\n\
                     5000-6000 r--p 00000000 00:00 0  [vvar]\nAnonymous: 0 kB\n\
                     6000-7000 r--p 00000000 00:00 0 \nAnonymous: 0 kB\n\
                     7000-9000 r--p 00000000 08:01 13  /usr/lib/libc.so.6\nAnonymous: 0 kB\n";
        assert_eq!(unchanged_files(smaps), [0x1000..0x3000, 0x7000..0x9000]);
    }

    #[test]
    fn everything_works_on_after_memory_was_given_back() {
        let text = "what is here stays".repeat(1000);
        give_back();
        assert!(text.ends_with("stays"));
        assert!(!unchanged_files(&fs::read_to_string("/proc/self/smaps").unwrap()).is_empty());
    }
}
