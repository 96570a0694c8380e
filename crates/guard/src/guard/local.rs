//! What belongs to a service besides its processes: its pipes and logs, its notify socket, the file descriptors it left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use menshen_core::{ServiceId, Wanted};
use menshen_os::error::describe;
use menshen_os::handover::Kept;
use menshen_os::notify_socket::NotifySocket;
use menshen_os::output::{Descriptor, Pipe, open_program_end, remove_pipe};
use menshen_os::usage::Enforced;
use menshen_os::{Output, Token};
use menshen_plan::definition::ProbeKind;
use menshen_plan::plan::ProbeCheck;
use menshen_plan::{Plan, ServicePlan};
use regex::bytes::Regex;

use super::Guard;
use super::complaints::Complaints;
use super::input::Input;
use super::troubles::Part;
use crate::logs::{Attaching, LogId, Pattern, Spec};
use crate::program;

/// A log that could not be attached is tried again after this long.
const ATTACH_AGAIN: Duration = Duration::from_secs(1);

/// Where a program finds its pipes.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// One service as the guard holds it.
#[derive(Debug)]
pub(super) struct Local {
    pub plan: Arc<ServicePlan>,
    stdout: PathBuf,
    stderr: PathBuf,
    pub notify: Option<(Token, PathBuf)>,
    /// File descriptors the program left for its next start.
    pub descriptors: Vec<(String, Arc<Descriptor>)>,
    pub enforced: Enforced,
    /// About what is said of it over its notify socket.
    pub complaints: Complaints,
    /// What an operator had asked for when it was last written with care.
    pub asked: Option<Wanted>,
}

/// The log of a service has its number.
pub(crate) const fn log_id(service: ServiceId) -> LogId {
    LogId(service.0 as u64)
}

impl Guard {
    /// Makes what a service needs. What cannot be made is reported, and the service then fails to start with the reason.
    pub(super) fn furnish(&mut self, id: ServiceId, plan: &Arc<ServicePlan>) {
        let attaching = self.begin_to_furnish(id, plan);
        self.end_furnishing(id, attaching);
    }

    /// Makes what all services need: the collector takes over the logs of one while the pipes of the next are made.
    pub(super) fn furnish_all(&mut self, plan: &Plan) {
        let services: Vec<_> =
            plan.services.iter().filter_map(|(name, service)| Some((self.core.id(name.as_str())?, service))).collect();
        let begun: Vec<_> = services.iter().map(|(id, service)| (*id, self.begin_to_furnish(*id, service))).collect();
        for (id, attaching) in begun {
            self.end_furnishing(id, attaching);
        }
        self.put_in_order();
    }

    fn begin_to_furnish(&mut self, id: ServiceId, plan: &Arc<ServicePlan>) -> io::Result<Attaching> {
        let pipes = self.paths.pipes(&self.instance);
        let name = plan.name.as_str();
        let inherited = self.succession.inherited.services.remove(name).unwrap_or_default();
        let local = Local {
            plan: Arc::clone(plan),
            stdout: pipes.join(format!("{name}.out")),
            stderr: pipes.join(format!("{name}.err")),
            notify: None,
            descriptors: inherited.descriptors,
            enforced: Enforced { memory: true, cpu: true, tasks: true },
            complaints: Complaints::default(),
            asked: None,
        };
        self.services.insert(id, local);
        let attaching = self.begin_to_attach(id);
        self.open_notify_socket(id, inherited.notify);
        attaching
    }

    fn end_furnishing(&mut self, id: ServiceId, attaching: io::Result<Attaching>) {
        if let Err(error) = attaching.and_then(Attaching::done) {
            let name = self.core.name(id).map(ToString::to_string).unwrap_or_default();
            let text = format!("the log of {name} cannot be kept: {}", describe(&error));
            self.begin_trouble(Part::Pipes(id), text);
            self.attach_later(id);
        }
    }

    fn begin_to_attach(&mut self, id: ServiceId) -> io::Result<Attaching> {
        let local = self.services.get(&id).ok_or(io::ErrorKind::NotFound)?;
        let plan = &local.plan;
        let owner = self.identities.of(plan).ok().flatten();
        let (stdout, stderr) = (Pipe::open(&local.stdout, owner.as_ref())?, Pipe::open(&local.stderr, owner.as_ref())?);
        self.begin_to_attach_to(id, stdout, stderr)
    }

