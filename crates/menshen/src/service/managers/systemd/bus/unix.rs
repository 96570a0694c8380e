//! systemd is asked over D-Bus.

mod connection;
mod job;
mod properties;

use std::path::PathBuf;
use std::time::Duration;

use connection::{Bus, Failure, ask};
use job::Doing;
use properties::{Properties, Unit};

use super::cause::{Activity, Needed, StopFacts};
use super::{Enabled, Request, Version, unit};
use crate::service::deadline::Deadline;
use crate::service::manager::{ACT_WITHIN, Difference, ManagerError, ManagerKind, Scope, Verb};
use crate::service::name::ServiceName;
use crate::service::registration::StartType;
use crate::service::status::{State, Status};

/// Whoever does not want to wait does so for this long all the same, so that systemd is told at all.
const ANSWER_LEAST: Duration = Duration::from_secs(5);

/// The version that answers.
pub(super) fn version(scope: Scope) -> Result<Version, ManagerError> {
    ask(scope, "asking for the version", async |bus| {
        let text = bus.version().await?;
        Version::of(&text).ok_or_else(|| Failure::Told(format!("'{text}' is no version")))
    })
}

/// Where it looks for units.
pub(super) fn unit_folders(scope: Scope) -> Result<Vec<PathBuf>, ManagerError> {
    ask(scope, "asking where units are", async |bus| {
        Ok(bus.unit_path().await?.into_iter().map(PathBuf::from).collect())
    })
}

/// What it says while it stops the service whose process asks.
pub(super) fn stop_facts(scope: Scope) -> Result<StopFacts, ManagerError> {
    let machine = ask(Scope::System, "asking for the machine's state", async |bus| bus.system_state().await)?;
    ask(scope, "asking why this service is stopped", async |bus| {
        // They are gone once the stop is over, and so come first.
        let jobs = bus.jobs().await?;
        let own = bus.unit_of(std::process::id()).await?;
        let mut needs = Vec::new();
        for (unit, bond) in own.needs() {
            let is_up = bus.loaded(&unit).await?.is_some_and(|unit| unit.is_up());
            needs.push(Needed { unit, bond, activity: if is_up { Activity::Up } else { Activity::Down } });
        }
        Ok(StopFacts { machine, unit: own.name(), needs, conflicts: own.conflicts(), jobs })
    })
}

/// Does what a plan asks for.
pub(super) fn call(scope: Scope, request: &Request) -> Result<(), ManagerError> {
    ask(scope, &request.to_string(), async |bus| match request {
        Request::Reload(_) => bus.reload().await,
        Request::Take(unit) => match bus.load(unit).await?.trouble() {
            Some(trouble) => Err(Failure::Told(format!("{trouble}; `systemd-analyze verify {unit}` says which"))),
            None => Ok(()),
        },
        Request::Enable(unit) => bus.enable(unit).await,
        Request::Disable(unit) => bus.disable(unit).await,
        Request::Stop(units) => {
            let deadline = Deadline::after(ACT_WITHIN);
            for unit in which_run(bus, units).await? {
                bus.run_job("StopUnit", unit, deadline).await?;
            }
            Ok(())
        }
        Request::Start(units) => {
            // Files that were put back are not known to it yet.
            bus.reload().await?;
            let deadline = Deadline::after(ACT_WITHIN);
            for unit in units {
                if let Err(failure) = bus.run_job("StartUnit", unit, deadline).await {
                    return Err(if serves_already(bus, unit).await? { Failure::Told(closed(unit)) } else { failure });
                }
            }
            Ok(())
        }
        Request::Forget(unit) => bus.forget(unit).await,
    })
}

/// Whether a unit is a socket whose service runs without it.
async fn serves_already(bus: &Bus, unit: &str) -> Result<bool, Failure> {
    let Some((service, _)) = unit.strip_suffix(".socket").and_then(|socket| socket.split_once(':')) else {
        return Ok(false);
    };
    Ok(bus.loaded(&format!("{service}.service")).await?.is_some_and(|unit| unit.is_active()))
}

fn closed(socket: &str) -> String {
    format!("{socket} is closed, and systemd opens it only when its service is restarted")
}

