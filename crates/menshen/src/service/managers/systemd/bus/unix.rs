//! systemd is asked over D-Bus.

mod connection;
mod job;
mod properties;

use connection::{Bus, Failure, ask};
use properties::{Properties, Unit};

use super::{Enabled, Request, Version, unit};
use crate::service::manager::{Difference, ManagerError, ManagerKind, Scope, Verb};
use crate::service::name::ServiceName;
use crate::service::registration::StartType;
use crate::service::status::{State, Status};

/// The version that answers.
pub(super) fn version(scope: Scope) -> Result<Version, ManagerError> {
    ask(scope, "asking for the version", async |bus| {
        let text = bus.version().await?;
        Version::of(&text).ok_or_else(|| Failure::Told(format!("'{text}' is no version")))
    })
}

/// How it says the machine is.
pub(super) fn system_state() -> Result<String, ManagerError> {
    ask(Scope::System, "asking for the machine's state", async |bus| bus.system_state().await)
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
            for unit in running(bus, units).await? {
                bus.run_job("StopUnit", unit).await?;
            }
            Ok(())
        }
        Request::Forget(unit) => bus.forget(unit).await,
    })
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
                let running = running(bus, units).await?;
                running
                    .iter()
                    .flat_map(|unit| differs((*unit).to_owned(), Some("it runs".to_owned()), "stopped"))
                    .collect()
            }
            Request::Forget(unit) => match bus.loaded(unit).await?.map(|unit| unit.state()) {
                Some(State::Failed) => differs(unit.clone(), Some("failed".to_owned()), "forgotten"),
                None | Some(_) => Vec::new(),
            },
        })
    })
}

/// Which of these do anything.
async fn running<'a>(bus: &Bus, units: &'a [String]) -> Result<Vec<&'a str>, Failure> {
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

/// Tells a service something, and waits until it is done.
pub(super) fn act(scope: Scope, name: &ServiceName, verb: Verb, with: &Enabled) -> Result<(), ManagerError> {
    let what = format!("{verb} of {}", with.service);
    let outcome = ask(scope, &what, async |bus| {
        let unit = bus.load(&with.service).await?;
        if unit.state() == State::NotInstalled {
            return Ok(Acted::NotInstalled);
        }
        match verb {
            Verb::Start => start(bus, &unit, with).await,
            Verb::Stop => stop(bus, &unit, with).await,
            Verb::Restart => restart(bus, &unit, with).await,
            Verb::Reload => reload(bus, &unit, with).await,
            Verb::Pause => pause(bus, &unit, with).await,
            Verb::Continue => go_on(bus, &unit, with).await,
            Verb::Enable => enable(bus, with).await,
            Verb::Disable => disable(bus, with).await,
        }
    })?;
    let manager = ManagerKind::Systemd;
    match outcome {
        Acted::Done => Ok(()),
        Acted::NotInstalled => Err(ManagerError::NotInstalled { name: name.clone(), manager }),
        Acted::Cannot(why) => Err(ManagerError::CannotAct { manager, name: name.clone(), verb, why: why.to_owned() }),
    }
}

/// What came of telling a service something.
enum Acted {
    Done,
    NotInstalled,
    Cannot(&'static str),
}

async fn start(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<Acted, Failure> {
    if unit.state() == State::Paused {
        return Ok(Acted::Cannot("it is paused, and goes on when it is continued"));
    }
    if !unit.is_active() {
        // One that cannot be opened is a start that failed; by itself the service would be started without it.
        for socket in &with.sockets {
            bus.run_job("StartUnit", socket).await?;
        }
    }
    bus.run_job("StartUnit", &with.service).await.map(|()| Acted::Done)
}

async fn stop(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<Acted, Failure> {
    thaw(bus, unit, with).await?;
    for unit in with.in_order_of_stop() {
        bus.run_job("StopUnit", &unit).await?;
    }
    // A service that somebody has stopped has not failed any more.
    if bus.loaded(&with.service).await?.is_some_and(|unit| unit.state() == State::Failed) {
        bus.forget(&with.service).await?;
    }
    Ok(Acted::Done)
}

async fn restart(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<Acted, Failure> {
    thaw(bus, unit, with).await?;
    bus.run_job("RestartUnit", &with.service).await.map(|()| Acted::Done)
}

/// systemd does nothing with a service that is frozen.
async fn thaw(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<(), Failure> {
    if unit.state() == State::Paused { bus.manager("ThawUnit", &(&*with.service,)).await.map(drop) } else { Ok(()) }
}

async fn reload(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<Acted, Failure> {
    if !unit.can_reload() {
        return Ok(Acted::Cannot("it has no way to be told; install it with a reload"));
    }
    if !unit.is_active() {
        return Ok(Acted::Cannot("it does not run"));
    }
    bus.run_job("ReloadUnit", &with.service).await.map(|()| Acted::Done)
}

/// Its control group is frozen.
async fn pause(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<Acted, Failure> {
    if !unit.can_freeze() {
        return Ok(Acted::Cannot("it takes control groups of version 2 and systemd 246"));
    }
    if !unit.is_active() {
        return Ok(Acted::Cannot("it does not run"));
    }
    if bus.service(&with.service).await?.has_watchdog() {
        return Ok(Acted::Cannot("while it is paused it could not say that it is well, and would be killed"));
    }
    bus.manager("FreezeUnit", &(&*with.service,)).await.map(|_| Acted::Done)
}

async fn go_on(bus: &Bus, unit: &Properties<Unit>, with: &Enabled) -> Result<Acted, Failure> {
    if unit.state() != State::Paused {
        return Ok(Acted::Cannot("it is not paused"));
    }
    bus.manager("ThawUnit", &(&*with.service,)).await.map(|_| Acted::Done)
}

async fn enable(bus: &Bus, with: &Enabled) -> Result<Acted, Failure> {
    for unit in with.sockets.iter().chain([with.timer.as_ref().unwrap_or(&with.service)]) {
        bus.enable(unit).await?;
    }
    Ok(Acted::Done)
}

async fn disable(bus: &Bus, with: &Enabled) -> Result<Acted, Failure> {
    for unit in with.sockets.iter().chain(&with.timer).chain([&with.service]) {
        bus.disable(unit).await?;
    }
    Ok(Acted::Done)
}
