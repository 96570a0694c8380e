//! A file system that can be out of order while somebody uses it, files open and all: it turns read-only or cannot write, and
//! works again. What is in it is in another folder. It needs root and FUSE.
//!
//! A request has the number of a file or folder (a node), which here stands for a path; an open file has a number, too.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// The requests that are answered, as <linux/fuse.h> numbers them.
mod kind {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const SETATTR: u32 = 4;
    pub(super) const MKDIR: u32 = 9;
    pub(super) const UNLINK: u32 = 10;
    pub(super) const RMDIR: u32 = 11;
    pub(super) const RENAME: u32 = 12;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FSYNC: u32 = 20;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const FSYNCDIR: u32 = 30;
    pub(super) const CREATE: u32 = 35;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
    pub(super) const RENAME2: u32 = 45;
}

/// Before what a request says: its length, kind and number, its node, and who makes it.
const HEAD_BYTES: usize = 40;
/// The folder at the top.
const ROOT: u64 = 1;
/// More than the kernel wants a server to be able to read.
const REQUEST_BYTES_MAX: usize = 256 << 10;
const WRITE_BYTES_MAX: u32 = 64 << 10;
/// What of a file is to be set: its permissions, its length.
const SET_MODE: u32 = 1;
const SET_SIZE: u32 = 8;
const ACCESS_MODE: u32 = 3;
/// Of the flags of an opening, those that are about this one file.
const TRUNCATE: i32 = 0o1000;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing can be changed in it: it has turned read-only.
    ReadOnly,
    /// What is under it cannot write any more.
    Broken,
}

/// The file system.
#[derive(Debug)]
pub struct Served(Arc<Mutex<Option<Fault>>>);

impl Served {
    /// Mounts what is in one folder in the place of another. It is served until nobody uses it any more.
    pub(crate) fn mount(behind: &Path, folder: &Path) -> Self {
        fs::create_dir_all(behind).unwrap();
        fs::create_dir_all(folder).unwrap();
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other\0", device.as_raw_fd());
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).unwrap();
        mount("menshen-test", folder, "fuse", MountFlags::empty(), options).unwrap();
        let fault = Arc::default();
        let server = Server { fault: Arc::clone(&fault), ..Server::of(behind) };
        std::thread::spawn(move || server.serve(device));
        Self(fault)
    }

    /// From now on it is out of order.
    ///
    /// # Panics
    /// When its server has panicked.
    pub fn fail(&self, fault: Fault) {
        *self.0.lock().unwrap() = Some(fault);
    }

    /// From now on it works.
    ///
    /// # Panics
    /// When its server has panicked.
    pub fn work(&self) {
        *self.0.lock().unwrap() = None;
    }
}

impl Fault {
    const fn error(self) -> Errno {
        match self {
            Self::ReadOnly => Errno::ROFS,
            Self::Broken => Errno::IO,
        }
    }
}

struct Server {
    fault: Arc<Mutex<Option<Fault>>>,
    paths: HashMap<u64, PathBuf>,
    nodes: HashMap<PathBuf, u64>,
    files: HashMap<u64, File>,
    next: u64,
}

/// What somebody asks for.
struct Request<'a> {
    kind: u32,
    node: u64,
    said: &'a [u8],
}

/// The bytes of an answer; none where none is waited for.
type Answer = Result<Option<Vec<u8>>, Errno>;

impl Server {
    fn of(behind: &Path) -> Self {
        let (paths, nodes) = ([(ROOT, behind.to_owned())].into(), [(behind.to_owned(), ROOT)].into());
        Self { fault: Arc::default(), paths, nodes, files: HashMap::new(), next: ROOT + 1 }
    }

    fn serve(mut self, mut device: File) {
        let mut bytes = vec![0; REQUEST_BYTES_MAX];
        loop {
            let length = match device.read(&mut bytes) {
                Ok(length) => length,
                // It was taken back.
                Err(error) if matches!(error.raw_os_error(), Some(code) if code == Errno::NOENT.raw_os_error()) => {
                    continue;
                }
                // Nobody uses it any more.
                Err(_) => return,
            };
            let request =
                Request { kind: u32_at(&bytes, 4), node: u64_at(&bytes, 16), said: &bytes[HEAD_BYTES..length] };
            let (error, answer) = match self.answer(&request) {
                Ok(None) => continue,
                Ok(Some(answer)) => (0, answer),
                Err(error) => (-error.raw_os_error(), Vec::new()),
            };
            let mut whole = Vec::new();
            whole.extend(u32::try_from(16 + answer.len()).unwrap().to_ne_bytes());
            whole.extend(error.to_ne_bytes());
            whole.extend(&bytes[8..16]);
            whole.extend(answer);
            // Whoever asked may have been killed.
            let _ = device.write_all(&whole);
        }
    }

