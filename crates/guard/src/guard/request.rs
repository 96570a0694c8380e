//! What is asked over the control socket, as far as the loop answers it.

use std::collections::HashMap;
use std::sync::Arc;

use menshen_api::types::{Dependency, Service};
use menshen_api::{Problem, ProblemCode};
use menshen_core::{Command, Event, Memory, Record, RecordKind, Refusal, RunId, ServiceId, Ticket};
use menshen_os::usage::Usage;
use menshen_plan::{Plan, ServicePlan};
use tokio::sync::oneshot;

use super::input::{Detail, Info, Input, Measured, Request};
use super::status::{Clock, service};
use super::upgrade::Asker;
use super::{EndWhen, Guard};
use crate::journal::Bounds;

/// Commands that wait for their answer.
#[derive(Default)]
pub(super) struct Tickets {
    next: u64,
    waiting: HashMap<Ticket, PendingReply>,
}

/// Who waits for the answer of a command.
pub(super) struct PendingReply {
    pub service: ServiceId,
    pub name: String,
    pub reply: oneshot::Sender<Result<Service, Problem>>,
}

impl Tickets {
    fn add(&mut self, pending: PendingReply) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.waiting.insert(ticket, pending);
        ticket
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<PendingReply> {
        self.waiting.remove(&ticket)
    }
}

impl Guard {
    pub(super) fn request(&mut self, request: Request) {
        // Who sees a state may ask for the events that led to it.
        self.tell();
        // Who asked may have gone; then nobody hears the answer.
        match request {
            Request::List(reply) => drop(reply.send((self.list(), self.show_troubles()))),
            Request::Detail(name, reply) => drop(reply.send(self.detail(&name).map(Box::new))),
            Request::Command { name, command, by, reply } => self.command(name, command, by, reply),
            Request::Wait { name, until, reply } => self.begin_wait(name, until, reply),
            Request::Find(name, reply) => drop(reply.send(self.core.id(&name))),
            Request::Plan(reply) => drop(reply.send(Arc::clone(self.core.plan()))),
            Request::Follow { plan, by, reply } => {
                let foreseen = self.core.foresee(&plan);
                self.follow(plan, by);
                self.disk().then(move || {
                    let _ = reply.send(foreseen);
                });
            }
            Request::Foresee { plan, reply } => drop(reply.send(self.core.foresee(&plan))),
            Request::Upgrade { binary, by, reply, answered } => self.upgrade(binary, by, Asker { reply, answered }),
            Request::Shutdown { by, now, reply } => {
                self.feed(Event::Shutdown { reason: format!("asked by {by}"), hurry: now });
                // A next guard would begin anew all the same: what is on its way to its end need not be written first.
                self.tell();
                let _ = reply.send(());
            }
            Request::Leave { by, reply } => self.leave_alone(by, reply),
            Request::Info(reply) => drop(reply.send(self.info())),
            Request::Measure(reply) => drop(reply.send(self.measure())),
        }
    }

    fn command(
        &mut self,
        name: String,
        command: Command,
        by: String,
        reply: oneshot::Sender<Result<Service, Problem>>,
    ) {
        let Some(service) = self.core.id(&name) else {
            let _ = reply.send(Err(no_such_service(&name)));
            return;
        };
        let ticket = self.tickets.add(PendingReply { service, name, reply });
        self.feed(Event::Command { service, command, by, ticket: Some(ticket) });
    }

    /// A service as the contract shows it.
    pub(super) fn show(&self, id: ServiceId) -> Option<Service> {
        self.show_with(id, &self.clockwork.clock())
    }

    fn show_with(&self, id: ServiceId, clock: &Clock<'_>) -> Option<Service> {
        let status = self.core.status(id)?;
        let description = self.services.get(&id).and_then(|local| local.plan.description.clone());
        let level = self.order.get(&id).copied().unwrap_or(0);
        Some(service(&status, &self.instance, description, level, clock))
    }

    /// Finds the group of the start order each service belongs to. Every answer shows it, and only a plan changes it.
    pub(super) fn put_in_order(&mut self) {
        let levels = (0..).zip(self.core.plan().start_order());
        let each = levels.flat_map(|(level, names)| names.into_iter().map(move |name| (name, level)));
        self.order = each.filter_map(|(name, level)| Some((self.core.id(name)?, level))).collect();
    }

    fn list(&self) -> Vec<Service> {
        let clock = self.clockwork.clock();
        self.core.services().filter_map(|id| self.show_with(id, &clock)).collect()
    }

