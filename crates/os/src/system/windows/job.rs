//! A program's tree: a Job Object, which every process it starts is born into and cannot leave. Its name outlives the guard as
//! long as anybody has it open; the program itself has, and so has the holder.

use std::collections::HashSet;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, HWND, LPARAM};
use windows_sys::Win32::System::JobObjects::{
    CreateJobObjectW, IsProcessInJob, JOB_OBJECT_CPU_RATE_CONTROL_ENABLE, JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP,
    JOB_OBJECT_LIMIT_JOB_MEMORY, JOBOBJECT_ASSOCIATE_COMPLETION_PORT, JOBOBJECT_BASIC_ACCOUNTING_INFORMATION,
    JOBOBJECT_BASIC_PROCESS_ID_LIST, JOBOBJECT_CPU_RATE_CONTROL_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JOBOBJECTINFOCLASS, JobObjectAssociateCompletionPortInformation, JobObjectBasicAccountingInformation,
    JobObjectBasicProcessIdList, JobObjectCpuRateControlInformation, JobObjectExtendedLimitInformation, OpenJobObjectW,
    QueryInformationJobObject, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::SystemServices::JOB_OBJECT_QUERY;
use windows_sys::Win32::System::Threading::{PROCESS_QUERY_INFORMATION, PROCESS_SUSPEND_RESUME, PROCESS_TERMINATE};
use windows_sys::Win32::UI::WindowsAndMessaging::{EnumWindows, GetWindowThreadProcessId, PostMessageW, WM_CLOSE};
use windows_sys::core::BOOL;

use super::port::{Port, Source, key};
use super::process;
use crate::usage::{Enforced, Limits};
use crate::win32::{checked, owned, raw, size_of_u32, wide};

/// More processes than this in one tree are not listed.
const LISTED_MAX: usize = 16_384;
/// Everything one can do with a job (`JOB_OBJECT_ALL_ACCESS`).
const ALL_RIGHTS: u32 = 0x001F_003F;
/// How often a tree is looked through for processes that were born while it was being suspended.
const ROUNDS_MAX: u32 = 32;
/// Of what the rate of a job's processor time is counted in: all processors of the machine.
const RATE_WHOLE: f64 = 10_000.0;

/// See the module.
#[derive(Debug)]
pub(super) struct Job {
    handle: OwnedHandle,
    /// Whether the port is told of it. A job that had another port before may not be.
    pub(super) is_told: bool,
}

/// Which processes of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    All,
    AllBut(u32),
    Only(u32),
}

impl Members {
    const fn has(self, pid: u32) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(other) => pid != other,
            Self::Only(one) => pid == one,
        }
    }
}

impl Job {
    /// The job of this name: a new one, or what an earlier guard made.
    pub(super) fn make(name: &str, port: &Port, number: u64) -> io::Result<Self> {
        let name = wide(name);
        // SAFETY: the name ends with a zero.
        let handle = owned(unsafe { CreateJobObjectW(ptr::null(), name.as_ptr()) })?;
        Ok(Self::told_to(handle, port, number))
    }

    /// The job of this name, if there is one.
    pub(super) fn find(name: &str) -> Option<OwnedHandle> {
        let name = wide(name);
        // SAFETY: the name ends with a zero.
        owned(unsafe { OpenJobObjectW(ALL_RIGHTS, 0, name.as_ptr()) }).ok()
    }

    /// Has a port told what happens in a job.
    pub(super) fn told_to(handle: OwnedHandle, port: &Port, number: u64) -> Self {
        let class = JobObjectAssociateCompletionPortInformation;
        let none =
            JOBOBJECT_ASSOCIATE_COMPLETION_PORT { CompletionKey: ptr::null_mut(), CompletionPort: ptr::null_mut() };
        let ours = JOBOBJECT_ASSOCIATE_COMPLETION_PORT {
            CompletionKey: key(Source::Job, number) as *mut _,
            CompletionPort: port.handle(),
        };
        // What an earlier guard had told is told no more; a system that does not know how to forget it says so.
        let is_told = set(&handle, class, &ours).or_else(|_| {
            set(&handle, class, &none)?;
            set(&handle, class, &ours)
        });
        Self { handle, is_told: is_told.is_ok() }
    }

