//! What `menshen install --native` installed: its service manager is asked, for no guard knows of it.

use std::time::Duration;

use menshen::service::{Scope, ServiceManager, ServiceName, State, Status, Verb};
use serde_json::{Value as Json, json};

use crate::args::{Act, Arguments};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::manager::choose;
use crate::registering::record::{Form, Record};

/// A service, and the manager that runs it.
struct Native {
    name: ServiceName,
    manager: Box<dyn ServiceManager>,
}

impl Native {
    /// The service of this name, if a manager runs it itself.
    fn find(arguments: &Arguments, name: &str) -> Result<Option<Self>, Failure> {
        // Who names a guard means one of its services.
        if arguments.instance.is_some() {
            return Ok(None);
        }
        let Ok(name) = name.parse::<ServiceName>() else { return Ok(None) };
        let record = match Record::load(&name) {
            // What somebody may not even read is not theirs to start and stop; the guard says so in its own words.
            Err(failure) if failure.code() == Exit::NotPermitted => None,
            loaded => loaded?.filter(|record| record.form == Form::Native),
        };
        record.map(|record| Self::of(&record)).transpose()
    }

    fn of(record: &Record) -> Result<Self, Failure> {
        let manager = choose(Some(record.kind()?), Scope::from(record.scope))?;
        Ok(Self { name: record.name.parse()?, manager })
    }

    fn status(&self) -> Result<Status, Failure> {
        Ok(self.manager.status(&self.name)?)
    }

    fn told(&self, status: &Status) -> Json {
        json!({
            "name": self.name.as_str(), "manager": self.manager.kind().as_str(), "state": status.state.as_str(),
            "pid": status.pid, "text": status.text,
        })
    }

    fn show(&self, status: &Status) {
        let pid = status.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
        let text = status.text.as_ref().map(|text| format!(": {}", output::printable(text))).unwrap_or_default();
        let (manager, state) = (self.manager.kind(), status.state.as_str());
        output::line(format_args!("{}: {state}{pid}{text} (run by {manager} itself)", self.name));
    }
}

/// Does something to services, if their managers run them themselves; `None` if a guard is to be asked.
pub(super) fn act(arguments: &Arguments, verb: Verb, act: &Act) -> Result<Option<Exit>, Failure> {
    let found: Vec<Native> = act
        .names
        .iter()
        .map(|name| Native::find(arguments, name))
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    if found.is_empty() {
        return Ok(None);
    }
    if found.len() < act.names.len() {
        let names: Vec<&str> = found.iter().map(|native| native.name.as_str()).collect();
        let message = format!("{}: run by the service manager itself, the others by a guard", names.join(", "));
        return Err(Failure::new(Exit::Usage, message).help("ask for each kind by itself"));
    }
    let within = menshen_plan::duration::parse(&act.timeout)
        .map_err(|error| Failure::new(Exit::Usage, format!("--timeout: {error}")))?;
    for native in &found {
        native.manager.act(&native.name, verb)?;
        if let Some(wanted) = wanted(verb).filter(|_| !act.no_wait) {
            await_state(native, wanted, within)?;
        }
        let status = native.status()?;
        if arguments.json { output::json(&native.told(&status)) } else { native.show(&status) }
    }
    Ok(Some(Exit::Done))
}

const fn wanted(verb: Verb) -> Option<State> {
    match verb {
        Verb::Start | Verb::Restart | Verb::Continue => Some(State::Running),
        Verb::Stop => Some(State::Stopped),
        Verb::Pause => Some(State::Paused),
        Verb::Reload | Verb::Enable | Verb::Disable => None,
    }
}

fn await_state(native: &Native, wanted: State, within: Duration) -> Result<(), Failure> {
    Ok(native.manager.wait_for(&native.name, wanted, within).map(drop)?)
}

/// Shows a service, if its manager runs it itself; `None` if a guard is to be asked. The exit code is the Linux Standard Base's.
pub(super) fn status(arguments: &Arguments, name: &str) -> Result<Option<Exit>, Failure> {
    let Some(native) = Native::find(arguments, name)? else { return Ok(None) };
    let status = native.status()?;
    if arguments.json {
        output::json(&native.told(&status));
    } else {
        native.show(&status);
    }
    let up = match status.state {
        State::Running | State::Starting | State::Reloading | State::Pausing | State::Paused | State::Continuing => {
            true
        }
        State::NotInstalled | State::Stopped | State::Stopping | State::Backoff | State::Failed => false,
    };
    Ok(Some(if up { Exit::Done } else { Exit::NotRunning }))
}