    fn answer(&mut self, request: &Request<'_>) -> Answer {
        if let Some(fault) = *self.fault.lock().unwrap()
            && changes(request, fault)
        {
            return Err(fault.error());
        }
        let said = request.said;
        match request.kind {
            kind::INIT => Ok(Some(init())),
            kind::FORGET | kind::BATCH_FORGET | kind::INTERRUPT => Ok(None),
            kind::LOOKUP => self.entry(&self.child(request.node, said)?).map(Some),
            kind::GETATTR => self.attributes(request.node).map(Some),
            kind::SETATTR => self.set(request.node, said).map(Some),
            kind::OPEN => self.open(request.node, said).map(Some),
            kind::CREATE => self.create(request.node, said).map(Some),
            kind::MKDIR => {
                let path = self.child(request.node, &said[8..])?;
                fs::DirBuilder::new().mode(u32_at(said, 0)).create(&path).map_err(|error| errno(&error))?;
                self.entry(&path).map(Some)
            }
            kind::UNLINK | kind::RMDIR => {
                let path = self.child(request.node, said)?;
                if request.kind == kind::UNLINK { fs::remove_file(&path) } else { fs::remove_dir(&path) }
                    .map_err(|error| errno(&error))?;
                self.nodes.remove(&path);
                Ok(Some(Vec::new()))
            }
            kind::RENAME => self.rename(request.node, u64_at(said, 0), &said[8..]).map(Some),
            kind::RENAME2 if u32_at(said, 8) == 0 => self.rename(request.node, u64_at(said, 0), &said[16..]).map(Some),
            kind::READ => self.read(said).map(Some),
            kind::WRITE => self.write(said).map(Some),
            kind::FSYNC => {
                self.file(said)?.sync_all().map_err(|error| errno(&error))?;
                Ok(Some(Vec::new()))
            }
            kind::STATFS => Ok(Some(plenty())),
            kind::RELEASE => {
                self.files.remove(&u64_at(said, 0));
                Ok(Some(Vec::new()))
            }
            kind::OPENDIR => Ok(Some(vec![0; 16])),
            kind::READDIR => self.list(request.node, said).map(Some),
            kind::FLUSH | kind::RELEASEDIR | kind::FSYNCDIR => Ok(Some(Vec::new())),
            _ => Err(Errno::NOSYS),
        }
    }

    fn path(&self, node: u64) -> Result<&Path, Errno> {
        self.paths.get(&node).map(PathBuf::as_path).ok_or(Errno::NOENT)
    }

    /// A name in a folder, as it ends with a zero byte.
    fn child(&self, folder: u64, name: &[u8]) -> Result<PathBuf, Errno> {
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        Ok(self.path(folder)?.join(OsStr::from_bytes(&name[..end])))
    }

    fn file(&self, said: &[u8]) -> Result<&File, Errno> {
        self.files.get(&u64_at(said, 0)).ok_or(Errno::BADF)
    }

    fn entry(&mut self, path: &Path) -> Result<Vec<u8>, Errno> {
        let metadata = fs::symlink_metadata(path).map_err(|error| errno(&error))?;
        let next = &mut self.next;
        let node = *self.nodes.entry(path.to_owned()).or_insert_with(|| {
            *next += 1;
            *next
        });
        self.paths.insert(node, path.to_owned());
        // Nothing is known for any time: it is asked for anew.
        let mut entry = node.to_ne_bytes().to_vec();
        entry.extend([0; 32]);
        entry.extend(attributes(&metadata));
        Ok(entry)
    }

    fn attributes(&self, node: u64) -> Result<Vec<u8>, Errno> {
        let metadata = fs::symlink_metadata(self.path(node)?).map_err(|error| errno(&error))?;
        Ok([vec![0; 16], attributes(&metadata)].concat())
    }

