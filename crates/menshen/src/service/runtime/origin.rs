//! Who started this process, by facts and never by guesses.

/// Who started this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Somebody at a terminal, a script, or anybody else who expects a program in the foreground.
    Interactive,
    /// systemd: `SYSTEMD_EXEC_PID` is this process; before version 248, `INVOCATION_ID` is set and systemd is the parent.
    Systemd,
    /// A supervisor that wants to be told: `NOTIFY_SOCKET` is set, and it is not systemd, as with a guard; or the
    /// [`readiness`](crate::service::readiness) descriptor of s6 or dinit is.
    Notified,
    /// launchd: `XPC_SERVICE_NAME` is a job's label, and the parent is process 1.
    Launchd,
    /// The service control manager of Windows: it accepted the connection of this process.
    Scm,
    /// Nobody in this machine: the process is number 1, as in a container.
    First,
}
