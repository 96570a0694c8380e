//! What a service is asked while it runs.

use std::time::Instant;

use super::context::Handle;
use super::door::Report;

/// What a service is asked.
#[derive(Debug)]
pub enum Request {
    /// To end. It is asked once.
    Stop(Stop),
    /// To read its configuration again; only if it [`reloads`](super::start::Main::reloads).
    Reload(Pending),
    /// To do nothing, but to stay; only if it [`pauses`](super::start::Main::pauses).
    Pause(Pending),
    /// To go on after a pause.
    Continue(Pending),
    /// A user's session began, ended or was locked; Windows alone tells, and only if it
    /// [`hears_sessions`](super::start::Main::hears_sessions).
    Session(SessionChange),
    /// The machine's power changes; Windows alone tells, and only if it [`hears_power`](super::start::Main::hears_power).
    Power(PowerEvent),
}

/// A stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// When the service is ended whatever it does. [`more_time`](super::context::Handle::more_time) puts it off.
    pub deadline: Instant,
}

/// Why a service is asked to stop, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Its manager stops it, and does not say why: no manager but systemd does.
    Manager,
    /// Somebody asked the manager to stop or restart it: systemd has a job for that, and none for what the service needs.
    Operator,
    /// Something that it needs is stopped or restarted, or has ended, and so it is stopped, too. Only systemd can be asked.
    Dependency,
    /// Somebody pressed Ctrl-C, or closed its console.
    Interrupt,
    /// Somebody sent SIGTERM to a program that no manager looks after.
    Terminated,
    /// The machine goes down: Windows says so itself, systemd is asked.
    Shutdown,
    /// The machine is about to go down, and waits for those who asked for the time.
    Preshutdown,
    /// The terminal it was started in is gone.
    Hangup,
}

/// A change of a user's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionChange {
    /// Which session.
    pub session: u32,
    /// What became of it.
    pub kind: SessionKind,
}

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Somebody logged on.
    Logon,
    /// Somebody logged off.
    Logoff,
    /// It was locked.
    Locked,
    /// It was unlocked.
    Unlocked,
    /// It was connected to a console or from afar.
    Connected,
    /// It was disconnected from a console or from afar.
    Disconnected,
    /// Something else.
    Other,
}

/// A change of the machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerEvent {
    /// The machine is about to be suspended.
    Suspending,
    /// The machine goes on after a suspension.
    Resumed,
    /// Mains or battery, or how much is left of it.
    StatusChanged,
    /// Something else.
    Other,
}

/// Something that was asked and is not done yet. The manager hears that it is done from [`done`](Self::done), or when this is
/// dropped, so that no manager waits for ever.
#[derive(Debug)]
pub struct Pending {
    handle: Handle,
    done: Report,
}

impl Pending {
    pub(super) const fn new(handle: Handle, done: Report) -> Self {
        Self { handle, done }
    }

    /// It is done.
    pub fn done(self) {}
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.handle.tell(&self.done);
    }
}
