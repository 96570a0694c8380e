//! From the start of a service to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::author::{ExitCode, Failure, Service};
use super::context::{Context, Handle, StopAt};
use super::door::{ASKED_MAX, Ability, Asked, Door, Ended, Report};
use super::origin::Origin;
use super::request::StopReason;
use crate::service::name::ServiceName;
use crate::service::story;

/// One for the service, and one for what it is asked.
const WORKERS_MIN: usize = 2;

/// How a service lives.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    /// What it wants to be asked.
    pub abilities: Vec<Ability>,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// Who decides where its events go.
    pub logging: Logging,
}

/// Who decides where a service's events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logging {
    /// The author.
    Authors,
    /// The runtime: to the log of whoever started the service.
    #[cfg(feature = "log")]
    Native,
}

/// Runs a service until it ends, with a runtime of its own.
pub(super) fn live<S: Service>(name: &ServiceName, service: S, manner: &Manner, door: Arc<dyn Door>) -> Ended {
    if let Err(why) = begin_logging(name, manner.logging, door.origin()) {
        return failed(&Handle::new(door), &why, 1);
    }
    // On a machine with one processor, too, a service that never yields must not keep its stop from being timed.
    let workers = std::thread::available_parallelism().map_or(WORKERS_MIN, |cores| cores.get().max(WORKERS_MIN));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Handle::new(door), &format!("no runtime could be started: {error}"), 1),
    };
    let ended = runtime.block_on(run(service, manner, door));
    // What the service left running is not waited for: its time is over.
    runtime.shutdown_background();
    ended
}

/// The same, in a runtime that is there.
pub(super) async fn run<S: Service>(service: S, manner: &Manner, door: Arc<dyn Door>) -> Ended {
    let stop_timeout = door.stop_timeout().unwrap_or(manner.stop_timeout);
    let manner = &Manner { stop_timeout, ..manner.clone() };
    let handle = Handle::new(Arc::clone(&door));
    let (asked, mut from_manager) = mpsc::channel(ASKED_MAX);
    let (to_service, for_service) = mpsc::channel(ASKED_MAX);
    if let Err(error) = door.listen(&manner.abilities, asked) {
        return failed(&handle, &format!("what its manager asks cannot be heard: {error}"), 1);
    }
    let context = Context::new(handle.clone(), for_service);
    // In a task of its own, so that a panic is an error like others and a service that never yields is ended all the same.
    let mut life = tokio::spawn(service.run(context));
    loop {
        tokio::select! {
            ended = &mut life => return told(&handle, ended),
            () = handle.overdue() => {
                return failed(&handle, "it did not stop within its time", 1);
            }
            Some(asked) = from_manager.recv() => pass_on(asked, &handle, manner, &to_service),
        }
    }
}

fn pass_on(asked: Asked, handle: &Handle, manner: &Manner, to_service: &mpsc::Sender<Asked>) {
    if let Asked::Stop(reason) = asked {
        if handle.begin_stop(StopAt { reason, deadline: Instant::now() + manner.stop_timeout }) {
            handle.tell(&Report::Stopping(manner.stop_timeout));
        } else if reason == StopReason::Interrupt {
            // Whoever presses Ctrl-C twice does not want to wait.
            handle.stop_now();
        }
        return;
    }
    if to_service.try_send(asked).is_err() {
        handle.status("it does not answer what it is asked");
    }
}

fn told(handle: &Handle, ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Ended {
    match ended {
        Ok(Ok(())) => {
            if handle.stop().is_none() {
                handle.tell(&Report::Stopping(Duration::ZERO));
            }
            Ended::Well
        }
        Ok(Err(error)) => {
            let code = error.downcast_ref::<ExitCode>().map_or(1, ExitCode::code);
            failed(handle, &story::whole(&*error), code)
        }
        // 101 is what Rust's own runtime ends with.
        Err(panicked) => failed(handle, &format!("it panicked: {panicked}"), 101),
    }
}

fn failed(handle: &Handle, why: &str, code: u8) -> Ended {
    handle.status(why);
    complain(why);
    Ended::Failed(code)
}

/// Without a log there is stderr.
#[cfg(not(feature = "log"))]
fn complain(why: &str) {
    super::platform::complain(why);
}

/// In the service's own log, if there is one.
#[cfg(feature = "log")]
fn complain(why: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: crate::service::log::ENDED, "{why}");
    } else {
        super::platform::complain(why);
    }
}

#[cfg_attr(not(feature = "log"), expect(unused_variables, reason = "there is no log to begin"))]
fn begin_logging(name: &ServiceName, logging: Logging, origin: Origin) -> Result<(), String> {
    match logging {
        Logging::Authors => Ok(()),
        #[cfg(feature = "log")]
        Logging::Native => crate::service::log::begin(name, origin).map_err(|error| story::whole(&error)),
    }
}
