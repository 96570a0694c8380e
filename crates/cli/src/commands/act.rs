//! `menshen start`, `stop`, `restart`, `pause`, `continue`, `reset` and `signal`.

mod along;

use std::cell::Cell;
use std::time::{Duration, Instant};

use anstyle::AnsiColor;
use indicatif::{ProgressBar, ProgressStyle};
use menshen_api::client::Call;
use menshen_api::types::{Service, ServiceDetail, SignalRequest, State, WaitFor, WaitQuery, Wanted};
use menshen_api::{ClientError, Endpoint, Problem, ProblemCode};

use super::killed::Killed;
use super::native::{self, Native, Patience, Told};
use super::time_out;
use crate::args::{Act, Arguments, Signal};
use crate::failure::{Exit, Failure};
use crate::guards::{Aim, Guard, Guards, ended_in_order, is_asked_to_stop, is_held, is_of_absent_guard, wait_for};
use crate::output::{self, state_style, styled};
use along::Before;

/// What is done to services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
    Pause,
    Continue,
    Reset,
}

impl Verb {
    const fn endpoint(self) -> Endpoint {
        match self {
            Self::Start => Endpoint::StartService,
            Self::Stop => Endpoint::StopService,
            Self::Restart => Endpoint::RestartService,
            Self::Pause => Endpoint::PauseService,
            Self::Continue => Endpoint::ContinueService,
            Self::Reset => Endpoint::ResetService,
        }
    }

    /// What it waits for; a reset is done when it is taken.
    const fn wait(self) -> Option<WaitFor> {
        match self {
            Self::Start | Self::Restart => Some(WaitFor::Ready),
            Self::Stop => Some(WaitFor::Stopped),
            Self::Pause => Some(WaitFor::Paused),
            Self::Continue => Some(WaitFor::Running),
            Self::Reset => None,
        }
    }

    /// The same of a service that its manager runs itself.
    const fn native(self) -> Option<menshen::service::Verb> {
        match self {
            Self::Start => Some(menshen::service::Verb::Start),
            Self::Stop => Some(menshen::service::Verb::Stop),
            Self::Restart => Some(menshen::service::Verb::Restart),
            Self::Pause => Some(menshen::service::Verb::Pause),
            Self::Continue => Some(menshen::service::Verb::Continue),
            // Only a guard counts failures that could be forgotten.
            Self::Reset => None,
        }
    }

    /// Whether something that runs is to end.
    const fn ends_programs(self) -> bool {
        match self {
            Self::Stop | Self::Restart => true,
            Self::Start | Self::Pause | Self::Continue | Self::Reset => false,
        }
    }

    const fn doing(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop => "stopping",
            Self::Restart => "restarting",
            Self::Pause => "pausing",
            Self::Continue => "continuing",
            Self::Reset => "resetting",
        }
    }
}

