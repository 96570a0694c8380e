//! What the guard tells the service manager it runs under: that it guards and how what it guards stands, that it lives, that it
//! ends, and that this takes its time.

use std::time::Duration;

use menshen_core::Instant;
use menshen_os::event::Ask;
use menshen_os::service_manager::{ServiceManager, watchdog};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Guard;
use super::input::{Input, Inputs};
use super::standing::{self, Standing};

/// How soon one that had no time to be told that the guard lives is told again, at the latest.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a guard that is ending asks for more time.
const EXTEND_EVERY: Duration = Duration::from_secs(1);
/// For how much. What services may take is bounded by their own definitions; a guard that hangs does not ask again.
const EXTEND_BY: Duration = Duration::from_secs(15);

/// What the guard tells the service manager it runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It guards.
    Ready {
        /// How what it guards stands, in one line.
        standing: String,
    },
    /// What it guards stands differently.
    Standing(String),
    /// It stops everything, and then ends.
    Stopping {
        /// Why.
        reason: String,
    },
    /// It ends alone; everything runs on.
    Leaving,
    /// What it does now takes at least this much longer.
    MoreTime(Duration),
}

/// A service manager that calls the guard within its process, as that of Windows does. What it asks comes by a channel.
pub struct Overseer {
    /// What the manager calls the guard.
    pub service: String,
    /// Is told by the loop, and must not make it wait.
    pub told: Box<dyn Fn(Told) + Send>,
    /// What it asks.
    pub asks: mpsc::Receiver<Ask>,
}

/// The service manager, and what it was told.
pub(super) struct Manager {
    whom: Whom,
    /// The last it heard of how what is guarded stands.
    standing: String,
    watchdog: Option<Watchdog>,
}

/// A manager that ends a guard from which it does not hear. Only the loop speaks to it, so that one that hangs is silent.
struct Watchdog {
    /// It is told twice as often as it wants.
    every: Duration,
    next: Instant,
}

/// Who wants to be told, if there is somebody; or why they cannot be.
enum Whom {
    /// One that listens on a socket.
    Socket(std::io::Result<Option<ServiceManager>>),
    /// One in this very process.
    Overseer {
        /// What it calls the guard.
        service: String,
        /// How it is told.
        told: Box<dyn Fn(Told) + Send>,
    },
}

impl Manager {
    /// The one that oversees this process, or that of the environment.
    pub(super) fn find(overseer: Option<Overseer>, tasks: &Handle, inputs: &Inputs) -> Self {
        let Some(Overseer { service, told, mut asks }) = overseer else {
            let socket = ServiceManager::of_environment();
            // Without somebody to tell there is nothing to wake up for.
            let watchdog = watchdog().filter(|_| matches!(socket, Ok(Some(_))));
            let watchdog = watchdog.map(|interval| Watchdog { every: interval / 2, next: super::now() });
            return Self { whom: Whom::Socket(socket), standing: String::new(), watchdog };
        };
        let inputs = inputs.clone();
        tasks.spawn(async move {
            while let Some(ask) = asks.recv().await {
                inputs.send(Input::Asked(ask)).await;
            }
        });
        Self { whom: Whom::Overseer { service, told }, standing: String::new(), watchdog: None }
    }

    /// Why there is one that cannot be told anything.
    pub(super) fn deaf(&self) -> Option<String> {
        match &self.whom {
            Whom::Socket(socket) => socket.as_ref().err().map(menshen_os::error::describe),
            Whom::Overseer { .. } => None,
        }
    }

    /// What a manager that calls the guard within this process calls it.
    pub(super) fn service(&self) -> Option<&str> {
        match &self.whom {
            Whom::Socket(_) => None,
            Whom::Overseer { service, .. } => Some(service),
        }
    }

    /// The guard guards. From now on its watchdog counts.
    pub(super) fn ready(&mut self, standing: String, now: Instant) {
        self.standing.clone_from(&standing);
        self.tell(Told::Ready { standing });
        self.beat(now);
    }

