//! What was installed and how: one small file for each service, in the state folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use menshen::service::{ManagerKind, Scope, ServiceName};
use menshen_os::file::{Durability, create_folder, replace};
use serde::{Deserialize, Serialize};

use super::folders::remove_empty_above;
use super::refusal::unusable;
use crate::args::StartWhen;
use crate::definition::paths;
use crate::failure::{Exit, Failure};
use crate::output::pass_over;

/// The version of the format; a record of a later one is left alone.
const FORMAT: u32 = 1;

/// How a service was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The format's version.
    pub format: u32,
    /// What the service manager calls it.
    pub name: String,
    /// The service manager.
    pub manager: String,
    /// Whether it is the caller's own rather than the machine's.
    pub scope: RecordedScope,
    /// Who runs the program.
    pub form: Form,
    /// The definition: a file, or a folder of them.
    pub definition: PathBuf,
    /// Whether `menshen install` wrote it, so that `uninstall` removes it.
    pub origin: DefinitionOrigin,
    /// The profile that is laid over it.
    pub profile: Option<String>,
    /// `--set` arguments.
    pub settings: Vec<String>,
    /// The services of it, where not all of them are meant.
    pub only: Vec<String>,
    /// The guard's name.
    pub guard: String,
    /// What the manager is told besides.
    pub asked: Asked,
    /// What `menshen enable` or `disable` has made of when it is started, until somebody says that anew.
    #[serde(default)]
    pub switched: Option<Switched>,
}

/// Whether it is started at boot, whatever else is said of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Switched {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
}

/// Whose service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordedScope {
    System,
    User,
}

/// Who runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// A guard that the manager runs.
    Guard,
    /// The manager itself.
    Native,
}

/// Whose the definition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DefinitionOrigin {
    /// Somebody's own.
    Given,
    /// `menshen install` wrote it, from a command.
    Written,
}

/// What the manager is told that is not in a definition, or otherwise than there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// When it is started.
    pub start: Option<StartWhen>,
    /// What people call it.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whom it runs as.
    pub account: Option<String>,
}

impl Asked {
    /// This, where it says something, and else the other.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            start: self.start.or(other.start),
            display_name: self.display_name.or(other.display_name),
            description: self.description.or(other.description),
            account: self.account.or(other.account),
        }
    }
}

impl From<Scope> for RecordedScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::System => Self::System,
            Scope::User => Self::User,
        }
    }
}

impl From<RecordedScope> for Scope {
    fn from(scope: RecordedScope) -> Self {
        match scope {
            RecordedScope::System => Self::System,
            RecordedScope::User => Self::User,
        }
    }
}

impl Record {
    /// A record in today's format.
    pub(crate) const FORMAT: u32 = FORMAT;

    /// Whether it is of the same definition: the same place, or what `menshen install` has written of a program, be it elsewhere.
    pub(crate) fn has_definition_of(&self, other: &Self) -> bool {
        let are_written = [self, other].into_iter().all(|record| record.origin == DefinitionOrigin::Written);
        are_written || self.definition == other.definition
    }

    /// What was asked for and set before, such as by `menshen edit`, stays as far as nobody says otherwise now.
    pub(crate) fn keep(&mut self, before: Self) {
        if self.asked.start.is_none() {
            self.switched = before.switched;
        }
        self.asked = self.asked.clone().over(before.asked);
        let kept = before.settings.into_iter().filter(|old| self.settings.iter().all(|new| key(new) != key(old)));
        self.settings = kept.collect::<Vec<_>>().into_iter().chain(self.settings.drain(..)).collect();
    }

    /// The manager's kind.
    pub(crate) fn kind(&self) -> Result<ManagerKind, Failure> {
        ManagerKind::ALL.into_iter().find(|kind| kind.as_str() == self.manager).ok_or_else(|| {
            let message =
                format!("'{}' was installed with '{}', which this version does not know", self.name, self.manager);
            Failure::new(Exit::Failed, message).help("use the version that installed it, or a later one")
        })
    }

    /// Where it is kept.
    pub(crate) fn path(&self) -> PathBuf {
        place(&self.name)
    }

    /// The record of a service; `None` where none was installed.
    pub(crate) fn load(name: &ServiceName) -> Result<Option<Self>, Failure> {
        let path = place(name.as_str());
        match fs::read_to_string(&path) {
            Ok(text) => read(&path, &text).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable("reading", &path, &error)),
        }
    }

    /// Every record, by name.
    pub(crate) fn all() -> Result<Vec<Self>, Failure> {
        Self::each()?.into_iter().collect()
    }

    /// Every record that can be read. What cannot be is told, and keeps nobody from what has nothing to do with it.
    pub(crate) fn all_readable() -> Result<Vec<Self>, Failure> {
        let records = Self::each()?.into_iter();
        Ok(records.filter_map(|record| record.inspect_err(pass_over).ok()).collect())
    }

    /// The guards of the machine's own manager that have another account than root's, each with its account. What cannot be read
    /// is told elsewhere.
    pub(crate) fn guards_of_accounts() -> Vec<(String, String)> {
        let records = Self::each().unwrap_or_default().into_iter().flatten();
        let guards = records.filter(|record| record.form == Form::Guard && record.scope == RecordedScope::System);
        guards.filter_map(|record| Some((record.guard, record.asked.account?))).collect()
    }

    fn each() -> Result<Vec<Result<Self, Failure>>, Failure> {
        let folder = folder();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| unusable("reading", &folder, &error))?,
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let read_one = |path: &PathBuf| {
            match fs::read_to_string(path) {
                // It was uninstalled in between.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => Some(Err(unusable("reading", path, &error))),
                Ok(text) => Some(read(path, &text)),
            }
        };
        Ok(paths.iter().filter_map(read_one).collect())
    }

    /// Keeps it. It is written before the manager is told, so that whatever comes in between, what was done can be undone.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let path = place(&self.name);
        let folder = folder();
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        let made = create_folder(&paths().state, 0o750).and_then(|_| create_folder(&folder, 0o750));
        made.and_then(|_| replace(&path, &text, Durability::Power)).map_err(|error| unusable("writing", &path, &error))
    }

    /// Forgets it, and removes the folders of records if they are empty.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        let path = place(&self.name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unusable("removing", &path, &error)),
            Ok(()) | Err(_) => {}
        }
        remove_empty_above(&path);
        Ok(())
    }
}

/// What a `--set` argument sets.
pub(crate) fn key(setting: &str) -> &str {
    setting.split_once('=').map_or(setting, |(key, _)| key)
}

fn folder() -> PathBuf {
    paths().state.join("installed")
}

fn place(name: &str) -> PathBuf {
    folder().join(format!("{name}.json"))
}

fn read(path: &Path, text: &str) -> Result<Record, Failure> {
    let unreadable = |why: String| Failure::new(Exit::Failed, format!("{} cannot be read: {why}", path.display()));
    let record: Record = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    if record.format > FORMAT {
        let why = format!("it has format {}, and this version knows {FORMAT}", record.format);
        return Err(unreadable(why).help("use the version that wrote it, or a later one"));
    }
    Ok(record)
}
