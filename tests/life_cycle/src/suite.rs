//! The steps.

use std::fs;
use std::path::Path;
use std::time::Instant;

use menshen::service::plan::{Plan, Step};
use menshen::service::registration::{Registration, RestartPolicy, StartType};
use menshen::service::status::Exit;
use menshen::service::{ManagerError, Outcome as Installed, RegistrationOption, ServiceManager, State, Status, Verb};

use crate::abilities::{Abilities, Failure, Pause, Tree};
use crate::asked;
use crate::belongings::{self, Belongings};
use crate::further;
use crate::platform::kill_command;
use crate::program::{FAILURE, Way};
use crate::report::{Outcome, Report, StepReport};
use crate::sample::{Noted, Sample, VARIABLE};
use crate::until::{DEADLINE, until_some};

/// What a step comes to: done, with what there is to tell of it, or what was otherwise than it must be.
pub(crate) type Came = Result<Option<String>, String>;
pub(crate) type Steps = &'static [(&'static str, fn(&World<'_>) -> Came)];

/// Every step, in order. Each finds the service as the one before left it.
const STEPS: Steps = &[
    ("before it is installed there is none", nothing_is_there),
    ("what the manager cannot do is refused by name", unsupported_options_are_refused),
    ("a plan touches nothing", a_plan_touches_nothing),
    ("it is installed and does not run", install),
    ("what is installed already is left alone", install_again),
    ("an edit is shown before it is made", edit),
    ("it runs once it is started", start),
    ("arguments, environment and directory arrive exactly", what_it_was_given),
    ("a restart gives another process", restart),
    ("it is reloaded", reload),
    ("it is paused and continued", pause),
    ("when it is killed the manager does what was agreed", crash),
    ("a stop is over when its tree is empty", stop),
    ("a program that fails at once is shown as failed", failing_program),
    ("enabling and disabling is seen in its status", enable_and_disable),
    ("it is stopped and uninstalled, even when it is paused", uninstall),
    ("nothing is left behind", nothing_is_left),
];

/// What a manager plans, which no manager need be there for.
const PLANNED: Steps = &[
    ("what the manager cannot do is refused by name", unsupported_options_are_refused),
    ("whatever can be asked of it is shown step by step", plans_are_shown),
    ("what a plan writes is where the manager's row says, and its removal removes it", what_is_written_goes),
];

/// What the steps work with.
pub(crate) struct World<'a> {
    pub(crate) manager: &'a dyn ServiceManager,
    pub(crate) sample: &'a Sample,
    pub(crate) abilities: &'a Abilities,
    before: Belongings,
}

/// Which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Those of every manager.
    Common,
    /// Those of what only this manager has.
    Further,
    /// Those that ask the manager nothing and touch nothing.
    Planned,
}

/// Runs the steps up to the first that fails, and tells of each when it is done. What a failed run leaves is removed as far
/// as the manager can.
pub fn run(
    manager: &dyn ServiceManager,
    sample: &Sample,
    abilities: &Abilities,
    part: Part,
    tell: &mut dyn FnMut(&StepReport),
) -> Report {
    let mut report = Report::default();
    let mut add = |step: &'static str, begun: Instant, came: Came| {
        let outcome = match came {
            Ok(more) => Outcome::Done(more),
            Err(told) => Outcome::Failed(told),
        };
        let is_good = !matches!(outcome, Outcome::Failed(_));
        let step = StepReport { step, outcome, took: begun.elapsed() };
        tell(&step);
        report.steps.push(step);
        is_good
    };
    let begun = Instant::now();
    let before = match (part, belongings_of(manager, abilities)) {
        (Part::Planned, _) => Belongings::new(),
        (Part::Common | Part::Further, Ok(before)) => before,
        (Part::Common | Part::Further, Err(told)) => {
            add("what is there is remembered", begun, Err(told));
            return report;
        }
    };
    let world = World { manager, sample, abilities, before };
    let steps = match part {
        Part::Common => STEPS,
        Part::Further => further::of(abilities.kind),
        Part::Planned => PLANNED,
    };
    for (name, step) in steps {
        let begun = Instant::now();
        if !add(name, begun, step(&world)) && part != Part::Planned {
            // What matters is what failed; whether it can be tidied up changes nothing about it.
            let _ = manager.uninstall(&sample.name);
            break;
        }
    }
    report
}

