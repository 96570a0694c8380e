//! Being a service.
//!
//! The manager starts a process, which connects to it ([`run`]). Then it has the process run the service, on a thread of its
//! own, tells it what it is asked ([`hear`]), and is told how it is ([`Reporter`]). A process is one service here, as
//! `SERVICE_WIN32_OWN_PROCESS` says.

use std::ffi::{OsString, c_void};
use std::io;
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_CALL_NOT_IMPLEMENTED, ERROR_FAILED_SERVICE_CONTROLLER_CONNECT, ERROR_SERVICE_CANNOT_ACCEPT_CTRL,
    ERROR_SERVICE_SPECIFIC_ERROR, NO_ERROR,
};
use windows_sys::Win32::System::RemoteDesktop::WTSSESSION_NOTIFICATION;
use windows_sys::Win32::System::Services::{
    RegisterServiceCtrlHandlerExW, SERVICE_ACCEPT_PARAMCHANGE, SERVICE_ACCEPT_PAUSE_CONTINUE,
    SERVICE_ACCEPT_POWEREVENT, SERVICE_ACCEPT_PRESHUTDOWN, SERVICE_ACCEPT_SESSIONCHANGE, SERVICE_ACCEPT_SHUTDOWN,
    SERVICE_ACCEPT_STOP, SERVICE_CONTINUE_PENDING, SERVICE_CONTROL_CONTINUE, SERVICE_CONTROL_INTERROGATE,
    SERVICE_CONTROL_PARAMCHANGE, SERVICE_CONTROL_PAUSE, SERVICE_CONTROL_POWEREVENT, SERVICE_CONTROL_PRESHUTDOWN,
    SERVICE_CONTROL_SESSIONCHANGE, SERVICE_CONTROL_SHUTDOWN, SERVICE_CONTROL_STOP, SERVICE_PAUSE_PENDING,
    SERVICE_PAUSED, SERVICE_RUNNING, SERVICE_START_PENDING, SERVICE_STATUS, SERVICE_STATUS_HANDLE,
    SERVICE_STOP_PENDING, SERVICE_STOPPED, SERVICE_TABLE_ENTRYW, SERVICE_WIN32_OWN_PROCESS, SetServiceStatus,
    StartServiceCtrlDispatcherW,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    PBT_APMPOWERSTATUSCHANGE, PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMESUSPEND, PBT_APMSUSPEND,
};

use crate::service::State;
use crate::text::{os_text, wide};

/// What a service does, with the arguments of its start; the first is its name.
pub type Body = Box<dyn FnOnce(Vec<OsString>) + Send>;
/// What is done with what it is asked. It is called on a thread of the manager's and must not wait.
pub type Listener = Box<dyn Fn(Asked) -> Answer + Send + Sync>;

/// What a service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To end.
    Stop,
    /// To end, because the machine goes down.
    Shutdown,
    /// To end, because the machine is about to go down.
    Preshutdown,
    /// To do nothing, but to stay.
    Pause,
    /// To go on.
    Continue,
    /// To read its configuration again.
    ParamChange,
    /// A user's session changed: which, and how by the numbers of Windows (`WTS_…`).
    Session {
        /// Which.
        id: u32,
        /// How.
        change: u32,
    },
    /// The machine's power changed.
    Power(Power),
}

/// How the machine's power changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It is about to be suspended.
    Suspending,
    /// It goes on after a suspension.
    Resumed,
    /// Mains or battery, or how much is left of it.
    StatusChanged,
    /// Something else.
    Other,
}

/// What a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It does so.
    Yes,
    /// It cannot, now.
    Busy,
}

/// What a service wants to be asked, besides to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// To pause and continue.
    Pause,
    /// To read its configuration again.
    ParamChange,
    /// Changes of users' sessions.
    Sessions,
    /// Changes of the machine's power.
    Power,
}

/// How a service says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Its state.
    pub state: State,
    /// What it ended with; 0 is well, and anything else a code of its own.
    pub exit: u32,
    /// It grows with each step of a change of state.
    pub checkpoint: u32,
    /// The next step comes within this.
    pub wait_hint: Duration,
}

/// Whether the manager started this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It did, and the service has ended.
    ByManager,
    /// It did not, and nothing was run.
    BySomebodyElse,
}

static BODY: Mutex<Option<Body>> = Mutex::new(None);
static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Runs a service in this process, if the manager started it; it returns once the service has said that it is stopped.
///
/// # Errors
/// When the manager cannot be connected to although it started this process, or the process is a service already.
pub fn run(name: &str, body: Body) -> io::Result<Started> {
    let mut name = wide(name)?;
    *BODY.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    let entry = SERVICE_TABLE_ENTRYW { lpServiceName: name.as_mut_ptr(), lpServiceProc: Some(service_main) };
    let table = [entry, SERVICE_TABLE_ENTRYW::default()];
    // SAFETY: the table ends with an entry of nulls, and the name with a zero.
    if unsafe { StartServiceCtrlDispatcherW(table.as_ptr()) } != 0 {
        return Ok(Started::ByManager);
    }
    let error = io::Error::last_os_error();
    BODY.lock().unwrap_or_else(PoisonError::into_inner).take();
    if crate::manager::is(&error, ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
        Ok(Started::BySomebodyElse)
    } else {
        Err(error)
    }
}

