//! Carrying out what the core wants, in the order it comes.

use std::sync::Arc;

use menshen_api::types::Service;
use menshen_core::{Effect, Event, Record, RecordKind, Reply, Role, RunId, ServiceId, SignalTarget};
use menshen_os::{Output, Place, Target};
use menshen_plan::ServicePlan;
use menshen_plan::definition::ProbeKind;
use menshen_plan::plan::ProbeCheck;
use menshen_plan::signal::Signal;

use super::alert::{Delivery, Payload};
use super::input::Input;
use super::jobs::{Asking, Job};
use super::local::log_id;
use super::status::wall;
use super::{Guard, now, store};
use crate::probe::{self, Miss};
use crate::program;

impl Guard {
    /// Drains the core. What is carried out may lead to more.
    pub(super) fn carry_out(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            self.carry_out_one(effect);
        }
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Remember { service } => self.notes.change(service),
            Effect::Spawn { run, plan, main_pid } => {
                self.spawn(run, &plan, main_pid);
            }
            Effect::Signal { run, target, signal } => {
                let Some(token) = self.jobs.token_of(run) else { return };
                match menshen_os::signal::number(&signal.to_string()) {
                    Some(number) => self.system.signal(token, of(target), number),
                    // Where no signal stops a process, none has to go on.
                    None if signal == Signal::Cont => {}
                    None => self.no_such_signal(run, &signal.to_string()),
                }
            }
            Effect::Kill { run, target } => self.kill(run, target),
            Effect::Freeze { run } => self.freeze(run),
            Effect::Thaw { run } => self.thaw(run),
            Effect::Probe { service, probe, round } => self.ask(service, probe, round),
            Effect::CancelProbe { service, probe, round } => self.cancel_probe(service, probe, round),
            Effect::DropFds { service } => {
                if let Some(local) = self.services.get_mut(&service) {
                    local.descriptors.clear();
                }
            }
            Effect::Replanned { service, plan } => self.refurnish(service, &plan),
            Effect::Removed { service } => self.clear_away(service),
            Effect::Record(record) => self.write_record(record),
            Effect::Alert(alert) => self.alert(&alert),
            Effect::Reply(reply) => self.reply(reply),
            Effect::ShutdownComplete { code } => self.ended = Some(code),
        }
    }

    /// Nothing is sent, and that is not passed over: what was to be asked of the program is still to come by other means.
    fn no_such_signal(&mut self, run: RunId, signal: &str) {
        let name = self.core.name(run.service).map(ToString::to_string).unwrap_or_default();
        self.trouble(format!("{name}: this system has no {signal} that could be sent to a program"));
    }

    fn spawn(&mut self, run: RunId, plan: &Arc<ServicePlan>, main_pid: Option<u32>) {
        let token = self.jobs.token();
        match self.try_spawn(token, run, plan, main_pid) {
            Ok(()) => {
                self.jobs.add_run(token, run);
                self.born(run);
            }
            Err(error) => self.feed_later(Event::SpawnFailed { run, error }),
        }
    }

    fn try_spawn(
        &mut self,
        token: menshen_os::Token,
        run: RunId,
        plan: &Arc<ServicePlan>,
        main_pid: Option<u32>,
    ) -> Result<(), String> {
        let identity = self.identities.of(plan).map_err(|error| error.to_string())?;
        let output = self.output(run.service).map_err(|error| menshen_os::error::describe(&error))?;
        // It may not have been possible before.
        self.open_notify_socket(run.service, None);
        let local = self.services.get(&run.service).ok_or("the service is gone")?;
        let is_main = run.role == Role::Main;
        let around = program::Around {
            instance: &self.instance,
            identity,
            output,
            notify_socket: local.notify.as_ref().filter(|_| is_main).map(|(_, path)| path.as_path()),
            main_pid,
            passed: if is_main { local.descriptors.clone() } else { Vec::new() },
        };
        let program = program::of_role(plan, run.role, around);
        let place = Place { service: plan.name.to_string(), role: role_name(run.role).to_owned() };
        if is_main {
            self.logs.begin_run(log_id(run.service), run.number);
        }
        let has_limits = plan.limits.memory.is_some() || plan.limits.cpu.is_some() || plan.limits.tasks.is_some();
        if has_limits {
            self.apply_limits(run.service);
        }
        self.system
            .spawn(token, &place, run.number, &program)
            .map(drop)
            .map_err(|error| menshen_os::error::describe(&error))
    }

    /// Gives an event to the core in the next turn of the loop.
    pub(super) fn feed_later(&mut self, event: Event) {
        self.later.push(event);
    }

    fn kill(&mut self, run: RunId, target: SignalTarget) {
        let Some(token) = self.jobs.token_of(run) else { return };
        let again = self.core.status(run.service).is_some_and(|status| now().since(status.since).as_secs() > 0);
        self.system.kill(token, of(target));
        let left = self.system.describe_members(token);
        if again && !left.is_empty() {
            self.feed_later(Event::Unkillable { run, what: left });
        }
    }

    fn freeze(&mut self, run: RunId) {
        if self.succession.unseen.get(run).is_some() {
            // Once it is seen, it is brought to what it is to be.
            return;
        }
        let frozen = self.jobs.token_of(run).map(|token| self.system.freeze(token));
        let error = match frozen {
            Some(Ok(())) => return,
            Some(Err(error)) => error.to_string(),
            None => "its process is gone".to_owned(),
        };
        self.feed_later(Event::FreezeFailed { run, error });
    }

    fn thaw(&mut self, run: RunId) {
        let token = self.jobs.token_of(run).filter(|_| self.succession.unseen.get(run).is_none());
        if let Some(Err(error)) = token.map(|token| self.system.thaw(token)) {
            self.feed_later(Event::Trouble { service: Some(run.service), text: format!("thawing: {error}") });
        }
        self.feed_later(Event::Thawed { run });
    }

    /// Asks a probe: as a task, or by starting its command.
    fn ask(&mut self, service: ServiceId, kind: ProbeKind, round: u64) {
        let plan = self.services.get(&service).map(|local| Arc::clone(&local.plan));
        let Some((plan, check)) =
            plan.and_then(|plan| plan.probes.get(kind).map(|probe| probe.check.clone()).map(|check| (plan, check)))
        else {
            let outcome = Err("the probe is gone".to_owned());
            return self.feed_later(Event::Probed { service, probe: kind, round, outcome });
        };
        let asking = match &check {
            ProbeCheck::Exec(command) => match self.start_probe(service, kind, round, &plan, command) {
                Ok(asking) => asking,
                Err(Miss::Failed(error)) => {
                    return self.feed_later(Event::Probed { service, probe: kind, round, outcome: Err(error) });
                }
                Err(Miss::NotAsked(why)) => {
                    return self.feed_later(Event::NotProbed { service, probe: kind, round, why });
                }
            },
            ProbeCheck::Http(_)
            | ProbeCheck::Tcp(_)
            | ProbeCheck::Grpc { .. }
            | ProbeCheck::Notify
            | ProbeCheck::File { .. }
            | ProbeCheck::Log(_) => {
                let inputs = self.inputs.clone();
                let task = self.tasks.spawn(async move {
                    let mask = |text: String| plan.secrets.mask(&text);
                    let outcome = probe::ask(&check).await.map_err(|miss| miss.map(mask));
                    inputs.send(Input::Probed { service, probe: kind, round, outcome }).await;
                });
                Asking::Task(task.abort_handle())
            }
        };
        self.jobs.begin_probe(service, kind, round, asking);
    }

    fn start_probe(
        &mut self,
        service: ServiceId,
        kind: ProbeKind,
        round: u64,
        plan: &Arc<ServicePlan>,
        command: &menshen_plan::command_line::CommandLine,
    ) -> Result<Asking, Miss> {
        let identity = self.identities.of(plan).map_err(|error| error.to_string())?;
        let main_pid = self.core.status(service).and_then(|status| status.pid);
        let around = program::Around {
            instance: &self.instance,
            identity,
            output: Output::Tail,
            notify_socket: None,
            main_pid,
            passed: Vec::new(),
        };
        let program = program::of_probe(plan, command, around);
        let place = Place { service: plan.name.to_string(), role: probe_role(kind) };
        let token = self.jobs.token();
        self.system.spawn(token, &place, 0, &program).map_err(|error| Miss::of(&error))?;
        self.jobs.add(token, Job::Probe { service, kind, round, outcome: None });
        Ok(Asking::Process(token))
    }

    /// Ends a probe. A task ends at once; a process tells when it has.
    fn cancel_probe(&mut self, service: ServiceId, kind: ProbeKind, round: u64) {
        match self.jobs.probe(service, kind, round) {
            Some(Asking::Process(token)) => self.system.kill(*token, Target::Tree),
            Some(Asking::Task(task)) => {
                task.abort();
                self.jobs.end_probe(service, kind, round);
                self.feed_later(Event::Probed { service, probe: kind, round, outcome: Err("cancelled".to_owned()) });
            }
            None => {}
        }
    }

    /// Notes an event. It is handed to the journal and to whoever follows before anybody is answered, and before the guard
    /// waits, but for the moment in which a newborn program is left the processors.
    pub(super) fn write_record(&mut self, record: Record) {
        let moves = matches!(
            record.kind,
            RecordKind::Transition { .. } | RecordKind::Probe { .. } | RecordKind::Command { .. }
        );
        self.moved |= moves;
        if record.kind == RecordKind::ShuttingDown && !self.shutting_down {
            self.shutting_down = true;
            self.notes.put_off_writing();
            self.manager.stopping(&record.reason, &self.tasks, &self.inputs);
        }
        self.notes.happened(record, self.next_sequence, wall());
        self.next_sequence += 1;
        if self.notes.are_full() {
            self.tell();
        }
    }

    fn alert(&mut self, alert: &menshen_core::Alert) {
        let plan = Arc::clone(self.core.plan());
        if plan.alerts.is_empty() {
            return;
        }
        let payload = Arc::new(Payload {
            instance: self.instance.clone(),
            host: menshen_os::host::name(),
            kind: alert.kind,
            service: alert.service.clone(),
            text: alert.text.clone(),
            time: wall(),
        });
        for delivery in self.alerts.deliveries(&plan, alert, &payload, now()) {
            self.deliver(delivery);
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        if !self.alerts.begin(&delivery) {
            // Written down, but not alerted: that would go round in circles.
            return self.note(delivery.failure("too many alerts are under way"));
        }
        match &delivery.plan.route {
            menshen_plan::plan::AlertRoute::Webhook { .. } => delivery.call_webhook(&self.tasks, &self.inputs),
            menshen_plan::plan::AlertRoute::Exec(_) => self.run_alert(delivery),
        }
    }

    /// Answers a command, once what it changed is on disk, or cannot be written: then the answer says so.
    fn reply(&mut self, reply: Reply) {
        let Some(ticket) = self.tickets.take(reply.ticket) else { return };
        let answer = match reply.result {
            Ok(()) => self.show(ticket.service).ok_or_else(|| super::request::no_such_service(&ticket.name)),
            Err(refusal) => Err(super::request::refused(&ticket.name, refusal)),
        };
        let memory = store::path(&self.paths.memory(&self.instance), &ticket.name);
        self.disk().then_tell(memory, move |unremembered| {
            // Who asked may have gone; what was asked is done all the same.
            let _ = ticket.reply.send(answer.map(|service| Service { unremembered, ..service }));
        });
    }
}

const fn of(target: SignalTarget) -> Target {
    match target {
        SignalTarget::Main => Target::Main,
        SignalTarget::Rest => Target::Rest,
        SignalTarget::Tree => Target::Tree,
    }
}

/// The role of a probe's command.
pub(super) fn probe_role(kind: ProbeKind) -> String {
    format!("probe-{kind}")
}

pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Main => "main",
        Role::Fallback => "fallback",
        Role::Stop => "stop",
    }
}
