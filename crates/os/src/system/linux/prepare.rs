//! Everything a child needs, made ready before it is born: between its birth and its exec it may not allocate.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::child::ExecFailure;
use crate::account::Identity;
use crate::error::context;
use crate::output::Descriptor;
use crate::program::{Input, Output, Program};
use crate::tree::Mark;

/// Where programs are searched when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the guard itself was started with and must not hand on, or must hand on as it was.
#[derive(Debug)]
pub(super) struct Inherited {
    /// Open files as they were before the guard asked for more.
    files: Rlimit,
    /// Signals that are ignored in the guard; a program must not inherit that.
    pub ignored_signals: Vec<i32>,
    /// The highest limit of real-time computing that may be set.
    realtime_max: u64,
    pub null: Arc<OwnedFd>,
}

impl Inherited {
    /// Looks, and asks for more open files: the guard needs a handful for each service.
    pub(super) fn take() -> io::Result<Self> {
        let files = getrlimit(Resource::Nofile);
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        let null = null.map_err(io::Error::from).map_err(context("opening /dev/null"))?;
        let realtime_max = getrlimit(Resource::Rttime).maximum.unwrap_or(libc::RLIM_INFINITY);
        let inherited = Self { files, ignored_signals: ignored_signals(), realtime_max, null: Arc::new(null) };
        inherited.ask_for_more();
        Ok(inherited)
    }

    /// Asks for as many open files as the guard may have.
    pub(super) fn ask_for_more(&self) {
        // Less is enough for fewer services.
        let Rlimit { maximum, .. } = self.files;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }

    /// Takes back what was asked for, for the next program of this process.
    pub(super) fn give_back(&self) {
        // It was so before, so it can be so again.
        let _ = setrlimit(Resource::Nofile, self.files);
    }
}

/// Which signals are ignored now.
fn ignored_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(1 << (libc::SIGPIPE - 1));
    (1..=64).filter(|signal| mask & 1 << (signal - 1) != 0).collect()
}

/// A program ready to be executed.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Files to try, in order.
    pub candidates: Vec<CString>,
    pub arguments: Vec<CString>,
    pub environment: Vec<CString>,
    /// More of its environment: the child writes its own number into these.
    pub own_pid: Vec<OwnPid>,
    pub directory: CString,
    pub identity: Option<Identity>,
    pub umask: Option<u32>,
    pub nice: Option<i32>,
    pub files: (u64, u64),
    /// The mark as a limit, to which the child adds its own number, and the highest such limit.
    pub mark: (u64, u64),
    pub ignored_signals: Vec<i32>,
    pub failure: ExecFailure,
}

/// What a child is given beside: open until it is born.
#[derive(Debug)]
pub(super) struct Given {
    /// Become 0, 1, 2, 3, … in the child; all of them are higher than the last of these.
    pub descriptors: Vec<Kept>,
    /// Files of version-1 cgroups to write `0` into.
    pub entries: Vec<File>,
    /// The end from which the tail of its output is read.
    pub tail: Option<OwnedFd>,
}

impl Given {
    /// All that the child is handed, the program's first.
    pub(super) fn all(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.descriptors.iter().map(AsFd::as_fd).chain(self.entries.iter().map(AsFd::as_fd))
    }

    /// The first number that is not one of the program's.
    pub(super) fn first_free(&self) -> RawFd {
        first_free(self.descriptors.len())
    }
}

fn first_free(descriptors: usize) -> RawFd {
    RawFd::try_from(descriptors).unwrap_or(RawFd::MAX)
}

#[derive(Debug)]
pub(super) enum Kept {
    Own(OwnedFd),
    Shared(Arc<OwnedFd>),
    Given(Arc<Descriptor>),
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(descriptor) => descriptor.as_fd(),
            Self::Shared(descriptor) => descriptor.as_fd(),
            Self::Given(descriptor) => descriptor.0.as_fd(),
        }
    }
}

