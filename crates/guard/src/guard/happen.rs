//! What happened, in the core's words.

use std::sync::Arc;
use std::time::Duration;

use menshen_core::{Event, Role, RunId, ServiceId};
use menshen_os::error::describe;
use menshen_os::event::Ask;
use menshen_os::notify_socket::Datagram;
use menshen_os::service_manager;
use menshen_os::{Exit, Target, Token, TreeState};
use menshen_plan::count::counted;
use menshen_plan::plan::AlertRoute;

use super::alert::Delivery;
use super::input::Input;
use super::jobs::{AlertJob, Job};
use super::local::{listens, log_id, pattern_kind};
use super::status::{exit, tree};
use super::troubles::Part;
use super::{Guard, now};
use crate::disk::DiskReport;
use crate::logs::Report;
use crate::notify::{self, Descriptors};
use crate::probe::Miss;
use crate::program;

/// How often what services use is looked at, where the kernel does not enforce a limit.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

impl Guard {
    pub(super) fn started(&mut self, token: Token, pid: u32) {
        if let Some(Job::Run(run)) = self.jobs.get(token) {
            let run = *run;
            self.feed(Event::Spawned { run, pid });
        }
    }

    pub(super) fn start_failed(&mut self, token: Token, error: &std::io::Error) {
        match self.jobs.get_mut(token) {
            Some(Job::Run(run)) => {
                let run = *run;
                self.jobs.remove(token);
                self.feed(Event::SpawnFailed { run, error: describe(error) });
            }
            Some(Job::Probe { outcome, .. }) => {
                outcome.get_or_insert(Err(Miss::of(error)));
                self.job_over(token);
            }
            Some(Job::Alert(alert)) => {
                alert.outcome.get_or_insert(Err(describe(error)));
                self.job_over(token);
            }
            Some(Job::Check(check)) => {
                check.outcome.get_or_insert(Err(describe(error)));
                self.job_over(token);
            }
            None => {}
        }
    }

    pub(super) fn exited(&mut self, token: Token, (how, oom, left): (Exit, bool, TreeState), tail: &[u8]) {
        match self.jobs.get_mut(token) {
            Some(Job::Run(run)) => {
                let run = *run;
                return self.run_exited(token, run, (how, oom, left));
            }
            Some(Job::Probe { outcome, .. }) => {
                outcome.get_or_insert_with(|| exec_outcome(how, tail).map_err(Miss::Failed));
            }
            Some(Job::Alert(alert)) => {
                alert.outcome.get_or_insert_with(|| exec_outcome(how, tail));
            }
            Some(Job::Check(check)) => {
                String::from_utf8_lossy(tail).trim().clone_into(&mut check.said);
                check.outcome.get_or_insert_with(|| exec_outcome(how, tail));
            }
            None => return,
        }
        match left {
            TreeState::Empty => self.job_over(token),
            // What a probe or an alert leaves behind ends with it; its end is reported when it is gone.
            TreeState::Alive => self.system.kill(token, Target::Tree),
        }
    }

    /// Nothing is left of a probe's or an alert's command.
    fn job_over(&mut self, token: Token) {
        match self.jobs.remove(token) {
            Some(Job::Probe { service, kind, round, outcome }) => {
                self.probe_ended(service, kind, round, outcome.unwrap_or(Ok(())));
            }
            Some(Job::Alert(alert)) => {
                alert.timeout.abort();
                self.system.forget(&alert.place.service);
                self.alert_tried(&alert.delivery, alert.outcome.unwrap_or(Ok(())));
            }
            Some(Job::Check(check)) => {
                check.timeout.abort();
                self.system.forget(&check.place.service);
                self.checked(check.outcome.unwrap_or(Ok(())), &check.said);
            }
            Some(Job::Run(_)) | None => {}
        }
    }

    pub(super) fn run_exited(&mut self, token: Token, run: RunId, (how, oom, left): (Exit, bool, TreeState)) {
        // Nobody waits for it: what was written last is on its way. But a probe must not take it for the next run's.
        let listens = self.services.get(&run.service).is_some_and(|local| listens(&local.plan));
        self.end_last_line(run);
        if listens {
            self.logs.wake();
        }
        if left == TreeState::Empty {
            self.jobs.remove(token);
        }
        self.feed(Event::Exited { run, exit: exit(how), oom, tree: tree(left) });
        self.let_go_if_over(run.service);
    }

