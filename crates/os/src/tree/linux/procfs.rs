//! What `/proc` tells of a process.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::time::Duration;
use std::{fs, io};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::time::{ClockId, clock_gettime};

use crate::error::is_shortage;
use crate::event::Exit;

const SECOND_NS: u64 = 1_000_000_000;

/// A process at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub parent: u32,
    pub session: u32,
    /// When it started, in clock ticks since boot: with the pid, what tells it from any other process of this boot.
    pub start: u64,
    pub state: char,
    pub threads: u32,
}

/// A process, if it is there.
pub(crate) fn process(pid: u32) -> Option<Process> {
    look(pid).ok().flatten()
}

/// A process, if it is there. An error if one cannot look now.
pub(crate) fn look(pid: u32) -> io::Result<Option<Process>> {
    let stat = read(pid, "stat")?;
    Ok(stat.and_then(|stat| parse_stat(&String::from_utf8_lossy(&stat))))
}

/// What a file of a process says; nothing if it is gone, or keeps that to itself. An error if one cannot look now: that must
/// not be taken for its being gone.
fn read(pid: u32, file: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(format!("/proc/{pid}/{file}")) {
        Err(error) if is_shortage(&error) => Err(error),
        read => Ok(read.ok()),
    }
}

/// When a process started.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    process(pid).map(|process| process.start)
}

/// Nanoseconds since the machine started, with the time it was suspended: by this clock the kernel notes when a process starts.
pub(crate) fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, rest) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(SECOND_NS).saturating_add(rest)
}

/// When a process started that was born between two instants by [`boot_ns`], if that is certain. The
/// kernel keeps what was ever asked of a process in `/proc`, and has to look for it when that is reaped: of those whose start
/// is certain nothing need be asked.
pub(crate) fn start_between(before_ns: u64, after_ns: u64) -> Option<u64> {
    /// Two looks at one clock, one from outside the kernel and one from within, may differ by this.
    const DIFFERENCE_NS: u64 = 1_000;
    let tick_ns = SECOND_NS / rustix::param::clock_ticks_per_second().max(1);
    let earliest = before_ns.saturating_sub(DIFFERENCE_NS) / tick_ns;
    let latest = after_ns.saturating_add(DIFFERENCE_NS) / tick_ns;
    (earliest == latest).then_some(earliest)
}

/// Whether the process of this number that started then is there, be it waiting to be reaped. An error if one cannot look now.
pub(crate) fn is_there(pid: u32, start: u64) -> io::Result<bool> {
    Ok(look(pid)?.is_some_and(|process| process.start == start))
}

/// Whether the process of this number that started then is there, and not merely waiting to be reaped. What cannot be looked at
/// now is not gone.
pub(crate) fn lives(pid: u32, start: u64) -> bool {
    let lives = |process: Process| process.start == start && !matches!(process.state, 'Z' | 'X');
    look(pid).map_or(true, |process| process.is_some_and(lives))
}

/// What a process is and does, for people: `cat, uninterruptible in request_wait_answer`. Where it hangs is told to those who
/// may know.
pub(crate) fn describe(pid: u32) -> String {
    let text = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default().trim().to_owned();
    let doing = match process(pid).map(|process| process.state) {
        Some('D') => match text("wchan").as_str() {
            "" | "0" => ", uninterruptible".to_owned(),
            function => format!(", uninterruptible in {function}"),
        },
        Some('T' | 't') => ", stopped".to_owned(),
        Some('Z') => ", zombie".to_owned(),
        Some(_) | None => String::new(),
    };
    format!("{}{doing}", text("comm"))
}

/// Whether a process does nothing until it is told to go on, or is gone. One that waits in the kernel and has been told to stop
/// counts: it stops before its next instruction, which may never come, as when the child it waits for was stopped between
/// `vfork` and `exec`.
pub(crate) fn is_stopped(pid: u32) -> bool {
    match process(pid).map(|process| process.state) {
        Some('T' | 't') | None => true,
        Some('D') => has_pending(pid, libc::SIGSTOP),
        Some(_) => false,
    }
}

/// Whether a signal to a process as a whole waits for it.
fn has_pending(pid: u32, signal: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let pending = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("ShdPnd:")?.trim(), 16).ok());
    pending.is_some_and(|pending| pending & 1 << (signal - 1) != 0)
}

/// How a process ended that nobody has reaped yet. The kernel tells it to those who may trace the process; to others it shows
/// a zero, which must not be taken for an exit code.
pub(crate) fn zombie_exit(pid: u32) -> Option<Exit> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let is_zombie = parse_stat(&stat)?.state == 'Z';
    let status: i32 = stat.trim_end().rsplit(' ').next()?.parse().ok()?;
    (is_zombie && (status != 0 || may_trace(pid))).then(|| Exit::from_wait_status(status))
}