/// A variable whose value is the number of the process that it is handed to, which only the child itself knows. It is the child
/// that writes it, into memory that was made before: what could be written to by anybody is atomic.
#[derive(Debug)]
pub(super) struct OwnPid {
    /// As C has it: the name, `=`, the digits and a null.
    text: Box<[AtomicU8]>,
    /// Where the digits begin.
    begin: usize,
}

impl OwnPid {
    /// Room for the number of any process.
    const ROOM: &str = "0000000000";

    fn new(name: &OsStr) -> io::Result<Self> {
        let text = variable(name, OsStr::new(Self::ROOM))?.into_bytes_with_nul();
        let begin = text.len() - 1 - Self::ROOM.len();
        Ok(Self { text: text.into_iter().map(AtomicU8::new).collect(), begin })
    }

    /// As an exec takes it.
    pub(super) fn as_ptr(&self) -> *const c_char {
        self.text.as_ptr().cast()
    }

    /// Gives it this value, without a zero before it: C reads a number that begins with one as an octal one.
    pub(super) fn set(&self, number: usize) {
        let mut left = number;
        let digits = std::iter::from_fn(|| {
            let digit = u8::try_from(left % 10).ok().filter(|_| left > 0)?;
            left /= 10;
            Some(b'0' + digit)
        });
        // No process has a number of more digits; nothing is allocated here, for it is done between fork and exec.
        let mut value = [0; Self::ROOM.len()];
        let mut count = 0;
        for (place, digit) in value.iter_mut().zip(digits) {
            *place = digit;
            count += 1;
        }
        let value = value.iter().take(count).rev().chain([&0]);
        for (place, byte) in self.text.iter().skip(self.begin).zip(value) {
            place.store(*byte, Ordering::Relaxed);
        }
    }
}

impl Prepared {
    pub(super) fn new(
        program: &Program,
        inherited: &Inherited,
        mark: &Mark,
        entries: Vec<File>,
    ) -> io::Result<(Self, Given)> {
        let name = program
            .command
            .first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
        let (kept, tail) = descriptors(program, inherited)?;
        let first_free = first_free(kept.len());
        let descriptors = kept.into_iter().map(|kept| kept.above(first_free)).collect::<io::Result<Vec<_>>>()?;
        let (environment, own_pid) = environment(program, mark)?;
        let limit = |limit: Option<u64>| limit.unwrap_or(libc::RLIM_INFINITY);
        let files = program.files.map_or((limit(inherited.files.current), limit(inherited.files.maximum)), |files| {
            (files, files.max(limit(inherited.files.maximum).min(files)))
        });
        let prepared = Self {
            candidates: candidates(name, &program.environment)?,
            arguments: program.command.iter().map(|word| c_string(word)).collect::<io::Result<_>>()?,
            environment,
            own_pid,
            directory: c_string(program.directory.as_os_str())?,
            identity: program.identity.clone(),
            umask: program.umask,
            nice: program.nice,
            files,
            mark: (mark.limit(), inherited.realtime_max),
            ignored_signals: inherited.ignored_signals.clone(),
            failure: ExecFailure {
                program: name.to_string_lossy().into_owned(),
                directory: program.directory.display().to_string(),
            },
        };
        Ok((prepared, Given { descriptors, entries, tail }))
    }
}

/// The descriptors of a child in order, and the end to read the tail of its output from.
fn descriptors(program: &Program, inherited: &Inherited) -> io::Result<(Vec<Kept>, Option<OwnedFd>)> {
    let null = || Kept::Shared(Arc::clone(&inherited.null));
    let input = match &program.input {
        Input::Null => null(),
        Input::Bytes(bytes) => Kept::Own(crate::memory::platform::file("stdin", bytes)?),
    };
    let mut tail = None;
    let mut kept = match &program.output {
        Output::Null => vec![input, null(), null()],
        Output::To { stdout, stderr } => vec![input, Kept::Given(Arc::clone(stdout)), Kept::Given(Arc::clone(stderr))],
        Output::Tail => {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&read, true)?;
            tail = Some(read);
            let write = Arc::new(write);
            vec![input, Kept::Shared(Arc::clone(&write)), Kept::Shared(write)]
        }
    };
    kept.extend(program.passed.iter().map(|(_, descriptor)| Kept::Given(Arc::clone(descriptor))));
    Ok((kept, tail))
}