impl World<'_> {
    pub(crate) fn registration(&self) -> Registration {
        self.sample.registration(self.manager, self.abilities, Sample::way(self.abilities))
    }

    pub(crate) fn status(&self) -> Result<Status, String> {
        self.manager.status(&self.sample.name).map_err(told)
    }

    pub(crate) fn act(&self, verb: Verb) -> Result<(), String> {
        self.manager.act(&self.sample.name, verb).map_err(told)
    }

    pub(crate) fn expect_state(&self, wanted: State) -> Result<Status, String> {
        let status = self.status()?;
        held(status.state == wanted, || format!("it is {status:?} and not {wanted:?}"))?;
        Ok(status)
    }

    /// It does not run, and the manager may remember that it failed.
    fn expect_down_after_failure(&self) -> Result<(), String> {
        let status = self.status()?;
        let is_remembered = match self.abilities.failure {
            Failure::UntilStop => false,
            Failure::UntilStart => self.abilities.failed_as.contains(&status.state),
        };
        held(status.state == State::Stopped || is_remembered, || format!("it is {status:?}"))
    }

    /// Waits until it runs as the run that it noted itself.
    pub(crate) fn await_running(&self, run: &Noted) -> Result<Status, String> {
        let status = self.manager.wait_for(&self.sample.name, State::Running, DEADLINE).map_err(told)?;
        held(status.pid == Some(run.pid), || format!("{status:?}, and the program itself is {run:?}"))?;
        Ok(status)
    }

    pub(crate) fn runs(&self) -> Result<usize, String> {
        Ok(self.sample.runs()?.len())
    }

    /// Its processes have ended: at once where the manager sees to that, else soon.
    pub(crate) fn expect_tree_gone(&self) -> Result<(), String> {
        let living = self.sample.living()?;
        match self.abilities.tree {
            Tree::EndedByManager => held(living.is_empty(), || format!("it is stopped, and {living:?} is held")),
            Tree::EndsByItself => {
                until_some("its processes have ended", || Ok(self.sample.living()?.is_empty().then_some(())))
            }
        }
    }

    /// That it cannot be told something, and that the refusal says what.
    fn expect_refusal(&self, verb: Verb) -> Result<String, String> {
        let before = self.status()?;
        match self.manager.act(&self.sample.name, verb) {
            Err(error @ ManagerError::CannotAct { verb: named, .. }) if named == verb => {
                let after = self.status()?;
                held(after == before, || format!("it was {before:?} and is {after:?} after a refused {verb}"))?;
                Ok(error.to_string())
            }
            other => Err(format!("it cannot {verb}, and what it said is {other:?}")),
        }
    }
}

fn nothing_is_there(world: &World<'_>) -> Came {
    let status = world.status()?;
    held(status == Status::NOT_INSTALLED, || format!("{status:?}"))?;
    for verb in [Verb::Start, Verb::Stop, Verb::Restart, Verb::Enable, Verb::Disable] {
        expect_none(world.manager.act(&world.sample.name, verb))?;
    }
    expect_none(world.manager.uninstall(&world.sample.name))?;
    Ok(None)
}

fn unsupported_options_are_refused(world: &World<'_>) -> Came {
    let mut refused = Vec::new();
    for option in RegistrationOption::ALL {
        let asked = asked::registration(world.sample, *option, world.manager);
        held(asked.options().contains(option), || format!("{option:?} is not asked for by {asked:?}"))?;
        let honoured = world.manager.honours(*option);
        match (honoured, world.manager.plan(&asked)) {
            (Ok(()), Ok(plan)) => held(!plan.steps.is_empty(), || format!("the plan for {option:?} is empty"))?,
            // What comes with it may be what cannot be honoured.
            (Ok(()), Err(ManagerError::Unsupported { options, .. }))
                if options.iter().all(|other| other.option != *option) => {}
            (Err(why), Err(ManagerError::Unsupported { options, .. }))
                if options.iter().any(|other| other.option == *option && other.why == why) && !why.is_empty() =>
            {
                refused.push(option.name());
            }
            (honoured, planned) => return Err(format!("{option:?}: {honoured:?}, and the plan is {planned:?}")),
        }
    }
    if refused.is_empty() { Ok(None) } else { Ok(Some(refused.join(", "))) }
}

