//! What does not work about a log, told once when it begins and once when it is over.

use std::collections::BTreeSet;

use super::{LogId, Report};

/// What can go wrong about one service's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nothing can be waited for any more.
    Waiting,
    /// Output cannot be written; it waits in the pipe.
    Writing,
    /// Output is written, but what is on its way is not noted for the next guard.
    Noting,
    /// Output is written, but what a line begins with is not kept for the next guard.
    Keeping,
    /// A file cannot be closed; it is written on.
    Closing,
    /// Closed files cannot be compressed or removed.
    Tending,
    /// The systemd journal does not take lines.
    Journald,
    /// The Windows Event Log does not take lines, or there is none.
    Eventlog,
}

/// What does not work now.
#[derive(Debug)]
pub(super) struct Troubles {
    log: LogId,
    present: BTreeSet<Trouble>,
}

impl Troubles {
    pub(super) fn new(log: LogId) -> Self {
        Self { log, present: BTreeSet::new() }
    }

    /// It does not work.
    pub(super) fn begin(&mut self, trouble: Trouble, report: &dyn Fn(Report), text: impl FnOnce() -> String) {
        if self.present.insert(trouble) {
            report(Report::Trouble { log: self.log, trouble, text: text() });
        }
    }

    /// It works.
    pub(super) fn end(&mut self, trouble: Trouble, report: &dyn Fn(Report)) {
        if !self.present.is_empty() && self.present.remove(&trouble) {
            report(Report::TroubleOver { log: self.log, trouble, text: trouble.over().to_owned() });
        }
    }
}

impl Trouble {
    const fn over(self) -> &'static str {
        match self {
            Self::Waiting => "output is waited for again",
            Self::Writing => "output is written again",
            Self::Noting => "output on its way to the log is noted for the next guard again",
            Self::Keeping => "what a line begins with is kept for the next guard again",
            Self::Closing => "log files are closed again",
            Self::Tending => "closed log files are looked after again",
            Self::Journald => "the systemd journal takes lines again",
            Self::Eventlog => "the Windows Event Log takes lines again",
        }
    }
}
