//! Finding and loading the definition a command is about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use menshen_guard::definition::{DefinitionError, DefinitionSource, FILE_NAME};
use menshen_os::paths::Paths;
use menshen_plan::{Code, Diagnostic, Loaded, Plan, Severity};

use crate::args::Definition;
use crate::diagnostics;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::registering::record::Record;

/// Where everything is, for whoever runs this.
pub(crate) fn paths() -> Paths {
    Paths::of_caller(home().as_deref(), &variable)
}

/// Where guards may be found.
pub(crate) struct Place {
    pub paths: Paths,
    /// The only guard that is looked for there.
    only: Option<String>,
}

impl Place {
    /// Whether a guard of this name is looked for here.
    pub(crate) fn may_have(&self, instance: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == instance)
    }
}

/// The folders whose files are looked at: the caller's own and the system's.
pub(crate) fn all_paths() -> Vec<Paths> {
    Paths::all(home().as_deref(), &variable)
}

/// Everywhere guards may listen: there, and for whom both are the same, in the folders of the accounts that a guard was installed
/// under. Of the last only that guard is spoken to, and no file is opened: what is there is the account's own, and may be anything.
pub(crate) fn places() -> Vec<Place> {
    let own = all_paths();
    let of_accounts = match own.as_slice() {
        [_] if home().is_none() => Record::guards_of_accounts(),
        _ => Vec::new(),
    };
    let of_accounts = of_accounts
        .into_iter()
        .filter_map(|(guard, account)| Some((guard, Paths::of_account(&account)?)))
        .filter(|(_, paths)| !own.contains(paths))
        .map(|(guard, paths)| Place { paths, only: Some(guard) })
        .collect::<Vec<_>>();
    own.into_iter().map(|paths| Place { paths, only: None }).chain(of_accounts).collect()
}

/// The folders of a guard that was installed, if it is known what they are.
pub(crate) fn paths_of_installed(record: &Record) -> Option<Paths> {
    match &record.asked.account {
        Some(account) if home().is_none() => Paths::of_account(account),
        Some(_) | None => Some(paths()),
    }
}

/// The folder everything is below, where somebody moved it.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("MENSHEN_HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The environment as text; what is not text cannot be spoken of in a definition.
pub(crate) fn environment() -> BTreeMap<String, String> {
    menshen_guard::handover::own_environment()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A TOML text; JSON's escapes are a subset of TOML's but for DEL.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}

/// The value of `command` for these words: each as it is.
pub(crate) fn quoted_command<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quoted(&word.replace('$', "$$"))).collect();
    format!("[{}]", words.join(", "))
}

/// The definition the arguments mean.
pub(crate) fn source(arguments: &Definition) -> Result<DefinitionSource, Failure> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => default_path()?,
    };
    Ok(DefinitionSource {
        path,
        text: None,
        profile: arguments.profile.clone(),
        settings: arguments.set.clone(),
        environment: environment(),
        only: arguments.only.clone(),
    })
}

/// The definition that something was installed with.
pub(crate) fn source_of(record: &Record) -> DefinitionSource {
    DefinitionSource {
        path: record.definition.clone(),
        text: None,
        profile: record.profile.clone(),
        settings: record.settings.clone(),
        environment: environment(),
        only: record.only.clone(),
    }
}

/// `./menshen.toml`, or else the system's own definitions.
fn default_path() -> Result<PathBuf, Failure> {
    let here = PathBuf::from(FILE_NAME);
    if here.exists() {
        return Ok(here);
    }
    let system = paths().definitions;
    if has_definitions(&system) {
        return Ok(system);
    }
    let message = format!("there is no {FILE_NAME} here, and no definitions in {}", system.display());
    Err(Failure::new(Exit::Refused, message)
        .help(format!("write a {FILE_NAME}, or name one with --file; `menshen run -- CMD` needs none")))
}

/// Whether a folder has files of a definition. What is in the folders below it is no part of that.
fn has_definitions(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            entries.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "toml"))
        }
        // Whoever may not look into it is told so when it is read.
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Reads a definition.
pub(crate) fn load(source: &DefinitionSource) -> Result<Loaded, Failure> {
    source.load().map_err(|error| {
        let exit = match &error {
            DefinitionError::NoSuchService(_) => Exit::NoSuchService,
            DefinitionError::Missing(_)
            | DefinitionError::Unreadable { .. }
            | DefinitionError::EmptyFolder(_)
            | DefinitionError::TooManyFiles(_)
            | DefinitionError::BadProfile(_)
            | DefinitionError::NoProfile { .. } => Exit::Refused,
        };
        Failure::new(exit, error.to_string())
    })
}

/// What follows from something the machine lacks, such as the program, while the definition itself is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineErrors {
    /// It may come yet, and what else is defined can do without: they are shown.
    Shown,
    /// There is nothing else to do: they refuse.
    Refuse,
}

/// Reads a definition that is to be carried out: warnings are shown, errors refuse it.
pub(crate) fn load_plan(source: &DefinitionSource, machine_errors: MachineErrors) -> Result<Arc<Plan>, Failure> {
    let mut loaded = load(source)?;
    // What has yet to be written is written into a folder that is made for it.
    let folder = Some(source.folder()).filter(|folder| source.text.is_some() && !folder.exists());
    let is_made = |diagnostic: &Diagnostic| {
        let is_named = |folder: &PathBuf| diagnostic.message.contains(&*folder.to_string_lossy());
        diagnostic.code == Code::MissingDirectory && folder.as_ref().is_some_and(is_named)
    };
    loaded.diagnostics.retain(|diagnostic| !is_made(diagnostic));
    let lacking = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
    let refused = machine_errors == MachineErrors::Refuse && loaded.diagnostics.iter().any(lacking);
    let plan = loaded.plan.take().filter(|_| !refused);
    // Advice is for `menshen check`; who starts something wants to know what is wrong.
    loaded.diagnostics.retain(|diagnostic| {
        if plan.is_some() {
            diagnostic.severity > Severity::Advice
        } else {
            diagnostic.refuses() || lacking(diagnostic)
        }
    });
    if !loaded.diagnostics.is_empty() {
        output::note(diagnostics::text::render(&loaded, output::palette()));
    }
    let errors = loaded.diagnostics.len();
    plan.map(Arc::new).ok_or_else(|| {
        let what = if errors == 1 { "1 mistake".to_owned() } else { format!("{errors} mistakes") };
        Failure::new(Exit::Refused, format!("the definition is refused: {what}"))
            .help("`menshen check --explain CODE` explains each")
    })
}
