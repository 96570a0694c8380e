//! Processes, told apart by their start times: a signal from a test never hits a process that merely has the same number.

use std::fmt;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    start: u64,
}

/// What the threads of a process that live have done so far.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How often they were woken after they had waited for something.
    pub wake_ups: u64,
    /// How long they have been on a processor.
    pub computed: Duration,
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    parent: u32,
    start: u64,
}

impl Process {
    /// The process that has this number now.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start: stat.start })
    }

    /// The process that has this number now.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self::find(pid).unwrap_or_else(|| panic!("there is no process {pid}"))
    }

    /// Whether it is there and not merely waiting to be reaped.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.stat().is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
    }

    /// Whether it is stopped by a signal.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stat().is_some_and(|stat| stat.state == 'T')
    }

    /// The name it has given itself, or that of its program; nothing if it is gone.
    #[must_use]
    pub fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim_end().to_owned()
    }

    /// Its program with its arguments; nothing if it is gone.
    #[must_use]
    pub fn command(&self) -> String {
        let command = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ")
    }

    /// What it has done so far.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn effort(&self) -> Effort {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap().flatten().map(|entry| entry.path());
        let mut effort = Effort { wake_ups: 0, computed: Duration::ZERO };
        for thread in threads {
            // A thread may end while it is looked at.
            let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
            let wake_ups = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            effort.wake_ups += wake_ups.map_or(0, |count| count.trim().parse::<u64>().unwrap());
            let computed = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            let computed = computed.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            effort.computed += Duration::from_nanos(computed);
        }
        effort
    }

    /// Sends it a signal; `false` if it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return false };
        // From here on the descriptor means one process, whatever happens to the number.
        self.stat().is_some() && pidfd_send_signal(pidfd.as_fd(), signal).is_ok()
    }

    /// Kills it; one that is gone already is as it should be.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Its descendants, however far removed; not those whose parents are gone.
    #[must_use]
    pub fn descendants(&self) -> Vec<Self> {
        let all: Vec<(u32, Stat)> = all_pids().into_iter().filter_map(|pid| Some((pid, stat(pid)?))).collect();
        let mut tree = vec![self.pid];
        let mut looked_at = 0;
        while let Some(parent) = tree.get(looked_at).copied() {
            tree.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
            looked_at += 1;
        }
        let start = |pid: u32| all.iter().find(|(known, _)| *known == pid).map(|(_, stat)| stat.start);
        tree[1..].iter().filter_map(|pid| Some(Self { pid: *pid, start: start(*pid)? })).collect()
    }

    fn stat(&self) -> Option<Stat> {
        stat(self.pid).filter(|stat| stat.start == self.start)
    }
}

impl fmt::Debug for Process {
    /// With what it says of itself, which is what one wants to know of a process that should not be there.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command();
        write!(formatter, "{} ({})", self.pid, if self.lives() { command } else { "gone".to_owned() })
    }
}

/// Every process that was started in a bed, directly or not: it is in a cgroup of the bed's guard, carries its mark, works
/// in the bed's folder or has a file of it open.
pub(crate) fn of_bed(instance: &str, folder: &Path) -> Vec<Process> {
    let me = std::process::id();
    let belongs = |pid: &u32| *pid != me && belongs_to(*pid, instance, folder);
    all_pids().into_iter().filter(belongs).filter_map(Process::find).filter(Process::lives).collect()
}

fn belongs_to(pid: u32, instance: &str, folder: &Path) -> bool {
    let proc = Path::new("/proc").join(pid.to_string());
    let holds = |file: &str, needle: &str| {
        let bytes = fs::read(proc.join(file)).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    let leads_here = |link: &Path| fs::read_link(link).is_ok_and(|target| target.starts_with(folder));
    let has_open = || {
        let open = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
        open.into_iter().any(|entry| leads_here(&entry.path()))
    };
    holds("cgroup", &format!("/menshen.{instance}@"))
        || holds("environ", &format!("MENSHEN_RUN={instance}@"))
        || leads_here(&proc.join("cwd"))
        || has_open()
}

fn all_pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// `pid (name) state parent …`; the name may hold anything, so what counts comes after the last `)`.
fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // The 22nd of all.
    let start = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, start })
}