    pub(super) const fn handle(&self) -> &OwnedHandle {
        &self.handle
    }

    /// What a program may know of its own job, to keep its name.
    pub(super) const HEIRS_RIGHTS: u32 = JOB_OBJECT_QUERY;

    /// The processes that are in it now, but for what the system itself has started for their console.
    pub(super) fn members(&self) -> Vec<u32> {
        members(&self.handle)
    }

    /// Whether nothing lives in it, but perhaps this one process, which has ended.
    pub(super) fn is_empty_but(&self, ended: u32) -> bool {
        self.members().iter().all(|pid| *pid == ended)
    }

    /// Whether a process is in it.
    pub(super) fn contains(&self, pid: u32) -> bool {
        // Some systems want more than what the documentation asks for.
        let opened = process::open(pid, PROCESS_QUERY_INFORMATION).or_else(|| process::open(pid, process::TO_WATCH));
        let Some(process) = opened else { return false };
        let mut is_member: BOOL = 0;
        // SAFETY: both handles are open, and the answer is there to be written to.
        let answer = unsafe { IsProcessInJob(raw(&process), raw(&self.handle), &raw mut is_member) };
        answer != 0 && is_member != 0
    }

    /// Kills everything in it at once.
    pub(super) fn kill(&self) {
        kill(&self.handle);
    }

    /// Kills some of it, each by itself.
    pub(super) fn kill_members(&self, which: Members) {
        for pid in self.members().into_iter().filter(|pid| which.has(*pid)) {
            let opened = process::open(pid, PROCESS_TERMINATE | process::TO_WATCH);
            // Its number may be another's by now.
            if let Some(process) = opened.filter(|_| self.contains(pid)) {
                let _ = process::kill(&process);
            }
        }
    }

    /// Asks the windows of some of it to close.
    pub(super) fn close_windows(&self, which: Members) {
        let pids: HashSet<u32> = self.members().into_iter().filter(|pid| which.has(*pid)).collect();
        if !pids.is_empty() {
            // SAFETY: the set lives until the call returns, which calls back before it does.
            unsafe { EnumWindows(Some(close_if_ours), (&raw const pids) as LPARAM) };
        }
    }