fn a_plan_touches_nothing(world: &World<'_>) -> Came {
    let registration = world.registration();
    let plan = world.manager.plan(&registration).map_err(told)?;
    let shown: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    held(shown.iter().all(|step| !step.is_empty()), || format!("{shown:?}"))?;
    let differences = world.manager.diff(&registration).map_err(told)?;
    held(!differences.is_empty(), || "nothing would be done to install it".to_owned())?;
    nothing_is_there(world)?;
    nothing_is_left(world)
}

/// The plan for each option that the manager honours.
fn plans(world: &World<'_>) -> Result<Vec<Plan>, String> {
    let honoured = RegistrationOption::ALL.iter().filter(|option| world.manager.honours(**option).is_ok());
    let asked = honoured.map(|option| asked::registration(world.sample, *option, world.manager));
    let plans = asked.chain([world.registration()]).map(|asked| match world.manager.plan(&asked) {
        // What comes with an option may be what cannot be honoured; that has been held before.
        Err(ManagerError::Unsupported { .. }) => Ok(None),
        planned => planned.map(Some).map_err(told),
    });
    plans.filter_map(Result::transpose).collect()
}

fn plans_are_shown(world: &World<'_>) -> Came {
    let shown = |plan: &Plan| plan.steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (plans, again) = (plans(world)?, plans(world)?);
    for (plan, again) in plans.iter().zip(&again) {
        let steps = shown(plan);
        held(!steps.is_empty() && steps.iter().all(|step| !step.is_empty()), || format!("{steps:?}"))?;
        held(steps == shown(again), || format!("{steps:?} is another plan when it is made again"))?;
    }
    let removal = shown(&world.manager.removal_of(&world.sample.name));
    held(!removal.is_empty() && removal.iter().all(|step| !step.is_empty()), || format!("{removal:?}"))?;
    Ok(Some(format!("{} plans", plans.len())))
}

fn what_is_written_goes(world: &World<'_>) -> Came {
    let places = world.abilities.places_in(world.manager.scope());
    let removal = world.manager.removal_of(&world.sample.name).steps;
    let is_removed = |path: &Path| {
        removal.iter().any(|step| match step {
            Step::NoFile { path: removed, .. } => path == removed,
            Step::NoFolder { path: removed } => path.starts_with(removed),
            Step::Folder { .. }
            | Step::File { .. }
            | Step::Link { .. }
            | Step::NoEmptyFolder { .. }
            | Step::Call { .. } => false,
        })
    };
    for step in plans(world)?.iter().flat_map(|plan| &plan.steps) {
        let (Step::File { path, .. } | Step::Link { path, .. }) = step else { continue };
        held(places.iter().any(|place| path.starts_with(place)), || format!("{step} is in none of {places:?}"))?;
    }
    // What was made beside it for some options only is looked for when it is removed.
    for step in world.manager.plan(&world.registration()).map_err(told)?.steps {
        let (Step::File { path, .. } | Step::Link { path, .. }) = &step else { continue };
        held(is_removed(path), || format!("{step} stays: {removal:?}"))?;
    }
    Ok(None)
}

fn install(world: &World<'_>) -> Came {
    let outcome = world.manager.install(&world.registration()).map_err(told)?;
    held(outcome == Installed::Changed, || format!("{outcome:?}"))?;
    let status = world.expect_state(State::Stopped)?;
    held(status.start == Some(StartType::Auto) && status.pid.is_none(), || format!("{status:?}"))?;
    held(world.runs()? == 0, || "it was started".to_owned())?;
    Ok(None)
}

fn install_again(world: &World<'_>) -> Came {
    let installed = belongings_of(world.manager, world.abilities)?;
    let differences = world.manager.diff(&world.registration()).map_err(told)?;
    held(differences.is_empty(), || format!("{differences:?}"))?;
    let outcome = world.manager.install(&world.registration()).map_err(told)?;
    held(outcome == Installed::Unchanged, || format!("{outcome:?}"))?;
    let touched = belongings::differences(&installed, &belongings_of(world.manager, world.abilities)?);
    held(touched.is_empty(), || touched.join("; "))?;
    Ok(None)
}

