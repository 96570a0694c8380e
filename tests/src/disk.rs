//! File systems that fill up and turn read-only, in the places of folders of a bed. They need root.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::Ran;
use crate::wait::until;

/// A small file system in the place of a folder. The bed unmounts it at its end.
#[derive(Debug)]
pub struct Disk(PathBuf);

/// What is in the place of a [`Disk`].
#[derive(Debug)]
pub struct Cover(#[expect(dead_code, reason = "it unmounts when it is dropped")] Mount);

/// What keeps a file system mounted.
#[derive(Debug)]
pub(crate) struct Mount(PathBuf);

impl Disk {
    pub(crate) fn mount(path: &Path, options: &str) -> (Self, Mount) {
        fs::create_dir_all(path).unwrap();
        Ran::of(Command::new("mount").args(["-t", "tmpfs", "-o", options, "menshen-test"]).arg(path)).done();
        (Self(path.to_owned()), Mount::at(path))
    }

    /// Leaves no byte free.
    ///
    /// # Panics
    /// When it cannot be written to at all.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    /// Leaves no room for one more file.
    ///
    /// # Panics
    /// When no folder can be made in it.
    pub fn fill_inodes(&self) {
        fs::create_dir(self.ballast()).unwrap();
        let mut names = (0_u32..).map(|number| self.ballast().join(number.to_string()));
        while names.next().is_some_and(|name| File::create(name).is_ok()) {}
    }

    /// Takes away what it was filled with.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn make_room(&self) {
        let ballast = self.ballast();
        if ballast.is_dir() { fs::remove_dir_all(ballast) } else { fs::remove_file(ballast) }.unwrap();
    }

    /// Lets nobody write any more. The kernel refuses that while somebody has a file open for writing, and what a guard that
    /// was killed had open is closed a moment after it.
    ///
    /// # Panics
    /// When it goes on being refused.
    pub fn make_read_only(&self) {
        until("nobody has a file open for writing", || self.remount("remount,ro").code == 0);
    }

    /// Lets everybody write again.
    ///
    /// # Panics
    /// When that is refused.
    pub fn make_writable(&self) {
        self.remount("remount,rw").done();
    }

    /// Lets nobody make or remove anything by its name until what is returned is dropped, whatever is open: a read-only view of
    /// the same is in its place.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn cover_read_only(&self) -> Cover {
        Ran::of(Command::new("mount").arg("--bind").args([&self.0, &self.0])).done();
        let cover = Cover(Mount::at(&self.0));
        self.remount("remount,bind,ro").done();
        cover
    }

    fn remount(&self, options: &str) -> Ran {
        Ran::of(Command::new("mount").args(["-o", options]).arg(&self.0))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Mount {
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