    /// Suspends everything in it, whatever is born meanwhile.
    pub(super) fn suspend(&self) -> io::Result<()> {
        let mut suspended = HashSet::new();
        for _ in 0..ROUNDS_MAX {
            let new: Vec<u32> = self.members().into_iter().filter(|pid| !suspended.contains(pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                suspended.insert(pid);
                self.each(pid, |process| {
                    // SAFETY: the handle is open.
                    unsafe { NtSuspendProcess(raw(process)) }
                })?;
            }
        }
        Err(io::Error::other("its processes multiply faster than they can be suspended"))
    }

    /// Lets everything in it go on.
    pub(super) fn resume(&self) -> io::Result<()> {
        for pid in self.members() {
            self.each(pid, |process| {
                // SAFETY: the handle is open.
                unsafe { NtResumeProcess(raw(process)) }
            })?;
        }
        Ok(())
    }

    /// Does something with one of its processes. One that has ended meanwhile needs nothing done.
    fn each(&self, pid: u32, act: impl FnOnce(&OwnedHandle) -> i32) -> io::Result<()> {
        let opened = process::open(pid, PROCESS_SUSPEND_RESUME | process::TO_WATCH);
        let Some(process) = opened.filter(|_| self.contains(pid)) else { return Ok(()) };
        let status = act(&process);
        if status >= 0 || process::has_ended(&process) {
            return Ok(());
        }
        Err(io::Error::other(format!("process {pid} refuses (status {:#x})", status.cast_unsigned())))
    }

    /// Sets what it may use. Says what the system sees to; it counts processes and not threads, so tasks are the caller's.
    pub(super) fn limit(&self, limits: &Limits) -> Enforced {
        limit(&self.handle, limits)
    }

    /// Processor time of everything that is or was in it, where the system counts it; else of what is.
    pub(super) fn cpu(&self) -> Duration {
        let counted =
            query::<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION>(&self.handle, JobObjectBasicAccountingInformation);
        let counted = counted.map_or(0, |counted| counted.TotalUserTime + counted.TotalKernelTime);
        if counted > 0 {
            return Duration::from_nanos(counted.unsigned_abs().saturating_mul(100));
        }
        self.opened().map(|process| process::cpu(&process)).sum()
    }

    /// Its processes, as far as they may be looked at.
    pub(super) fn opened(&self) -> impl Iterator<Item = OwnedHandle> {
        self.members().into_iter().filter_map(|pid| process::open(pid, process::TO_WATCH))
    }
}

/// What of this the system would see to, by a job that nothing is ever in.
pub(super) fn enforced(limits: &Limits) -> Enforced {
    // SAFETY: nothing is given, neither permissions nor a name.
    match owned(unsafe { CreateJobObjectW(ptr::null(), ptr::null()) }) {
        Ok(job) => limit(&job, limits),
        Err(_) => Enforced {
            memory: limits.memory_bytes.is_none(),
            cpu: limits.cpu_cores.is_none(),
            tasks: limits.tasks.is_none(),
        },
    }
}

fn limit(job: &OwnedHandle, limits: &Limits) -> Enforced {
    let set_memory = set(job, JobObjectExtendedLimitInformation, &memory_limit(limits));
    let set_cpu = set(job, JobObjectCpuRateControlInformation, &cpu_limit(limits));
    Enforced {
        memory: limits.memory_bytes.is_none() || set_memory.is_ok(),
        cpu: limits.cpu_cores.is_none() || set_cpu.is_ok(),
        tasks: limits.tasks.is_none(),
    }
}

/// Without a limit, what takes away the one before. Nothing here lets a process leave the job.
fn memory_limit(limits: &Limits) -> JOBOBJECT_EXTENDED_LIMIT_INFORMATION {
    let mut memory = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    if let Some(bytes) = limits.memory_bytes {
        memory.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_JOB_MEMORY;
        memory.JobMemoryLimit = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    memory
}

/// The same for processor time.
fn cpu_limit(limits: &Limits) -> JOBOBJECT_CPU_RATE_CONTROL_INFORMATION {
    let mut cpu = JOBOBJECT_CPU_RATE_CONTROL_INFORMATION::default();
    if let Some(cores) = limits.cpu_cores {
        cpu.ControlFlags = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
        let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        let rate = (cores / processors * RATE_WHOLE).clamp(1.0, RATE_WHOLE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was clamped")]
        let rate = rate as u32;
        cpu.Anonymous.CpuRate = rate;
    }
    cpu
}

/// Kills everything in a job at once.
pub(super) fn kill(job: &OwnedHandle) {
    // SAFETY: the handle is open. A job with nothing in it is as it should be.
    unsafe { TerminateJobObject(raw(job), process::killed()) };
}

/// The processes that are in a job now, but for what the system itself has started for their console.
pub(super) fn members(job: &OwnedHandle) -> Vec<u32> {
    let mut members = everybody(job);
    members.retain(|pid| !process::is_console_host(*pid));
    members
}

fn everybody(job: &OwnedHandle) -> Vec<u32> {
    /// The two numbers before the list.
    const HEAD: usize = size_of::<JOBOBJECT_BASIC_PROCESS_ID_LIST>() / size_of::<usize>() - 1;
    let mut room = 64;
    loop {
        let mut list = vec![0_usize; HEAD + room];
        let length = u32::try_from(size_of_val(list.as_slice())).unwrap_or(u32::MAX);
        // SAFETY: there is as much room as is said, aligned as the structure is.
        let answer = unsafe {
            QueryInformationJobObject(
                raw(job),
                JobObjectBasicProcessIdList,
                list.as_mut_ptr().cast(),
                length,
                ptr::null_mut(),
            )
        };
        // SAFETY: the structure begins with two numbers, of which the second counts those that are listed.
        let (assigned, listed) = unsafe {
            let head = list.as_ptr().cast::<JOBOBJECT_BASIC_PROCESS_ID_LIST>();
            ((*head).NumberOfAssignedProcesses, (*head).NumberOfProcessIdsInList)
        };
        let (assigned, listed) = (usize::try_from(assigned).unwrap_or(0), usize::try_from(listed).unwrap_or(0));
        if (answer == 0 || assigned > listed) && room < LISTED_MAX && assigned > room {
            room = (assigned * 2).min(LISTED_MAX);
            continue;
        }
        return list[HEAD..].iter().take(listed).filter_map(|pid| u32::try_from(*pid).ok()).collect();
    }
}

fn set<T>(job: &OwnedHandle, class: JOBOBJECTINFOCLASS, value: &T) -> io::Result<()> {
    // SAFETY: the structure is the one of the class, and as long as is said.
    checked(unsafe { SetInformationJobObject(raw(job), class, (&raw const *value).cast(), size_of_u32::<T>()) })
}

fn query<T: Default>(job: &OwnedHandle, class: JOBOBJECTINFOCLASS) -> Option<T> {
    let mut value = T::default();
    // SAFETY: the structure is the one of the class, and as long as is said.
    let answer = unsafe {
        QueryInformationJobObject(raw(job), class, (&raw mut value).cast(), size_of_u32::<T>(), ptr::null_mut())
    };
    (answer != 0).then_some(value)
}

unsafe extern "system" fn close_if_ours(window: HWND, pids: LPARAM) -> BOOL {
    let mut pid = 0;
    // SAFETY: it is the set that `close_windows` gave, which lives on; a window that is gone has no process.
    unsafe {
        GetWindowThreadProcessId(window, &raw mut pid);
        if (*(pids as *const HashSet<u32>)).contains(&pid) {
            PostMessageW(window, WM_CLOSE, 0, 0);
        }
    }
    1
}

#[link(name = "ntdll")]
unsafe extern "system" {
    /// Suspends every thread of a process.
    fn NtSuspendProcess(process: HANDLE) -> i32;
    /// Takes one suspension back of every thread of a process.
    fn NtResumeProcess(process: HANDLE) -> i32;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Limits = Limits { memory_bytes: None, cpu_cores: None, tasks: None };

    #[test]
    fn a_limit_of_memory_is_the_whole_jobs_and_lets_nothing_leave_it() {
        let set = memory_limit(&Limits { memory_bytes: Some(64 << 20), ..NONE });
        let flags = set.BasicLimitInformation.LimitFlags;
        assert_eq!((flags, set.JobMemoryLimit), (JOB_OBJECT_LIMIT_JOB_MEMORY, 64 << 20));
        assert_eq!(memory_limit(&NONE).BasicLimitInformation.LimitFlags, 0, "the one before is taken away");
    }

    #[test]
    fn a_limit_of_processor_time_is_a_cap_in_ten_thousandths_of_the_machine() {
        let processors = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
        let set = |cores| cpu_limit(&Limits { cpu_cores: Some(cores), ..NONE });
        let rate = |cores| {
            // SAFETY: with these flags the number is the rate.
            unsafe { set(cores).Anonymous.CpuRate }
        };
        let flags = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
        assert_eq!((set(0.5).ControlFlags, rate(0.5)), (flags, 5000 / processors));
        assert_eq!((rate(1e-9), rate(4096.0)), (1, 10_000), "it stays what Windows takes");
        assert_eq!(cpu_limit(&NONE).ControlFlags, 0, "the one before is taken away");
    }

    #[test]
    fn what_the_system_does_not_see_to_is_known_before_anything_runs() {
        assert_eq!(enforced(&NONE), Enforced { memory: true, cpu: true, tasks: true });
        let all = Limits { memory_bytes: Some(64 << 20), cpu_cores: Some(0.5), tasks: Some(5) };
        // Wine knows no processor limit.
        assert_eq!(enforced(&all), Enforced { memory: true, cpu: false, tasks: false });
    }
}