    fn detail(&self, name: &str) -> Option<Detail> {
        let id = self.core.id(name)?;
        let local = self.services.get(&id)?;
        let status = self.core.status(id)?;
        let mut troubles = self.show_troubles();
        troubles.retain(|trouble| trouble.service.as_deref().is_none_or(|service| service == name));
        let lives = status.pid.is_some() || status.fallback_pid.is_some();
        Some(Detail {
            service: self.show(id)?,
            plan: Arc::clone(&local.plan),
            probes: status.probes,
            depends_on: self.dependencies(id, &local.plan),
            usage: lives.then(|| self.usage_of_run(id, name)),
            troubles,
        })
    }

    /// What a service uses, with the processor time of the run that is under way.
    fn usage_of_run(&self, id: ServiceId, name: &str) -> Usage {
        let usage = self.system.usage(name);
        let memory = self.core.memory(id);
        let run = memory.iter().flat_map(Memory::runs).map(|(role, number, _)| RunId { service: id, role, number });
        let token = run.into_iter().next().and_then(|run| self.jobs.token_of(run));
        let cpu = token.and_then(|token| self.system.cpu_of_run(token)).unwrap_or(usage.cpu);
        Usage { cpu, ..usage }
    }

    fn dependencies(&self, id: ServiceId, plan: &ServicePlan) -> Vec<Dependency> {
        let one =
            |(name, dependency): (&menshen_plan::ServiceName, &menshen_plan::definition::Dependency)| Dependency {
                name: name.to_string(),
                condition: dependency.condition.as_str().to_owned(),
                on_loss: dependency.on_loss.as_str().to_owned(),
                holds: self.core.dependency_holds(id, name.as_str()),
            };
        plan.depends_on.iter().map(one).collect()
    }

    fn measure(&self) -> Vec<Measured> {
        let measured = |service: Service| Measured { usage: self.system.usage(&service.name), service };
        self.list().into_iter().map(measured).collect()
    }

    fn info(&self) -> Info {
        Info {
            started: self.started,
            trees: self.system.describe_trees(),
            services: self.services.len(),
            shutting_down: self.shutting_down,
            upgraded: self.succession.upgraded.clone(),
            service: self.manager.service().map(str::to_owned),
        }
    }

    /// Reads the definition again, off the loop, and comes back with what came of it.
    pub(super) fn reload_from_disk(&mut self) {
        let (inputs, source) = (self.inputs.clone(), self.source.clone());
        self.tasks.spawn(async move {
            let loaded = crate::control::reload::load_aside(&source).await;
            inputs.send(Input::Reloaded(loaded.map(|loaded| loaded.plan).map_err(|problem| problem.detail))).await;
        });
    }

    /// Follows another plan.
    pub(super) fn follow(&mut self, plan: Arc<Plan>, by: String) {
        self.identities.forget();
        if let Err(error) = self.control.set_access(&plan.access) {
            self.note(format!("the control socket's permissions: {}", menshen_os::error::describe(&error)));
        }
        self.notes.disk.set_bounds(Bounds { keep: plan.journal.keep, bytes: plan.journal.size.0 });
        self.feed(Event::Reload { plan, by });
        self.put_in_order();
    }

    /// A command that was typed just now is what is to run, not what one of the same name has left.
    pub(super) fn follow_what_was_typed(&mut self) {
        let is_typed = self.end == EndWhen::AtRest && self.succession.upgraded.is_none();
        if is_typed && !self.core.foresee(self.core.plan()).0.is_empty() {
            self.follow(Arc::clone(self.core.plan()), "menshen run".to_owned());
        }
    }

    /// Writes something down that is the guard's own business.
    pub(super) fn note(&mut self, text: String) {
        let kind = RecordKind::Trouble { over: false };
        self.write_record(Record { service: None, kind, reason: text, by: None });
    }

    /// With [`EndWhen::AtRest`], the guard ends once nothing will happen any more.
    pub(super) fn end_if_at_rest(&mut self) {
        if self.end == EndWhen::AtRest && self.ended.is_none() && self.core.is_at_rest() {
            let failed = |id| self.core.status(id).is_some_and(|status| status.state == menshen_core::State::Failed);
            let code = if self.core.services().any(failed) { 7 } else { 0 };
            self.ended = Some(code);
        }
    }
}

pub(crate) fn no_such_service(name: &str) -> Problem {
    Problem::new(ProblemCode::NoSuchService, format!("there is no service '{name}'"))
}

pub(super) fn refused(name: &str, refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::NoSuchService => ProblemCode::NoSuchService,
        Refusal::Disabled => ProblemCode::Disabled,
        Refusal::NotRunning => ProblemCode::NotRunning,
        Refusal::NotPaused => ProblemCode::NotPaused,
        Refusal::NoReloadSignal => ProblemCode::NoReloadSignal,
        Refusal::ShuttingDown => ProblemCode::ShuttingDown,
    };
    Problem::new(code, format!("{name}: {refusal}"))
}
