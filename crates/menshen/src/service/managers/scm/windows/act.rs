//! Telling services something, and waiting until they have done it.

use std::io;
use std::time::{Duration, Instant};

use menshen_scm::manager::{Manager, Purpose, Rights};
use menshen_scm::process::{Ended, Process};
use menshen_scm::service::{Control, Service, State};
use menshen_scm::settings::Start;

use super::refusal::{DEPENDENTS_RUN, DISABLED, NOT_ACCEPTED, NOT_ACTIVE, NOT_NOW, RUNS_ALREADY, none, refused};
use super::state::{exit, status};
use crate::service::deadline::Deadline;
use crate::service::manager::{ManagerError, ManagerKind, Verb};
use crate::service::name::ServiceName;
use crate::service::status::Exit;

/// How soon a change of state is looked at again, at first and in the end.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LAST: Duration = Duration::from_millis(250);
/// A service that says nothing of how long its next step takes has as long as the manager itself gives one to answer.
const NO_HINT: Duration = Duration::from_secs(30);

/// Tells a service something, and waits until it is done.
pub(in super::super) fn act(name: &ServiceName, verb: Verb, deadline: Deadline) -> Result<(), ManagerError> {
    let rights = match verb {
        Verb::Start | Verb::Stop | Verb::Restart | Verb::Pause | Verb::Continue | Verb::Reload => Rights::Tell,
        Verb::Enable | Verb::Disable => Rights::All,
    };
    let manager = Manager::connect(Purpose::Use).map_err(refused("OpenSCManagerW"))?;
    let service = manager.open(name.as_str(), rights).map_err(refused(format!("to {verb} {name}")))?;
    let service = service.ok_or_else(|| none(name))?;
    let told = Told { name, verb, deadline, service };
    match verb {
        Verb::Start => told.start(),
        Verb::Stop => told.stop(),
        Verb::Restart => told.stop().and_then(|()| told.start()),
        Verb::Pause => told.control(Control::Pause, State::PausePending, State::Paused),
        Verb::Continue => told.control(Control::Continue, State::ContinuePending, State::Running),
        Verb::Reload => told.service.control(Control::ParamChange).map_err(|error| told.refusal(&error)),
        Verb::Enable => told.enable(),
        Verb::Disable => told.set_start(Start::Manual),
    }
}

/// A service that is told something.
struct Told<'a> {
    name: &'a ServiceName,
    verb: Verb,
    deadline: Deadline,
    service: Service,
}

