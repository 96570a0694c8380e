//! What a service remembers across guards and boots.

use menshen_plan::ServiceName;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::service::Life;
use crate::state::{State, Wanted};
use crate::time::Instant;
use crate::timer::Timer;

/// One service as the next guard takes it over. Instants in it mean something during the same boot only.
///
/// It is part of the record that the guard keeps of each service, and the version of that record is its version, too: a
/// change of its shape is a new version of the record, with a migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    service: ServiceName,
    life: Life,
    timers: Vec<(Timer, Instant)>,
}

/// A program that was found, running or ended, and of which nothing was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Its main process; `None` where that has ended and only something it left is there.
    pub pid: Option<u32>,
    /// The number of its run, where somebody knows it.
    pub run: Option<u64>,
    /// So many runs came before it that were not noted either.
    pub before: u32,
}

/// A memory that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// About another service.
    #[error("it is about '{found}'")]
    OtherService {
        /// Whose it is.
        found: ServiceName,
    },
}

impl Memory {
    pub(crate) fn new(service: ServiceName, life: Life, timers: Vec<(Timer, Instant)>) -> Self {
        Self { service, life, timers }
    }

    /// Whose it is.
    #[must_use]
    pub const fn service(&self) -> &ServiceName {
        &self.service
    }

    /// The number and process of each run that was under way: what the next guard has to look for.
    pub fn runs(&self) -> impl Iterator<Item = (crate::Role, u64, Option<u32>)> {
        let life = &self.life;
        let roles = [
            (crate::Role::Main, &life.main),
            (crate::Role::Stop, &life.stopper),
            (crate::Role::Fallback, &life.fallback.run),
        ];
        roles.into_iter().filter_map(|(role, run)| run.as_ref().map(|run| (role, run.number, run.pid)))
    }

    /// Whether a guard saw the main process of a run end; something it left may live on.
    #[must_use]
    pub fn saw_end(&self, role: crate::Role) -> bool {
        let run = match role {
            crate::Role::Main => &self.life.main,
            crate::Role::Stop => &self.life.stopper,
            crate::Role::Fallback => &self.life.fallback.run,
        };
        run.as_ref().is_some_and(|run| run.main_ended)
    }

    /// The number of the next run: no run had this one or a higher one.
    #[must_use]
    pub const fn next_run(&self) -> u64 {
        self.life.next_run
    }

    /// What an operator asked for; `None` if nobody did.
    #[must_use]
    pub const fn asked(&self) -> Option<Wanted> {
        if self.life.wanted_by_operator { Some(self.life.wanted) } else { None }
    }

    /// The state it was in.
    #[must_use]
    pub const fn state(&self) -> State {
        self.life.state
    }

    pub(crate) fn open(self, service: &ServiceName) -> Result<(Life, Vec<(Timer, Instant)>), MemoryError> {
        if self.service != *service {
            return Err(MemoryError::OtherService { found: self.service });
        }
        Ok((self.life, self.timers))
    }
}
