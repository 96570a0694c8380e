//! What `menshen install --native` installed: its service manager is asked, for no guard knows of it.

use std::time::Duration;

use menshen::service::{ACT_WITHIN, Deadline, ManagerError, Scope, ServiceManager, ServiceName, State, Status, Verb};
use serde::Serialize;

use crate::args::Arguments;
use crate::failure::{Exit, Failure};
use crate::guards::Guards;
use crate::output;
use crate::registering::manager::choose;
use crate::registering::record::{Form, Record};

/// A service, and the manager that runs it.
pub(super) struct Native {
    /// What it is called.
    pub name: ServiceName,
    manager: Box<dyn ServiceManager>,
    named: Named,
}

/// How somebody said which service is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By its name, which a service of a guard may have as well.
    Alone,
    /// With the manager: `systemd/web`.
    WithManager,
    /// As one of all.
    AmongAll,
}

/// How a service is, as `--json` has it.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub name: String,
    pub manager: &'static str,
    pub state: &'static str,
    pub pid: Option<u32>,
    pub text: Option<String>,
    /// The state as it is told apart.
    #[serde(skip)]
    pub is: State,
}

/// How long whoever tells a service something waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until it is so, but no longer than this.
    Within(Duration),
    /// Not at all.
    None,
}

impl Native {
    /// The service of this name (`web`, or `systemd/web` where a guard has one, too), if a manager runs it itself.
    pub(super) fn find(arguments: &Arguments, name: &str) -> Result<Option<Self>, Failure> {
        // Who names a guard means one of its services.
        if arguments.instance.is_some() {
            return Ok(None);
        }
        let (manager, name) = name.split_once('/').map_or((None, name), |(manager, name)| (Some(manager), name));
        let Ok(name) = name.parse::<ServiceName>() else { return Ok(None) };
        let record = visible(Record::load(&name))?.flatten();
        let is_meant =
            |record: &Record| record.form == Form::Native && manager.is_none_or(|manager| manager == record.manager);
        let named = if manager.is_some() { Named::WithManager } else { Named::Alone };
        record.filter(is_meant).map(|record| Self::of(&record, named)).transpose()
    }

    /// Every one that was installed for whoever asks.
    pub(super) fn all(arguments: &Arguments) -> Result<Vec<Self>, Failure> {
        if arguments.instance.is_some() {
            return Ok(Vec::new());
        }
        let records = visible(Record::all_readable())?.unwrap_or_default();
        let natives = records.iter().filter(|record| record.form == Form::Native);
        let found = natives.map(|record| Self::of(record, Named::AmongAll));
        Ok(found.filter_map(|native| native.inspect_err(output::pass_over).ok()).collect())
    }

    fn of(record: &Record, named: Named) -> Result<Self, Failure> {
        let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
        Ok(Self { name: record.name.parse()?, manager, named })
    }

    /// How it is.
    pub(super) fn told(&self) -> Result<Told, Failure> {
        let Status { state, pid, text, .. } = self.manager.status(&self.name)?;
        let (name, manager) = (self.name.to_string(), self.manager.kind().as_str());
        Ok(Told { name, manager, state: state.as_str(), pid, text, is: state })
    }

    /// Tells it something; how it is after that.
    pub(super) fn act(&self, verb: Verb, patience: Patience) -> Result<Told, Failure> {
        let within = match (patience, verb) {
            (Patience::Within(within), _) => within,
            // With most managers it is a stop and a start, and nobody would be there for the second.
            (Patience::None, Verb::Restart) => ACT_WITHIN,
            (Patience::None, _) => Duration::ZERO,
        };
        let deadline = Deadline::after(within);
        match self.manager.act_by(&self.name, verb, deadline) {
            // It was told, and does it while nobody waits.
            Err(ManagerError::Overdue { .. }) if patience == Patience::None => return self.told(),
            acted => acted?,
        }
        if let (Some(wanted), Patience::Within(_)) = (wanted(verb), patience) {
            let reached = self.manager.wait_for(&self.name, wanted, deadline.left());
            reached.map_err(|error| asked_for(error, within))?;
        }
        self.told()
    }

