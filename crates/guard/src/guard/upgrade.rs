//! Another version goes on in the guard's place. It is asked whether it can; whoever wanted it is told; what is under way comes
//! to an end; and then this process goes on as that version, with its number, its children and what is handed over.
//!
//! Until the very last step everything can be undone, and that step cannot be half done. Where no process can go on as another
//! program, `successor` has what takes its place.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen_api::types::{Upgraded, Upgrading};
use menshen_api::{Problem, ProblemCode};
use menshen_core::{Record, RecordKind};
use menshen_os::error::describe;
use menshen_os::event::Ask;
use menshen_os::fail_point::{FailPoint, reach};
use menshen_os::file::{Look, look};
use menshen_os::handover::{Keep, Way, myself, way};
use menshen_os::{OsEvent, Output, Place, Program, Target, Token};
use tokio::sync::oneshot;

use super::input::Input;
use super::jobs::{CheckJob, Job};
use super::setup::Held;
use super::troubles::Part;
use super::unseen::UnseenRuns;
use super::{Guard, GuardError, now};
use crate::control::Farewell;
use crate::handover::{self, Handover, Inherited, OfService, Stranger, WILLING};

/// How long a binary may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long the end of probes and the start of programs are waited for; what is still under way then is found by the next
/// version.
const UNDER_WAY_MAX: Duration = Duration::from_secs(1);

/// An upgrade under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    binary: PathBuf,
    by: String,
    /// Its version, once it has said it.
    version: Option<String>,
    /// Until it is known whether it can.
    asker: Option<Asker>,
    /// The number of the event that tells of it.
    id: u64,
    /// Whoever asked knows that it comes.
    answered: bool,
}

/// What came from a version before, and what is to go to a next.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// What was handed over and has not found its place yet.
    pub inherited: Inherited,
    /// How many programs run on that a guard before this one started.
    pub adopted: u32,
    /// The services that left the definition and of which something runs.
    pub removed: BTreeSet<String>,
    /// What could not be looked at yet of what such a guard left.
    pub unseen: UnseenRuns,
    /// The upgrade this guard came from.
    pub upgraded: Option<Upgraded>,
    /// The one it is to make room for.
    pub under_way: Option<Upgrade>,
    /// It is to end alone.
    pub leaving: bool,
}

/// Who asked for an upgrade.
#[derive(Debug)]
pub(super) struct Asker {
    pub reply: oneshot::Sender<Result<Upgrading, Problem>>,
    /// Ends when the connection does.
    pub answered: oneshot::Receiver<()>,
}

impl Upgrade {
    /// What the next version is told of it.
    pub(super) fn handover(&self) -> Handover {
        Handover::new(self.id, self.binary.display().to_string(), self.by.clone())
    }
}

/// Where a binary is asked: one at a time. A next guard ends what an earlier one left there.
pub(super) fn place() -> Place {
    // No service's name begins with a dot.
    Place { service: ".upgrade".to_owned(), role: "check".to_owned() }
}

/// Asking whether it can.
impl Guard {
    pub(super) fn upgrade(&mut self, binary: PathBuf, by: String, asker: Asker) {
        let refusal = if self.shutting_down {
            Some(Problem::new(ProblemCode::ShuttingDown, "the guard is shutting down"))
        } else if self.succession.under_way.is_some() {
            Some(Problem::new(ProblemCode::Busy, "another upgrade is under way"))
        } else {
            why_not(&binary).map(refused)
        };
        if let Some(problem) = refusal {
            return drop(asker.reply.send(Err(problem)));
        }
        self.succession.under_way =
            Some(Upgrade { binary, by, version: None, asker: Some(asker), id: 0, answered: false });
        self.ask_binary(vec!["--version".into()], handover::own_environment().collect());
    }

