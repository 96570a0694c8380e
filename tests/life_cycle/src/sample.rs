//! The program that is installed, as seen from outside.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::PathBuf;

use menshen::service::registration::{Protocol, Registration, Reload, RestartPolicy};
use menshen::service::{RegistrationOption, ServiceManager, ServiceName};
use serde_json::Value;

use crate::abilities::{Abilities, Restart, Tree};
use crate::program::{self, Way};
use crate::until::until_some;

/// What a manager has to pass on exactly: everything that has a meaning to some manager, a shell or C.
pub const ARGUMENTS: [&str; 18] = [
    "plain",
    "two words",
    "",
    "\"double\" and 'single'",
    "%n %% %PATH% %1",
    "$HOME ${HOME} $$ $1",
    "back\\slash\\",
    "quoted \"end\\\\\"",
    "ünïcødé 门神",
    "-dash",
    "--",
    ";",
    "*? [a-z] ~ {a,b}",
    "# no comment",
    "`id` $(id) | & < > ^ !",
    "tab\tbed",
    "new\nline",
    " ",
];
/// A variable whose value has to come through as exactly.
pub const VARIABLE: (&str, &str) = ("LIFE_CYCLE", "\"a\" 'b' %n %PATH% $HOME ${HOME} \\ 门神 ; # = ` \\n ");

/// The program, the folder in which it keeps its notes, and what it is called.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The program.
    pub program: PathBuf,
    /// An empty folder of its own.
    pub folder: PathBuf,
    /// What the service is called.
    pub name: ServiceName,
}

/// What the program noted of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Its process.
    pub pid: u32,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub directory: PathBuf,
}

impl Sample {
    /// A registration with all of the above that the manager honours.
    #[must_use]
    pub fn registration(&self, manager: &dyn ServiceManager, abilities: &Abilities, way: Way) -> Registration {
        let honours = |option| manager.honours(option).is_ok();
        let mut registration = Registration::new(self.name.clone(), &self.program);
        registration.arguments = self.arguments(way);
        registration.protocol = abilities.protocol;
        registration.restart.policy = match abilities.restart {
            Restart::Manager => manager.restarts_failed(),
            Restart::Nobody => RestartPolicy::Never,
        };
        registration.reload = match abilities.protocol {
            Protocol::Native if honours(RegistrationOption::ReloadNative) => Some(Reload::Native),
            Protocol::Native | Protocol::None => {
                honours(RegistrationOption::ReloadSignal).then(|| Reload::Signal("SIGHUP".to_owned()))
            }
        };
        if honours(RegistrationOption::Environment) {
            registration.environment = BTreeMap::from([(VARIABLE.0.to_owned(), VARIABLE.1.to_owned())]);
        }
        if honours(RegistrationOption::Directory) {
            registration.directory = Some(self.folder.clone());
        }
        registration
    }

    /// The arguments of a service.
    #[must_use]
    pub fn arguments(&self, way: Way) -> Vec<String> {
        let first = [self.folder.to_string_lossy().into_owned(), way.as_str().to_owned()];
        first.into_iter().chain(ARGUMENTS.map(str::to_owned)).collect()
    }

    /// The way in which it works under a manager.
    #[must_use]
    pub const fn way(abilities: &Abilities) -> Way {
        match abilities.tree {
            Tree::EndedByManager => Way::WorkWithStubbornChild,
            Tree::EndsByItself => Way::Work,
        }
    }

    /// What the program noted of each start.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn runs(&self) -> Result<Vec<Noted>, String> {
        let path = self.folder.join(program::RUNS);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        // One that is just being written is not there yet.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.map(|line| noted(line).ok_or_else(|| format!("noted: {line}"))).collect()
    }

    /// Waits until it has been started so many times; the last of them.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn await_run(&self, count: usize) -> Result<Noted, String> {
        until_some(&format!("the program was started {count} times"), || {
            Ok(self.runs()?.into_iter().nth(count.saturating_sub(1)))
        })
    }

    /// How often it was told something.
    #[must_use]
    pub fn told(&self, what: &str) -> usize {
        let text = fs::read_to_string(self.folder.join(program::TOLD)).unwrap_or_default();
        text.lines().filter(|line| *line == what).count()
    }

    /// Which of its processes live.
    ///
    /// # Errors
    /// When it cannot be said.
    pub fn living(&self) -> Result<Vec<&'static str>, String> {
        let mut living = Vec::new();
        for name in [program::MAIN_LOCK, program::CHILD_LOCK] {
            let path = self.folder.join(name);
            let said = |error: std::io::Error| format!("{}: {error}", path.display());
            let file = match OpenOptions::new().append(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.map_err(said)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => living.push(name),
                Err(TryLockError::Error(error)) => return Err(said(error)),
            }
        }
        Ok(living)
    }
}

fn noted(line: &str) -> Option<Noted> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Noted {
        pid: value["pid"].as_u64()?.try_into().ok()?,
        arguments: value["arguments"].as_array()?.iter().map(text).collect::<Option<_>>()?,
        environment: value["environment"]
            .as_object()?
            .iter()
            .map(|(name, value)| text(value).map(|value| (name.clone(), value)))
            .collect::<Option<_>>()?,
        directory: value["directory"].as_str()?.into(),
    })
}