pub(super) fn act(arguments: &Arguments, verb: Verb, act: &Act) -> Result<Exit, Failure> {
    // Told here, a mistake in the time-out does not stop half of the services first.
    let within = time_out(&act.timeout)?;
    let patience = if act.no_wait { Patience::None } else { Patience::Within(within) };
    let query = WaitQuery { wait: verb.wait().filter(|_| !act.no_wait), timeout: Some(act.timeout.clone()) };
    let Meant { native, names } = Meant::of(arguments, verb, act)?;
    let is_all = act.all;
    wait_for(async {
        let guards = Guards::find(arguments).await;
        native::hold_meant(&guards, &native).await?;
        let is_guard_meant = native.is_empty() || !names.is_empty() || act.all;
        // Where managers run services themselves there need be no guard.
        let may_be_absent = !native.is_empty() && names.is_empty();
        let services = if is_guard_meant && !(may_be_absent && guards.are_absent()) {
            in_order(&guards, &names, verb).await?
        } else {
            Vec::new()
        };
        let before = Before::of(&services, verb).await?;
        let all = services.iter().map(|(_, service)| service.name.as_str());
        let spinner = spinner(verb, &all.chain(native.iter().map(|native| native.name.as_str())).collect::<Vec<_>>());
        let patiently = Patiently { verb, query: &query, within, is_told_of_absence: Cell::new(false) };
        let answers = if verb == Verb::Stop && services.len() > 1 {
            // Each call has a connection of its own, and a guard may read them in any order. It is told one after the other first:
            // what it knows to be stopping, what that needs waits for.
            let mut taken = Vec::with_capacity(services.len());
            for (guard, service) in &services {
                taken.push(call(guard, verb, &service.name, &WaitQuery::default()).await);
            }
            // From here on all are waited for, though only some are asked after at once.
            let begun = Instant::now();
            let each = services.iter().zip(taken);
            all_at_once(each.map(|((guard, service), taken)| patiently.await_taken(guard, service, begun, taken))).await
        } else {
            all_at_once(services.iter().map(|(guard, service)| patiently.carry_out(guard, service))).await
        };
        let act = |told| native.iter().map(|native| native.act(told, patience)).collect();
        let told: Vec<_> = verb.native().map_or_else(Vec::new, act);
        spinner.finish_and_clear();
        let mut report = Report::of(arguments);
        let is_gone = |answer: &Result<Service, Failure>| answer.as_ref().is_err_and(Failure::is_of_no_guard);
        if !answers.iter().all(is_gone) {
            report.killed = before.killed().await;
        }
        for ((guard, service), answer) in services.iter().zip(answers) {
            let answer = match answer {
                Err(failure) if is_all && failure.is_of_disabled() => {
                    output::pass_over(&failure);
                    continue;
                }
                answer => answer,
            };
            let how = if verb == Verb::Stop && before.ran(guard, service) { Tell::HowItEnded } else { Tell::State };
            report.guarded(&service.name, answer, how);
        }
        match before.others(&services).await {
            Ok(others) => others.into_iter().for_each(|service| report.also(service)),
            // Of a guard that is gone it is told already.
            Err(_) if report.failure.is_some() => {}
            Err(failure) => output::pass_over(&failure),
        }
        told.into_iter().for_each(|told| report.native(told));
        report.end()
    })
}

/// Which services are meant.
struct Meant {
    /// Those that their managers run themselves.
    native: Vec<Native>,
    /// The names of the others; none for all of them.
    names: Vec<String>,
}

impl Meant {
    fn of(arguments: &Arguments, verb: Verb, act: &Act) -> Result<Self, Failure> {
        if verb.native().is_none() {
            native::hold_guarded(arguments, &act.names, "a reset")?;
            return Ok(Self { native: Vec::new(), names: act.names.clone() });
        }
        if act.all {
            return Ok(Self { native: Native::all(arguments)?, names: Vec::new() });
        }
        let mut meant = Self { native: Vec::new(), names: Vec::new() };
        for name in &act.names {
            match Native::find(arguments, name)? {
                Some(native) => meant.native.push(native),
                None => meant.names.push(name.clone()),
            }
        }
        Ok(meant)
    }
}

pub(super) fn signal(arguments: &Arguments, signal: &Signal) -> Result<Exit, Failure> {
    hold_in_order(signal)?;
    native::hold_guarded(arguments, &signal.names, "a signal")?;
    let request = SignalRequest { signal: signal.signal.clone() };
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let services = guards.find_services(&signal.names, Aim::Change).await?;
        let mut report = Report::of(arguments);
        for (name, (guard, service)) in signal.names.iter().zip(services) {
            let call = Call::about(Endpoint::SignalService, &service.name).body(&request)?;
            report.guarded(name, guard.client.call(&call).await.map_err(Failure::from), Tell::State);
        }
        report.end()
    })
}

/// Refuses the name of a signal that comes after those of services, where `kill` and `docker kill` have it, too.
fn hold_in_order(signal: &Signal) -> Result<(), Failure> {
    let is_signal = |word: &str| word.parse::<menshen_plan::signal::Signal>().is_ok();
    let Signal { signal: first, names } = signal;
    let Some((last, others)) = names.split_last().filter(|(last, _)| is_signal(last) && !is_signal(first)) else {
        return Ok(());
    };
    let services = [std::slice::from_ref(first), others].concat().join(" ");
    let message = format!("'{first}' is not a signal, and '{last}' is one");
    Err(Failure::new(Exit::Usage, message).help(format!("write `menshen signal {last} {services}`")))
}

