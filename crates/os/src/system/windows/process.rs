//! One process, told from all others by its number and when it started.

use std::io;
use std::os::windows::io::OwnedHandle;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use windows_sys::Win32::Foundation::{FILETIME, STATUS_CONTROL_C_EXIT, WAIT_OBJECT_0};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::SystemInformation::GetSystemDirectoryW;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetExitCodeProcess, GetProcessHandleCount, GetProcessTimes, OpenProcess,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, QueryFullProcessImageNameW, TerminateProcess,
    WaitForSingleObject,
};

use crate::event::Exit;
use crate::signal::platform::{KILL, TERMINATE};
use crate::win32::{checked, narrow, owned, raw, size_of_u32, ticks};

/// The exit code of what the guard kills: what shells on other systems say of a process killed so.
const KILLED: u32 = 0xC0DE_0009;
/// A tick of the system's clocks, in nanoseconds.
const TICK_NS: u64 = 100;

/// The longest path that is told, in UTF-16 units.
const PATH_MAX: usize = 1024;

/// What is needed to look after a process.
pub(crate) const TO_WATCH: u32 = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;

/// A process, if there is one of this number that may be opened so.
pub(crate) fn open(pid: u32, rights: u32) -> Option<OwnedHandle> {
    // SAFETY: the call takes numbers.
    owned(unsafe { OpenProcess(rights, 0, pid) }).ok()
}

/// When a process started: with its number, what tells it from all others.
pub(crate) fn start_time_of(process: &OwnedHandle) -> Option<u64> {
    times(process).map(|times| times.started)
}

/// What times a process has.
#[derive(Debug, Clone, Copy)]
struct Times {
    started: u64,
    cpu: Duration,
}

fn times(process: &OwnedHandle) -> Option<Times> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: all four are there to be written to.
    checked(unsafe { GetProcessTimes(raw(process), created, exited, kernel, user) }).ok()?;
    let cpu = Duration::from_nanos((ticks(*kernel) + ticks(*user)).saturating_mul(TICK_NS));
    Some(Times { started: ticks(*created), cpu })
}

/// Processor time it has used.
pub(super) fn cpu(process: &OwnedHandle) -> Duration {
    times(process).map_or(Duration::ZERO, |times| times.cpu)
}

/// Memory that is its own, in bytes.
pub(super) fn memory_bytes(process: &OwnedHandle) -> u64 {
    let mut found = PROCESS_MEMORY_COUNTERS::default();
    // SAFETY: the structure is there to be written to, and as long as is said.
    let answer =
        unsafe { K32GetProcessMemoryInfo(raw(process), &raw mut found, size_of_u32::<PROCESS_MEMORY_COUNTERS>()) };
    if answer == 0 { 0 } else { found.WorkingSetSize as u64 }
}

/// How many handles it has open.
pub(super) fn handles(process: &OwnedHandle) -> u64 {
    let mut count = 0;
    // SAFETY: the number is there to be written to.
    let answer = unsafe { GetProcessHandleCount(raw(process), &raw mut count) };
    if answer == 0 { 0 } else { count.into() }
}

/// Whether it has ended.
pub(crate) fn has_ended(process: &OwnedHandle) -> bool {
    // SAFETY: the handle is open.
    unsafe { WaitForSingleObject(raw(process), 0) == WAIT_OBJECT_0 }
}

/// Whether it is what the system itself starts for the console of a program, and ends with it.
pub(super) fn is_console_host(pid: u32) -> bool {
    let path = open(pid, TO_WATCH).and_then(|process| path_of(&process));
    path.is_some_and(|path| path.to_string_lossy().eq_ignore_ascii_case(&CONSOLE_HOST.to_string_lossy()))
}

static CONSOLE_HOST: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut folder = [0_u16; PATH_MAX];
    let room = u32::try_from(folder.len()).unwrap_or(0);
    // SAFETY: there is as much room as is said.
    unsafe { GetSystemDirectoryW(folder.as_mut_ptr(), room) };
    PathBuf::from(narrow(&folder)).join("conhost.exe")
});

fn path_of(process: &OwnedHandle) -> Option<PathBuf> {
    let mut path = [0_u16; PATH_MAX];
    let mut length = u32::try_from(path.len()).ok()?;
    // SAFETY: there is as much room as is said.
    checked(unsafe { QueryFullProcessImageNameW(raw(process), 0, path.as_mut_ptr(), &raw mut length) }).ok()?;
    Some(narrow(&path).into())
}

/// How it ended.
pub(super) fn exit_of(process: &OwnedHandle) -> Exit {
    let mut code = 0;
    // SAFETY: the number is there to be written to.
    match checked(unsafe { GetExitCodeProcess(raw(process), &raw mut code) }) {
        Ok(()) if code == KILLED => Exit::Signal(KILL),
        // Ctrl-Break, and nobody in the program handled it.
        Ok(()) if code == STATUS_CONTROL_C_EXIT.cast_unsigned() => Exit::Signal(TERMINATE),
        Ok(()) => Exit::Code(code.cast_signed()),
        Err(_) => Exit::Unknown,
    }
}

/// Kills it at once.
pub(super) fn kill(process: &OwnedHandle) -> io::Result<()> {
    // SAFETY: the handle is open.
    checked(unsafe { TerminateProcess(raw(process), KILLED) })
}

/// Kills this process.
pub(super) fn kill_self() {
    // SAFETY: the handle stands for this process.
    unsafe { TerminateProcess(GetCurrentProcess(), KILLED) };
}

/// The exit code of what is killed.
pub(super) const fn killed() -> u32 {
    KILLED
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn processor_time_and_memory_are_counted_in_the_units_they_are_told_in() {
        const USED: Duration = Duration::from_millis(200);
        let own = open(std::process::id(), TO_WATCH).unwrap();
        let (before, begun) = (cpu(&own), Instant::now());
        while cpu(&own) < before + USED {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", cpu(&own));
        }
        let used = cpu(&own).saturating_sub(before);
        // Other tests of this process use it, too: what is too much by far is in other units.
        assert!(used < Duration::from_secs(5), "{used:?} within {:?}", begun.elapsed());

        let before = memory_bytes(&own);
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        let more = memory_bytes(&own).saturating_sub(before);
        assert!(more > (60 << 20) && more < (300 << 20), "{more} more with {}", held.len());
    }
}