    /// Reads on what a program writes that runs on with pipes that somebody has removed meanwhile. Its next run gets new ones.
    pub(super) fn find_removed_pipes(&mut self, id: ServiceId, pid: u32) {
        let Some(local) = self.services.get(&id) else { return };
        let removed = |path: &Path, number| Pipe::removed(path, pid, number);
        let found = [removed(&local.stdout, STDOUT), removed(&local.stderr, STDERR)];
        if found.iter().all(Option::is_none) {
            return;
        }
        // One that was not removed may be the program's.
        for (found, path) in found.iter().zip([&local.stdout, &local.stderr]) {
            if found.is_some() {
                remove_pipe(path);
            }
        }
        self.let_go_of_log(id);
        if let Err(error) = self.begin_to_attach_to_found(id, found).and_then(Attaching::done) {
            let name = self.core.name(id).map(ToString::to_string).unwrap_or_default();
            let why = describe(&error);
            self.note(format!(
                "the pipes of {name} were removed, and what it writes cannot be kept until its next run: {why}"
            ));
        }
    }

    /// A program that writes into one pipe what belongs into both has let go of the other, which is the one at its place then.
    fn begin_to_attach_to_found(&mut self, id: ServiceId, found: [Option<Pipe>; 2]) -> io::Result<Attaching> {
        let local = self.services.get(&id).ok_or(io::ErrorKind::NotFound)?;
        let owner = self.identities.of(&local.plan).ok().flatten();
        let or_new = |found: Option<Pipe>, path: &Path| found.map_or_else(|| Pipe::open(path, owner.as_ref()), Ok);
        let [stdout, stderr] = found;
        self.begin_to_attach_to(id, or_new(stdout, &local.stdout)?, or_new(stderr, &local.stderr)?)
    }

    /// It is attached again at once, and then says anew what does not work about it.
    fn let_go_of_log(&mut self, id: ServiceId) {
        self.logs.detach(log_id(id));
        self.troubles.forget_log(id);
    }

    fn begin_to_attach_to(&self, id: ServiceId, stdout: Pipe, stderr: Pipe) -> io::Result<Attaching> {
        let local = self.services.get(&id).ok_or(io::ErrorKind::NotFound)?;
        let plan = &local.plan;
        let spec = Spec {
            name: plan.name.to_string(),
            instance: self.instance.clone(),
            folder: self.paths.service_logs(&self.instance, plan.name.as_str()),
            plan: plan.log.clone(),
            pipes: [stdout, stderr],
            patterns: patterns(plan),
            run: self.core.main_run(id).map_or(0, |run| run.number),
        };
        self.logs.begin_attach(log_id(id), spec)
    }

    fn attach_log(&mut self, id: ServiceId) -> io::Result<()> {
        self.begin_to_attach(id)?.done()
    }

    /// The log is attached as soon as that can be done: until then, what the service writes waits in its pipes.
    fn attach_later(&mut self, id: ServiceId) {
        let is_first = self.unattached.is_empty();
        self.unattached.insert(id);
        if is_first {
            self.look_at_logs_later();
        }
    }

