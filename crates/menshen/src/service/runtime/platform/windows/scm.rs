//! The door to the service control manager.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use menshen_scm::dispatch::{self, Accepts, Answer, Now, Power, Reporter};
use menshen_scm::registry;
use menshen_scm::service::State;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::door::{Ability, Asked, Door, Ended, Report};
use super::super::origin::Origin;
use super::super::request::{PowerEvent, SessionChange, SessionKind, StopReason};
use crate::service::managers::scm::parameter;
use crate::service::name::ServiceName;

/// How often a change of state is shown to go on.
const TICK: Duration = Duration::from_secs(1);
/// What the manager is told to wait for the next step. Many ticks, so that a busy machine is not taken for a service that hangs.
const WAIT_HINT: Duration = Duration::from_secs(10);

/// Lives a life as the service that the manager started.
pub(super) fn live(name: &ServiceName, arguments: Vec<OsString>, life: impl FnOnce(Arc<dyn Door>) -> Ended) -> Ended {
    let ears = Arc::new(Ears::default());
    let listening = Arc::clone(&ears);
    let reporter = match dispatch::hear(name.as_str(), Box::new(move |asked| listening.hear(asked))) {
        Ok(reporter) => reporter,
        Err(error) => {
            super::complain(&format!("the service control manager cannot be told anything: {error}"));
            return Ended::Failed(1);
        }
    };
    let line = Arc::clone(ears.line.get_or_init(|| Arc::new(Line::new(reporter))));
    line.enter(State::StartPending);
    let ended = match settle(name) {
        Ok(()) => life(Arc::new(Scm::new(name, arguments, Arc::clone(&line), ears))),
        Err(error) => {
            super::complain(&error.to_string());
            Ended::Failed(1)
        }
    };
    line.end(ended);
    ended
}

/// The manager starts everything in the system's own folder. The library goes where the registration says, or to the program's
/// folder.
fn settle(name: &ServiceName) -> io::Result<()> {
    let of = |what: &'static str| move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    registry::take_environment(name.as_str()).map_err(of("reading the service's environment"))?;
    let chosen =
        registry::parameter(name.as_str(), parameter::DIRECTORY).map_err(of("reading the service's directory"))?;
    let program = std::env::current_exe()?;
    let directory = chosen.map(PathBuf::from).or_else(|| program.parent().map(Into::into));
    let directory = directory.ok_or_else(|| io::Error::other("the program is in no folder"))?;
    let to_directory =
        |error: io::Error| io::Error::new(error.kind(), format!("going to {}: {error}", directory.display()));
    std::env::set_current_dir(&directory).map_err(to_directory)
}

/// The door.
#[derive(Debug)]
struct Scm {
    arguments: Vec<OsString>,
    stop_timeout: Option<Duration>,
    line: Arc<Line>,
    ears: Arc<Ears>,
}

impl Scm {
    fn new(name: &ServiceName, arguments: Vec<OsString>, line: Arc<Line>, ears: Arc<Ears>) -> Self {
        // What cannot be read was not said: the author's own counts.
        let stop_timeout = registry::parameter(name.as_str(), parameter::STOP_TIMEOUT).ok().flatten();
        let stop_timeout = stop_timeout.and_then(|text| text.parse().ok()).map(Duration::from_millis);
        Self { arguments, stop_timeout, line, ears }
    }
}

impl Door for Scm {
    fn origin(&self) -> Origin {
        Origin::Scm
    }

    fn tell(&self, report: &Report) {
        match report {
            Report::Ready | Report::Continued => self.line.enter(State::Running),
            Report::Pausing => self.line.enter(State::PausePending),
            Report::Paused => self.line.enter(State::Paused),
            Report::Continuing => self.line.enter(State::ContinuePending),
            Report::Stopping(_) => self.line.enter(State::StopPending),
            Report::MoreTime(time) => self.line.change(|told| {
                told.busy_until = Some(Instant::now() + *time);
            }),
            // The manager has no place for these.
            Report::Status(_) | Report::Alive | Report::Unwell | Report::Reloading | Report::Reloaded => {}
        }
    }

    fn start_arguments(&self) -> Vec<OsString> {
        // The first is the service's name.
        self.arguments.iter().skip(1).cloned().collect()
    }

    fn watchdog(&self) -> Option<Duration> {
        None
    }

    fn stop_timeout(&self) -> Option<Duration> {
        self.stop_timeout
    }