/// Whether the kernel shows all of a process. By the very same rule it shows which namespace of users a process is in, also of
/// one that waits to be reaped; where there are no such namespaces, root sees everything.
fn may_trace(pid: u32) -> bool {
    match fs::read_link(format!("/proc/{pid}/ns/user")) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound && rustix::process::geteuid().is_root(),
    }
}

/// Every process there is, as each was when its turn came.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) processes: BTreeMap<u32, Process>,
    /// Some that were listed were gone when their turn came.
    pub(crate) some_vanished: bool,
}

/// Looks at every process there is. An error if one cannot look now.
pub(crate) fn snapshot() -> io::Result<Snapshot> {
    let mut snapshot = Snapshot { processes: BTreeMap::new(), some_vanished: false };
    for_each(|pid| {
        match look(pid)? {
            Some(process) => drop(snapshot.processes.insert(pid, process)),
            None => snapshot.some_vanished = true,
        }
        Ok(())
    })?;
    Ok(snapshot)
}

/// Goes through the numbers of all processes there are. An error if one cannot look now.
pub(crate) fn for_each(mut look: impl FnMut(u32) -> io::Result<()>) -> io::Result<()> {
    /// A few are listed at once, and looked at before the next are: what lives for a moment is seldom missed.
    const LIST_BYTES: usize = 1024;
    let folder = rustix::fs::open("/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut room = [const { MaybeUninit::uninit() }; LIST_BYTES];
    let mut list = RawDir::new(folder, &mut room);
    while let Some(entry) = list.next() {
        if let Some(pid) = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok()) {
            look(pid)?;
        }
    }
    Ok(())
}

/// `pid (name) state parent group session …`; the name may hold anything, so what counts comes after the last `)`.
fn parse_stat(stat: &str) -> Option<Process> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(13)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    Some(Process { parent, session, start, state, threads })
}

/// Whether the environment a process was started with has this variable, as far as that may be read. An error if one cannot
/// look now.
pub(crate) fn has_variable(pid: u32, variable: &[u8]) -> io::Result<bool> {
    let environment = read(pid, "environ")?.unwrap_or_default();
    Ok(environment.split(|byte| *byte == 0).any(|entry| entry == variable))
}

/// The environment a process was started with, as far as it has not written over it; nothing if it may not be read. An error if
/// one cannot look now.
pub(crate) fn environment(pid: u32) -> io::Result<Option<Vec<u8>>> {
    read(pid, "environ")
}

/// The limit that carries the mark of a run (see `mark`), in microseconds; nothing if there is no limit. An error if one
/// cannot look now.
pub(crate) fn realtime_limit(pid: u32) -> io::Result<Option<u64>> {
    match limit_by_call(pid) {
        Ok(limit) => Ok(limit),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        // Of somebody else's process only the file tells, which is written anew for each look.
        Err(_) => Ok(read(pid, "limits")?.and_then(|limits| parse_realtime_limit(&String::from_utf8_lossy(&limits)))),
    }
}

#[expect(unsafe_code, reason = "no crate reads a limit of another process without setting it")]
fn limit_by_call(pid: u32) -> io::Result<Option<u64>> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nothing is set, and what is read goes into `limit`.
    let result = unsafe { libc::prlimit64(pid, libc::RLIMIT_RTTIME, std::ptr::null(), &raw mut limit) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Some(limit.rlim_cur).filter(|limit| *limit != libc::RLIM64_INFINITY))
}

fn parse_realtime_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Resident memory in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok();
    let pages: u64 = pages.and_then(|text| text.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

/// Processor time so far, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    // The first number is the time on a processor; see Documentation/scheduler/sched-stats.rst.
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Processor time so far of all threads of a process, and of its children that it has reaped.
pub(crate) fn cpu_with_children(pid: u32) -> Duration {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = parse_cpu_ticks(&String::from_utf8_lossy(&stat)).unwrap_or(0);
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}

/// Of user and system, each of the process and of its children.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let times: Vec<u64> = fields.skip(11).take(4).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(times.into_iter().sum())
}

/// Open file descriptors.
pub(crate) fn files(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64)
}