/// The services, in the order they are started or, to stop them, the other way round.
async fn in_order<'a>(guards: &'a Guards, names: &[String], verb: Verb) -> Result<Vec<(&'a Guard, Service)>, Failure> {
    let mut services = if names.is_empty() {
        // Every service of one guard: what another project runs is not meant by `--all`.
        let guard = guards.one().await?;
        guard.services().await?.into_iter().map(|service| (guard, service)).collect()
    } else {
        guards.find_services(names, Aim::Change).await?
    };
    services.sort_by_key(|(_, service)| service.order);
    if verb == Verb::Stop {
        services.reverse();
    }
    Ok(services)
}

async fn call(guard: &Guard, verb: Verb, name: &str, query: &WaitQuery) -> Result<Service, ClientError> {
    guard.client.call(&Call::about(verb.endpoint(), name).query(query)?).await
}

/// How services are told something and waited for, whoever guards them by then: what a guard has noted, the next one goes on
/// with, and what it had not taken when it ended is told to the next one.
struct Patiently<'a> {
    verb: Verb,
    query: &'a WaitQuery,
    within: Duration,
    /// Whether it has been told that no guard is there, and that the next one is waited for.
    is_told_of_absence: Cell<bool>,
}

impl Patiently<'_> {
    /// Tells a service, and waits for it as long as is wanted.
    async fn carry_out(&self, guard: &Guard, before: &Service) -> Result<Service, Failure> {
        let begun = Instant::now();
        let answer = call(guard, self.verb, &before.name, self.query).await;
        self.outlast(guard, before, begun, answer).await
    }

    /// The same of what its guard has been told already, as all others: they have been waited for since `begun`.
    async fn await_taken(
        &self,
        guard: &Guard,
        before: &Service,
        begun: Instant,
        taken: Result<Service, ClientError>,
    ) -> Result<Service, Failure> {
        let answer = match taken {
            Ok(Service { unremembered, .. }) if self.query.wait.is_some() => {
                let waited = self.await_stopped(guard, &before.name, begun).await;
                waited.map(|service| Service { unremembered, ..service })
            }
            taken => taken,
        };
        self.outlast(guard, before, begun, answer).await
    }

    fn left(&self, begun: Instant) -> Duration {
        self.within.saturating_sub(begun.elapsed())
    }

    /// Waits for a service for as long as is left, and looks at it where nothing is. It was waited for longer than it is asked
    /// after.
    async fn await_stopped(&self, guard: &Guard, name: &str, begun: Instant) -> Result<Service, ClientError> {
        let left = self.left(begun);
        if !left.is_zero() {
            let query = WaitQuery { timeout: Some(menshen_plan::duration::format(left)), ..self.query.clone() };
            match waited_for(guard, name, &query).await {
                Err(ClientError::Problem(problem)) if problem.code == ProblemCode::WaitTimeout => {}
                waited => return waited,
            }
        }
        let now = waited_for(guard, name, &WaitQuery::default()).await?;
        if matches!(now.state, State::Stopped | State::Completed | State::Failed) {
            return Ok(now);
        }
        let within = menshen_plan::duration::format(self.within);
        let detail = format!("'{name}' is not stopped after {within}: it is {} ({})", now.state.as_str(), now.why());
        Err(ClientError::Problem(Problem::new(ProblemCode::WaitTimeout, detail)))
    }

    /// Asks the next guard where one is gone.
    async fn outlast(
        &self,
        guard: &Guard,
        before: &Service,
        begun: Instant,
        mut answer: Result<Service, ClientError>,
    ) -> Result<Service, Failure> {
        let until = self.query.wait.filter(|_| answer.as_ref().is_err_and(is_of_absent_guard));
        let Some(until) = until else { return Ok(answer?) };
        loop {
            let left = self.left(begun);
            match answer {
                Ok(service) => return Ok(service),
                Err(error @ (ClientError::Problem(_) | ClientError::Unreadable(_))) => return Err(error.into()),
                Err(error @ (ClientError::Broken(_) | ClientError::Unreachable(_) | ClientError::Silent { .. })) => {
                    let is_over = ended_in_order(&guard.instance) == Some(true);
                    if is_over && self.verb == Verb::Stop && is_asked_to_stop(&guard.instance, &before.name) {
                        // That of `menshen run` ends with its service.
                        return Ok(stopped_with_its_guard(before));
                    }
                    if is_over || left.is_zero() {
                        return Err(gone(guard, &before.name));
                    }
                    // One that is only ending has nothing to be waited for yet.
                    let is_absent = matches!(error, ClientError::Unreachable(_)) && !is_held(&guard.instance);
                    if is_absent && !self.is_told_of_absence.replace(true) {
                        output::note(format_args!(
                            "the guard '{}' has ended; waiting for the next one",
                            guard.instance
                        ));
                    }
                    tokio::time::sleep(LOOK_AGAIN.min(left)).await;
                }
            }
            // Whole seconds, and at least one: the guard says in its answer how long it has waited.
            let timeout = menshen_plan::duration::format(Duration::from_secs(left.as_secs().max(1)));
            let query = WaitQuery { wait: Some(until), timeout: Some(timeout) };
            answer = gone_on_with(guard, self.verb, before, &query).await;
        }
    }
}

