//! `menshen install`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen::service::registration::Account;
use menshen::service::{
    ManagerKind, Outcome, Plan as Steps, Registration, Scope, ServiceManager, ServiceName, State, Verb,
};
use menshen_guard::definition::DefinitionSource;
use menshen_guard::facts::ThisMachine;
use menshen_plan::{Plan, ServicePlan, looks_secret};
use serde_json::json;

use super::run::quoted;
use crate::args::{Arguments, AskedOfManager, Install};
use crate::definition::{self, MachineErrors, environment, home, load_plan, paths};
use crate::failure::{Exit, Failure};
use crate::output::{self, dim};
use crate::registering::manager::{choose, choose_to_show, denied};
use crate::registering::record::{Asked, DefinitionOrigin, Form, Record, RecordedScope};
use crate::registering::{guarded, native};

/// How long a start that was asked for along with the installation may take.
const START_WITHIN: Duration = Duration::from_secs(90);
/// The first line of a definition that was made of a command.
const WRITTEN: &str = "# Written by `menshen install`; `menshen edit` changes it, `menshen uninstall` removes it.";

pub(super) fn install(arguments: &Arguments, install: &Install) -> Result<Exit, Failure> {
    let scope = if install.user { Scope::User } else { Scope::System };
    let named = install.manager.map(ManagerKind::from);
    let manager = if install.dry_run { choose_to_show(named, scope)? } else { choose(named, scope)? };
    let written = written(install)?;
    let (source, origin) = match &written {
        Some((path, text)) => {
            let (text, path) = (Some(text.clone()), path.parent().map(Path::to_owned).unwrap_or_default());
            let settings = install.definition.set.clone();
            let source =
                DefinitionSource { path, text, profile: None, settings, environment: environment(), only: Vec::new() };
            (source, DefinitionOrigin::Written)
        }
        None => (definition::source(&install.definition)?, DefinitionOrigin::Given),
    };
    let plan = load_plan(&source, MachineErrors::Shown)?;
    let (name, only) = meant(install, &plan, origin)?;
    let guard = if only.is_empty() { plan.name.to_string() } else { name.to_string() };
    let place = written.as_ref().map_or(&source.path, |(path, _)| path);
    let record = Record {
        format: Record::FORMAT,
        name: name.to_string(),
        manager: manager.kind().as_str().to_owned(),
        scope: RecordedScope::from(scope),
        form: if install.native { Form::Native } else { Form::Guard },
        definition: std::path::absolute(place).unwrap_or_else(|_| place.clone()),
        origin,
        profile: source.profile.clone(),
        settings: settings(&source.settings, &only, &guard),
        only,
        guard,
        asked: asked(&install.asked),
    };
    hold_settings(&install.definition.set)?;
    hold_same_manager(&record)?;
    let before = match &written {
        Some((path, text)) if !install.dry_run => Some((path, write_definition(path, text)?)),
        Some(_) | None => None,
    };
    let done = carry_out(arguments, &record, &source, manager.as_ref(), install.dry_run);
    if done.is_err()
        && let Some((path, before)) = before
    {
        // Nothing was installed, so nothing is otherwise than it was.
        let _ = before.map_or_else(|| fs::remove_file(path), |text| replace(path, &text));
    }
    done?;
    if install.now && !install.dry_run {
        start(&name, manager.as_ref())?;
    }
    Ok(Exit::Done)
}

/// Tells the manager of a record, or shows what it would be told.
pub(super) fn carry_out(
    arguments: &Arguments,
    record: &Record,
    source: &DefinitionSource,
    manager: &dyn ServiceManager,
    dry_run: bool,
) -> Result<(), Failure> {
    let registration = registration(record, source, manager)?;
    let steps = manager.plan(&registration)?;
    if dry_run {
        show(arguments, &steps);
        return Ok(());
    }
    let before = Record::load(&registration.name)?;
    record.save()?;
    let outcome = manager.install(&registration).map_err(|error| {
        // The manager has what it had, and so has the record.
        let kept = before.as_ref().map_or_else(|| record.remove(), Record::save);
        kept.err().unwrap_or_else(|| error.into())
    })?;
    tell(arguments, record, &outcome, manager);
    Ok(())
}