/// The same descriptor under a number that is not one of the child's.
pub(super) fn above(descriptor: OwnedFd, first_free: RawFd) -> io::Result<OwnedFd> {
    Ok(another_above(descriptor.as_fd(), first_free)?.unwrap_or(descriptor))
}

/// None if it has such a number.
fn another_above(descriptor: BorrowedFd<'_>, first_free: RawFd) -> io::Result<Option<OwnedFd>> {
    let is_above = descriptor.as_raw_fd() >= first_free;
    Ok(if is_above { None } else { Some(rustix::io::fcntl_dupfd_cloexec(descriptor, first_free)?) })
}

impl Kept {
    fn above(self, first_free: RawFd) -> io::Result<Self> {
        Ok(another_above(self.as_fd(), first_free)?.map_or(self, Self::Own))
    }
}

/// As an exec takes them: the last is null.
pub(super) fn pointers(words: &[CString]) -> Vec<*const c_char> {
    ending_with_null(words.iter().map(|word| word.as_ptr()))
}

/// The same of words that are pointers already.
pub(super) fn ending_with_null(words: impl Iterator<Item = *const c_char>) -> Vec<*const c_char> {
    words.chain([ptr::null()]).collect()
}

fn environment(program: &Program, mark: &Mark) -> io::Result<(Vec<CString>, Vec<OwnPid>)> {
    let mut environment: Vec<CString> =
        program.environment.iter().map(|(name, value)| variable(name, value)).collect::<io::Result<_>>()?;
    if let Some(variable) = mark.variable() {
        environment.push(c_string(OsStr::new(variable))?);
    }
    let mut own_pid_names: Vec<&OsStr> = program.own_pid.iter().map(OsString::as_os_str).collect();
    if !program.passed.is_empty() {
        let names: Vec<&str> = program.passed.iter().map(|(name, _)| name.as_str()).collect();
        environment.push(c_string(OsStr::new(&format!("LISTEN_FDS={}", program.passed.len())))?);
        environment.push(c_string(OsStr::new(&format!("LISTEN_FDNAMES={}", names.join(":"))))?);
        own_pid_names.push(OsStr::new("LISTEN_PID"));
    }
    let own_pid = own_pid_names.into_iter().map(OwnPid::new).collect::<io::Result<_>>()?;
    Ok((environment, own_pid))
}

pub(super) fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = OsString::from(name);
    text.push("=");
    text.push(value);
    c_string(&text)
}

/// The files a name may mean.
fn candidates(name: &OsStr, environment: &[(OsString, OsString)]) -> io::Result<Vec<CString>> {
    if name.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(name)?]);
    }
    let path =
        environment.iter().rev().find(|(key, _)| key == "PATH").map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| c_string(folder.join(name).as_os_str()))
        .collect()
}

pub(super) fn c_string(text: &OsStr) -> io::Result<CString> {
    let bytes = text.to_owned().into_vec();
    CString::new(bytes).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("'{}' contains a NUL byte", text.to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_takes_the_number_of_any_process_and_again_another() {
        let variable = OwnPid::new(OsStr::new("LISTEN_PID")).unwrap();
        for number in [4_194_304, 1, 10, 4_294_967_295] {
            variable.set(number);
            let bytes: Vec<u8> = variable.text.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
            let text = std::ffi::CStr::from_bytes_until_nul(&bytes).unwrap();
            assert_eq!(text.to_str().unwrap(), format!("LISTEN_PID={number}"));
        }
    }
}