/// Nothing of what a guard had runs on where it has ended in order.
fn stopped_with_its_guard(before: &Service) -> Service {
    let reason = format!("the guard '{}' has stopped everything, and ended", before.instance);
    Service {
        state: State::Stopped,
        wanted: Wanted::Down,
        pid: None,
        ready: false,
        failing_probe: None,
        outdated: false,
        // How it ended nobody could tell any more.
        last_exit: None,
        reason,
        ..before.clone()
    }
}

fn gone(guard: &Guard, name: &str) -> Failure {
    let message = format!("the guard '{}' is gone, and '{name}' was waited for", guard.instance);
    Failure::new(Exit::NoGuard, message)
        .help("what it had noted the next guard goes on with: `menshen up`, then `menshen status`")
}

/// What the next guard makes of it. Where everything is as it was before, nobody has taken the command.
async fn gone_on_with(guard: &Guard, verb: Verb, before: &Service, query: &WaitQuery) -> Result<Service, ClientError> {
    let look = Call::about(Endpoint::GetService, &before.name);
    let now = guard.client.call::<ServiceDetail>(&look).await?.service;
    if is_as_it_was(before, &now) {
        return call(guard, verb, &before.name, query).await;
    }
    waited_for(guard, &before.name, query).await
}

/// Waits for a service, and tells it nothing.
async fn waited_for(guard: &Guard, name: &str, query: &WaitQuery) -> Result<Service, ClientError> {
    let look = Call::about(Endpoint::GetService, name).query(query)?;
    Ok(guard.client.call::<ServiceDetail>(&look).await?.service)
}

/// Whether nothing has been done to it. What never ran has been in its state since its guard began.
fn is_as_it_was(before: &Service, now: &Service) -> bool {
    let is_same = (before.state, before.wanted, before.pid) == (now.state, now.wanted, now.pid);
    let never_ran = |service: &Service| service.pid.is_none() && service.last_exit.is_none();
    let apart = before.since.as_ms().abs_diff(now.since.as_ms());
    is_same && (before.pid.is_some() || apart < SAME_INSTANT_MS || (never_ran(before) && never_ran(now)))
}

/// What two guards may say of one instant differs by less: each asks anew how far the wall clock is ahead.
const SAME_INSTANT_MS: u64 = 100;

/// How long after a guard was not there it is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How the program of a service has ended that did not end when it was asked to.
const KILLED: &str = "killed by SIGKILL";

/// How many calls wait for their answers at once; a guard takes only so many connections.
const CALLS_AT_ONCE: usize = 32;

/// Many calls are sent before the first answer is waited for: they belong together. The others follow in order.
async fn all_at_once<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = calls.map(Box::pin).collect();
    let mut answers: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = 0;
        for (call, answer) in pending.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            match call.as_mut().poll(context) {
                std::task::Poll::Ready(value) => *answer = Some(value),
                std::task::Poll::Pending => waiting += 1,
            }
            if waiting == CALLS_AT_ONCE {
                break;
            }
        }
        if answers.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// What is told of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tell {
    /// How it is.
    State,
    /// That its program did not end by itself, too.
    HowItEnded,
}

