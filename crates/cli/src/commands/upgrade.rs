//! `menshen upgrade`.

mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use menshen_api::client::Call;
use menshen_api::types::{GuardInfo, Service, UpgradeRequest, Upgraded, Upgrading};
use menshen_api::{ClientError, Endpoint};
use menshen_os::handover::{Way, way};
use menshen_plan::count::counted;

use super::settled::{note_outdated, outdated};
use super::time_out;
use crate::args::{Arguments, Upgrade};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, is_held, wait_for};
use crate::output::{self, bold, dim};
use service::Registered;

/// How often the guard is asked whether it is another version by now.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// A guard that is changing its version has everybody wait for so long at most, before they are asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn upgrade(arguments: &Arguments, upgrade: &Upgrade) -> Result<Exit, Failure> {
    let binary = binary(upgrade)?;
    let timeout = time_out(&upgrade.timeout)?;
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let guard = guards.one().await?;
        let before = guard.info().await?;
        let services_before = guard.services().await?;
        let service = before.service.as_ref().map(|name| Registered::find(name, Path::new(&before.binary), &binary));
        let service = service.transpose()?;
        if service.is_some() {
            // From here to the end nothing is to be left half done.
            menshen_os::system::hold_signals();
        }
        ask(guard, &binary).await?;
        if let Some(service) = service {
            service.start_next(&before, timeout).await?;
        }
        let (now, upgraded) = await_next(guard, &before, timeout).await?;
        if let Some(why) = &upgraded.failure {
            let message = format!("{} could not take over: {why}", upgraded.binary);
            return Err(Failure::new(Exit::Failed, message)
                .help(format!("version {} goes on, and every service runs on", now.version)));
        }
        let mut services = guard.services().await?;
        services.retain(|service| !upgraded.removed.contains(&service.name));
        report(arguments, (&before, &now), &upgraded, (&changed(&services_before, &services), &services));
        Ok(Exit::Done)
    })
}

/// The binary that is to go on, by its whole path: the guard may work in another folder.
fn binary(upgrade: &Upgrade) -> Result<PathBuf, Failure> {
    let path = match &upgrade.binary {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    };
    path.map_err(|error| {
        Failure::new(Exit::Failed, format!("finding the binary: {}", menshen_os::error::describe(&error)))
    })
}

/// Has the guard ask the binary whether it can, and make room for it.
async fn ask(guard: &Guard, binary: &Path) -> Result<(), Failure> {
    let request = UpgradeRequest { binary: binary.display().to_string() };
    let asked: Result<Upgrading, ClientError> = guard.client.call(&Call::new(Endpoint::Upgrade).body(&request)?).await;
    match asked {
        Ok(_) => Ok(()),
        // The answer may have been lost on its way; whether it was done is seen all the same.
        Err(ClientError::Broken(_) | ClientError::Unreadable(_)) => Ok(()),
        Err(error @ (ClientError::Unreachable(_) | ClientError::Problem(_))) => {
            Err(Failure::from(error).help("nothing was changed"))
        }
        Err(error @ ClientError::Silent { .. }) => Err(error.into()),
    }
}

/// Waits until a guard answers that came from a later upgrade than this one.
async fn await_next(guard: &Guard, before: &GuardInfo, timeout: Duration) -> Result<(GuardInfo, Upgraded), Failure> {
    let begun = Instant::now();
    let number = |info: &GuardInfo| info.upgraded.as_ref().map(|upgraded| upgraded.id);
    loop {
        let answer = tokio::time::timeout(ANSWER_WITHIN, guard.info()).await;
        if let Ok(Ok(info)) = &answer {
            if let Some(upgraded) = info.upgraded.clone().filter(|_| number(info) != number(before)) {
                return Ok((info.clone(), upgraded));
            }
            if info.shutting_down {
                return Err(Failure::new(Exit::Failed, "the guard was asked to end before it was upgraded"));
            }
        }
        // In this order: the lock is somebody's again before the process that let it go ends.
        if !is_between(before) && !is_held(&guard.instance) {
            return Err(Failure::new(
                Exit::NoGuard,
                format!("the guard '{}' has ended; what it guarded runs on", guard.instance),
            )
            .help("start it: it takes over what runs"));
        }
        if begun.elapsed() >= timeout {
            let message = format!(
                "no other version of the guard '{}' answers after {}",
                guard.instance,
                menshen_plan::duration::format(timeout)
            );
            return Err(Failure::new(Exit::NoGuard, message)
                .help("every service runs on; `menshen events` says how far it came"));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Whether there may be another guard soon though none holds the lock: where that is another process, the one before sees to it.
fn is_between(before: &GuardInfo) -> bool {
    match way() {
        Way::SameProcess => false,
        Way::NextProcess => menshen_os::system::exists(before.pid),
    }
}

/// The services whose program is another one than before: they ended meanwhile, upgrade or not.
fn changed(before: &[Service], after: &[Service]) -> Vec<String> {
    let after: BTreeMap<&str, &Service> = after.iter().map(|service| (service.name.as_str(), service)).collect();
    let is_other = |old: &&Service| after.get(old.name.as_str()).is_some_and(|new| new.pid != old.pid);
    let ran = before.iter().filter(|service| service.pid.is_some());
    ran.filter(is_other).map(|service| service.name.clone()).collect()
}

fn report(
    arguments: &Arguments,
    (before, now): (&GuardInfo, &GuardInfo),
    upgraded: &Upgraded,
    (changed, services): (&[String], &[Service]),
) {
    if arguments.json {
        return output::json(&serde_json::json!({
            "instance": now.instance,
            "binary": upgraded.binary,
            "from": before.version,
            "to": now.version,
            "pid": now.pid,
            "adopted": upgraded.adopted,
            "changed": changed,
            "removed": upgraded.removed,
            "outdated": outdated(services),
        }));
    }
    let (from, to) = (&before.version, &now.version);
    let programs = counted(upgraded.adopted, "program runs on", "programs run on");
    let restarted = if changed.is_empty() {
        "none was restarted".to_owned()
    } else {
        format!("other programs than before: {}", changed.join(", "))
    };
    output::line(format_args!("{}: {from} → {to}; {programs}, {restarted}", bold(&now.instance)));
    if !upgraded.removed.is_empty() {
        output::note(format_args!("no longer in the definition, and stopped: {}", upgraded.removed.join(", ")));
    }
    output::note(dim(format_args!("process {} is {} now", now.pid, upgraded.binary)));
    note_outdated(services);
}