/// What the manager is to be told of what was recorded.
pub(super) fn registration(
    record: &Record,
    source: &DefinitionSource,
    manager: &dyn ServiceManager,
) -> Result<Registration, Failure> {
    let name: ServiceName = record.name.parse()?;
    let mut registration = match record.form {
        Form::Guard => {
            let binary = std::env::current_exe().map_err(|error| {
                let why = menshen_os::error::describe(&error);
                Failure::new(Exit::Failed, format!("it is not known where this program is: {why}"))
            })?;
            guarded::registration(&name, record, &binary, home().as_deref(), manager)
        }
        Form::Native => native_registration(&name, record, source, manager)?,
    };
    if let Account::User { password, .. } = &mut registration.account
        && manager.kind() == ManagerKind::Scm
    {
        *password = crate::registering::password::of_environment();
    }
    Ok(registration)
}

fn native_registration(
    name: &ServiceName,
    record: &Record,
    source: &DefinitionSource,
    manager: &dyn ServiceManager,
) -> Result<Registration, Failure> {
    let plan = load_plan(source, MachineErrors::Shown)?;
    let service = match (record.only.as_slice(), plan.services.len()) {
        ([only], _) => plan.services.get(only.as_str()),
        (_, 1) => plan.services.first().map(|(_, service)| service),
        _ => None,
    };
    let service = service.ok_or_else(|| {
        let message = format!("the definition has {} services, and a manager runs one itself", plan.services.len());
        Failure::new(Exit::Usage, message).help("name the service: `menshen install NAME --native`")
    })?;
    let plain = plain(service, source)?;
    native::registration(name, record, (&plan, service), &plain, manager, &ThisMachine::default()).map_err(|lost| {
        let each: Vec<String> = lost.iter().map(|lost| format!("  {} = {}", lost.key, lost.value)).collect();
        let message = format!("without a guard this would be lost:\n{}", each.join("\n"));
        Failure::new(Exit::Refused, message).help("leave --native out, or take it out of the definition")
    })
}

/// The same program by a definition that says nothing of it.
fn plain(service: &ServicePlan, source: &DefinitionSource) -> Result<ServicePlan, Failure> {
    let name = service.name.as_str();
    let words: Vec<String> = service.command.0.iter().map(|word| quoted(&word.replace('$', "$$"))).collect();
    let text = format!("[service.{}]\ncommand = [{}]\n", quoted(name), words.join(", "));
    let source = DefinitionSource {
        path: source.folder(),
        text: Some(text),
        profile: None,
        settings: Vec::new(),
        environment: source.environment.clone(),
        only: Vec::new(),
    };
    let loaded = definition::load(&source)?;
    let plan = loaded.plan.filter(|plan| plan.services.contains_key(name));
    let service = plan.and_then(|plan| plan.services.get(name).map(|service| (**service).clone()));
    service.ok_or_else(|| Failure::new(Exit::Refused, format!("the command of '{name}' cannot be run by itself")))
}

/// Which service is meant, and which of the definition's: none for all of them.
fn meant(install: &Install, plan: &Plan, origin: DefinitionOrigin) -> Result<(ServiceName, Vec<String>), Failure> {
    let whole = plan.name.as_str();
    let name = install.name.as_deref().unwrap_or(whole);
    let parsed: ServiceName = name.parse()?;
    if origin == DefinitionOrigin::Written || name == whole {
        return Ok((parsed, install.definition.only.clone()));
    }
    if plan.services.contains_key(name) {
        return Ok((parsed, vec![name.to_owned()]));
    }
    let services: Vec<&str> = plan.services.keys().map(menshen_plan::ServiceName::as_str).collect();
    let message = format!("'{name}' is neither the definition's guard '{whole}' nor one of its services");
    Err(Failure::new(Exit::NoSuchService, message).help(format!(
        "its services are {}; a new one is made with `menshen install {name} -- CMD`",
        services.join(", ")
    )))
}

/// The guard of one service has that one's name, for the other name is the whole definition's.
fn settings(given: &[String], only: &[String], guard: &str) -> Vec<String> {
    let named = (!only.is_empty()).then(|| format!("guard.name={}", quoted(guard)));
    given.iter().cloned().chain(named).collect()
}

pub(super) fn asked(asked: &AskedOfManager) -> Asked {
    Asked {
        start: asked.start,
        display_name: asked.display_name.clone(),
        description: asked.description.clone(),
        account: asked.account.clone(),
    }
}