    /// Starts the binary with a question; [`Self::checked`] hears the answer.
    fn ask_binary(&mut self, arguments: Vec<OsString>, environment: Vec<(OsString, OsString)>) {
        let Some(upgrade) = &self.succession.under_way else { return };
        let program = Program {
            command: [upgrade.binary.clone().into_os_string()].into_iter().chain(arguments).collect(),
            environment,
            directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            output: Output::Tail,
            ..Program::default()
        };
        let token = self.jobs.token();
        let place = place();
        if let Err(error) = self.system.spawn(token, &place, 0, &program) {
            self.system.forget(&place.service);
            return self.checked(Err(describe(&error)), "");
        }
        let inputs = self.inputs.clone();
        let task = self.tasks.spawn(async move {
            tokio::time::sleep(ANSWER_WITHIN).await;
            inputs.send(Input::CheckTimeout(token)).await;
        });
        let job = CheckJob { place, timeout: task.abort_handle(), outcome: None, said: String::new() };
        self.jobs.add(token, Job::Check(Box::new(job)));
    }

    pub(super) fn check_timed_out(&mut self, token: Token) {
        let Some(Job::Check(check)) = self.jobs.get_mut(token) else { return };
        let within = menshen_plan::duration::format(ANSWER_WITHIN);
        check.outcome.get_or_insert(Err(format!("no answer within {within}")));
        self.system.kill(token, Target::Tree);
    }

    /// The binary has answered a question.
    pub(super) fn checked(&mut self, outcome: Result<(), String>, said: &str) {
        let Some(upgrade) = &mut self.succession.under_way else { return };
        let binary = upgrade.binary.display();
        match (&upgrade.version, outcome) {
            (None, Ok(())) => match version_in(said) {
                Some(version) => {
                    upgrade.version = Some(version.to_owned());
                    let arguments = std::env::args_os().skip(1).collect();
                    self.ask_binary(arguments, handover::environment(handover::question(&self.instance)));
                }
                None => {
                    let said = said.lines().next().unwrap_or_default();
                    let detail = format!("{binary} is not Menshen: asked for its version, it says '{said}'");
                    self.refuse(refused(detail));
                }
            },
            (None, Err(why)) => {
                let detail = format!("{binary} is not Menshen, or not for this machine: asked for its version: {why}");
                self.refuse(refused(detail));
            }
            (Some(_), Ok(())) if said.lines().last() == Some(WILLING) => self.accept(),
            (Some(version), Ok(())) => {
                let detail = format!("{binary} (version {version}) does not say whether it can take over: '{said}'");
                self.refuse(refused(detail));
            }
            (Some(version), Err(why)) => {
                let said = if said.is_empty() { &why } else { said };
                let detail = format!("{binary} (version {version}) cannot take over: {said}");
                self.refuse(refused(detail));
            }
        }
    }

    fn refuse(&mut self, problem: Problem) {
        let asker = self.succession.under_way.take().and_then(|upgrade| upgrade.asker);
        // Who asked may have gone.
        let _ = asker.map(|asker| asker.reply.send(Err(problem)));
    }

    /// It can. Once that and everything before it is on disk, whoever asked is told, and then it comes.
    fn accept(&mut self) {
        if self.shutting_down {
            return self.refuse(Problem::new(ProblemCode::ShuttingDown, "the guard is shutting down"));
        }
        if self.troubles.has(Part::Memory) {
            let detail =
                "what the guard remembers cannot be written now, so a next one would not know it; see `menshen events`";
            return self.refuse(refused(detail.to_owned()));
        }
        let Some(upgrade) = &mut self.succession.under_way else { return };
        let Some(Asker { reply, answered }) = upgrade.asker.take().filter(|asker| !asker.reply.is_closed()) else {
            // Nobody would hear what came of it.
            self.succession.under_way = None;
            return;
        };
        upgrade.id = self.next_sequence;
        if way() == Way::NextProcess
            && let Err(error) = upgrade.handover().leave(&self.paths.handover(&self.instance))
        {
            let problem = refused(format!("nothing can be left for the next version: {}", describe(&error)));
            self.succession.under_way = None;
            return drop(reply.send(Err(problem)));
        }
        let from = env!("CARGO_PKG_VERSION").to_owned();
        let to = upgrade.version.clone().unwrap_or_default();
        let (reason, by) = (format!("{from} → {to} ({})", upgrade.binary.display()), upgrade.by.clone());
        let answer = Upgrading { id: upgrade.id, from, to };
        self.write_record(Record { service: None, kind: RecordKind::Upgrading, reason, by: Some(by) });
        let (written, is_written) = oneshot::channel();
        self.disk().then(move || {
            // Who asked may have gone; what was accepted comes all the same.
            let _ = reply.send(Ok(answer));
            let _ = written.send(());
        });
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            // A disk that hangs keeps the guard from leaving.
            if is_written.await.is_ok() {
                let _ = answered.await;
                inputs.send(Input::UpgradeAnswered).await;
            }
        });
    }

    pub(super) fn upgrade_answered(&mut self) {
        if let Some(upgrade) = &mut self.succession.under_way {
            upgrade.answered = true;
        }
    }
}