fn edit(world: &World<'_>) -> Came {
    const EDITED: &str = "edited-by-the-suite";
    let mut edited = world.registration();
    edited.arguments.push(EDITED.to_owned());
    let differences = world.manager.diff(&edited).map_err(told)?;
    let names_it = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(EDITED));
    let is_named = differences.iter().any(|one| names_it(&one.wanted) && !names_it(&one.installed));
    held(is_named, || format!("the edit is not in {differences:?}"))?;
    for (registration, what) in [(&edited, "the edit"), (&world.registration(), "the edit back")] {
        let outcome = world.manager.install(registration).map_err(told)?;
        held(outcome == Installed::Changed, || format!("{what}: {outcome:?}"))?;
        let differences = world.manager.diff(registration).map_err(told)?;
        held(differences.is_empty(), || format!("after {what}: {differences:?}"))?;
        world.expect_state(State::Stopped)?;
    }
    Ok(None)
}

fn start(world: &World<'_>) -> Came {
    world.act(Verb::Start)?;
    let run = world.sample.await_run(1)?;
    world.await_running(&run)?;
    // What runs is left alone.
    world.act(Verb::Start)?;
    world.await_running(&run)?;
    held(world.runs()? == 1, || "it was started twice".to_owned())?;
    Ok(None)
}

fn what_it_was_given(world: &World<'_>) -> Came {
    let run = world.sample.await_run(1)?;
    let arguments = world.sample.arguments(Sample::way(world.abilities));
    held(run.arguments == arguments, || format!("{:?} arrived as {:?}", arguments, run.arguments))?;
    let registration = world.registration();
    if !registration.environment.is_empty() {
        let arrived = run.environment.get(VARIABLE.0);
        held(arrived.is_some_and(|value| value == VARIABLE.1), || format!("{VARIABLE:?} arrived as {arrived:?}"))?;
    }
    let directory = registration.directory.as_deref().or_else(|| registration.program.parent());
    let same = |one: &Path, other: &Path| one == other || fs::canonicalize(one).ok() == fs::canonicalize(other).ok();
    let is_there = directory.is_some_and(|directory| same(directory, &run.directory));
    held(is_there, || format!("{directory:?} and not {:?}", run.directory))?;
    Ok(None)
}

fn restart(world: &World<'_>) -> Came {
    let before = world.status()?.pid;
    let runs = world.runs()?;
    world.act(Verb::Restart)?;
    let run = world.sample.await_run(runs + 1)?;
    let after = world.await_running(&run)?;
    held(after.pid != before, || format!("{before:?} is {after:?} after a restart"))?;
    Ok(None)
}

fn reload(world: &World<'_>) -> Came {
    if world.registration().reload.is_none() {
        return world.expect_refusal(Verb::Reload).map(Some);
    }
    let (before, reloads) = (world.status()?, world.sample.told("reload"));
    world.act(Verb::Reload)?;
    until_some("it was told to reload", || Ok((world.sample.told("reload") > reloads).then_some(())))?;
    let after = world.manager.wait_for(&world.sample.name, State::Running, DEADLINE).map_err(told)?;
    held(after.pid == before.pid, || format!("{before:?} is {after:?} after a reload"))?;
    Ok(None)
}

fn pause(world: &World<'_>) -> Came {
    if world.abilities.pause == Pause::Cannot {
        let refusals = [world.expect_refusal(Verb::Pause)?, world.expect_refusal(Verb::Continue)?];
        return Ok(Some(refusals.join("; ")));
    }
    let before = world.status()?;
    world.act(Verb::Pause)?;
    let paused = world.manager.wait_for(&world.sample.name, State::Paused, DEADLINE).map_err(told)?;
    held(paused.pid == before.pid, || format!("{before:?} is {paused:?} after a pause"))?;
    world.act(Verb::Continue)?;
    let continued = world.manager.wait_for(&world.sample.name, State::Running, DEADLINE).map_err(told)?;
    held(continued.pid == before.pid, || format!("{before:?} is {continued:?} after it was continued"))?;
    Ok(None)
}

fn crash(world: &World<'_>) -> Came {
    let before = world.status()?;
    let pid = before.pid.ok_or_else(|| format!("{before:?}"))?;
    let runs = world.runs()?;
    let killed = kill_command(pid).output().map_err(|error| error.to_string())?;
    held(killed.status.success(), || format!("killing {pid}: {killed:?}"))?;
    if world.registration().restart.policy != RestartPolicy::Never {
        let run = world.sample.await_run(runs + 1)?;
        let after = world.await_running(&run)?;
        held(after.pid != before.pid, || format!("{before:?} is {after:?} after it was killed"))?;
        return Ok(None);
    }
    until_some("it is shown as failed", || {
        let status = world.status()?;
        held(status.state != State::Stopped, || format!("it was killed, and is {status:?}"))?;
        Ok((status.state == State::Failed).then_some(()))
    })?;
    // The next step finds it running.
    world.act(Verb::Start)?;
    let run = world.sample.await_run(runs + 1)?;
    world.await_running(&run)?;
    Ok(None)
}

