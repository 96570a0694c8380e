//! `menshen install`.

use std::sync::Arc;
use std::time::Duration;

use menshen::service::registration::Account;
use menshen::service::{
    Deadline, ManagerError, ManagerKind, Outcome, Registration, Scope, ServiceManager, ServiceName, State, Verb,
};
use menshen_guard::definition::DefinitionSource;
use menshen_guard::facts::ThisMachine;
use menshen_plan::{Plan, ServicePlan, looks_secret};
use serde_json::json;

use super::{first_moments, steps};
use crate::args::{Arguments, AskedOfManager, Install, Mode};
use crate::definition::{self, MachineErrors, home, load_plan, paths_of_installed, quoted, quoted_command};
use crate::failure::{Exit, Failure};
use crate::guards::wait_for;
use crate::output;
use crate::registering::manager::{choose, choose_to_show, lacks_password};
use crate::registering::record::{Asked, DefinitionOrigin, Form, Record, RecordedScope};
use crate::registering::written::{Before, Change, Written};
use crate::registering::{account, guarded, native, needed, once};

/// How long a start that was asked for along with the installation may take.
const START_WITHIN: Duration = Duration::from_secs(90);

pub(super) fn install(arguments: &Arguments, install: &Install) -> Result<Exit, Failure> {
    let scope = if install.user { Scope::User } else { Scope::System };
    let (named, mode) = (install.manager.map(ManagerKind::from), install.dry_run.mode());
    let manager = match mode {
        Mode::Show => choose_to_show(named, scope)?,
        Mode::Do => choose(named, scope)?,
    };
    let written = written(install)?;
    let (mut source, origin, machine_errors) = match &written {
        // There is nothing else to run, and whoever types a program means one that is there.
        Some(written) => (written.source(&install.definition.set), DefinitionOrigin::Written, MachineErrors::Refuse),
        None => (given(install)?, DefinitionOrigin::Given, MachineErrors::Shown),
    };
    // What is wrong with it is told below, as far as it is about what is meant.
    let plan = match definition::load(&source)?.plan {
        Some(plan) => plan,
        None => Plan::clone(&*load_plan(&source, machine_errors)?),
    };
    let (name, only) = meant(install, &plan, origin)?;
    load_plan(&DefinitionSource { only: only.clone(), ..source.clone() }, machine_errors)?;
    let guard = if only.is_empty() { plan.name.to_string() } else { name.to_string() };
    let place = written.as_ref().map_or(&source.path, |written| &written.path);
    let mut record = Record {
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
        switched: None,
    };
    hold_settings(&install.definition.set)?;
    if let Some(there) = Record::load(&name)? {
        hold_same(&record, &there)?;
        record.keep(there);
        source.settings.clone_from(&record.settings);
    }
    once::hold(arguments, &record, &source)?;
    let task = Task { record: &record, source: &source, manager: manager.as_ref(), written: written.as_ref() };
    task.carry_out(arguments, mode)?;
    if install.now && mode == Mode::Do {
        let started = start(&name, &record, manager.as_ref());
        started.map_err(|failure| {
            failure.also_help(format!("'{name}' stays installed; `menshen uninstall {name}` takes it away"))
        })?;
    }
    Ok(Exit::Done)
}

/// What a manager is to be told of, and what goes along with it.
pub(super) struct Task<'a> {
    pub record: &'a Record,
    pub source: &'a DefinitionSource,
    pub manager: &'a dyn ServiceManager,
    /// A definition that was made of a command.
    pub written: Option<&'a Written>,
}

impl Task<'_> {
    /// Tells the manager, or shows what it would be told.
    pub(super) fn carry_out(&self, arguments: &Arguments, mode: Mode) -> Result<(), Failure> {
        let registration = registration(self.record, self.source, self.manager)?;
        // What is refused is refused before anything is written.
        let plan = self.manager.plan(&registration).map_err(|error| self.refusal(error))?;
        match mode {
            Mode::Show => {
                let of_definition = self.written.into_iter().flat_map(Written::steps);
                let of_record = format!("note in {} what is installed", self.record.path().display());
                let of_manager = plan.steps.iter().map(ToString::to_string);
                steps::show(arguments, of_definition.chain([of_record]).chain(of_manager));
            }
            Mode::Do => {
                let outcome = self.install(&registration)?;
                tell(arguments, self.record, &outcome, self.manager, &self.not_kept(&registration)?);
            }
        }
        Ok(())
    }

    /// In the words of the definition, where the manager is told what is in it.
    fn refusal(&self, error: ManagerError) -> Failure {
        match (self.record.form, &error) {
            (Form::Native, ManagerError::Unsupported { manager, options }) if !lacks_password(&error) => {
                native::refused(*manager, options)
            }
            (Form::Native | Form::Guard, _) => error.into(),
        }
    }

    /// What the manager has taken and does not keep, or does not have and nobody asked for.
    fn not_kept(&self, registration: &Registration) -> Result<Vec<String>, Failure> {
        let mut not_kept = self.manager.not_kept(registration)?;
        if self.record.form == Form::Native {
            let left_out = native::defaults_left_out(registration, self.manager);
            not_kept
                .extend((!left_out.is_empty()).then(|| format!("{}, which is usual elsewhere", left_out.join(", "))));
        }
        Ok(not_kept)
    }

    /// What has to be there before goes first; when the manager does not take it, everything is as it was.
    fn install(&self, registration: &Registration) -> Result<Outcome, Failure> {
        let noted = Record::load(&registration.name)?;
        let change = self.written.map_or(Ok(Change::None), Written::change)?;
        let definition = self.written.map(Written::write).transpose()?;
        let failure = match self.record.save().and_then(|()| Ok(self.manager.install(registration)?)) {
            Ok(outcome) => {
                self.written.map_or(Ok(()), Written::remove_former)?;
                return Ok(if change == Change::Written { Outcome::Changed } else { outcome });
            }
            Err(failure) => failure,
        };
        let note_kept = noted.map_or_else(|| self.record.remove(), |noted| noted.save());
        let definition_kept = definition.map_or(Ok(()), Before::put_back);
        Err([note_kept, definition_kept]
            .into_iter()
            .filter_map(Result::err)
            .fold(failure, |failure, then| failure.after(&then)))
    }
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
    let facts = ThisMachine::default();
    account::hold(&registration.account, manager, &facts)?;
    if record.form == Form::Guard && home().is_none() {
        account::hold_home(&registration.account, manager, &facts)?;
    }
    if let Account::User { password, .. } = &mut registration.account
        && manager.kind() == ManagerKind::Scm
    {
        *password = crate::registering::password::of_environment().or_else(|| password.take());
    }
    Ok(registration)
}