impl Told<'_> {
    fn start(&self) -> Result<(), ManagerError> {
        match self.service.start() {
            Err(error) if error.raw_os_error() != Some(RUNS_ALREADY) => return Err(self.refusal(&error)),
            Ok(()) | Err(_) => {}
        }
        self.wait(&[State::StartPending, State::ContinuePending], State::Running)
    }

    /// It is over when its process has ended, too: what comes next finds nothing of it in use.
    fn stop(&self) -> Result<(), ManagerError> {
        let process = self.service.status().map_err(refused("QueryServiceStatusEx"))?.pid;
        // One that ends in between need not be waited for.
        let process = process.and_then(|pid| Some((pid, Process::open(pid).ok()?)));
        self.ask_to_stop()?;
        let Some((pid, process)) = process else { return Ok(()) };
        let within = self.deadline.or_after(NO_HINT).left();
        match process.wait(within).map_err(refused("WaitForSingleObject"))? {
            Ended::Yes => Ok(()),
            Ended::NotYet if self.deadline.is_over() => {
                Err(self.overdue(format!("it says that it is stopped, and its process {pid} still runs")))
            }
            Ended::NotYet => {
                Err(self
                    .cannot(format!("it says that it is stopped, and its process {pid} still runs after {NO_HINT:?}")))
            }
        }
    }

    fn ask_to_stop(&self) -> Result<(), ManagerError> {
        match self.service.control(Control::Stop) {
            Err(error) if error.raw_os_error() == Some(NOT_ACTIVE) => Ok(()),
            Err(error) if error.raw_os_error() == Some(NOT_NOW) => self.stop_later(),
            Err(error) => Err(self.refusal(&error)),
            Ok(()) => self.wait(&[State::Running, State::Paused, State::StopPending], State::Stopped),
        }
    }

    /// It is in the midst of something: it is stopped once it is not.
    fn stop_later(&self) -> Result<(), ManagerError> {
        let now = self.service.status().map_err(refused("QueryServiceStatusEx"))?;
        let then = match now.state {
            State::Stopped => return Ok(()),
            State::StopPending => return self.wait(&[State::StopPending], State::Stopped),
            State::PausePending => State::Paused,
            State::StartPending | State::ContinuePending | State::Running | State::Paused => State::Running,
        };
        self.wait(&[now.state], then)?;
        self.service.control(Control::Stop).map_err(|error| self.refusal(&error))?;
        self.wait(&[State::Running, State::Paused, State::StopPending], State::Stopped)
    }

    fn control(&self, control: Control, meanwhile: State, then: State) -> Result<(), ManagerError> {
        self.service.control(control).map_err(|error| self.refusal(&error))?;
        // The manager asks, and the service answers when it can.
        self.wait(&[State::Running, State::Paused, meanwhile], then)
    }

    fn enable(&self) -> Result<(), ManagerError> {
        match self.service.start_type().map_err(refused("QueryServiceConfigW"))? {
            Start::Auto | Start::Delayed => Ok(()),
            Start::Manual | Start::Disabled => self.set_start(Start::Auto),
        }
    }

    fn set_start(&self, start: Start) -> Result<(), ManagerError> {
        self.service.set_start(start).map_err(refused("ChangeServiceConfigW"))
    }

    /// Waits for a state as long as the service comes further: its checkpoint grows before its wait hint is over. One that
    /// comes further for ever is waited for until the deadline.
    fn wait(&self, meanwhile: &[State], wanted: State) -> Result<(), ManagerError> {
        let (mut last, mut since, mut pause) = (None, Instant::now(), LOOK_FIRST);
        loop {
            let now = self.service.status().map_err(refused("QueryServiceStatusEx"))?;
            if now.state == wanted {
                return Ok(());
            }
            if !meanwhile.contains(&now.state) {
                let instead = exit(now).map_or_else(|| format!("it is {:?} instead", now.state), ended);
                return Err(self.cannot(instead));
            }
            if last != Some((now.state, now.checkpoint)) {
                (last, since, pause) = (Some((now.state, now.checkpoint)), Instant::now(), LOOK_FIRST);
            }
            let hint = if now.wait_hint.is_zero() { NO_HINT } else { now.wait_hint };
            let process = || now.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            if since.elapsed() > hint {
                return Err(self.cannot(format!(
                    "it is {:?} at checkpoint {} and does not come further within {hint:?}{}",
                    now.state,
                    now.checkpoint,
                    process()
                )));
            }
            if self.deadline.is_over() {
                return Err(self.overdue(format!("{:?} at checkpoint {}{}", now.state, now.checkpoint, process())));
            }
            std::thread::sleep(pause.min(self.deadline.left()));
            pause = (pause * 2).min(LOOK_LAST);
        }
    }

    fn overdue(&self, doing: String) -> ManagerError {
        match status(self.name) {
            Ok(status) => {
                let (name, within, state) = (self.name.clone(), self.deadline.within(), status.state);
                ManagerError::Overdue { name, verb: self.verb, within, state, doing: Some(doing) }
            }
            Err(error) => error,
        }
    }

    fn refusal(&self, error: &io::Error) -> ManagerError {
        match error.raw_os_error() {
            Some(NOT_ACCEPTED) => self.cannot("it does not want to be told this".to_owned()),
            Some(NOT_ACTIVE) => self.cannot("it does not run".to_owned()),
            Some(NOT_NOW) => self.cannot("it cannot be told anything now".to_owned()),
            Some(DISABLED) => self.cannot("it is disabled; enable it first".to_owned()),
            Some(DEPENDENTS_RUN) => {
                let dependents = self.service.running_dependents().unwrap_or_default();
                self.cannot(format!("others that run need it: {}", dependents.join(", ")))
            }
            Some(_) | None => self.cannot(error.to_string()),
        }
    }

    fn cannot(&self, why: String) -> ManagerError {
        ManagerError::CannotAct { manager: ManagerKind::Scm, name: self.name.clone(), verb: self.verb, why }
    }
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "it ended at once".to_owned(),
        Exit::Code(code) => format!("it ended: {}", io::Error::from_raw_os_error(code)),
        Exit::ServiceSpecific(code) => format!("it ended with code {code}"),
        Exit::Signal(signal) => format!("it ended by signal {signal}"),
    }
}
