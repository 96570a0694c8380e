//! Signals come in; what the service says goes out by systemd's protocol, where somebody listens.

#[path = "unix/facts.rs"]
mod facts;
#[path = "unix/sockets.rs"]
pub(super) mod sockets;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::facts::Facts;
use super::door::{Ability, Asked, Door, Ended, Report};
use super::origin::Origin;
use super::request::StopReason;
use super::sockets::{Sockets, SocketsError};
use crate::service::manager::Scope;
use crate::service::managers::systemd::{self, StopCause};
use crate::service::name::ServiceName;
use crate::service::{readiness, told};

/// Set by systemd for the services of users.
const OF_USER: &str = "MANAGERPID";
/// A systemd that does not say so soon why it stops a service is not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Lives a life behind a door, and says how it ended.
pub(super) fn open(_name: &ServiceName, life: impl FnOnce(Arc<dyn Door>) -> Ended + Send + 'static) -> ExitCode {
    // Before anything else is opened or started: their numbers are fixed, and so is whose variables these are.
    let sockets = Mutex::new(Some(sockets::take()));
    let door = Unix { origin: facts::of(&found()), sockets };
    life(Arc::new(door)).into()
}

/// Says why a service ended that should not have, where its log is.
pub(super) fn complain(why: &str) {
    // Where nobody can hear it there is nobody to tell.
    let _ = writeln!(io::stderr(), "error: {why}");
}

fn found() -> Facts {
    let variable = |name: &str| std::env::var(name).ok();
    let parent = std::os::unix::process::parent_id();
    // Only Linux has such a file; elsewhere there is no systemd either.
    let parent_name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
    Facts {
        pid: std::process::id(),
        parent,
        parent_name: parent_name.trim_end().to_owned(),
        systemd_exec_pid: variable("SYSTEMD_EXEC_PID"),
        invocation_id: variable("INVOCATION_ID"),
        notify_socket: variable("NOTIFY_SOCKET").or_else(|| variable(readiness::VARIABLE)),
        xpc_service_name: variable("XPC_SERVICE_NAME"),
    }
}

#[derive(Debug)]
struct Unix {
    origin: Origin,
    /// Until they are given out.
    sockets: Mutex<Option<Result<Sockets, SocketsError>>>,
}

impl Door for Unix {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn tell(&self, report: &Report) {
        let usec = |time: Duration| NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
        let told = match report {
            Report::Ready => sd_notify::notify(&[NotifyState::Ready]).and(announce()),
            Report::Reloaded => sd_notify::notify(&[NotifyState::Ready]),
            Report::Status(text) => sd_notify::notify(&[NotifyState::Status(&one_line(text))]),
            Report::MoreTime(time) => sd_notify::notify(&[usec(*time)]),
            Report::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
            Report::Unwell => sd_notify::notify(&[NotifyState::WatchdogTrigger]),
            Report::Reloading => {
                NotifyState::monotonic_usec_now().and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now]))
            }
            Report::Pausing => sd_notify::notify(&[NotifyState::Status("pausing")]),
            Report::Paused => sd_notify::notify(&[NotifyState::Status("paused")]),
            Report::Continuing | Report::Continued => sd_notify::notify(&[NotifyState::Status("")]),
            Report::Stopping(time) if time.is_zero() => sd_notify::notify(&[NotifyState::Stopping]),
            Report::Stopping(time) => sd_notify::notify(&[NotifyState::Stopping, usec(*time)]),
        };
        // A manager that does not listen draws its own conclusions.
        drop(told);
    }

    fn start_arguments(&self) -> Vec<OsString> {
        Vec::new()
    }

    fn sockets(&self) -> Result<Sockets, SocketsError> {
        let taken = self.sockets.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| Ok(Sockets::default()))
    }

    fn watchdog(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    fn listen(&self, abilities: &[Ability], asked: mpsc::Sender<Asked>) -> io::Result<()> {
        self.hear_terminate(asked.clone())?;
        hear(SignalKind::interrupt(), Asked::Stop(StopReason::Interrupt), asked.clone())?;
        if abilities.contains(&Ability::Reload) {
            hear(SignalKind::hangup(), Asked::Reload, asked)
        } else if self.is_managed() {
            // The signal ends the process, as that of any program that does not know it.
            Ok(())
        } else {
            hear(SignalKind::hangup(), Asked::Stop(StopReason::Hangup), asked)
        }
    }
}

impl Unix {
    /// The signal says nothing of its reason; systemd can be asked what else it is doing.
    fn hear_terminate(&self, asked: mpsc::Sender<Asked>) -> io::Result<()> {
        if self.origin != Origin::Systemd {
            let reason = if self.is_managed() { StopReason::Manager } else { StopReason::Terminated };
            return hear(SignalKind::terminate(), Asked::Stop(reason), asked);
        }
        let mut signals = signal(SignalKind::terminate())?;
        let scope = if std::env::var_os(OF_USER).is_some() { Scope::User } else { Scope::System };
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let answer = tokio::task::spawn_blocking(move || systemd::stop_cause(scope));
                let cause = tokio::time::timeout(ANSWER_WITHIN, answer).await;
                let reason = reason_of(cause.ok().and_then(Result::ok).unwrap_or(StopCause::Unknown));
                if asked.send(Asked::Stop(reason)).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn is_managed(&self) -> bool {
        match self.origin {
            Origin::Systemd | Origin::Notified | Origin::Launchd | Origin::Scm | Origin::First => true,
            Origin::Interactive => false,
        }
    }
}

const fn reason_of(cause: StopCause) -> StopReason {
    match cause {
        StopCause::Shutdown => StopReason::Shutdown,
        StopCause::Dependency => StopReason::Dependency,
        StopCause::Operator => StopReason::Operator,
        StopCause::Unknown => StopReason::Manager,
    }
}

/// From now on a signal means this. Several that come at once are one, as the kernel has it.
fn hear(kind: SignalKind, means: Asked, asked: mpsc::Sender<Asked>) -> io::Result<()> {
    let mut signals = signal(kind)?;
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            if matches!(means, Asked::Stop(_)) {
                told::note();
            }
            if asked.send(means).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Says to s6 or dinit that this program is ready, if one of them has started it and wants to know.
fn announce() -> io::Result<()> {
    let Ok(descriptor) = std::env::var(readiness::VARIABLE) else { return Ok(()) };
    let descriptor: u32 = descriptor.parse().map_err(io::Error::other)?;
    let path = format!("/dev/fd/{descriptor}");
    // Whoever inherited the variable and has something else at that number writes into nothing.
    if !fs::metadata(&path)?.file_type().is_fifo() {
        return Ok(());
    }
    // It is opened anew by its name, so that nobody's is closed who has the number by mistake.
    match OpenOptions::new().write(true).open(&path) {
        Ok(mut pipe) => pipe.write_all(b"\n"),
        // The pipe is root's, and this program is not any more: a child has it without having to open it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Command::new("/bin/sh").args(["-c", &format!("echo >&{descriptor}")]).status().map(drop)
        }
        Err(error) => Err(error),
    }
}

/// The protocol's messages are lines.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