/// Leaving.
impl Guard {
    /// The guard is to end, and what it guards is to run on: a next guard will come.
    pub(super) fn leave_alone(&mut self, by: String, reply: oneshot::Sender<Result<(), Problem>>) {
        let refusal = if self.shutting_down {
            Some(Problem::new(ProblemCode::ShuttingDown, "the guard is shutting down, and stops everything"))
        } else if self.succession.under_way.is_some() {
            Some(Problem::new(ProblemCode::Busy, "an upgrade is under way"))
        } else {
            None
        };
        if let Some(problem) = refusal {
            return drop(reply.send(Err(problem)));
        }
        let reason = "everything runs on, for the next guard".to_owned();
        self.write_record(Record { service: None, kind: RecordKind::Left, reason, by: Some(by) });
        self.succession.leaving = true;
        self.disk().then(move || {
            // Who asked may have gone.
            let _ = reply.send(Ok(()));
        });
    }

    /// If the guard is to end alone now, and nothing has come in between.
    pub(super) fn has_left(&mut self, events: &mut Vec<OsEvent>) -> bool {
        if !self.succession.leaving {
            return false;
        }
        self.end_what_is_under_way(events);
        self.succession.leaving = !self.shutting_down && self.ended.is_none();
        self.succession.leaving
    }

    /// If an upgrade is to be done now: brings what is under way to an end, as far as the next version could not go on with it.
    pub(super) fn make_room(&mut self, events: &mut Vec<OsEvent>) -> Option<Upgrade> {
        self.succession.under_way.as_ref().filter(|upgrade| upgrade.answered)?;
        self.end_what_is_under_way(events);
        // A reload is what the next version begins with.
        let asked = self.system.hold_signals();
        asked.into_iter().filter(|ask| *ask != Ask::Reload).for_each(|ask| self.asked(ask));
        let upgrade = self.succession.under_way.take()?;
        if self.shutting_down || self.ended.is_some() {
            // Where there is none, nothing was left.
            let _ = std::fs::remove_file(self.paths.handover(&self.instance));
            self.note(format!("the upgrade to {} was given up: the guard is to end", upgrade.binary.display()));
            return None;
        }
        Some(upgrade)
    }

    fn end_what_is_under_way(&mut self, events: &mut Vec<OsEvent>) {
        self.settle_alerts(events);
        let end = now() + UNDER_WAY_MAX;
        loop {
            let left = self.jobs.give_up_probes();
            left.iter().for_each(|token| self.system.kill(*token, Target::Tree));
            if (left.is_empty() && !self.system.is_starting()) || now() >= end {
                break;
            }
            self.turn(Some(end.since(now())), events);
        }
    }