    /// Many services that end at once take long to be cleared away. That is begun when the first of them has ended.
    fn let_go_if_over(&mut self, id: ServiceId) {
        if self.core.is_over(id)
            && let Some(local) = self.services.get(&id)
        {
            self.system.forget_by_and_by(local.plan.name.as_str());
        }
    }

    /// What a run has begun and not ended is a line. A stop command writes what it does among the lines of what it stops.
    fn end_last_line(&self, run: RunId) {
        if run.role != Role::Stop {
            self.logs.end_run_soon(log_id(run.service));
        }
    }

    pub(super) fn tree_empty(&mut self, token: Token) {
        match self.jobs.get(token) {
            Some(Job::Run(run)) => {
                let run = *run;
                // What was left of it may have begun a line, too.
                self.end_last_line(run);
                self.jobs.remove(token);
                self.feed(Event::TreeEmpty { run });
                self.let_go_if_over(run.service);
            }
            Some(Job::Probe { .. } | Job::Alert(_) | Job::Check(_)) => self.job_over(token),
            None => {}
        }
    }

    pub(super) fn frozen(&mut self, token: Token) {
        if let Some(Job::Run(run)) = self.jobs.get(token) {
            let run = *run;
            self.feed(Event::Frozen { run });
        }
    }

    fn probe_ended(
        &mut self,
        service: ServiceId,
        probe: menshen_plan::definition::ProbeKind,
        round: u64,
        outcome: Result<(), Miss>,
    ) {
        if !self.jobs.end_probe(service, probe, round) {
            return;
        }
        let mask = |error: String| {
            self.services.get(&service).map_or_else(String::new, |local| local.plan.secrets.mask(&error))
        };
        self.feed(match outcome.map_err(|miss| miss.map(mask)) {
            Ok(()) => Event::Probed { service, probe, round, outcome: Ok(()) },
            Err(Miss::Failed(error)) => Event::Probed { service, probe, round, outcome: Err(error) },
            Err(Miss::NotAsked(why)) => Event::NotProbed { service, probe, round, why },
        });
    }

    /// A program said something of itself. Only what comes from the service's own processes counts.
    pub(super) fn notified(&mut self, socket: Token, datagram: Datagram) {
        let Some(id) = self.jobs.socket(socket) else { return };
        let run = self.core.main_run(id);
        let Some((run, token)) = run.and_then(|run| self.jobs.token_of(run).map(|token| (run, token))) else { return };
        if !self.is_from_service(id, token, &datagram) {
            let text = format!(
                "a notify message from process {} (user {}) was passed over: it is not the service's",
                datagram.pid, datagram.user
            );
            return self.complain(id, text);
        }
        if datagram.is_cut {
            // What is left of its last line may say something else than was said.
            let text = format!("a notify message of more than {} bytes was passed over", datagram.bytes.len());
            return self.complain(id, text);
        }
        let message = notify::parse(&datagram.bytes);
        if let Some(pid) = message.main_pid {
            match self.system.set_main(token, pid) {
                Ok(()) => self.feed(Event::MainChanged { run, pid }),
                Err(error) => self.complain(id, format!("MAINPID={pid} was passed over: {error}")),
            }
        }
        self.keep_descriptors(id, &message, datagram);
        for notification in message.notifications {
            self.feed(Event::Notified { run, notification });
        }
    }

    /// Tells of something that was said and cannot be followed. Anybody on the machine can say something.
    fn complain(&mut self, id: ServiceId, text: String) {
        let admitted = self.services.get_mut(&id).and_then(|local| local.complaints.admit(text, now()));
        if let Some(text) = admitted {
            self.feed(Event::Trouble { service: Some(id), text });
        }
    }

    /// A sender that is gone already (`systemd-notify` is gone in a moment) is known by its user.
    fn is_from_service(&mut self, id: ServiceId, token: Token, datagram: &Datagram) -> bool {
        let unseen = self.core.main_run(id).and_then(|run| self.succession.unseen.get(run));
        let is_unseen = unseen.is_some_and(|unseen| unseen.pid == datagram.pid);
        if is_unseen || self.system.is_member(token, datagram.pid) {
            return true;
        }
        let gone = !menshen_os::system::exists(datagram.pid);
        let local = self.services.get(&id).map(|local| Arc::clone(&local.plan));
        let user = local.and_then(|plan| self.identities.of(&plan).ok().flatten()).map(|identity| identity.user());
        gone && datagram.user == user.unwrap_or_else(|| menshen_os::account::current().id())
    }