    /// When it wants to hear next that the guard lives, if it does.
    pub(super) fn beats_at(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.next)
    }

    /// Tells it that the guard lives, if that is due.
    pub(super) fn beat(&mut self, now: Instant) {
        let (Some(watchdog), Whom::Socket(Ok(Some(manager)))) = (&mut self.watchdog, &self.whom) else { return };
        if watchdog.next <= now {
            // One that has no time for it now is told again before it gives the guard up.
            let is_told = manager.mention("WATCHDOG=1").is_ok();
            watchdog.next = now + if is_told { watchdog.every } else { AGAIN.min(watchdog.every / 4) };
        }
    }

    /// What is guarded may stand differently.
    fn stands(&mut self, standing: String) {
        if standing == self.standing {
            return;
        }
        self.standing.clone_from(&standing);
        match &self.whom {
            Whom::Socket(Ok(Some(manager))) => {
                if manager.mention(&message(&Told::Standing(standing))).is_err() {
                    // Whatever happens next, it hears how things stand then.
                    self.standing.clear();
                }
            }
            Whom::Socket(_) => {}
            Whom::Overseer { told, .. } => told(Told::Standing(standing)),
        }
    }

    /// The guard stops everything. It asks for more time again and again, in its own loop: one that hangs gets none.
    pub(super) fn stopping(&self, reason: &str, tasks: &Handle, inputs: &Inputs) {
        if !self.listens() {
            return;
        }
        self.tell(Told::Stopping { reason: reason.to_owned() });
        self.extend();
        let inputs = inputs.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(EXTEND_EVERY).await;
                inputs.send(Input::Extend).await;
            }
        });
    }

    /// The guard ends alone.
    pub(super) fn leaving(&self) {
        self.tell(Told::Leaving);
    }

    /// Asks for more time.
    pub(super) fn extend(&self) {
        self.tell(Told::MoreTime(EXTEND_BY));
    }

    const fn listens(&self) -> bool {
        matches!(self.whom, Whom::Overseer { .. } | Whom::Socket(Ok(Some(_))))
    }

    fn tell(&self, told: Told) {
        match &self.whom {
            Whom::Socket(Ok(Some(manager))) => {
                // A manager that does not listen draws its own conclusions.
                let _ = manager.tell(&message(&told));
            }
            Whom::Socket(_) => {}
            Whom::Overseer { told: tell, .. } => tell(told),
        }
    }
}

/// In the protocol of sd_notify(3), whose messages are lines.
fn message(told: &Told) -> String {
    match told {
        Told::Ready { standing } => format!("READY=1\nSTATUS={}", line(standing)),
        Told::Standing(standing) => format!("STATUS={}", line(standing)),
        Told::Stopping { reason } => format!("STOPPING=1\nSTATUS=stopping everything: {}", line(reason)),
        Told::Leaving => "STOPPING=1\nSTATUS=leaving everything to the next guard".to_owned(),
        Told::MoreTime(time) => format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()),
    }
}

fn line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

impl Guard {
    /// How what is guarded stands.
    pub(super) fn standing(&self) -> String {
        let mut services = self.core.services();
        match (services.next(), services.next()) {
            (Some(only), None) => self.core.status(only).map_or_else(String::new, |status| {
                let (state, ready, reason) = (status.state, status.ready, status.reason);
                standing::of_one(&Standing { name: status.name.to_string(), state, ready, reason })
            }),
            (None | Some(_), _) => standing::of_several(self.core.services().filter_map(|id| self.core.state(id))),
        }
    }

    /// Tells the manager how things stand, if something has happened; one that is told that the guard stops hears nothing else.
    pub(super) fn tell_manager(&mut self) {
        if self.moved && !self.shutting_down && self.manager.listens() {
            let standing = self.standing();
            self.manager.stands(standing);
        }
    }
}
