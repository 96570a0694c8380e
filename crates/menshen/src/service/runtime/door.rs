//! What a platform brings: a door to whoever started the service.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;

use super::origin::Origin;
use super::request::{PowerEvent, SessionChange, StopReason};
use super::sockets::{Sockets, SocketsError};

/// What a service tells its manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It can be used.
    Ready,
    /// What it is doing, in one line.
    Status(String),
    /// What it is doing now takes at least this much longer.
    MoreTime(Duration),
    /// It is well.
    Alive,
    /// It is not well, and wants to be treated so.
    Unwell,
    /// It begins to read its configuration again.
    Reloading,
    /// It has read its configuration again.
    Reloaded,
    /// It begins to pause.
    Pausing,
    /// It is paused.
    Paused,
    /// It begins to go on.
    Continuing,
    /// It goes on.
    Continued,
    /// It begins to stop, and is ended after this long.
    Stopping(Duration),
}

/// What a manager asks of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Stop(StopReason),
    Reload,
    Pause,
    Continue,
    Session(SessionChange),
    Power(PowerEvent),
}

/// What the service wants to be asked. What it does not want the platform does not accept, and the manager refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ability {
    Reload,
    Pause,
    Sessions,
    Power,
}

/// At most so many things asked and not looked at. Who asks for more is answered that the service is busy.
pub(super) const ASKED_MAX: usize = 16;

/// A door to the manager.
pub(super) trait Door: fmt::Debug + Send + Sync + 'static {
    /// Who is behind it.
    fn origin(&self) -> Origin;

    /// Tells the manager something. One that does not listen draws its own conclusions.
    fn tell(&self, report: &Report);

    /// What the manager gave this start, besides the program's own arguments.
    fn start_arguments(&self) -> Vec<OsString>;

    /// What the manager has opened for the service; everything is given out at the first call.
    ///
    /// # Errors
    /// When what the manager says of them is not so.
    fn sockets(&self) -> Result<Sockets, SocketsError> {
        Ok(Sockets::default())
    }

    /// How often the manager wants to hear that the service is well.
    fn watchdog(&self) -> Option<Duration>;

    /// How long a stop may take by what the service was registered with, where only the service itself can see to it. Without
    /// it the author's limit counts.
    fn stop_timeout(&self) -> Option<Duration> {
        None
    }

    /// From now on what the manager asks is sent there. It is called once, within the runtime.
    ///
    /// # Errors
    /// When nothing could be heard.
    fn listen(&self, abilities: &[Ability], asked: mpsc::Sender<Asked>) -> io::Result<()>;
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it should.
    Well,
    /// With this exit code, which is not 0.
    Failed(u8),
}

/// What a process would end with.
impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Well => Self::SUCCESS,
            Ended::Failed(code) => Self::from(code),
        }
    }
}