    /// Goes on as the next version. Returns only when neither that nor this very version can be executed.
    pub(super) fn leave(mut self, upgrade: Upgrade) -> GuardError {
        let holder = self.system.leave_to_holder().or_else(|| self.succession.inherited.holder.take());
        let mut keep = Keep::default();
        let mut handover = upgrade.handover().following(self.core.plan());
        let binary = upgrade.binary;
        handover.holder = holder.and_then(|holder| keep.add(&holder).ok());
        self.hand_over(&mut handover, &mut keep);
        self.logs.stop();
        self.write_down();
        if let Some(watcher) = self.watcher.take() {
            watcher.end();
        }
        if let Some(disk) = self.disk.take() {
            disk.stop();
        }
        let locks = self.held.take().map(|Held { locks, tasks }| {
            // Whoever asked has the answer.
            tasks.stop(Farewell::default());
            locks
        });
        handover.lock = locks.as_ref().and_then(|locks| keep.add(&locks.instance).ok());
        handover.memory_lock = locks.as_ref().and_then(|locks| keep.add(locks.memory.as_ref().ok()?).ok());
        reach(FailPoint::RoomMade);
        let error = self.go_on_as(&binary, &handover, &mut keep);
        handover.failure = Some(describe(&error));
        let source = self.go_on_as(&myself(), &handover, &mut keep);
        GuardError::NobodyGoesOn { binary, source }
    }

    /// What the next version is to have. What cannot be kept it makes anew, as after a guard that was killed.
    fn hand_over(&self, handover: &mut Handover, keep: &mut Keep) {
        handover.control = keep.add(self.control.leave()).ok();
        for local in self.services.values() {
            let socket = local.notify.as_ref().and_then(|(token, _)| self.system.socket(*token));
            let notify = socket.and_then(|socket| keep.add(socket).ok());
            let kept = local
                .descriptors
                .iter()
                .filter_map(|(name, descriptor)| Some((name.clone(), keep.add(&**descriptor).ok()?)));
            let descriptors = kept.collect();
            handover.services.insert(local.plan.name.to_string(), OfService { notify, descriptors });
        }
        let strangers = self.system.strangers();
        let keep_one = |(process, descriptor)| Some(Stranger::new(process, keep.add(&descriptor).ok()?));
        handover.strangers = strangers.into_iter().filter_map(keep_one).collect();
    }

    /// Returns why that cannot be executed.
    fn go_on_as(&mut self, program: &Path, handover: &Handover, keep: &mut Keep) -> std::io::Error {
        let json = serde_json::to_vec(handover).unwrap_or_default();
        let number = match keep.add_bytes(&json) {
            Ok(number) => number,
            Err(error) => return error,
        };
        reach(FailPoint::HandoverReady);
        let own_name = std::env::args_os().next().unwrap_or_else(|| "menshen".into());
        let name = if handover.failure.is_none() { program.as_os_str().to_owned() } else { own_name };
        let arguments: Vec<OsString> = [name].into_iter().chain(std::env::args_os().skip(1)).collect();
        let environment = handover::environment(format!("from:{number}").into());
        self.system.become_program(program, &arguments, &environment)
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(ProblemCode::UpgradeRefused, detail)
}

/// What is wrong with a binary already by the look of it.
fn why_not(binary: &Path) -> Option<String> {
    let shown = binary.display();
    if binary.is_relative() {
        return Some(format!("{shown} is not a path from the root"));
    }
    match look(binary) {
        Look::Missing => Some(format!("there is no {shown}")),
        Look::Unreadable(why) => Some(format!("{shown} cannot be looked at: {why}")),
        Look::Directory => Some(format!("{shown} is a folder")),
        Look::File { executable: false, .. } => Some(format!("{shown} is not executable")),
        Look::File { world_writable: true, .. } => Some(format!("{shown} is not to be trusted: anybody may change it")),
        Look::File { .. } => None,
    }
}

/// The version in `menshen 1.2.3`.
fn version_in(said: &str) -> Option<&str> {
    let version = said.strip_prefix("menshen ")?;
    (!version.is_empty() && version.chars().all(|c| c.is_ascii_graphic())).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_menshen_says_that_it_is_menshen() {
        assert_eq!(version_in("menshen 0.2.0-rc.1"), Some("0.2.0-rc.1"));
        for said in ["", "menshen", "menshen ", "menshen\n0.2.0", "menshen 0.2.0\nerror: x", "true (GNU coreutils) 9.1"]
        {
            assert_eq!(version_in(said), None, "{said:?}");
        }
    }
}