    fn look_at_logs_later(&self) {
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(ATTACH_AGAIN).await;
            inputs.send(Input::AttachLogs).await;
        });
    }

    /// Tries again to attach the logs that could not be attached.
    pub(super) fn attach_logs(&mut self) {
        for id in std::mem::take(&mut self.unattached) {
            match self.attach_log(id) {
                Ok(()) => self.log_is_attached(id),
                Err(_) => drop(self.unattached.insert(id)),
            }
        }
        if !self.unattached.is_empty() {
            self.look_at_logs_later();
        }
    }

    fn log_is_attached(&mut self, id: ServiceId) {
        let name = self.core.name(id).map(ToString::to_string).unwrap_or_default();
        self.end_trouble(Part::Pipes(id), format!("the log of {name} is kept again"));
        if self.core.main_run(id).is_none() {
            // What a run before has begun could not be ended.
            self.logs.end_run_soon(log_id(id));
        }
    }

    /// New ends of a service's pipes for a program to write into. Pipes that could not be made before, or that somebody has
    /// removed, are made anew.
    pub(super) fn output(&mut self, id: ServiceId) -> io::Result<Output> {
        let local = self.services.get(&id).ok_or(io::ErrorKind::NotFound)?;
        let error = match local.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => error,
            output => return output,
        };
        self.let_go_of_log(id);
        if let Err(error) = self.attach_log(id) {
            self.attach_later(id);
            return Err(error);
        }
        if self.unattached.remove(&id) {
            self.log_is_attached(id);
        }
        self.services.get(&id).map_or(Err(error), Local::output)
    }

    /// A socket for a service that may speak of itself: the one of the version before, if there is one.
    pub(super) fn open_notify_socket(&mut self, id: ServiceId, inherited: Option<Kept>) {
        let Some(local) = self.services.get(&id).filter(|local| local.notify.is_none() && local.plan.uses_notify())
        else {
            return;
        };
        let path = self.paths.pipes(&self.instance).join(format!("{}.notify", local.plan.name));
        let token = self.jobs.token();
        let socket = inherited.map_or_else(|| NotifySocket::bind(&path), NotifySocket::kept);
        let opened = socket.and_then(|socket| self.system.add_socket(token, socket));
        if let Err(error) = opened {
            return self.trouble(format!("{}: {error}", self.services[&id].plan.name));
        }
        self.jobs.add_socket(token, id);
        if let Some(local) = self.services.get_mut(&id) {
            local.notify = Some((token, path));
        }
    }

    /// The service follows a new plan.
    pub(super) fn refurnish(&mut self, id: ServiceId, plan: &Arc<ServicePlan>) {
        let Some(local) = self.services.get_mut(&id) else { return self.furnish(id, plan) };
        local.plan = Arc::clone(plan);
        self.logs.replan(log_id(id), plan.log.clone(), patterns(plan));
        self.open_notify_socket(id, None);
        self.apply_limits(id);
    }

    /// Tells the system what a service may use, and says so where it cannot see to it.
    pub(super) fn apply_limits(&mut self, id: ServiceId) {
        let Some(local) = self.services.get_mut(&id) else { return };
        let enforced = self.system.limit(local.plan.name.as_str(), &program::limits(&local.plan));
        let lost_cpu = local.enforced.cpu && !enforced.cpu;
        local.enforced = enforced;
        if lost_cpu {
            let text =
                format!("{}: limits.cpu is not enforced, this machine has no cpu controller to do so", local.plan.name);
            self.trouble(text);
        }
        if !enforced.memory || !enforced.tasks {
            self.begin_sampling();
        }
    }

    /// Everything a service had is let go.
    pub(super) fn clear_away(&mut self, id: ServiceId) {
        let Some(local) = self.services.remove(&id) else { return };
        self.unattached.remove(&id);
        self.troubles.forget(id);
        self.notes.forget(id);
        self.logs.detach(log_id(id));
        if let Some((token, path)) = &local.notify {
            self.system.remove_socket(*token);
            self.jobs.remove_socket(*token);
            remove(path);
        }
        remove_pipe(&local.stdout);
        remove_pipe(&local.stderr);
        self.system.forget(local.plan.name.as_str());
        self.notes.disk.forget(super::store::path(&self.paths.memory(&self.instance), local.plan.name.as_str()));
    }
}

impl Local {
    /// New ends of the service's pipes for a program to write into.
    fn output(&self) -> io::Result<Output> {
        Ok(Output::To { stdout: open_program_end(&self.stdout)?, stderr: open_program_end(&self.stderr)? })
    }
}

/// The patterns of `log` probes, numbered by their kind.
fn patterns(plan: &ServicePlan) -> Vec<Pattern> {
    let of = |(number, kind): (u32, ProbeKind)| match &plan.probes.get(kind)?.check {
        // The plan was refused if it were not a regular expression.
        ProbeCheck::Log(text) => Regex::new(text).ok().map(|regex| Pattern { id: number, regex }),
        ProbeCheck::Http(_)
        | ProbeCheck::Tcp(_)
        | ProbeCheck::Exec(_)
        | ProbeCheck::Grpc { .. }
        | ProbeCheck::Notify
        | ProbeCheck::File { .. } => None,
    };
    (0..).zip(ProbeKind::ALL).filter_map(of).collect()
}

/// Whether a probe waits for something a service writes.
pub(super) fn listens(plan: &ServicePlan) -> bool {
    let check = |kind| plan.probes.get(kind).map(|probe| &probe.check);
    ProbeKind::ALL.into_iter().any(|kind| matches!(check(kind), Some(ProbeCheck::Log(_))))
}

/// The kind of a pattern's number.
pub(super) fn pattern_kind(number: u32) -> Option<ProbeKind> {
    ProbeKind::ALL.get(usize::try_from(number).ok()?).copied()
}

fn remove(path: &Path) {
    // What is gone already is as it should be.
    let _ = std::fs::remove_file(path);
}
