//! What else became of services, along with those that were told something: what these need is started, too, and what needs
//! them may not run on without. And what had to be killed for it.

use menshen_api::types::{Service, State};

use super::super::killed::{Killed, Moment, is_ending};
use super::Verb;
use crate::failure::Failure;
use crate::guards::Guard;

/// The services of the guards that are to be told something, as they were before.
pub(super) struct Before<'a> {
    guards: Vec<(&'a Guard, Vec<Service>)>,
    /// When that was, where something is to end.
    moments: Vec<(&'a Guard, Moment)>,
}

impl<'a> Before<'a> {
    /// Asks each guard of these services once.
    pub(super) async fn of(told: &[(&'a Guard, Service)], verb: Verb) -> Result<Self, Failure> {
        let mut guards: Vec<(&Guard, Vec<Service>)> = Vec::new();
        for (guard, _) in told {
            if guards.iter().all(|(known, _)| !std::ptr::eq(*known, *guard)) {
                guards.push((guard, guard.services().await?));
            }
        }
        let mut moments = Vec::new();
        for (guard, _) in guards.iter().filter(|_| verb.ends_programs()) {
            moments.extend(Moment::now(guard).await.map(|moment| (*guard, moment)));
        }
        Ok(Self { guards, moments })
    }

    /// What had to be killed since.
    pub(super) async fn killed(&self) -> Vec<Killed> {
        let mut killed = Vec::new();
        for (guard, moment) in &self.moments {
            killed.extend(moment.killed(guard).await);
        }
        killed
    }

    /// Whether a program of this service ran.
    pub(super) fn ran(&self, guard: &Guard, service: &Service) -> bool {
        let of_guard = self.guards.iter().filter(|(of, _)| of.instance == guard.instance);
        let mut before = of_guard.flat_map(|(_, services)| services);
        before.any(|before| before.name == service.name && before.pid.is_some())
    }

    /// The services that nobody named and that are up though they were not before, or the other way round.
    pub(super) async fn others(&self, told: &[(&Guard, Service)]) -> Result<Vec<Service>, Failure> {
        let mut others = Vec::new();
        for (guard, before) in &self.guards {
            let is_told = |service: &Service| {
                told.iter().any(|(of, told)| of.instance == guard.instance && told.name == service.name)
            };
            let is_other = |service: &Service| {
                let before = before.iter().find(|before| before.name == service.name);
                before.is_some_and(|before| is_up(before) != is_up(service)) && !is_told(service)
            };
            match guard.services().await {
                Ok(services) => others.extend(services.into_iter().filter(is_other)),
                // What it had is down, as it was to be.
                Err(_) if is_ending(&guard.instance).await => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(others)
    }
}

const fn is_up(service: &Service) -> bool {
    match service.state {
        State::Starting
        | State::Running
        | State::Pausing
        | State::Paused
        | State::Continuing
        | State::Stopping
        | State::Backoff => true,
        State::Waiting | State::Completed | State::Tripped | State::Failed | State::Stopped => false,
    }
}
