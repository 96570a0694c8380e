//! What is asked of the guard by its console, and by the end of the session: Ctrl-C, Ctrl-Break, a closed window, a shutdown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT, FreeConsole,
    SetConsoleCtrlHandler,
};

use super::port::{Port, Source};
use crate::event::Ask;

/// When a handler returns from one of these, the system ends the process; it does so anyway after a while.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(3600);

/// Who is told; before there is anybody, what was asked waits.
static HEARD: Mutex<Heard> = Mutex::new(Heard { port: None, waiting: Vec::new() });

struct Heard {
    port: Option<Arc<Port>>,
    waiting: Vec<Ask>,
}

/// From now on nothing that is asked ends this process by itself.
pub(super) fn listen() {
    // SAFETY: the handler is a function that stays. It is added once more each time, and called until one answers.
    unsafe { SetConsoleCtrlHandler(Some(heard), 1) };
}

/// From now on this port is told.
pub(super) fn tell(port: &Arc<Port>) {
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    heard.port = Some(Arc::clone(port));
    if !heard.waiting.is_empty() {
        port.post(Source::Asked, 0);
    }
}

/// What was asked.
pub(super) fn take() -> Vec<Ask> {
    std::mem::take(&mut HEARD.lock().unwrap_or_else(PoisonError::into_inner).waiting)
}

unsafe extern "system" fn heard(event: u32) -> i32 {
    let ask = match event {
        CTRL_C_EVENT => Ask::Interrupt,
        CTRL_BREAK_EVENT | CTRL_SHUTDOWN_EVENT => Ask::Terminate,
        CTRL_CLOSE_EVENT => Ask::Hangup,
        // Somebody has logged off, not necessarily whoever runs the guard; a guard in a window is closed as well.
        CTRL_LOGOFF_EVENT => return 1,
        _ => return 0,
    };
    {
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        heard.waiting.push(ask);
        if let Some(port) = &heard.port {
            port.post(Source::Asked, 0);
        }
    }
    if matches!(event, CTRL_CLOSE_EVENT | CTRL_SHUTDOWN_EVENT) {
        // A thread of its own; the guard ends the process when it is done.
        std::thread::sleep(AS_LONG_AS_IT_TAKES);
    }
    1
}

/// Leaves the console: Ctrl-C there, and its end, no longer reach this process.
pub(super) fn leave() {
    // SAFETY: a process without a console has left it already.
    unsafe { FreeConsole() };
}