    /// That only a guard could do this.
    pub(super) fn refusal(&self, what: &str) -> Failure {
        let (name, manager) = (&self.name, self.manager.kind());
        Failure::new(Exit::Usage, format!("'{name}' is run by {manager} itself, and {what} takes a guard"))
            .help(format!("`menshen install {name}` without --native has a guard run it"))
    }
}

impl Told {
    /// In one line.
    pub(super) fn line(&self) -> String {
        let pid = self.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
        let text = self.text.as_ref().map(|text| format!(": {}", output::printable(text))).unwrap_or_default();
        format!("{}: {}{pid}{text} ({})", self.name, self.state, self.whose())
    }

    /// Who runs it.
    pub(super) fn whose(&self) -> String {
        format!("run by {} itself", self.manager)
    }

    /// Whether it is neither failed nor on its way.
    pub(super) const fn is_well(&self) -> bool {
        match self.is {
            State::Running
            | State::Reloading
            | State::Pausing
            | State::Paused
            | State::Continuing
            | State::Stopping
            | State::Stopped => true,
            State::NotInstalled | State::Starting | State::Backoff | State::Failed => false,
        }
    }
}

/// With the time that somebody was ready to wait, rather than what was left of it.
fn asked_for(mut error: ManagerError, asked: Duration) -> ManagerError {
    if let ManagerError::NotReached { within, .. } = &mut error {
        *within = asked;
    }
    error
}

/// That none of these services is one that only a guard could do this to.
pub(super) fn hold_guarded(arguments: &Arguments, names: &[String], what: &str) -> Result<(), Failure> {
    for name in names {
        if let Some(native) = Native::find(arguments, name)? {
            return Err(native.refusal(what));
        }
    }
    Ok(())
}

/// That none of these services has a namesake in a guard, so that its name alone would not say which is meant.
pub(super) async fn hold_meant(guards: &Guards, natives: &[Native]) -> Result<(), Failure> {
    let mut alone = natives.iter().filter(|native| native.named == Named::Alone).peekable();
    if alone.peek().is_none() || guards.all.is_empty() {
        return Ok(());
    }
    let services = guards.services().await?;
    for native in alone {
        let (name, manager) = (native.name.as_str(), native.manager.kind().as_str());
        if let Some((guard, _)) = services.iter().find(|(_, service)| service.name == name) {
            let guard = &guard.instance;
            let message = format!("'{name}' is run by {manager} itself, and by the guard '{guard}', too");
            return Err(Failure::new(Exit::Failed, message).help(format!(
                "say which: {manager}/{name}, or {guard}/{name}; `menshen uninstall {name}` leaves it to the guard"
            )));
        }
    }
    Ok(())
}

/// Shows a service, if its manager runs it itself; `None` if a guard is to be asked. The exit code is the Linux Standard Base's.
pub(super) async fn status(arguments: &Arguments, guards: &Guards, name: &str) -> Result<Option<Exit>, Failure> {
    let Some(native) = Native::find(arguments, name)? else { return Ok(None) };
    hold_meant(guards, std::slice::from_ref(&native)).await?;
    let told = native.told()?;
    if arguments.json {
        output::json(&told);
    } else {
        output::line(told.line());
    }
    let exit = if told.is.is_up() { Exit::Done } else { Exit::NotRunning };
    Ok(Some(if told.is == State::NotInstalled { Exit::Unknown } else { exit }))
}

/// What somebody may not even read is not theirs to start and stop; the guard says so in its own words.
fn visible<T>(loaded: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match loaded {
        Err(failure) if failure.code() == Exit::NotPermitted => Ok(None),
        loaded => loaded.map(Some),
    }
}

const fn wanted(verb: Verb) -> Option<State> {
    match verb {
        Verb::Start | Verb::Restart | Verb::Continue => Some(State::Running),
        Verb::Stop => Some(State::Stopped),
        Verb::Pause => Some(State::Paused),
        Verb::Reload | Verb::Enable | Verb::Disable => None,
    }
}
