//! `menshen up`.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use menshen_api::ClientError;
use menshen_api::types::{Service, State, Wanted};
use menshen_guard::EndWhen;
use menshen_guard::definition::DefinitionSource;
use menshen_guard::handover::Takeover;
use menshen_os::paths::RUN_FOLDER_MODE;
use menshen_plan::Plan;

use super::foreground::{self, Audience};
use super::overseen;
use super::settled::{Pauses, are_settled, is_settled_well, not_ready, note_outdated, tell_states};
use super::time_out;
use crate::args::{Arguments, Up};
use crate::definition::{MachineErrors, load_plan, paths, source};
use crate::failure::{Exit, Failure};
use crate::guards::{
    ANSWER_WITHIN, Guard, client, holder, left_running, note_not_taken_over, runs_already, silent, wait_for,
};
use crate::output::{self, dim};

/// How long a guard may take to begin: to read what is remembered, and to take over what runs.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take until what runs is noted; a disk that is full never notes it.
const NOTED_WITHIN: Duration = Duration::from_secs(2);
/// What the guard itself says is little; beyond this a new file is begun at its next start.
const LOG_BYTES_MAX: u64 = 1 << 20;

pub(super) fn up(arguments: &Arguments, up: &Up) -> Result<Exit, Failure> {
    // An answer to a version before this one is for that one alone.
    if let Some(name) = &up.log_as
        && !Takeover::is_asked()
    {
        let (log, file) = own_log(name)?;
        menshen_os::system::say_into(&file).map_err(|error| unopened(&log, &error))?;
    }
    let source = source(&up.definition)?;
    if up.in_background {
        menshen_os::system::leave_terminal();
    }
    if up.detach && !up.in_background {
        let plan = load_plan(&source, MachineErrors::Shown)?;
        return detach(arguments, up, &source, &plan);
    }
    if let Some(name) = &up.as_service {
        let plan = load_plan(&source, MachineErrors::Shown)?;
        return overseen::guard(name, source, plan);
    }
    // Where nobody reads along, what services write is in their logs.
    let audience = if up.in_background || up.log_as.is_some() { Audience::Later } else { Audience::of(arguments) };
    foreground::guard_here(&source, MachineErrors::Shown, EndWhen::Asked, audience)
}

/// Starts this very command in the background and waits until it guards.
fn detach(arguments: &Arguments, up: &Up, source: &DefinitionSource, plan: &Plan) -> Result<Exit, Failure> {
    let instance = plan.name.as_str();
    let timeout = time_out(&up.timeout)?;
    let guard = Guard::new(instance.to_owned(), client(instance, paths().control(instance)));
    wait_for(refuse_second(&guard, source))?;
    note_not_taken_over(plan, source);
    let unusable = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("going to the background: {}", menshen_os::error::describe(&error)))
    };
    let (log, file) = own_log(instance)?;
    let mut command = Command::new(std::env::current_exe().map_err(unusable)?);
    command.args(background_arguments(up, source));
    command.stdin(Stdio::null()).stdout(file.try_clone().map_err(unusable)?).stderr(file);
    let said_before = file_length(&log);
    let mut child = command.spawn().map_err(unusable)?;
    wait_for(async {
        let services =
            await_guard((&guard, source), &mut child, (&log, said_before), up.wait.then_some(timeout)).await?;
        if arguments.json {
            output::json(&serde_json::json!({ "instance": instance, "pid": child.id(), "services": services }));
        } else {
            tell_begun(instance, child.id(), &services, &log);
        }
        if up.wait && !services.iter().all(is_settled_well) {
            return Err(not_ready(&services));
        }
        Ok(Exit::Done)
    })
}

fn tell_begun(instance: &str, pid: u32, services: &[Service], log: &Path) {
    tell_states(services);
    output::note(format_args!(
        "{instance} is guarded by process {pid}; `menshen status` shows it, `menshen down` ends it"
    ));
    note_outdated(services);
    output::note(dim(format_args!("what the guard itself says is in {}", log.display())));
}

/// Refuses to start a guard where there is one, whether it answers or not.
async fn refuse_second(guard: &Guard, source: &DefinitionSource) -> Result<(), Failure> {
    match tokio::time::timeout(ANSWER_WITHIN, guard.info()).await {
        Ok(Ok(info)) => Err(runs_already(guard, info.pid, source).await),
        Ok(Err(ClientError::Silent { .. })) | Err(_) => Err(silent(&guard.instance)),
        // Nobody is there, or who is says so when there are two.
        Ok(Err(
            ClientError::Unreachable(_) | ClientError::Problem(_) | ClientError::Broken(_) | ClientError::Unreadable(_),
        )) => Ok(()),
    }
}