/// Has what the manager asks go to the listener from now on, and says how the manager is told of the service.
///
/// # Errors
/// When the manager did not start this process, or something listens already.
pub fn hear(name: &str, listener: Listener) -> io::Result<Reporter> {
    let name = wide(name)?;
    LISTENER.set(listener).map_err(|_| io::Error::other("something listens already"))?;
    // SAFETY: the name ends with a zero; the handler needs no context.
    let handle = unsafe { RegisterServiceCtrlHandlerExW(name.as_ptr(), Some(handler), ptr::null()) };
    if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Reporter(handle)) }
}

/// Tells the manager how the service is.
#[derive(Debug, Clone, Copy)]
pub struct Reporter(SERVICE_STATUS_HANDLE);

// SAFETY: the handle is a number to the manager, which takes it from any thread; it is never closed.
unsafe impl Send for Reporter {}
// SAFETY: as above.
unsafe impl Sync for Reporter {}

impl Reporter {
    /// Says how the service is. What it accepts counts while it runs and is paused; in between it is asked nothing.
    ///
    /// # Errors
    /// When the manager does not take it.
    pub fn report(&self, now: &Now, accepts: &[Accepts]) -> io::Result<()> {
        let (exit, specific) = if now.exit == 0 { (NO_ERROR, 0) } else { (ERROR_SERVICE_SPECIFIC_ERROR, now.exit) };
        let status = SERVICE_STATUS {
            dwServiceType: SERVICE_WIN32_OWN_PROCESS,
            dwCurrentState: number_of(now.state),
            dwControlsAccepted: accepted(now.state, accepts),
            dwWin32ExitCode: exit,
            dwServiceSpecificExitCode: specific,
            dwCheckPoint: now.checkpoint,
            dwWaitHint: u32::try_from(now.wait_hint.as_millis()).unwrap_or(u32::MAX),
        };
        // SAFETY: the handle is the manager's, and the status is whole.
        crate::service::succeeded(unsafe { SetServiceStatus(self.0, &raw const status) })
    }
}

fn accepted(state: State, accepts: &[Accepts]) -> u32 {
    let always = SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN | SERVICE_ACCEPT_PRESHUTDOWN;
    let one = |accepts: &Accepts| match accepts {
        Accepts::Pause => SERVICE_ACCEPT_PAUSE_CONTINUE,
        Accepts::ParamChange => SERVICE_ACCEPT_PARAMCHANGE,
        Accepts::Sessions => SERVICE_ACCEPT_SESSIONCHANGE,
        Accepts::Power => SERVICE_ACCEPT_POWEREVENT,
    };
    match state {
        State::Running | State::Paused => accepts.iter().map(one).fold(always, |all, one| all | one),
        State::Stopped | State::StartPending | State::StopPending | State::ContinuePending | State::PausePending => 0,
    }
}

const fn number_of(state: State) -> u32 {
    match state {
        State::Stopped => SERVICE_STOPPED,
        State::StartPending => SERVICE_START_PENDING,
        State::StopPending => SERVICE_STOP_PENDING,
        State::Running => SERVICE_RUNNING,
        State::ContinuePending => SERVICE_CONTINUE_PENDING,
        State::PausePending => SERVICE_PAUSE_PENDING,
        State::Paused => SERVICE_PAUSED,
    }
}

/// The manager calls it on a thread of its own, once.
extern "system" fn service_main(count: u32, arguments: *mut *mut u16) {
    let arguments = (0..count as usize)
        // SAFETY: the manager gives so many texts, each with a zero at its end.
        .map(|index| unsafe { os_text(*arguments.add(index)) })
        .collect();
    let body = BODY.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = body {
        body(arguments);
    }
}

