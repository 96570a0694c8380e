//! `menshen down`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use menshen::service::Verb;
use menshen_api::client::Call;
use menshen_api::types::{Accepted, ShutdownQuery};
use menshen_api::{ClientError, Endpoint};
use serde_json::json;

use super::killed::{Killed, Moment};
use crate::args::{Arguments, Down};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, ended_in_order, is_held, told_left, wait_for};
use crate::output;
use crate::registering::running::Managed;

/// How soon a guard that is ending is asked whether it has ended: later and later, up to so often.
const ASK_FIRST: Duration = Duration::from_millis(5);
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How soon one that has ended is looked at whether it has let go of its lock, which it does at once.
const LOOK_FIRST: Duration = Duration::from_millis(1);
/// How long a guard that no longer answers may take to let go of its lock: it writes its last events meanwhile.
const LOCK_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn down(arguments: &Arguments, down: &Down) -> Result<Exit, Failure> {
    wait_for(async {
        let guards = Guards::find(arguments).await;
        if down.unit.is_some() && guards.all.is_empty() {
            // It has ended already, and its unit with it.
            return Ok(Exit::Done);
        }
        let guard = guards.one().await?;
        let leave = down.leave || down.unit.as_ref().is_some_and(|unit| is_being_restarted(unit));
        let is_for_manager = down.unit.is_some() || down.by_manager;
        let managed = if is_for_manager || leave { None } else { Managed::of(&guard.instance)? };
        let before = if leave { None } else { Moment::now(guard).await };
        let process = guard.info().await?.pid;
        let by_manager = managed.as_ref().filter(|managed| managed.has_to_be_told());
        let mut broken = None;
        if by_manager.is_none() || down.now {
            broken = tell(guard, &ShutdownQuery { now: down.now, leave }).await?;
        }
        if let Some(Managed { name, manager }) = by_manager {
            manager.act(name, Verb::Stop)?;
        }
        await_end(guard, process).await?;
        await_lock(&guard.instance).await;
        let programs = if leave { Programs::RunOn } else { Programs::Stopped };
        if programs == Programs::Stopped {
            hold_stopped(guard).await?;
        }
        if let Some(error) = broken.filter(|_| leave || ended_in_order(&guard.instance) != Some(true)) {
            return Err(error.into());
        }
        let killed = before.map(|before| before.killed_to_the_end(&guard.instance)).unwrap_or_default();
        report(arguments, &guard.instance, programs, &killed, managed.as_ref());
        Ok(Exit::Done)
    })
}

/// Tells a guard to end; what has broken, where it may have been taken all the same.
async fn tell(guard: &Guard, query: &ShutdownQuery) -> Result<Option<ClientError>, Failure> {
    let call = Call::new(Endpoint::Shutdown).query(query)?;
    let broken = match guard.client.call(&call).await {
        Ok(Accepted { .. }) => return Ok(None),
        Err(error @ ClientError::Broken(_)) => error,
        Err(error) => return Err(error.into()),
    };
    if guard.info().await.is_ok_and(|info| !info.shutting_down) {
        // Whoever goes on in its place has not been told.
        let Accepted { .. } = guard.client.call(&call).await?;
        return Ok(None);
    }
    Ok(Some(broken))
}

/// Somebody may have killed the guard before it had stopped everything, and somebody may have started the next one.
async fn hold_stopped(guard: &Guard) -> Result<(), Failure> {
    let instance = &guard.instance;
    if let Ok(next) = guard.info().await {
        let message = format!("another guard '{instance}' runs by now (process {})", next.pid);
        return Err(Failure::new(Exit::Failed, message)
            .help("what starts it again is to be stopped first; `menshen status` shows what it guards"));
    }
    let Some(left) = told_left(instance).filter(|_| !is_held(instance)) else { return Ok(()) };
    let message = format!("the guard '{instance}' was gone before everything was stopped; {left}");
    Err(Failure::new(Exit::NoGuard, message).help("`menshen up` guards it again, and `menshen down` then stops it"))
}