/// Where a guard that nobody reads along with says what it says, and the file itself.
fn own_log(instance: &str) -> Result<(PathBuf, File), Failure> {
    let paths = paths();
    let folder = paths.logs.join(instance);
    let log = folder.join("guard.log");
    // First, so that it is this one that decides who may pass through what is above both.
    let made = menshen_os::file::create_folder(&paths.run, RUN_FOLDER_MODE)
        .and_then(|_| menshen_os::file::create_folder(&folder, 0o750));
    let file = made.and_then(|_| open_log(&log)).map_err(|error| unopened(&log, &error))?;
    Ok((log, file))
}

fn unopened(log: &Path, error: &std::io::Error) -> Failure {
    let message = format!("opening {}: {}", log.display(), menshen_os::error::describe(error));
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return Failure::new(Exit::NotPermitted, message)
            .help("the folder is somebody else's: `MENSHEN_HOME=FOLDER` has everything below one of your own");
    }
    Failure::new(Exit::Failed, message)
}

/// The file of what a guard in the background says. One that has grown large is put aside, in the place of the last such.
fn open_log(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn file_length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn background_arguments(up: &Up, source: &DefinitionSource) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = ["up", "--in-background", "--file"].map(Into::into).into();
    arguments.push(source.path.clone().into_os_string());
    if let Some(profile) = &up.definition.profile {
        arguments.extend(["--profile".into(), profile.into()]);
    }
    for setting in &up.definition.set {
        arguments.extend(["--set".into(), setting.into()]);
    }
    for name in &up.definition.only {
        arguments.extend(["--only".into(), name.into()]);
    }
    arguments
}

/// Waits until the guard answers and, if a time is given for it, until every service has come to where it is wanted, cannot
/// come there, or has taken too long. The log says what it says from this length on.
async fn await_guard(
    (guard, source): (&Guard, &DefinitionSource),
    child: &mut Child,
    (log, said_before): (&Path, u64),
    timeout: Option<Duration>,
) -> Result<Vec<Service>, Failure> {
    let begun = Instant::now();
    let mut pauses = Pauses::new();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            if let Some(other) = holder(&guard.instance) {
                return Err(runs_already(guard, other, source).await);
            }
            let said = std::fs::read(log).unwrap_or_default();
            let said = said.get(usize::try_from(said_before).unwrap_or(0)..).unwrap_or_default();
            let said = String::from_utf8_lossy(said);
            let last: Vec<&str> = said.lines().rev().take(10).collect();
            output::note(last.into_iter().rev().collect::<Vec<_>>().join("\n"));
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Err(Failure::new(Exit::Guard(code), "the guard has ended")
                .help(format!("what it said is in {}", log.display())));
        }
        if let Ok(Some(services)) = tokio::time::timeout(ANSWER_WITHIN, services_of(guard, child.id())).await {
            let is_there =
                timeout.is_none_or(|timeout| begun.elapsed() >= timeout || are_settled(&services, &services));
            if is_there && (are_noted(&guard.instance, &services) || begun.elapsed() >= NOTED_WITHIN) {
                return Ok(services);
            }
        } else if begun.elapsed() >= FIRST_ANSWER_WITHIN.max(timeout.unwrap_or_default()) {
            return Err(silent(&guard.instance));
        }
        pauses.pause().await;
    }
}

/// Whether what runs would be known of a guard that is killed from now on, and nothing is just being started: what has not
/// executed its program by then ends with its guard.
fn are_noted(instance: &str, services: &[Service]) -> bool {
    let noted = left_running(instance);
    let is_noted = |service: &Service| service.pid.is_none() || noted.contains(&service.name);
    services.iter().all(|service| !is_about_to_run(service) && is_noted(service))
}

fn is_about_to_run(service: &Service) -> bool {
    let is_to_begin = service.state == State::Stopped && service.wanted == Wanted::Up && service.last_exit.is_none();
    service.pid.is_none() && (service.state == State::Starting || is_to_begin)
}

/// The services of this guard, if it is this process and answers. Another one of its name may run; then this one ends.
async fn services_of(guard: &Guard, pid: u32) -> Option<Vec<Service>> {
    if guard.pid().await? == pid { guard.services().await.ok() } else { None }
}