/// The manager calls it for everything it asks, one after the other.
extern "system" fn handler(control: u32, kind: u32, data: *mut c_void, _context: *mut c_void) -> u32 {
    let asked = match control {
        // The manager knows what it was told last.
        SERVICE_CONTROL_INTERROGATE => return NO_ERROR,
        SERVICE_CONTROL_STOP => Asked::Stop,
        SERVICE_CONTROL_SHUTDOWN => Asked::Shutdown,
        SERVICE_CONTROL_PRESHUTDOWN => Asked::Preshutdown,
        SERVICE_CONTROL_PAUSE => Asked::Pause,
        SERVICE_CONTROL_CONTINUE => Asked::Continue,
        SERVICE_CONTROL_PARAMCHANGE => Asked::ParamChange,
        SERVICE_CONTROL_SESSIONCHANGE if !data.is_null() => {
            let notification: *const WTSSESSION_NOTIFICATION = data.cast();
            // SAFETY: with this control the data is this structure.
            Asked::Session { id: unsafe { (*notification).dwSessionId }, change: kind }
        }
        SERVICE_CONTROL_POWEREVENT => Asked::Power(match kind {
            PBT_APMSUSPEND => Power::Suspending,
            PBT_APMRESUMEAUTOMATIC | PBT_APMRESUMESUSPEND => Power::Resumed,
            PBT_APMPOWERSTATUSCHANGE => Power::StatusChanged,
            _ => Power::Other,
        }),
        _ => return ERROR_CALL_NOT_IMPLEMENTED,
    };
    match LISTENER.get().map(|listener| listener(asked)) {
        Some(Answer::Yes) => NO_ERROR,
        Some(Answer::Busy) | None => ERROR_SERVICE_CANNOT_ACCEPT_CTRL,
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::System::Services::SERVICE_CONTROL_NETBINDADD;
    use windows_sys::Win32::UI::WindowsAndMessaging::{PBT_POWERSETTINGCHANGE, WTS_SESSION_LOCK};

    use super::*;

    static HEARD: Mutex<Vec<Asked>> = Mutex::new(Vec::new());

    fn ask(control: u32, kind: u32, data: *mut c_void) -> u32 {
        handler(control, kind, data, ptr::null_mut())
    }

    fn heard() -> Vec<Asked> {
        std::mem::take(&mut *HEARD.lock().unwrap())
    }

    /// One test, for a process has one listener.
    #[test]
    fn what_the_manager_asks_reaches_the_listener_as_it_was_meant() {
        let none = ptr::null_mut();
        assert_eq!(ask(SERVICE_CONTROL_STOP, 0, none), ERROR_SERVICE_CANNOT_ACCEPT_CTRL, "nobody listens yet");
        let listener = |asked| {
            HEARD.lock().unwrap().push(asked);
            if asked == Asked::Pause { Answer::Busy } else { Answer::Yes }
        };
        assert!(LISTENER.set(Box::new(listener)).is_ok());
        for (control, asked) in [
            (SERVICE_CONTROL_STOP, Asked::Stop),
            (SERVICE_CONTROL_SHUTDOWN, Asked::Shutdown),
            (SERVICE_CONTROL_PRESHUTDOWN, Asked::Preshutdown),
            (SERVICE_CONTROL_CONTINUE, Asked::Continue),
            (SERVICE_CONTROL_PARAMCHANGE, Asked::ParamChange),
        ] {
            assert_eq!((ask(control, 0, none), heard()), (NO_ERROR, vec![asked]), "{control}");
        }
        assert_eq!(ask(SERVICE_CONTROL_PAUSE, 0, none), ERROR_SERVICE_CANNOT_ACCEPT_CTRL, "it cannot now");
        assert_eq!(heard(), [Asked::Pause]);

        let mut session = WTSSESSION_NOTIFICATION { cbSize: 8, dwSessionId: 7 };
        let data = (&raw mut session).cast();
        assert_eq!(ask(SERVICE_CONTROL_SESSIONCHANGE, WTS_SESSION_LOCK, data), NO_ERROR);
        assert_eq!(heard(), [Asked::Session { id: 7, change: WTS_SESSION_LOCK }]);
        for (kind, power) in [
            (PBT_APMSUSPEND, Power::Suspending),
            (PBT_APMRESUMEAUTOMATIC, Power::Resumed),
            (PBT_APMRESUMESUSPEND, Power::Resumed),
            (PBT_APMPOWERSTATUSCHANGE, Power::StatusChanged),
            (PBT_POWERSETTINGCHANGE, Power::Other),
        ] {
            assert_eq!((ask(SERVICE_CONTROL_POWEREVENT, kind, none), heard()), (NO_ERROR, vec![Asked::Power(power)]));
        }

        assert_eq!(ask(SERVICE_CONTROL_INTERROGATE, 0, none), NO_ERROR);
        assert_eq!(ask(SERVICE_CONTROL_SESSIONCHANGE, WTS_SESSION_LOCK, none), ERROR_CALL_NOT_IMPLEMENTED);
        assert_eq!(ask(SERVICE_CONTROL_NETBINDADD, 0, none), ERROR_CALL_NOT_IMPLEMENTED);
        assert_eq!(heard(), [], "none of these is anything to be asked");
    }

    #[test]
    fn a_service_accepts_what_it_wants_to_hear_and_always_to_end() {
        let end = SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN | SERVICE_ACCEPT_PRESHUTDOWN;
        let all = [Accepts::Pause, Accepts::ParamChange, Accepts::Sessions, Accepts::Power];
        let each = SERVICE_ACCEPT_PAUSE_CONTINUE
            | SERVICE_ACCEPT_PARAMCHANGE
            | SERVICE_ACCEPT_SESSIONCHANGE
            | SERVICE_ACCEPT_POWEREVENT;
        for state in [State::Running, State::Paused] {
            assert_eq!(accepted(state, &[]), end, "{state:?}");
            assert_eq!(accepted(state, &all), end | each, "{state:?}");
            assert_eq!(accepted(state, &[Accepts::Sessions]), end | SERVICE_ACCEPT_SESSIONCHANGE, "{state:?}");
        }
        // In between nothing can be asked, and of one that has stopped nothing at all.
        for state in
            [State::Stopped, State::StartPending, State::StopPending, State::ContinuePending, State::PausePending]
        {
            assert_eq!(accepted(state, &all), 0, "{state:?}");
        }
    }
}
