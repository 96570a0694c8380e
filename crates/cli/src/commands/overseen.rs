//! A guard whose service manager calls it within its own process, as that of Windows does.

use std::num::NonZeroU8;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use menshen::service::{Context, ExitCode, Failure as ServiceFailure, Handle, Main, Request, Service, ServiceName};
use menshen_guard::definition::DefinitionSource;
use menshen_guard::handover::Takeover;
use menshen_guard::{EndWhen, Overseer, Told};
use menshen_os::event::Ask;
use menshen_plan::Plan;
use tokio::sync::mpsc;

use super::foreground::{self, Audience};
use crate::failure::{Exit, Failure};

/// At most so many things asked and not looked at by the guard's loop.
const ASKS_MAX: usize = 4;
/// How long a guard may be silent while it stops everything; it asks for more time again and again.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// How the guard ended, once it has.
type Ended = Arc<Mutex<Option<Result<Exit, Failure>>>>;

/// Guards as the service of this name until it ends. Asked by an earlier version whether this one could go on in its place, only
/// says so.
pub(super) fn guard(name: &str, source: DefinitionSource, plan: Arc<Plan>) -> Result<Exit, Failure> {
    if let Some(Takeover::Question(question)) =
        Takeover::from_environment().map_err(|error| foreground::unable(&error))?
    {
        return foreground::answer(&question, &plan);
    }
    let name: ServiceName = name.parse()?;
    let ended = Ended::default();
    let service = Overseen { name: name.to_string(), source, plan, ended: Arc::clone(&ended) };
    // What its exit code says the guard's own end says better.
    let _ = Main::new(name).reloads().stops_within(STOPS_WITHIN).run(service);
    let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).take();
    ended.unwrap_or_else(|| Err(Failure::new(Exit::Failed, "the guard was ended by its service manager")))
}

struct Overseen {
    name: String,
    source: DefinitionSource,
    plan: Arc<Plan>,
    ended: Ended,
}

impl Service for Overseen {
    async fn run(self, mut context: Context) -> Result<(), ServiceFailure> {
        let Self { name, source, plan, ended } = self;
        let (ask, asks) = mpsc::channel(ASKS_MAX);
        let handle = context.handle();
        let overseer = Overseer { service: name, told: Box::new(move |told| pass_on(&handle, told)), asks };
        // The guard's loop is a thread's; this task only speaks for it.
        let mut guard = tokio::task::spawn_blocking(move || {
            foreground::guard(&source, plan, None, EndWhen::Asked, Audience::Later, Some(overseer))
        });
        loop {
            tokio::select! {
                result = &mut guard => return tell(&ended, result?),
                request = context.next() => match request {
                    // A guard that is ending already hears nothing more, and need not.
                    Request::Stop(_) => _ = ask.send(Ask::Terminate).await,
                    Request::Reload(pending) => {
                        let _ = ask.send(Ask::Reload).await;
                        pending.done();
                    }
                    // It does not want to be asked.
                    Request::Pause(pending) | Request::Continue(pending) => pending.done(),
                    Request::Session(_) | Request::Power(_) => {}
                },
            }
        }
    }
}

fn pass_on(handle: &Handle, told: Told) {
    match told {
        Told::Ready { standing } => {
            handle.ready();
            handle.status(standing);
        }
        Told::Standing(standing) => handle.status(standing),
        Told::Stopping { reason } => handle.status(format!("stopping everything: {reason}")),
        Told::Leaving => handle.status("leaving everything to the next guard"),
        Told::MoreTime(time) => handle.more_time(time),
    }
}

/// Keeps how the guard ended, and says it to the manager.
fn tell(ended: &Ended, result: Result<Exit, Failure>) -> Result<(), ServiceFailure> {
    let (exit, why) = match &result {
        Ok(exit) => (*exit, format!("the guard ended with {}", u8::from(*exit))),
        Err(failure) => (failure.code(), failure.message.clone()),
    };
    *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    match NonZeroU8::new(u8::from(exit)) {
        None => Ok(()),
        Some(code) => Err(ExitCode::new(code, why).into()),
    }
}
