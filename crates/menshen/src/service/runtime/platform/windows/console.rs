//! A program that somebody started by hand.

use std::ffi::OsString;
use std::io;
use std::time::Duration;

use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
use tokio::sync::mpsc;

use super::super::door::{Ability, Asked, Door, Report};
use super::super::origin::Origin;
use super::super::request::StopReason;

/// A console, or nothing.
#[derive(Debug)]
pub(super) struct Console;

impl Door for Console {
    fn origin(&self) -> Origin {
        Origin::Interactive
    }

    /// Nobody listens: what matters to people is in the log.
    fn tell(&self, _report: &Report) {}

    fn start_arguments(&self) -> Vec<OsString> {
        Vec::new()
    }

    fn watchdog(&self) -> Option<Duration> {
        None
    }

    fn listen(&self, _abilities: &[Ability], asked: mpsc::Sender<Asked>) -> io::Result<()> {
        hear(ctrl_c()?, StopReason::Interrupt, asked.clone());
        // What a guard, or another program that looks after this one, sends.
        hear(ctrl_break()?, StopReason::Terminated, asked.clone());
        // Windows ends the process itself a few seconds after these.
        hear(ctrl_close()?, StopReason::Hangup, asked.clone());
        hear(ctrl_logoff()?, StopReason::Hangup, asked.clone());
        hear(ctrl_shutdown()?, StopReason::Shutdown, asked);
        Ok(())
    }
}

/// What a console says.
trait Signal: Send + 'static {
    /// Waits until it says it.
    fn said(&mut self) -> impl Future<Output = Option<()>> + Send;
}

macro_rules! signals {
    ($($signal:ident),+) => {
        $(impl Signal for tokio::signal::windows::$signal {
            fn said(&mut self) -> impl Future<Output = Option<()>> + Send {
                self.recv()
            }
        })+
    };
}

signals!(CtrlC, CtrlBreak, CtrlClose, CtrlLogoff, CtrlShutdown);

fn hear(mut signal: impl Signal, means: StopReason, asked: mpsc::Sender<Asked>) {
    tokio::spawn(async move {
        while signal.said().await.is_some() {
            if asked.send(Asked::Stop(means)).await.is_err() {
                return;
            }
        }
    });
}
