//! What can be done on Windows alone: windows, consoles, jobs.

use std::io;
use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::ptr;

use menshen_os::system::{hold_signals, leave_terminal};
use windows_sys::Win32::System::Console::{
    CTRL_C_EVENT, GenerateConsoleCtrlEvent, GetConsoleWindow, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::{CREATE_BREAKAWAY_FROM_JOB, CREATE_NO_WINDOW};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CW_USEDEFAULT, CreateWindowExW, DispatchMessageW, GetMessageW, MSG, WM_CLOSE, WS_OVERLAPPEDWINDOW,
};

use super::{TICK, say, sleep};

/// What these words mean here; `None` for those that mean nothing.
pub(crate) fn act(words: &[&str]) -> Option<io::Result<ExitCode>> {
    Some(match *words {
        // Has a window, and no console where it would be asked; ends when the window is closed, and says so.
        ["window"] => window(),
        // Does these in a console of its own.
        ["console", ref words @ ..] => in_own_console(words),
        // Runs a program in the same console, and presses Ctrl-C there once there is this file.
        ["press", file, program, ref words @ ..] => press(Path::new(file), program, words),
        // Says what is seen of it, and where it is.
        ["self"] => tell_of_self(),
        // Starts a program that is not to be in its job.
        ["breakaway"] => break_away(),
        _ => return None,
    })
}

fn window() -> io::Result<ExitCode> {
    hold_signals();
    leave_terminal();
    let [class, title] = ["STATIC\0", "puppet\0"].map(|text| text.encode_utf16().collect::<Vec<u16>>());
    let (class, title, anywhere) = (class.as_ptr(), title.as_ptr(), CW_USEDEFAULT);
    // SAFETY: both texts end with a zero; everything else may be null.
    let window = unsafe {
        let (none, nothing) = (ptr::null_mut(), ptr::null_mut());
        CreateWindowExW(0, class, title, WS_OVERLAPPEDWINDOW, anywhere, 0, 1, 1, none, nothing, none, ptr::null())
    };
    if window.is_null() {
        return Err(io::Error::last_os_error());
    }
    say("ready")?;
    let mut message = MSG::default();
    // SAFETY: the message is there to be written to, and whole when it is passed on.
    while unsafe { GetMessageW(&raw mut message, ptr::null_mut(), 0, 0) } > 0 {
        if message.message == WM_CLOSE {
            say("asked to close")?;
            return Ok(ExitCode::SUCCESS);
        }
        // SAFETY: as above.
        unsafe { DispatchMessageW(&raw const message) };
    }
    Err(io::Error::last_os_error())
}

/// How it ended is how this ends.
fn in_own_console(words: &[&str]) -> io::Result<ExitCode> {
    let mut command = Command::new(std::env::current_exe()?);
    code_of(command.args(words).creation_flags(CREATE_NO_WINDOW).status()?.code())
}

fn press(file: &Path, program: &str, words: &[&str]) -> io::Result<ExitCode> {
    let mut child = Command::new(program).args(words).stdin(Stdio::null()).spawn()?;
    // SAFETY: null is no handler, but that this process hears no Ctrl-C; those it starts later would not either.
    succeeded(unsafe { SetConsoleCtrlHandler(None, 1) })?;
    while !file.exists() {
        std::thread::sleep(TICK);
    }
    // SAFETY: 0 is everything in this console.
    succeeded(unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) })?;
    code_of(child.wait()?.code())
}

fn code_of(code: Option<i32>) -> io::Result<ExitCode> {
    let code = code.and_then(|code| u8::try_from(code).ok());
    code.map(ExitCode::from).ok_or_else(|| io::Error::other("it ended with no small code"))
}

fn tell_of_self() -> io::Result<ExitCode> {
    // SAFETY: it takes nothing.
    let window = unsafe { GetConsoleWindow() };
    say(&format!("console window: {}", if window.is_null() { "none" } else { "one" }))?;
    say(&format!("in {}", std::env::current_dir()?.display()))?;
    sleep()
}

fn break_away() -> io::Result<ExitCode> {
    let mut command = Command::new(std::env::current_exe()?);
    match command.arg("stubborn").stdin(Stdio::null()).creation_flags(CREATE_BREAKAWAY_FROM_JOB).spawn() {
        Ok(child) => say(&format!("process {} is out", child.id()))?,
        Err(error) => say(&format!("refused: {:?}", error.kind()))?,
    }
    sleep()
}

fn succeeded(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
