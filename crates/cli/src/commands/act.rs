//! `menshen start`, `stop`, `restart`, `pause`, `continue`, `reset` and `signal`.

use std::time::Duration;

use anstyle::AnsiColor;
use indicatif::{ProgressBar, ProgressStyle};
use menshen_api::client::Call;
use menshen_api::types::{Service, SignalRequest, WaitFor, WaitQuery};
use menshen_api::{ClientError, Endpoint};

use super::native;
use crate::args::{Act, Arguments, Signal};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, find, wait_for};
use crate::output::{self, state_style, styled};

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
    menshen_plan::duration::parse(&act.timeout).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    if let Some(native) = verb.native()
        && let Some(exit) = native::act(arguments, native, act)?
    {
        return Ok(exit);
    }
    let query = WaitQuery { wait: verb.wait().filter(|_| !act.no_wait), timeout: Some(act.timeout.clone()) };
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let services = in_order(&guards, &act.names, verb).await?;
        let spinner = spinner(verb, &services);
        let calls = services.iter().map(|(guard, service)| call(guard, verb, &service.name, &query));
        let answers = all_at_once(calls).await;
        spinner.finish_and_clear();
        report(arguments, services.iter().map(|(_, service)| service.name.as_str()).zip(answers))
    })
}

pub(super) fn signal(arguments: &Arguments, signal: &Signal) -> Result<Exit, Failure> {
    let request = SignalRequest { signal: signal.signal.clone() };
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let services = guards.services().await?;
        let mut answers = Vec::new();
        for name in &signal.names {
            let (guard, service) = find(&services, name)?;
            let call = Call::about(Endpoint::SignalService, &service.name).body(&request)?;
            answers.push((name.as_str(), guard.client.call(&call).await));
        }
        report(arguments, answers.into_iter())
    })
}

/// The services, in the order they are started or, to stop them, the other way round.
async fn in_order<'a>(guards: &'a Guards, names: &[String], verb: Verb) -> Result<Vec<(&'a Guard, Service)>, Failure> {
    let mut services = if names.is_empty() {
        // Every service of one guard: what another project runs is not meant by `--all`.
        let guard = guards.one()?;
        guard.services().await?.into_iter().map(|service| (guard, service)).collect()
    } else {
        guards.find_services(names).await?
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

fn report<'a>(
    arguments: &Arguments,
    answers: impl Iterator<Item = (&'a str, Result<Service, ClientError>)>,
) -> Result<Exit, Failure> {
    let mut failure: Option<Failure> = None;
    let mut done = Vec::new();
    for (name, answer) in answers {
        match answer {
            Ok(service) if arguments.json => done.push(service),
            Ok(service) => {
                output::line(format_args!("{name}: {}", describe(&service)));
                warn(name, &service);
            }
            Err(error) => {
                // All but the last are shown here; the last one ends the command.
                if let Some(earlier) = failure.replace(error.into()) {
                    output::show_failure(&earlier, arguments.json);
                }
            }
        }
    }
    if arguments.json {
        output::json(&serde_json::json!({ "services": done }));
    }
    failure.map_or(Ok(Exit::Done), Err)
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
    let unready = if service.pid.is_some() && !service.ready { ", not ready" } else { "" };
    format!("{state}{pid}{unready} ({})", output::printable(&service.reason))
}

/// Something that turns while a terminal waits for longer than a moment.
fn spinner(verb: Verb, services: &[(&Guard, Service)]) -> ProgressBar {
    if !output::is_error_terminal() {
        return ProgressBar::hidden();
    }
    let what = match services {
        [(_, only)] => only.name.clone(),
        several => format!("{} services", several.len()),
    };
    let spinner = ProgressBar::new_spinner()
        .with_style(ProgressStyle::default_spinner())
        .with_message(format!("{} {what}", verb.doing()));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