    fn listen(&self, abilities: &[Ability], asked: mpsc::Sender<Asked>) -> io::Result<()> {
        let accepts = |ability: &Ability| match ability {
            Ability::Reload => Accepts::ParamChange,
            Ability::Pause => Accepts::Pause,
            Ability::Sessions => Accepts::Sessions,
            Ability::Power => Accepts::Power,
        };
        self.line.accept(abilities.iter().map(accepts).collect());
        *self.ears.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        // Within the service's own runtime: should that not go on any more, nothing shows that it does.
        tokio::spawn(tick(Arc::clone(&self.line)));
        Ok(())
    }
}

/// Shows every change of state to go on for as long as it lasts.
async fn tick(line: Arc<Line>) {
    loop {
        line.changing.notified().await;
        while line.is_changing() {
            tokio::time::sleep(TICK).await;
            line.go_on();
        }
    }
}

/// The line to the manager, and what was said on it last.
#[derive(Debug)]
struct Line {
    reporter: Reporter,
    told: Mutex<Told>,
    /// A change of state begins.
    changing: Notify,
}

#[derive(Debug)]
struct Told {
    state: State,
    checkpoint: u32,
    accepts: Vec<Accepts>,
    /// Until when the service asked for time.
    busy_until: Option<Instant>,
}

impl Line {
    fn new(reporter: Reporter) -> Self {
        let told = Told { state: State::StartPending, checkpoint: 0, accepts: Vec::new(), busy_until: None };
        Self { reporter, told: Mutex::new(told), changing: Notify::new() }
    }

    /// What the service wants to be asked from now on.
    fn accept(&self, accepts: Vec<Accepts>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).accepts = accepts;
    }

    /// The service is in a state, or has come further in it. One that stops does nothing else any more.
    fn enter(&self, state: State) {
        self.change(|told| {
            if told.state != state && told.state != State::StopPending {
                (told.state, told.checkpoint, told.busy_until) = (state, 0, None);
            }
        });
        if is_pending(state) {
            self.changing.notify_one();
        }
    }

    fn go_on(&self) {
        if self.is_changing() {
            self.change(|_| {});
        }
    }

    fn is_changing(&self) -> bool {
        is_pending(self.told.lock().unwrap_or_else(PoisonError::into_inner).state)
    }

    /// Changes what is told, and tells it.
    fn change(&self, change: impl FnOnce(&mut Told)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended cannot be told of: the manager may have forgotten it.
        if told.state == State::Stopped {
            return;
        }
        change(&mut told);
        let now = if is_pending(told.state) {
            told.checkpoint = told.checkpoint.saturating_add(1);
            let asked_for = told.busy_until.map(|until| until.saturating_duration_since(Instant::now()));
            let wait_hint = asked_for.unwrap_or_default().max(WAIT_HINT);
            Now { state: told.state, exit: 0, checkpoint: told.checkpoint, wait_hint }
        } else {
            Now { state: told.state, exit: 0, checkpoint: 0, wait_hint: Duration::ZERO }
        };
        // A manager that does not take it has its reasons, and there is nobody else to tell.
        let _ = self.reporter.report(&now, &told.accepts);
    }

    /// The last thing the manager is told. After it the process may be gone at any time.
    fn end(&self, ended: Ended) {
        let exit = match ended {
            Ended::Well => 0,
            Ended::Failed(code) => code.into(),
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).state = State::Stopped;
        let now = Now { state: State::Stopped, exit, checkpoint: 0, wait_hint: Duration::ZERO };
        let _ = self.reporter.report(&now, &[]);
    }
}

/// What hears the manager, on a thread of the manager's.
#[derive(Debug, Default)]
struct Ears {
    asked: Mutex<Option<mpsc::Sender<Asked>>>,
    line: OnceLock<Arc<Line>>,
}

impl Ears {
    fn hear(&self, asked: dispatch::Asked) -> Answer {
        let asked = meant(asked);
        let Some(sender) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Answer::Busy;
        };
        if let (Asked::Stop(_), Some(line)) = (asked, self.line.get()) {
            // Whoever asked sees at once that it was heard.
            line.enter(State::StopPending);
        }
        match sender.try_send(asked) {
            Ok(()) => Answer::Yes,
            // It has ended: there is nobody to ask, nor need there be.
            Err(TrySendError::Closed(_)) => Answer::Yes,
            Err(TrySendError::Full(Asked::Stop(_))) => {
                // A stop is never lost. The manager's own thread must not wait for it.
                std::thread::spawn(move || sender.blocking_send(asked));
                Answer::Yes
            }
            Err(TrySendError::Full(_)) => Answer::Busy,
        }
    }
}