/// What came of telling services something.
struct Report<'a> {
    arguments: &'a Arguments,
    services: Vec<Service>,
    also: Vec<Service>,
    killed: Vec<Killed>,
    native: Vec<Told>,
    failure: Option<Failure>,
}

impl<'a> Report<'a> {
    const fn of(arguments: &'a Arguments) -> Self {
        Self {
            arguments,
            services: Vec::new(),
            also: Vec::new(),
            killed: Vec::new(),
            native: Vec::new(),
            failure: None,
        }
    }

    /// What a guard answered.
    fn guarded(&mut self, name: &str, answer: Result<Service, Failure>, tell: Tell) {
        match answer {
            Ok(service) if self.arguments.json => self.services.push(service),
            Ok(service) => {
                output::line(format_args!("{name}: {}{}", describe(&service), self.how_it_ended(&service, tell)));
                warn(name, &service);
            }
            Err(failure) => self.failed(failure),
        }
    }

    /// What nobody named.
    fn also(&mut self, service: Service) {
        if self.arguments.json {
            self.also.push(service);
        } else {
            let killed = self.how_it_ended(&service, Tell::State);
            output::line(format_args!("{}: also {}{killed}", output::printable(&service.name), describe(&service)));
        }
    }

    /// That a program did not end by itself, or not all of it; nothing if it did.
    fn how_it_ended(&self, service: &Service, tell: Tell) -> String {
        let killed = self.killed.iter().rfind(|killed| killed.name == service.name);
        // What is still stopping has not ended, and what was before it is not asked for.
        let has_ended = tell == Tell::HowItEnded && service.pid.is_none();
        let main = service.last_exit.as_deref().filter(|exit| *exit == KILLED && has_ended);
        let how = match (main, killed) {
            (Some(exit), _) => exit.to_owned(),
            (None, Some(killed)) => killed.to_string(),
            (None, None) => return String::new(),
        };
        format!(", {}", styled(output::printable(&how), AnsiColor::Yellow.on_default()))
    }

    /// What came of a service that its manager runs itself.
    fn native(&mut self, told: Result<Told, Failure>) {
        match told {
            Ok(told) if self.arguments.json => self.native.push(told),
            Ok(told) => output::line(told.line()),
            Err(failure) => self.failed(failure),
        }
    }

    /// All but the last are shown here; the last one ends the command.
    fn failed(&mut self, failure: Failure) {
        if let Some(earlier) = self.failure.replace(failure) {
            output::show_failure(self.arguments, &earlier);
        }
    }

    fn end(self) -> Result<Exit, Failure> {
        if self.arguments.json {
            let Self { services, also, killed, native, .. } = &self;
            output::json(
                &serde_json::json!({ "services": services, "also": also, "killed": killed, "native": native }),
            );
        }
        self.failure.map_or(Ok(Exit::Done), Err)
    }
}

/// Tells of what was done and will not be known to the next guard.
fn warn(name: &str, service: &Service) {
    if let Some(why) = &service.unremembered {
        let word = styled("warning:", AnsiColor::Yellow.on_default().bold());
        output::note(format_args!(
            "{word} {name}: this is done, but cannot be remembered: {}\n  a guard that is started before it can be does not know of it",
            output::printable(why)
        ));
    }
}

fn describe(service: &Service) -> String {
    let state = styled(service.state.as_str(), state_style(service.state));
    let pid = service.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let outdated = if service.outdated { ", outdated" } else { "" };
    let unready = if service.pid.is_some() && !service.ready { ", not ready" } else { "" };
    format!("{state}{outdated}{pid}{unready} ({})", output::printable(service.why()))
}

/// Something that turns while a terminal waits for longer than a moment.
fn spinner(verb: Verb, names: &[&str]) -> ProgressBar {
    if !output::is_error_terminal() {
        return ProgressBar::hidden();
    }
    let what = match names {
        [only] => (*only).to_owned(),
        several => format!("{} services", several.len()),
    };
    let spinner = ProgressBar::new_spinner()
        .with_style(ProgressStyle::default_spinner())
        .with_message(format!("{} {what}", verb.doing()));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
