//! What the guard tells the service manager it runs under: that it guards, that it ends, and that this takes its time.

use std::time::Duration;

use menshen_os::event::Ask;
use menshen_os::service_manager::ServiceManager;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::input::{Input, Inputs};

/// How often a guard that is ending asks for more time.
const EXTEND_EVERY: Duration = Duration::from_secs(1);
/// For how much. What services may take is bounded by their own definitions; a guard that hangs does not ask again.
const EXTEND_BY: Duration = Duration::from_secs(15);

/// What the guard tells the service manager it runs under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It guards so many services.
    Ready {
        /// How many.
        services: usize,
    },
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

/// The service manager, if there is one that wants to be told; or why it cannot be.
pub(super) enum Manager {
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
            return Self::Socket(ServiceManager::of_environment());
        };
        let inputs = inputs.clone();
        tasks.spawn(async move {
            while let Some(ask) = asks.recv().await {
                inputs.send(Input::Asked(ask)).await;
            }
        });
        Self::Overseer { service, told }
    }

    /// Why there is one that cannot be told anything.
    pub(super) fn deaf(&self) -> Option<String> {
        match self {
            Self::Socket(socket) => socket.as_ref().err().map(menshen_os::error::describe),
            Self::Overseer { .. } => None,
        }
    }

    /// What a manager that calls the guard within this process calls it.
    pub(super) fn service(&self) -> Option<&str> {
        match self {
            Self::Socket(_) => None,
            Self::Overseer { service, .. } => Some(service),
        }
    }

    /// The guard guards so many services.
    pub(super) fn ready(&self, services: usize) {
        self.tell(Told::Ready { services });
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
        matches!(self, Self::Overseer { .. } | Self::Socket(Ok(Some(_))))
    }

    fn tell(&self, told: Told) {
        match self {
            Self::Socket(Ok(Some(manager))) => {
                // A manager that does not listen draws its own conclusions.
                let _ = manager.tell(&message(&told));
            }
            Self::Socket(_) => {}
            Self::Overseer { told: tell, .. } => tell(told),
        }
    }
}

/// In the protocol of sd_notify(3), whose messages are lines.
fn message(told: &Told) -> String {
    match told {
        Told::Ready { services } => format!("READY=1\nSTATUS=guarding {services} services"),
        Told::Stopping { reason } => {
            let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("STOPPING=1\nSTATUS=stopping everything: {reason}")
        }
        Told::Leaving => "STOPPING=1\nSTATUS=leaving everything to the next guard".to_owned(),
        Told::MoreTime(time) => format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()),
    }
}