fn meant(asked: dispatch::Asked) -> Asked {
    match asked {
        dispatch::Asked::Stop => Asked::Stop(StopReason::Manager),
        dispatch::Asked::Shutdown => Asked::Stop(StopReason::Shutdown),
        dispatch::Asked::Preshutdown => Asked::Stop(StopReason::Preshutdown),
        dispatch::Asked::Pause => Asked::Pause,
        dispatch::Asked::Continue => Asked::Continue,
        dispatch::Asked::ParamChange => Asked::Reload,
        dispatch::Asked::Session { id, change } => {
            Asked::Session(SessionChange { session: id, kind: session_kind(change) })
        }
        dispatch::Asked::Power(Power::Suspending) => Asked::Power(PowerEvent::Suspending),
        dispatch::Asked::Power(Power::Resumed) => Asked::Power(PowerEvent::Resumed),
        dispatch::Asked::Power(Power::StatusChanged) => Asked::Power(PowerEvent::StatusChanged),
        dispatch::Asked::Power(Power::Other) => Asked::Power(PowerEvent::Other),
    }
}

/// By the numbers of `WTS_CONSOLE_CONNECT` and its like.
const fn session_kind(change: u32) -> SessionKind {
    match change {
        1 | 3 => SessionKind::Connected,
        2 | 4 => SessionKind::Disconnected,
        5 => SessionKind::Logon,
        6 => SessionKind::Logoff,
        7 => SessionKind::Locked,
        8 => SessionKind::Unlocked,
        _ => SessionKind::Other,
    }
}

const fn is_pending(state: State) -> bool {
    match state {
        State::StartPending | State::StopPending | State::ContinuePending | State::PausePending => true,
        State::Running | State::Paused | State::Stopped => false,
    }
}

#[cfg(test)]
mod tests {
    use menshen_scm::dispatch::Asked as From;

    use super::*;

    #[test]
    fn everything_that_is_asked_means_one_thing() {
        let cases = [
            (From::Stop, Asked::Stop(StopReason::Manager)),
            (From::Shutdown, Asked::Stop(StopReason::Shutdown)),
            (From::Preshutdown, Asked::Stop(StopReason::Preshutdown)),
            (From::Pause, Asked::Pause),
            (From::Continue, Asked::Continue),
            (From::ParamChange, Asked::Reload),
            (From::Power(Power::Suspending), Asked::Power(PowerEvent::Suspending)),
            (From::Power(Power::Resumed), Asked::Power(PowerEvent::Resumed)),
            (From::Power(Power::StatusChanged), Asked::Power(PowerEvent::StatusChanged)),
            (From::Power(Power::Other), Asked::Power(PowerEvent::Other)),
        ];
        for (asked, wanted) in cases {
            assert_eq!(meant(asked), wanted, "{asked:?}");
        }
        use SessionKind as K;
        // WTS_CONSOLE_CONNECT and so on, as wtsapi32.h counts them.
        let kinds = [
            (1, K::Connected),
            (2, K::Disconnected),
            (3, K::Connected),
            (4, K::Disconnected),
            (5, K::Logon),
            (6, K::Logoff),
            (7, K::Locked),
            (8, K::Unlocked),
            (9, K::Other),
        ];
        for (change, kind) in kinds {
            let wanted = Asked::Session(SessionChange { session: 3, kind });
            assert_eq!(meant(From::Session { id: 3, change }), wanted, "{change}");
        }
    }

    #[test]
    fn a_stop_is_never_lost_and_anything_else_is_refused_when_too_much_is_asked() {
        let ears = Ears::default();
        assert_eq!(ears.hear(From::Stop), Answer::Busy, "it cannot hear yet");
        let (sender, mut asked) = mpsc::channel(1);
        *ears.asked.lock().unwrap() = Some(sender);
        assert_eq!(ears.hear(From::ParamChange), Answer::Yes);
        assert_eq!(ears.hear(From::Pause), Answer::Busy);
        assert_eq!(ears.hear(From::Preshutdown), Answer::Yes);
        assert_eq!(asked.blocking_recv(), Some(Asked::Reload));
        assert_eq!(asked.blocking_recv(), Some(Asked::Stop(StopReason::Preshutdown)));
        drop(asked);
        assert_eq!(ears.hear(From::Stop), Answer::Yes, "it has ended already");
    }
}