/// What of it is not so yet.
pub(super) fn differences(scope: Scope, request: &Request) -> Result<Vec<Difference>, ManagerError> {
    ask(scope, &request.to_string(), async |bus| {
        let differs = |what: String, installed: Option<String>, wanted: &str| {
            vec![Difference { what, installed, wanted: Some(wanted.to_owned()) }]
        };
        Ok(match request {
            Request::Reload(units) => {
                for name in units {
                    if bus.loaded(name).await?.is_some_and(|unit| unit.is_stale()) {
                        return Ok(differs(
                            format!("{name}, as systemd knows it"),
                            Some("older".to_owned()),
                            "as it is written",
                        ));
                    }
                }
                Vec::new()
            }
            // What is not written yet is shown by the difference of its file.
            Request::Take(unit) => match bus.loaded(unit).await? {
                Some(loaded) if loaded.trouble().is_none() => Vec::new(),
                Some(_) | None => match bus.load(unit).await?.trouble() {
                    Some(trouble) => differs(unit.clone(), Some(trouble), "taken"),
                    None => Vec::new(),
                },
            },
            Request::Enable(unit) => match bus.file_state(unit).await?.as_deref() {
                Some("enabled") => Vec::new(),
                state => differs(format!("{unit} at boot"), state.map(str::to_owned), "enabled"),
            },
            Request::Disable(unit) => match bus.file_state(unit).await?.as_deref() {
                Some(state @ ("enabled" | "enabled-runtime")) => {
                    differs(format!("{unit} at boot"), Some(state.to_owned()), "disabled")
                }
                _ => Vec::new(),
            },
            Request::Stop(units) => {
                let running = which_run(bus, units).await?;
                running
                    .iter()
                    .flat_map(|unit| differs((*unit).to_owned(), Some("it runs".to_owned()), "stopped"))
                    .collect()
            }
            Request::Start(units) => {
                let running = which_run(bus, units).await?;
                let others = units.iter().filter(|unit| !running.contains(&unit.as_str()));
                others.flat_map(|unit| differs(unit.clone(), Some("it does not run".to_owned()), "started")).collect()
            }
            Request::Forget(unit) => match bus.loaded(unit).await?.map(|unit| unit.state()) {
                Some(State::Failed) => differs(unit.clone(), Some("failed".to_owned()), "forgotten"),
                None | Some(_) => Vec::new(),
            },
        })
    })
}

/// Which of these do anything, and would do it again. A timer that has elapsed would only start its service once more.
pub(super) fn running(scope: Scope, units: &[String]) -> Result<Vec<String>, ManagerError> {
    ask(scope, "asking which units run", async |bus| {
        let mut running = Vec::new();
        for unit in which_run(bus, units).await? {
            if !bus.loaded(unit).await?.is_some_and(|unit| unit.is_elapsed()) {
                running.push(unit.to_owned());
            }
        }
        Ok(running)
    })
}

/// Which of these do anything.
async fn which_run<'a>(bus: &Bus, units: &'a [String]) -> Result<Vec<&'a str>, Failure> {
    let mut running = Vec::new();
    for unit in units {
        match bus.loaded(unit).await?.map(|unit| unit.state()) {
            None | Some(State::Stopped | State::Failed | State::NotInstalled) => {}
            Some(_) => running.push(unit.as_str()),
        }
    }
    Ok(running)
}

/// How a service is.
pub(super) fn status(scope: Scope, name: &ServiceName, timer: Option<&str>) -> Result<Status, ManagerError> {
    let service = unit::service_name(name);
    ask(scope, &format!("asking for the state of {service}"), async |bus| {
        let unit = bus.load(&service).await?;
        if unit.state() == State::NotInstalled {
            return Ok(Status::NOT_INSTALLED);
        }
        let properties = bus.service(&service).await?;
        let start = start_type(bus, &service, timer).await?;
        Ok(Status {
            state: unit.state(),
            pid: properties.pid(),
            start: Some(start),
            exit: properties.exit(),
            text: properties.text().or_else(|| unit.trouble()),
            progress: None,
        })
    })
}

async fn start_type(bus: &Bus, service: &str, timer: Option<&str>) -> Result<StartType, Failure> {
    let state = bus.file_state(service).await?;
    Ok(match state.as_deref() {
        Some("enabled") => StartType::Auto,
        Some("masked" | "masked-runtime") => StartType::Disabled,
        _ => match timer {
            Some(timer) if bus.file_state(timer).await?.as_deref() == Some("enabled") => StartType::Delayed,
            Some(_) | None => StartType::Manual,
        },
    })
}

/// Something that a service is told, by when it is to be done, and what else of the service is told with it.
struct Told<'a> {
    deadline: Deadline,
    with: &'a Enabled,
}