/// The cgroup v2 path of a process, as the kernel shows it to the reader.
pub(crate) fn cgroup_path(pid: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_brackets_and_blanks_is_no_trouble() {
        let stat = "7 (a) b (c) S 1 7 5 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 12345 1 1";
        let process = parse_stat(stat).unwrap();
        assert_eq!(process, Process { parent: 1, session: 5, start: 12345, state: 'S', threads: 3 });
    }

    #[test]
    fn processor_time_is_that_of_the_process_and_its_children() {
        let stat = "7 (a) b (c) S 1 7 5 0 -1 4194560 1 0 0 0 11 12 13 14 20 0 3 0 12345 1 1";
        assert_eq!(parse_cpu_ticks(stat), Some(50));
        assert_eq!(parse_cpu_ticks("7 (a) S 1"), Some(0));
    }

    #[test]
    fn this_very_process_is_in_the_snapshot() {
        let me = std::process::id();
        let found = snapshot().unwrap().processes[&me];
        assert_eq!(Some(found.start), start_time(me));
        assert!(resident_bytes(me) > 0 && files(me) >= 3 && cpu_ns(me) > 0);
    }

    #[test]
    fn a_start_that_is_certain_is_what_the_kernel_says() {
        const TRIES_MAX: usize = 1_000;
        let mut certain = 0;
        for _ in 0..TRIES_MAX {
            let before = boot_ns();
            let mut sleeper = std::process::Command::new("sleep");
            let mut child = sleeper.arg("60").spawn().unwrap();
            let start = start_between(before, boot_ns());
            let told = start_time(child.id());
            child.kill().and_then(|()| child.wait()).unwrap();
            if start.is_some() {
                assert_eq!(start, told);
                certain += 1;
            }
            if certain == 20 {
                return;
            }
        }
        panic!("of {TRIES_MAX} starts {certain} were certain");
    }

    #[test]
    fn a_start_is_not_certain_where_a_tick_may_have_ended() {
        const MS: u64 = 1_000_000;
        assert_eq!(start_between(1_000 * MS, 1_001 * MS), None, "the clocks may differ");
        assert_eq!(start_between(1_001 * MS, 1_009 * MS), Some(100));
        assert_eq!(start_between(1_009 * MS, 1_011 * MS), None);
        assert_eq!(start_between(1_001 * MS, 1_010 * MS), None);
    }

    #[test]
    fn a_limit_is_the_same_by_a_call_and_by_the_file() {
        let by_file = |pid: u32| parse_realtime_limit(&fs::read_to_string(format!("/proc/{pid}/limits")).unwrap());
        let mut limited = std::process::Command::new("prlimit");
        let mut child = limited.args(["--rttime=123456789:123456789", "sleep", "60"]).spawn().unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while by_file(child.id()).is_none() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        let (by_call, by_file) = (limit_by_call(child.id()).unwrap(), by_file(child.id()));
        child.kill().and_then(|()| child.wait()).unwrap();
        assert_eq!((by_call, by_file), (Some(123_456_789), Some(123_456_789)));
        assert_eq!(limit_by_call(std::process::id()).unwrap(), None);
        assert_eq!(realtime_limit(child.id()).unwrap(), None, "it is gone");
    }

    /// A child of this user, or of its own, that has ended with this code and waits to be reaped.
    fn zombie(user: Option<u32>, code: i32) -> std::process::Child {
        use std::os::unix::process::CommandExt as _;
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("exit {code}")]);
        if let Some(user) = user {
            shell.uid(user).gid(user);
        }
        let child = shell.spawn().unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while process(child.id()).unwrap().state != 'Z' {
            assert!(std::time::Instant::now() < end, "it does not end");
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn the_end_of_what_waits_to_be_reaped_is_known_to_its_own_user_and_to_no_other() {
        const NOBODY: u32 = 65_534;
        let own = [zombie(None, 0), zombie(None, 3)];
        assert_eq!(own.each_ref().map(|child| zombie_exit(child.id())), [0, 3].map(|code| Some(Exit::Code(code))));
        if rustix::process::geteuid().is_root() {
            let others = [zombie(Some(NOBODY), 0), zombie(Some(NOBODY), 3)];
            let [ended, failed] = others.each_ref().map(std::process::Child::id);
            let of_root = own[0].id();
            let seen = std::thread::spawn(move || {
                // Of this thread alone: the others go on as root.
                let (user, group) = (rustix::process::Uid::from_raw(NOBODY), rustix::process::Gid::from_raw(NOBODY));
                rustix::thread::set_thread_res_gid(group, group, group).unwrap();
                rustix::thread::set_thread_res_uid(user, user, user).unwrap();
                [ended, failed, of_root].map(zombie_exit)
            });
            assert_eq!(seen.join().unwrap(), [Some(Exit::Code(0)), Some(Exit::Code(3)), None]);
            for mut child in others {
                child.wait().unwrap();
            }
        }
        for mut child in own {
            child.wait().unwrap();
        }
    }

    #[test]
    fn text_that_is_no_stat_is_passed_over() {
        for text in ["", "1", "1 (a", "1 (a)", "1 (a) S", "1 (a) S x"] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }
}