/// The definition that a command makes, and where it goes.
fn written(install: &Install) -> Result<Option<(PathBuf, String)>, Failure> {
    let [program, ..] = install.command.as_slice() else { return Ok(None) };
    let name = install.name.as_deref().ok_or_else(|| {
        Failure::new(Exit::Usage, "a program has no name of its own").help("`menshen install NAME -- CMD`")
    })?;
    name.parse::<ServiceName>()?;
    // Where it is typed is where it is meant.
    let program = if program.contains('/') || program.contains(std::path::MAIN_SEPARATOR) {
        std::path::absolute(program).map_or_else(|_| program.clone(), |path| path.display().to_string())
    } else {
        program.clone()
    };
    let words = std::iter::once(&program).chain(&install.command[1..]);
    let words: Vec<String> = words.map(|word| quoted(&word.replace('$', "$$"))).collect();
    let text =
        format!("{WRITTEN}\n[guard]\nname = {0}\n\n[service.{0}]\ncommand = [{1}]\n", quoted(name), words.join(", "));
    Ok(Some((paths().definitions.join(format!("{name}.toml")), text)))
}

/// What is in the manager's files and on a command line everybody on the machine can read.
pub(super) fn hold_settings(settings: &[String]) -> Result<(), Failure> {
    let is_secret = |setting: &&String| setting.split_once('=').is_some_and(|(key, _)| looks_secret(key));
    match settings.iter().find(is_secret) {
        None => Ok(()),
        Some(setting) => {
            let key = setting.split_once('=').map_or(setting.as_str(), |(key, _)| key);
            let message =
                format!("--set {key}=… would be readable in the service manager's files and in lists of processes");
            Err(Failure::new(Exit::Usage, message)
                .help("put it into the definition's env_file, or a file that `credential = \"file:…\"` names"))
        }
    }
}

/// A name is one service, whichever manager runs it.
fn hold_same_manager(record: &Record) -> Result<(), Failure> {
    let name: ServiceName = record.name.parse()?;
    match Record::load(&name)? {
        Some(there) if there.manager != record.manager || there.scope != record.scope => {
            let scope = Scope::from(there.scope);
            let message = format!("'{name}' is installed already, with {} ({scope})", there.manager);
            Err(Failure::new(Exit::Failed, message)
                .help(format!("`menshen uninstall {name}` first, or choose another name")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Writes a definition, and gives back what was there. One that somebody else wrote is left alone.
fn write_definition(path: &Path, text: &str) -> Result<Option<Vec<u8>>, Failure> {
    let unusable = |error: std::io::Error| {
        let told = format!("writing {}: {}", path.display(), menshen_os::error::describe(&error));
        let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        if is_denied { denied(told) } else { Failure::new(Exit::Failed, told) }
    };
    let before = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read.map_err(unusable)?),
    };
    if before.as_ref().is_some_and(|there| !there.starts_with(WRITTEN.as_bytes())) {
        let message = format!("{} is there, and was not written by `menshen install`", path.display());
        return Err(Failure::new(Exit::Failed, message)
            .help(format!("choose another name, or install that definition: `--file {}`", path.display())));
    }
    let folder = path.parent().unwrap_or(path);
    menshen_os::file::create_folder(folder, 0o750).map_err(unusable)?;
    replace(path, text.as_bytes()).map_err(unusable)?;
    Ok(before)
}

/// Writes a file beside and moves it into its place.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("toml.new");
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left beside would only take space.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn show(arguments: &Arguments, steps: &Steps) {
    if arguments.json {
        let steps: Vec<String> = steps.steps.iter().map(ToString::to_string).collect();
        return output::json(&json!({ "steps": steps, "done": false }));
    }
    for step in &steps.steps {
        output::line(step);
    }
    output::note(dim("nothing was done: this was a dry run"));
}

fn tell(arguments: &Arguments, record: &Record, outcome: &Outcome, manager: &dyn ServiceManager) {
    let outcome = match outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Changed => "installed",
    };
    if arguments.json {
        return output::json(&json!({
            "name": record.name, "manager": record.manager, "scope": record.scope, "guard": record.guard,
            "outcome": outcome,
        }));
    }
    output::line(format_args!("{}: {outcome} with {} ({})", record.name, manager.kind(), manager.scope()));
    if record.origin == DefinitionOrigin::Written {
        output::note(format_args!("its definition is {}", record.definition.display()));
    }
    if let Some(hint) = manager.hint() {
        output::note(hint);
    }
}

fn start(name: &ServiceName, manager: &dyn ServiceManager) -> Result<(), Failure> {
    manager.act(name, Verb::Start)?;
    manager.wait_for(name, State::Running, START_WITHIN)?;
    output::note(format_args!("{name}: running"));
    Ok(())
}