/// What became of what it guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Programs {
    /// It runs on.
    RunOn,
    /// It was stopped.
    Stopped,
}

fn report(arguments: &Arguments, instance: &str, programs: Programs, killed: &[Killed], managed: Option<&Managed>) {
    let (outcome, how) = match programs {
        Programs::RunOn => ("left", "ended; everything runs on"),
        Programs::Stopped => ("stopped", "stopped"),
    };
    if arguments.json {
        let managed = managed
            .map(|Managed { name, manager }| json!({ "name": name.as_str(), "manager": manager.kind().as_str() }));
        return output::json(
            &json!({ "instance": instance, "outcome": outcome, "killed": killed, "installed": managed }),
        );
    }
    for killed in killed {
        output::note(format_args!("{}: {}", killed.name, output::printable(&killed.to_string())));
    }
    output::note(format_args!("{instance}: {how}"));
    if let Some(Managed { name, manager }) = managed {
        output::note(format_args!(
            "{} ran it as '{name}', and starts it again at boot and when it is told to; `menshen disable {name}` keeps it \
             from the boot",
            manager.kind()
        ));
    }
}

/// Whether systemd stops a unit in order to start it again. It says so in its list of jobs, and nowhere else. Where it does
/// not answer, the unit is being stopped.
fn is_being_restarted(unit: &str) -> bool {
    let mut systemctl = Command::new("systemctl");
    // The manager of a user's units says so to what it starts (systemd.exec(5)).
    if std::env::var_os("MANAGERPID").is_some() {
        systemctl.arg("--user");
    }
    systemctl.args(["--plain", "--no-legend", "--no-pager", "list-jobs"]).stdin(Stdio::null());
    match systemctl.output() {
        Ok(output) => has_restart(&String::from_utf8_lossy(&output.stdout), unit),
        Err(error) => {
            output::note(format_args!("systemctl cannot be asked: {}", menshen_os::error::describe(&error)));
            false
        }
    }
}

/// Lines of `JOB UNIT TYPE STATE`.
fn has_restart(jobs: &str, unit: &str) -> bool {
    jobs.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next() == Some(unit) && matches!(words.next(), Some("restart" | "try-restart"))
    })
}

/// The lock is the last a guard lets go; from then on another one can begin.
async fn await_lock(instance: &str) {
    let end = Instant::now() + LOCK_WITHIN;
    let mut pauses = pauses(LOOK_FIRST);
    while is_held(instance) && Instant::now() < end {
        tokio::time::sleep(pauses.next().unwrap_or(ASK_AGAIN)).await;
    }
}

/// A guard has ended when nobody answers any more, or another one; how long that takes is up to its services.
async fn await_end(guard: &Guard, process: u32) -> Result<(), Failure> {
    let mut pauses = pauses(ASK_FIRST);
    loop {
        tokio::time::sleep(pauses.next().unwrap_or(ASK_AGAIN)).await;
        match guard.info().await {
            Err(ClientError::Unreachable(_) | ClientError::Broken(_)) => return Ok(()),
            Err(error @ ClientError::Silent { .. }) => return Err(error.into()),
            Ok(info) if info.pid != process => return Ok(()),
            Ok(_) | Err(ClientError::Problem(_) | ClientError::Unreadable(_)) => {}
        }
    }
}

/// What is waited before each look.
fn pauses(first: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(first), |pause| Some(pause.saturating_mul(2).min(ASK_AGAIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_they_are_as_long_as_they_may_be() {
        let pauses: Vec<u128> = pauses(ASK_FIRST).take(6).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 50, 50]);
    }

    #[test]
    fn only_a_restart_of_the_unit_itself_is_one() {
        let jobs = "143 menshen-shop.service restart running\n144 other.service stop running\n145 third.service try-restart waiting\n";
        assert!(has_restart(jobs, "menshen-shop.service"));
        assert!(has_restart(jobs, "third.service"));
        for unit in ["other.service", "shop.service", "143", "restart", ""] {
            assert!(!has_restart(jobs, unit), "{unit}");
        }
        assert!(!has_restart("", "menshen-shop.service"));
    }
}
