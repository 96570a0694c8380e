//! The definition of the folder somebody is in, and which guard has it.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use menshen_api::types::GuardInfo;
use menshen_guard::definition::{DefinitionError, DefinitionSource, FILE_NAME};
use menshen_plan::Loaded;

use crate::args::Arguments;
use crate::definition::environment;
use crate::failure::{Exit, Failure};
use crate::guards::{ANSWER_WITHIN, Guard};

/// See the module.
pub(crate) struct AtHand {
    path: PathBuf,
    /// Read when it is asked for.
    loaded: OnceCell<Result<Loaded, DefinitionError>>,
}

impl AtHand {
    /// The definition here; nothing where there is none, or where somebody named a guard and so means another one.
    pub(crate) fn look(arguments: &Arguments) -> Option<Self> {
        let path = PathBuf::from(FILE_NAME);
        (arguments.instance.is_none() && path.is_file()).then(|| Self { path, loaded: OnceCell::new() })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> PathBuf {
        std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    /// The guard that has this definition.
    ///
    /// # Errors
    /// When none of them has it, for what somebody else guards is not meant; and when several have.
    pub(crate) async fn guard<'a>(&self, guards: &'a [Guard]) -> Result<&'a Guard, Failure> {
        // What the only one is called does not matter: to know the name here, the whole definition has to be read.
        if let [only] = guards
            && let Ok(Ok(info)) = tokio::time::timeout(ANSWER_WITHIN, only.info()).await
            && has(&info, &self.path)
        {
            return Ok(only);
        }
        let own = self.guard_name();
        let is_own = |guard: &Guard| own == Some(guard.instance.as_str());
        let (mut namesake, mut silence) = (None, None);
        // The caller's own comes first, and the system's may have the same name.
        for guard in guards.iter().filter(|guard| is_own(guard)) {
            match guard.info().await {
                Ok(info) if has(&info, &self.path) => return Ok(guard),
                Ok(info) => _ = namesake.get_or_insert(info),
                Err(error) => _ = silence.get_or_insert(error),
            }
        }
        if let Some(error) = silence {
            return Err(error.into());
        }
        let mut found = Vec::new();
        for guard in guards.iter().filter(|guard| !is_own(guard)) {
            // Nobody waits long for somebody else's.
            if let Ok(Ok(info)) = tokio::time::timeout(ANSWER_WITHIN, guard.info()).await
                && has(&info, &self.path)
            {
                found.push(guard);
            }
        }
        match found[..] {
            [only] => Ok(only),
            [] => Err(not_running(own, namesake.as_ref(), guards)),
            _ => {
                let message = format!("several guards have this folder's {FILE_NAME}: {}", names(found));
                Err(Failure::new(Exit::Failed, message).help("say which with --instance NAME"))
            }
        }
    }

    /// Whether it has a service of this name.
    ///
    /// # Errors
    /// When that cannot be known, for it cannot be read or has mistakes.
    pub(crate) fn defines(&self, service: &str) -> Result<bool, Failure> {
        let unknown = |why: String| {
            let message = format!("whether '{service}' is of this folder's {FILE_NAME} is not known: {why}");
            Failure::new(Exit::Failed, message).help("say with --instance NAME, or GUARD/SERVICE, which one is meant")
        };
        let loaded = self.loaded().as_ref().map_err(|error| unknown(error.to_string()))?;
        let is_there = loaded.definition.service.keys().any(|name| name.as_str() == service);
        if !is_there && loaded.is_refused() {
            return Err(unknown("it has mistakes, which `menshen check` shows".to_owned()));
        }
        Ok(is_there)
    }

    /// The name its guard has, where nobody sets another; nothing where it is refused.
    pub(crate) fn guard_name(&self) -> Option<&str> {
        Some(self.loaded().as_ref().ok()?.plan.as_ref()?.name.as_str())
    }

    fn loaded(&self) -> &Result<Loaded, DefinitionError> {
        self.loaded.get_or_init(|| self.load())
    }

    fn load(&self) -> Result<Loaded, DefinitionError> {
        let source = DefinitionSource {
            path: self.path.clone(),
            text: None,
            profile: std::env::var("MENSHEN_PROFILE").ok().filter(|profile| !profile.is_empty()),
            settings: Vec::new(),
            environment: environment(),
            only: Vec::new(),
        };
        source.load()
    }
}

fn not_running(own: Option<&str>, namesake: Option<&GuardInfo>, guards: &[Guard]) -> Failure {
    let message = match (namesake, own) {
        (Some(info), _) => {
            format!(
                "the guard '{}' that is running does not have this folder's {FILE_NAME}: {}",
                info.instance,
                of(info)
            )
        }
        (None, Some(own)) => format!("the guard '{own}' of this folder's {FILE_NAME} is not running"),
        (None, None) => format!("no guard that is running has this folder's {FILE_NAME}"),
    };
    Failure::new(Exit::NoGuard, message)
        .help(format!("running: {}; `--instance NAME` says that one of them is meant", names(guards)))
}

fn names<'a>(guards: impl IntoIterator<Item = &'a Guard>) -> String {
    let names: Vec<&str> = guards.into_iter().map(|guard| guard.instance.as_str()).collect();
    names.join(", ")
}

/// Whether a guard has a definition of which this file is a part.
pub(crate) fn has(info: &GuardInfo, file: &Path) -> bool {
    let file = canonical(file);
    info.definition.iter().any(|theirs| canonical(Path::new(theirs)) == file)
}

/// What a guard has, in a few words.
pub(crate) fn of(info: &GuardInfo) -> String {
    match info.definition.as_slice() {
        [] => "it guards a program without a definition".to_owned(),
        [only] => format!("its definition is {only}"),
        [first, ..] => {
            let folder = Path::new(first).parent().unwrap_or(Path::new(first));
            format!("its definition is in {}", folder.display())
        }
    }
}

/// Whether two paths mean the same.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    canonical(one) == canonical(other)
}

/// A path without detours, as far as there is something at it.
fn canonical(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or_else(|_| absolute())
}