/// Tells a service something, and waits until it is done.
pub(super) fn act(
    scope: Scope,
    name: &ServiceName,
    verb: Verb,
    deadline: Deadline,
    with: &Enabled,
) -> Result<(), ManagerError> {
    let told = &Told { deadline, with };
    let what = format!("{verb} of {}", with.service);
    let outcome = ask(scope, &what, async |bus| {
        let unit = bus.load(&with.service).await?;
        if unit.state() == State::NotInstalled {
            return Ok(Acted::NotInstalled);
        }
        let acted = match verb {
            Verb::Start => start(bus, &unit, told).await,
            Verb::Stop => stop(bus, &unit, told).await,
            Verb::Restart => restart(bus, &unit, told).await,
            Verb::Reload => reload(bus, &unit, told).await,
            Verb::Pause => pause(bus, &unit, told).await,
            Verb::Continue => go_on(bus, &unit, told).await,
            Verb::Enable => enable(bus, told).await,
            Verb::Disable => disable(bus, told).await,
        };
        match acted {
            Err(Failure::Overdue(doing)) => Ok(Acted::Overdue(doing)),
            acted => acted,
        }
    })?;
    let manager = ManagerKind::Systemd;
    match outcome {
        Acted::Done => Ok(()),
        Acted::Overdue(doing) => {
            let (name, within, state) = (name.clone(), deadline.within(), doing.state);
            Err(ManagerError::Overdue { name, verb, within, state, doing: Some(doing.to_string()) })
        }
        Acted::NotInstalled => Err(ManagerError::NotInstalled { name: name.clone(), manager }),
        Acted::Cannot(why) => Err(ManagerError::CannotAct { manager, name: name.clone(), verb, why: why.to_owned() }),
    }
}

/// What came of telling a service something.
enum Acted {
    Done,
    Overdue(Doing),
    NotInstalled,
    Cannot(&'static str),
}

async fn start(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<Acted, Failure> {
    if unit.state() == State::Paused {
        return Ok(Acted::Cannot("it is paused, and goes on when it is continued"));
    }
    if !unit.is_active() {
        // One that cannot be opened is a start that failed; by itself the service would be started without it.
        for socket in &told.with.sockets {
            bus.run_job("StartUnit", socket, told.deadline).await?;
        }
    }
    bus.run_job("StartUnit", &told.with.service, told.deadline).await.map(|()| Acted::Done)
}

async fn stop(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<Acted, Failure> {
    let with = told.with;
    thaw(bus, unit, told).await?;
    for unit in with.in_order_of_stop() {
        bus.run_job("StopUnit", &unit, told.deadline).await?;
    }
    // A service that somebody has stopped has not failed any more.
    if bus.loaded(&with.service).await?.is_some_and(|unit| unit.state() == State::Failed) {
        bus.forget(&with.service).await?;
    }
    Ok(Acted::Done)
}

async fn restart(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<Acted, Failure> {
    thaw(bus, unit, told).await?;
    bus.run_job("RestartUnit", &told.with.service, told.deadline).await.map(|()| Acted::Done)
}

/// systemd does nothing with a service that is frozen.
async fn thaw(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<(), Failure> {
    if unit.state() == State::Paused { answered(bus, "ThawUnit", told).await } else { Ok(()) }
}

/// Has it freeze or thaw a unit. It answers when the kernel has done it.
async fn answered(bus: &Bus, method: &'static str, told: &Told<'_>) -> Result<(), Failure> {
    let service = &*told.with.service;
    let within = told.deadline.left().max(ANSWER_LEAST);
    match tokio::time::timeout(within, bus.manager(method, &(service,))).await {
        Ok(answer) => answer.map(drop),
        Err(_) => Err(Failure::Overdue(bus.doing_without_job(service).await?)),
    }
}

async fn reload(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<Acted, Failure> {
    if !unit.can_reload() {
        return Ok(Acted::Cannot("it has no way to be told; install it with a reload"));
    }
    if !unit.is_active() {
        return Ok(Acted::Cannot("it does not run"));
    }
    bus.run_job("ReloadUnit", &told.with.service, told.deadline).await.map(|()| Acted::Done)
}

/// Its control group is frozen.
async fn pause(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<Acted, Failure> {
    if !unit.can_freeze() {
        return Ok(Acted::Cannot("it takes control groups of version 2 and systemd 246"));
    }
    if !unit.is_active() {
        return Ok(Acted::Cannot("it does not run"));
    }
    if bus.service(&told.with.service).await?.has_watchdog() {
        return Ok(Acted::Cannot("while it is paused it could not say that it is well, and would be killed"));
    }
    answered(bus, "FreezeUnit", told).await.map(|()| Acted::Done)
}

async fn go_on(bus: &Bus, unit: &Properties<Unit>, told: &Told<'_>) -> Result<Acted, Failure> {
    if unit.state() != State::Paused {
        return Ok(Acted::Cannot("it is not paused"));
    }
    answered(bus, "ThawUnit", told).await.map(|()| Acted::Done)
}

async fn enable(bus: &Bus, told: &Told<'_>) -> Result<Acted, Failure> {
    let with = told.with;
    for unit in with.sockets.iter().chain([with.timer.as_ref().unwrap_or(&with.service)]) {
        bus.enable(unit).await?;
    }
    Ok(Acted::Done)
}

async fn disable(bus: &Bus, told: &Told<'_>) -> Result<Acted, Failure> {
    let with = told.with;
    for unit in with.sockets.iter().chain(&with.timer).chain([&with.service]) {
        bus.disable(unit).await?;
    }
    Ok(Acted::Done)
}