    /// Keeps descriptors for the next start of the program, as many as the definition allows.
    fn keep_descriptors(&mut self, id: ServiceId, message: &notify::Message, datagram: Datagram) {
        let Some(local) = self.services.get_mut(&id) else { return };
        let name = message.descriptor_name.clone().unwrap_or_else(|| "stored".to_owned());
        match message.descriptors {
            Some(Descriptors::Remove) => local.descriptors.retain(|(stored, _)| *stored != name),
            Some(Descriptors::Store) => {
                let mut lost = 0_usize;
                for descriptor in datagram.descriptors {
                    // A program may hand over at each start what it was given back.
                    if local.descriptors.iter().any(|(_, stored)| stored.is_same(&descriptor)) {
                        continue;
                    }
                    if local.descriptors.len() < usize::from(local.plan.fd_store) {
                        local.descriptors.push((name.clone(), Arc::new(descriptor)));
                    } else {
                        lost += 1;
                    }
                }
                if lost > 0 {
                    let allowed = local.plan.fd_store;
                    let lost = counted(lost, "file descriptor was not kept", "file descriptors were not kept");
                    let text = format!("{lost}: `fd_store` allows {allowed}");
                    self.complain(id, text);
                }
            }
            None => {}
        }
    }

    /// Somebody asks the guard itself by a signal.
    pub(super) fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Terminate => {
                service_manager::note_told();
                self.feed(Event::Shutdown { reason: "SIGTERM".to_owned(), hurry: false });
            }
            // A second Ctrl-C is not patient any more.
            Ask::Interrupt => {
                self.feed(Event::Shutdown { reason: "interrupted".to_owned(), hurry: self.shutting_down });
            }
            Ask::Reload => self.reload_from_disk(),
            // As with every program in a terminal; `--detach` is for those that are to stay.
            Ask::Hangup => self.feed(Event::Shutdown { reason: "its terminal was closed".to_owned(), hurry: false }),
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        match input {
            Input::Request(request) => self.request(request),
            Input::Probed { service, probe, round, outcome } => self.probe_ended(service, probe, round, outcome),
            // They are heard after the inputs.
            Input::Logs => {}
            Input::Disk(DiskReport::Trouble(text)) => {
                self.begin_trouble(Part::Memory, format!("what the guard remembers cannot be written: {text}"));
            }
            Input::Disk(DiskReport::TroubleOver) => {
                self.end_trouble(Part::Memory, "what the guard remembers can be written again".to_owned());
                self.lock_memory();
            }
            Input::MemoryLocked(taken) => self.memory_locked(taken),
            Input::Trouble(trouble, text) => self.begin_control_trouble(trouble, text),
            Input::TroubleOver(trouble, text) => self.end_control_trouble(trouble, text),
            Input::CallerTrouble(text) => self.note_caller(text),
            // Who has gone meanwhile hears no answer, and tells of no end.
            Input::FollowerTrouble { text, told } => drop(told.send(self.note_follower(text))),
            Input::FollowerTroubleOver(text) => self.note_follower_over(text),
            Input::RunAlert(delivery) => self.run_alert(delivery),
            Input::AlertTimeout(token) => self.alert_timed_out(token),
            Input::AlertEnded(delivery, result) => self.alert_ended(&delivery, result),
            Input::CheckTimeout(token) => self.check_timed_out(token),
            Input::UpgradeAnswered => self.upgrade_answered(),
            Input::AttachLogs => self.attach_logs(),
            Input::LookAtHolder(next) => self.look_at_holder(next),
            Input::Asked(ask) => self.asked(ask),
            Input::Extend => self.manager.extend(),
            Input::Sample => self.sample(),
            Input::Reloaded(Ok(plan)) => self.follow(plan, "SIGHUP".to_owned()),
            Input::Reloaded(Err(text)) => self.trouble(format!("the definition was not reloaded: {text}")),
        }
    }

    pub(super) fn log_reports(&mut self) {
        for report in self.log_reports.take() {
            self.log_report(report);
        }
    }

    fn log_report(&mut self, report: Report) {
        let service = |log: crate::logs::LogId| u32::try_from(log.0).map(ServiceId).ok();
        match report {
            Report::Matched { log, run, pattern } => {
                let current =
                    service(log).and_then(|id| self.core.main_run(id)).filter(|current| current.number == run);
                if let Some((run, probe)) = current.zip(pattern_kind(pattern)) {
                    self.feed(Event::LogMatched { run, probe });
                }
            }
            Report::Trouble { log, trouble, text } => {
                if let Some(id) = service(log) {
                    self.begin_trouble(Part::Log(id, trouble), text);
                }
            }
            Report::TroubleOver { log, trouble, text } => {
                if let Some(id) = service(log) {
                    self.end_trouble(Part::Log(id, trouble), text);
                }
            }
        }
    }

    /// Starts an alert's command.
    pub(super) fn run_alert(&mut self, delivery: Delivery) {
        let AlertRoute::Exec(command) = &delivery.plan.route else { return };
        let folder = self.source.folder();
        let program = program::of_alert(command, &folder, delivery.variables(), delivery.json());
        let token = self.jobs.token();
        let Some(place) = super::alert::places().find(|place| !self.jobs.is_alert_at(place)) else {
            return self.alert_tried(&delivery, Err("too many alerts are under way".to_owned()));
        };
        if let Err(error) = self.system.spawn(token, &place, 0, &program) {
            self.system.forget(&place.service);
            return self.alert_tried(&delivery, Err(describe(&error)));
        }
        let (inputs, timeout) = (self.inputs.clone(), delivery.plan.timeout);
        let task = self.tasks.spawn(async move {
            tokio::time::sleep(timeout).await;
            inputs.send(Input::AlertTimeout(token)).await;
        });
        let job = AlertJob { delivery, place, timeout: task.abort_handle(), outcome: None };
        self.jobs.add(token, Job::Alert(Box::new(job)));
    }

    /// An alert's command has taken too long.
    fn alert_timed_out(&mut self, token: Token) {
        let Some(Job::Alert(alert)) = self.jobs.get_mut(token) else { return };
        let timeout = menshen_plan::duration::format(alert.delivery.plan.timeout);
        alert.outcome.get_or_insert(Err(format!("no end within {timeout}")));
        self.system.kill(token, Target::Tree);
    }

    fn alert_tried(&mut self, delivery: &Delivery, outcome: Result<(), String>) {
        match delivery.next_try().filter(|_| outcome.is_err()) {
            Some((next, wait)) => next.run_later(wait, &self.tasks, &self.inputs),
            None => self.alert_ended(delivery, outcome),
        }
    }

    fn alert_ended(&mut self, delivery: &Delivery, outcome: Result<(), String>) {
        self.alerts.end(delivery, outcome.is_ok());
        if let Err(why) = outcome {
            // Written down, but not alerted: that would go round in circles.
            self.note(delivery.failure(&why));
        }
    }

    /// Begins to look at what services use, if that has not begun.
    pub(super) fn begin_sampling(&mut self) {
        if std::mem::replace(&mut self.sampling, true) {
            return;
        }
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            loop {
                tokio::time::sleep(SAMPLE_EVERY).await;
                inputs.send(Input::Sample).await;
            }
        });
    }

    /// Looks at those services whose limits the kernel does not enforce.
    fn sample(&mut self) {
        let mut exceeded = Vec::new();
        for (id, local) in self.services.iter().filter(|(_, local)| !local.enforced.memory || !local.enforced.tasks) {
            let Some(run) = self.core.main_run(*id) else { continue };
            let usage = self.system.usage(local.plan.name.as_str());
            let limits = &local.plan.limits;
            if let Some(limit) = limits.memory.filter(|limit| !local.enforced.memory && usage.memory_bytes > limit.0) {
                exceeded.push((run, format!("memory {} MiB of {limit}", usage.memory_bytes >> 20)));
            } else if let Some(limit) = limits.tasks.filter(|limit| !local.enforced.tasks && usage.tasks > *limit) {
                exceeded.push((run, format!("{} tasks of {limit}", usage.tasks)));
            }
        }
        for (run, what) in exceeded {
            self.feed(Event::LimitExceeded { run, what });
        }
    }
}

/// What the end of a probe's or alert's command means, with the last line it wrote.
fn exec_outcome(how: Exit, tail: &[u8]) -> Result<(), String> {
    if how == Exit::Code(0) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(tail);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(if last.is_empty() { exit(how).to_string() } else { format!("{}: {last}", exit(how)) })
}