    /// Times and owners stay as they are: nobody here depends on them.
    fn set(&self, node: u64, said: &[u8]) -> Result<Vec<u8>, Errno> {
        let (what, path) = (u32_at(said, 0), self.path(node)?);
        if what & SET_SIZE != 0 {
            let file = OpenOptions::new().write(true).open(path).map_err(|error| errno(&error))?;
            file.set_len(u64_at(said, 16)).map_err(|error| errno(&error))?;
        }
        if what & SET_MODE != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(u32_at(said, 68) & 0o7777))
                .map_err(|error| errno(&error))?;
        }
        self.attributes(node)
    }

    fn open(&mut self, node: u64, said: &[u8]) -> Result<Vec<u8>, Errno> {
        let flags = u32_at(said, 0);
        // Where something goes is decided by the kernel, at the end of a file, too.
        let opened = OpenOptions::new()
            .read(flags & ACCESS_MODE != 1)
            .write(flags & ACCESS_MODE != 0)
            .custom_flags(flags.cast_signed() & TRUNCATE)
            .open(self.path(node)?);
        Ok(self.keep(opened.map_err(|error| errno(&error))?))
    }

    fn create(&mut self, folder: u64, said: &[u8]) -> Result<Vec<u8>, Errno> {
        let path = self.child(folder, &said[16..])?;
        let created = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(u32_at(said, 0).cast_signed() & TRUNCATE != 0)
            .mode(u32_at(said, 4) & 0o7777)
            .open(&path);
        let opened = self.keep(created.map_err(|error| errno(&error))?);
        Ok([self.entry(&path)?, opened].concat())
    }

    /// The number of an open file, as it is answered.
    fn keep(&mut self, file: File) -> Vec<u8> {
        self.next += 1;
        self.files.insert(self.next, file);
        [self.next.to_ne_bytes(), [0; 8]].concat()
    }

    fn rename(&mut self, from: u64, to: u64, names: &[u8]) -> Result<Vec<u8>, Errno> {
        let end = names.iter().position(|byte| *byte == 0).ok_or(Errno::INVAL)?;
        let (from, to) = (self.child(from, names)?, self.child(to, &names[end + 1..])?);
        fs::rename(&from, &to).map_err(|error| errno(&error))?;
        self.nodes.remove(&to);
        if let Some(node) = self.nodes.remove(&from) {
            self.nodes.insert(to.clone(), node);
            self.paths.insert(node, to);
        }
        Ok(Vec::new())
    }

    fn read(&self, said: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; u32_at(said, 16) as usize];
        let mut length = 0;
        while length < bytes.len() {
            match self
                .file(said)?
                .read_at(&mut bytes[length..], u64_at(said, 8) + length as u64)
                .map_err(|error| errno(&error))?
            {
                0 => break,
                count => length += count,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    fn write(&self, said: &[u8]) -> Result<Vec<u8>, Errno> {
        let length = u32_at(said, 16);
        self.file(said)?
            .write_all_at(&said[40..40 + length as usize], u64_at(said, 8))
            .map_err(|error| errno(&error))?;
        Ok([length.to_ne_bytes(), [0; 4]].concat())
    }

    /// Names from an offset on, which is how many there were before; as many as there is room for.
    fn list(&self, node: u64, said: &[u8]) -> Result<Vec<u8>, Errno> {
        let (offset, room) = (u64_at(said, 8), u32_at(said, 16) as usize);
        let entries = fs::read_dir(self.path(node)?).map_err(|error| errno(&error))?.flatten();
        let mut names: Vec<(OsString, u64)> =
            entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.ino()))).collect();
        names.sort();
        let mut list = Vec::new();
        for (number, (name, inode)) in (1_u64..).zip(names).skip(usize::try_from(offset).unwrap()) {
            let name = name.as_bytes();
            let padding = name.len().next_multiple_of(8) - name.len();
            if list.len() + 24 + name.len() + padding > room {
                break;
            }
            list.extend(inode.to_ne_bytes());
            list.extend(number.to_ne_bytes());
            list.extend(u32::try_from(name.len()).unwrap().to_ne_bytes());
            // Of a kind that is asked for if it matters.
            list.extend([0; 4]);
            list.extend(name);
            list.extend(vec![0; padding]);
        }
        Ok(list)
    }
}

/// Whether a request is for something that the fault does not let happen.
fn changes(request: &Request<'_>, fault: Fault) -> bool {
    match request.kind {
        kind::SETATTR | kind::MKDIR | kind::UNLINK | kind::RMDIR => true,
        kind::RENAME | kind::RENAME2 | kind::WRITE | kind::CREATE => true,
        kind::OPEN => u32_at(request.said, 0) & ACCESS_MODE != 0,
        // There is nothing to be written on what is read-only.
        kind::FSYNC => fault == Fault::Broken,
        _ => false,
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// `struct fuse_init_out`: version 7.31, and nothing but what has to be said.
fn init() -> Vec<u8> {
    let mut said = vec![0; 64];
    said[..4].copy_from_slice(&7_u32.to_ne_bytes());
    said[4..8].copy_from_slice(&31_u32.to_ne_bytes());
    said[20..24].copy_from_slice(&WRITE_BYTES_MAX.to_ne_bytes());
    said
}

/// `struct fuse_attr`.
fn attributes(metadata: &Metadata) -> Vec<u8> {
    let mut said = Vec::with_capacity(88);
    for number in [metadata.ino(), metadata.size(), metadata.blocks()] {
        said.extend(number.to_ne_bytes());
    }
    for seconds in [metadata.atime(), metadata.mtime(), metadata.ctime()] {
        said.extend(seconds.to_ne_bytes());
    }
    for nanoseconds in [metadata.atime_nsec(), metadata.mtime_nsec(), metadata.ctime_nsec()] {
        said.extend(u32::try_from(nanoseconds).unwrap().to_ne_bytes());
    }
    let links = u32::try_from(metadata.nlink()).unwrap();
    for number in [metadata.mode(), links, metadata.uid(), metadata.gid(), 0, 4096, 0] {
        said.extend(number.to_ne_bytes());
    }
    said
}

/// `struct fuse_statfs_out`: room for everything.
fn plenty() -> Vec<u8> {
    let mut said: Vec<u8> = [1_u64 << 24; 5].iter().flat_map(|number| number.to_ne_bytes()).collect();
    said.extend([4096_u32, 255, 4096, 0].iter().flat_map(|number| number.to_ne_bytes()));
    said.extend([0; 24]);
    said
}