fn native_registration(
    name: &ServiceName,
    record: &Record,
    source: &DefinitionSource,
    manager: &dyn ServiceManager,
) -> Result<Registration, Failure> {
    // What is to be said of the definition has been said by whoever read it before; what refuses it is.
    let loaded = definition::load(source)?;
    let plan = match &loaded.plan {
        Some(plan) => Arc::new(plan.clone()),
        None => load_plan(source, MachineErrors::Shown)?,
    };
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
    let keys = native::keys(&loaded, service.name.as_str());
    let written = native::Written { keys: &keys, facts: &ThisMachine::default() };
    let made = native::registration(name, record, (&plan, service), &plain, manager, written);
    let mut registration = made.map_err(|lost| {
        let each: Vec<String> = lost.iter().map(|lost| format!("  {} = {}", lost.key, lost.value)).collect();
        let message = format!("without a guard this would be lost:\n{}", each.join("\n"));
        Failure::new(Exit::Refused, message).help("leave --native out, or take it out of the definition")
    })?;
    registration.depends_on = needed::of(record, service)?;
    Ok(registration)
}

/// The same program by a definition that says nothing of it.
fn plain(service: &ServicePlan, source: &DefinitionSource) -> Result<ServicePlan, Failure> {
    let name = service.name.as_str();
    let text = format!("[service.{}]\ncommand = {}\n", quoted(name), quoted_command(&service.command.0));
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

/// The definition of a file. The profile that it was installed with before stays as long as nobody names another.
fn given(install: &Install) -> Result<DefinitionSource, Failure> {
    let source = definition::source(&install.definition)?;
    if source.profile.is_some() {
        return Ok(source);
    }
    let name = match &install.name {
        Some(name) => Some(name.clone()),
        // What is wrong with it is said when it is read to be carried out.
        None => definition::load(&source)?.plan.map(|plan| plan.name.to_string()),
    };
    let Some(name) = name else { return Ok(source) };
    let there = Record::load(&name.parse()?)?;
    let place = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
    let profile = there.filter(|there| there.definition == place).and_then(|there| there.profile);
    Ok(DefinitionSource { profile, ..source })
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

/// The definition that a command makes, if one was typed.
fn written(install: &Install) -> Result<Option<Written>, Failure> {
    let [program, arguments @ ..] = install.command.as_slice() else { return Ok(None) };
    let name = install.name.as_deref().ok_or_else(|| {
        Failure::new(Exit::Usage, "a program has no name of its own").help("`menshen install NAME -- CMD`")
    })?;
    let name: ServiceName = name.parse()?;
    let noted = Record::load(&name)?;
    Ok(Some(Written::of_command(&name, (program, arguments), noted.as_ref())?))
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

/// A name is one service of one definition, whichever manager runs it.
fn hold_same(record: &Record, there: &Record) -> Result<(), Failure> {
    let name = &record.name;
    let message = if there.manager != record.manager || there.scope != record.scope {
        let scope = Scope::from(there.scope);
        format!("'{name}' is installed already, with {} ({scope})", there.manager)
    } else if !record.has_definition_of(there) {
        format!("'{name}' is installed already, by the definition {}", there.definition.display())
    } else {
        return Ok(());
    };
    Err(Failure::new(Exit::Failed, message).help(format!("`menshen uninstall {name}` first, or choose another name")))
}

fn tell(arguments: &Arguments, record: &Record, outcome: &Outcome, manager: &dyn ServiceManager, not_kept: &[String]) {
    let outcome = match outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Changed => "installed",
    };
    if arguments.json {
        return output::json(&json!({
            "name": record.name, "manager": record.manager, "scope": record.scope, "guard": record.guard,
            "outcome": outcome, "not_kept": not_kept,
        }));
    }
    output::line(format_args!("{}: {outcome} with {} ({})", record.name, manager.kind(), manager.scope()));
    if record.origin == DefinitionOrigin::Written {
        output::note(format_args!("its definition is {}", record.definition.display()));
    }
    for lost in not_kept {
        output::note(format_args!("{} does not know {lost}", manager.kind()));
    }
    if let Some(hint) = manager.hint() {
        output::note(hint);
    }
}

fn start(name: &ServiceName, record: &Record, manager: &dyn ServiceManager) -> Result<(), Failure> {
    let deadline = Deadline::after(START_WITHIN);
    manager.act_by(name, Verb::Start, deadline)?;
    match (record.form, paths_of_installed(record)) {
        (Form::Guard, Some(paths)) => {
            wait_for(first_moments::watch(name, (&record.guard, &paths), manager, deadline))?;
        }
        (Form::Guard, None) | (Form::Native, _) => {
            drop(manager.wait_for(name, State::Running, deadline.left())?);
        }
    }
    output::note(format_args!("{name}: running"));
    Ok(())
}