fn stop(world: &World<'_>) -> Came {
    let living = world.sample.living()?;
    held(living.len() == 2, || format!("only {living:?} of it lives"))?;
    world.act(Verb::Stop)?;
    let status = world.expect_state(State::Stopped)?;
    held(status.pid.is_none(), || format!("{status:?}"))?;
    world.expect_tree_gone()?;
    // What is stopped stays stopped, also when it is stopped again.
    let runs = world.runs()?;
    world.act(Verb::Stop)?;
    world.expect_state(State::Stopped)?;
    held(world.runs()? == runs, || "it was started again".to_owned())?;
    Ok(None)
}

fn failing_program(world: &World<'_>) -> Came {
    let failing = world.sample.registration(world.manager, world.abilities, Way::Fail);
    world.manager.install(&failing).map_err(told)?;
    let runs = world.runs()?;
    // Whether that is an error depends on whether the manager waits until it sees it fail.
    let started = world.manager.act(&world.sample.name, Verb::Start);
    world.sample.await_run(runs + 1)?;
    let seen = until_some("it is shown as failed", || {
        let status = world.status()?;
        held(status.state != State::Stopped, || format!("it failed ({started:?}), and is {status:?}"))?;
        Ok(world.abilities.failed_as.contains(&status.state).then_some(status))
    })?;
    let is_told = matches!(seen.exit, None | Some(Exit::Code(_) | Exit::ServiceSpecific(_)));
    let code = seen.exit.map(|exit| match exit {
        Exit::Code(code) => i64::from(code),
        Exit::ServiceSpecific(code) => i64::from(code),
        Exit::Signal(signal) => -i64::from(signal),
    });
    held(is_told && code.is_none_or(|code| code == i64::from(FAILURE)), || {
        format!("it ended with {FAILURE}: {seen:?}")
    })?;
    world.act(Verb::Stop)?;
    world.expect_down_after_failure()?;
    world.manager.install(&world.registration()).map_err(told)?;
    world.expect_down_after_failure()?;
    Ok(None)
}

fn enable_and_disable(world: &World<'_>) -> Came {
    world.act(Verb::Disable)?;
    let disabled = world.status()?.start;
    let is_off = matches!(disabled, Some(StartType::Manual | StartType::Disabled));
    held(is_off, || format!("disabled, it is started {disabled:?}"))?;
    let differences = world.manager.diff(&world.registration()).map_err(told)?;
    held(!differences.is_empty(), || "it is disabled, and nothing would be changed".to_owned())?;
    world.act(Verb::Enable)?;
    let enabled = world.status()?.start;
    held(enabled == Some(StartType::Auto), || format!("enabled, it is started {enabled:?}"))?;
    let differences = world.manager.diff(&world.registration()).map_err(told)?;
    held(differences.is_empty(), || format!("{differences:?}"))?;
    world.expect_down_after_failure()?;
    Ok(None)
}

fn uninstall(world: &World<'_>) -> Came {
    let runs = world.runs()?;
    world.act(Verb::Start)?;
    world.await_running(&world.sample.await_run(runs + 1)?)?;
    if world.abilities.pause == Pause::Can {
        world.act(Verb::Pause)?;
        world.expect_state(State::Paused)?;
    }
    world.manager.uninstall(&world.sample.name).map_err(told)?;
    world.expect_tree_gone()?;
    nothing_is_there(world)
}

pub(crate) fn nothing_is_left(world: &World<'_>) -> Came {
    let after = belongings_of(world.manager, world.abilities)?;
    let differences = belongings::differences(&world.before, &after);
    held(differences.is_empty(), || differences.join("; "))?;
    Ok(None)
}

fn belongings_of(manager: &dyn ServiceManager, abilities: &Abilities) -> Result<Belongings, String> {
    belongings::of(&abilities.places_in(manager.scope())).map_err(|error| error.to_string())
}

fn expect_none(came: Result<(), ManagerError>) -> Result<(), String> {
    match came {
        Err(ManagerError::NotInstalled { .. }) => Ok(()),
        other => Err(format!("there is no such service, and what was said is {other:?}")),
    }
}

pub(crate) fn held(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn told(error: ManagerError) -> String {
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}
