//! Room on the disk for what a log is about to take.
//!
//! ext4 looks for room with every piece that is written, and has to be told nothing of it where some was set aside: a third
//! more bytes go into a log then. File systems that set room aside themselves (XFS), or write elsewhere each time (btrfs), gain
//! nothing, and are left alone.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::FallocateFlags;

use super::LogFile;
use crate::output::Aside;

/// See statfs(2). ext2 and ext3 have the same, and refuse what is asked of them where they have no extents.
const EXT4: u64 = 0xEF53;
/// What the system counts room on the disk in, in bytes.
const BLOCK_BYTES: u64 = 512;

impl LogFile {
    /// Sets room aside behind an offset, so that what is written there goes more quickly. The file is not longer by that.
    ///
    /// # Errors
    /// When there is no room, or the file system cannot.
    pub fn set_aside(&self, offset: u64, bytes: u64) -> io::Result<Aside> {
        let kind = rustix::fs::fstatfs(&self.0)?.f_type;
        if u64::try_from(kind) != Ok(EXT4) {
            return Ok(Aside::Needless);
        }
        rustix::fs::fallocate(&self.0, FallocateFlags::KEEP_SIZE, offset, bytes)?;
        Ok(Aside::Set)
    }

    /// Gives back what was set aside behind its end.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn give_back(&self) -> io::Result<()> {
        // To be cut to its own length costs it what is behind.
        self.set_length(self.state()?.length)
    }

    /// How much room it takes on the disk, in bytes.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn room(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.blocks() * BLOCK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_set_aside_is_taken_and_given_back_and_the_file_no_longer() {
        const MEGABYTES: u64 = 4 << 20;
        let folder = tempfile::tempdir().unwrap();
        let file = LogFile::open(&folder.path().join("log")).unwrap();
        file.write_at(b"line\n", 0).unwrap();
        match file.set_aside(5, MEGABYTES).unwrap() {
            Aside::Set => assert!(file.room().unwrap() >= MEGABYTES),
            Aside::Needless => assert!(file.room().unwrap() < MEGABYTES),
        }
        assert_eq!(file.state().unwrap().length, 5);
        file.give_back().unwrap();
        assert!(file.room().unwrap() < MEGABYTES);
        assert_eq!(file.state().unwrap().length, 5);
        let mut read = [0; 8];
        assert_eq!(file.read_at(&mut read, 0).unwrap(), 5);
        assert_eq!(&read[..5], b"line\n");
    }
}
