//! What the guard tells the service manager it runs under: that it guards, that it ends, and that this takes its time.

use std::time::Duration;

use menshen_os::service_manager::ServiceManager;
use tokio::runtime::Handle;

use super::input::{Input, Inputs};

/// How often a guard that is ending asks for more time.
const EXTEND_EVERY: Duration = Duration::from_secs(1);
/// For how much. What services may take is bounded by their own definitions; a guard that hangs does not ask again.
const EXTEND_BY: Duration = Duration::from_secs(15);

/// The service manager, if there is one that wants to be told; or why it cannot be.
#[derive(Debug)]
pub(super) struct Manager(std::io::Result<Option<ServiceManager>>);

impl Manager {
    /// The one of the environment.
    pub(super) fn find() -> Self {
        Self(ServiceManager::of_environment())
    }

    /// Why there is one that cannot be told anything.
    pub(super) fn deaf(&self) -> Option<String> {
        self.0.as_ref().err().map(menshen_os::error::describe)
    }

    /// The guard guards so many services.
    pub(super) fn ready(&self, services: usize) {
        self.tell(&format!("READY=1\nSTATUS=guarding {services} services"));
    }

    /// The guard stops everything. It asks for more time again and again, in its own loop: one that hangs gets none.
    pub(super) fn stopping(&self, reason: &str, tasks: &Handle, inputs: &Inputs) {
        if !matches!(self.0, Ok(Some(_))) {
            return;
        }
        let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.tell(&format!("STOPPING=1\nSTATUS=stopping everything: {reason}"));
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
        self.tell("STOPPING=1\nSTATUS=leaving everything to the next guard");
    }

    /// Asks for more time.
    pub(super) fn extend(&self) {
        self.tell(&format!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros()));
    }

    fn tell(&self, message: &str) {
        if let Ok(Some(manager)) = &self.0 {
            // A manager that does not listen draws its own conclusions.
            let _ = manager.tell(message);
        }
    }
}
