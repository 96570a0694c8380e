//! Finding a definition's files and loading them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use menshen_os::error::describe;
use menshen_plan::plan::UnknownService;
use menshen_plan::{Input, Layer, Loaded, Source, load};
use thiserror::Error;

use crate::facts::ThisMachine;

/// The file looked for where none is named.
pub const FILE_NAME: &str = "menshen.toml";
/// The most files one folder may have; more are a mistake (the wrong folder).
const FILES_MAX: usize = 1000;

/// Where a definition is and how it is to be read; it can be read again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionSource {
    /// A file, or a folder of `*.toml` files; with `text`, the file it is for, or the folder relative paths start at.
    pub path: PathBuf,
    /// The definition itself, where it is in no file: that of `menshen run`.
    pub text: Option<String>,
    /// The profile to lay over it.
    pub profile: Option<String>,
    /// `--set` arguments.
    pub settings: Vec<String>,
    /// The environment placeholders and programs see.
    pub environment: BTreeMap<String, String>,
    /// Only these services of it, and what they need; all of them where none is named.
    pub only: Vec<String>,
}

/// Why there is nothing to load.
#[derive(Debug, Error)]
pub enum DefinitionError {
    /// Nothing at the path.
    #[error("there is no definition at {}", .0.display())]
    Missing(PathBuf),
    /// The path, or a file in the folder, cannot be read.
    #[error("{} cannot be read: {why}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A folder without definitions.
    #[error("the folder {} has no *.toml file", .0.display())]
    EmptyFolder(PathBuf),
    /// A folder with more files than a definition can sensibly have.
    #[error("the folder {} has more than {FILES_MAX} *.toml files", .0.display())]
    TooManyFiles(PathBuf),
    /// The profile cannot be part of a file's name.
    #[error("'{0}' cannot be a profile: it takes letters, digits, '.', '_' and '-'")]
    BadProfile(String),
    /// A service that is wanted alone is not in it.
    #[error(transparent)]
    NoSuchService(#[from] UnknownService),
    /// The profile has no file.
    #[error("the profile '{profile}' has no file: {} is not there", .file.display())]
    NoProfile {
        /// Which profile.
        profile: String,
        /// Where its file would be.
        file: PathBuf,
    },
}

impl DefinitionSource {
    /// The definition's folder: where relative directories start.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        if absolute.is_dir() { absolute } else { absolute.parent().map(Path::to_owned).unwrap_or_default() }
    }

    /// Every file of it, the layers in order.
    ///
    /// # Errors
    /// When there is none, or the profile has none.
    pub fn files(&self) -> Result<Vec<Vec<PathBuf>>, DefinitionError> {
        let is_name = |profile: &String| {
            let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
            !profile.is_empty() && !profile.starts_with('.') && profile.chars().all(is_part)
        };
        if let Some(profile) = self.profile.as_ref().filter(|profile| !is_name(profile)) {
            return Err(DefinitionError::BadProfile(profile.clone()));
        }
        match (&self.text, self.path.is_dir()) {
            (Some(_), _) => Ok(Vec::new()),
            (None, true) => self.files_of_folder(),
            (None, false) => self.single_file(),
        }
    }

    /// Reads the files and makes a plan of them.
    ///
    /// # Errors
    /// When a file cannot be read at all; what is wrong *in* the files is in the result.
    pub fn load(&self) -> Result<Loaded, DefinitionError> {
        let layers = match &self.text {
            Some(text) => vec![Layer { files: vec![Source { name: self.name_of_text(), text: text.clone() }] }],
            None => self.files()?.iter().map(|files| read_layer(files)).collect::<Result<Vec<Layer>, _>>()?,
        };
        self.load_texts(layers)
    }

    /// Makes a plan of texts that were read before, whatever has become of the files.
    ///
    /// # Errors
    /// When a service that is wanted alone is not in them.
    pub fn load_texts(&self, layers: Vec<Layer>) -> Result<Loaded, DefinitionError> {
        let input = Input {
            layers,
            settings: self.settings.clone(),
            environment: self.environment.clone(),
            folder: self.folder(),
        };
        let mut loaded = load(&input, &ThisMachine::default());
        if !self.only.is_empty()
            && let Some(plan) = &mut loaded.plan
        {
            plan.keep_only(&self.only)?;
            let is_kept = |service: &String| plan.services.contains_key(service.as_str());
            loaded.diagnostics.retain(|found| found.refuses() || found.service.as_ref().is_none_or(is_kept));
        }
        Ok(loaded)
    }

    /// What a definition that is in no file is called.
    fn name_of_text(&self) -> String {
        if self.path.is_dir() { "menshen run".to_owned() } else { self.path.display().to_string() }
    }

    fn single_file(&self) -> Result<Vec<Vec<PathBuf>>, DefinitionError> {
        if !self.path.exists() {
            return Err(DefinitionError::Missing(self.path.clone()));
        }
        let mut layers = vec![vec![self.path.clone()]];
        if let Some(profile) = &self.profile {
            let file = self.path.with_extension(format!("{profile}.toml"));
            if !file.exists() {
                return Err(DefinitionError::NoProfile { profile: profile.clone(), file });
            }
            layers.push(vec![file]);
        }
        Ok(layers)
    }

    fn files_of_folder(&self) -> Result<Vec<Vec<PathBuf>>, DefinitionError> {
        let unreadable =
            |error: io::Error| DefinitionError::Unreadable { path: self.path.clone(), why: describe(&error) };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
            if files.len() > FILES_MAX {
                return Err(DefinitionError::TooManyFiles(self.path.clone()));
            }
        }
        files.sort();
        // `shop.production.toml` belongs to the profile `production`, and to no other.
        let (base, profiled): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|path| profile_of(path).is_none());
        if base.is_empty() {
            return Err(DefinitionError::EmptyFolder(self.path.clone()));
        }
        let mut layers = vec![base];
        if let Some(profile) = &self.profile {
            let of_profile: Vec<PathBuf> =
                profiled.into_iter().filter(|path| profile_of(path).as_ref() == Some(profile)).collect();
            if of_profile.is_empty() {
                let file = self.path.join(format!("*.{profile}.toml"));
                return Err(DefinitionError::NoProfile { profile: profile.clone(), file });
            }
            layers.push(of_profile);
        }
        Ok(layers)
    }
}

/// The `production` of `shop.production.toml`.
fn profile_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    stem.rsplit_once('.').map(|(_, profile)| profile.to_owned())
}

fn read_layer(files: &[PathBuf]) -> Result<Layer, DefinitionError> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| DefinitionError::Unreadable { path: path.clone(), why: describe(&error) })?;
        Ok(Source { name: path.display().to_string(), text })
    };
    Ok(Layer { files: files.iter().map(read).collect::<Result<_, DefinitionError>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &Path, profile: Option<&str>) -> DefinitionSource {
        DefinitionSource {
            path: path.to_owned(),
            text: None,
            profile: profile.map(str::to_owned),
            settings: Vec::new(),
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            only: Vec::new(),
        }
    }

    #[test]
    fn a_profile_is_laid_over_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        fs::write(&file, "[service.web]\ncommand = \"true\"\nstop.timeout = \"1s\"").unwrap();
        fs::write(folder.path().join("menshen.prod.toml"), "[service.web]\nstop.timeout = \"9s\"").unwrap();
        let timeout =
            |profile| source(&file, profile).load().unwrap().plan.unwrap().services["web"].stop.timeout.as_secs();
        assert_eq!((timeout(None), timeout(Some("prod"))), (1, 9));
        let error = source(&file, Some("test")).load().unwrap_err().to_string();
        assert!(error.contains("menshen.test.toml is not there"), "{error}");
    }

    #[test]
    fn a_folder_is_read_file_by_file_without_those_of_profiles() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.toml"), "[service.b]\ncommand = \"true\"").unwrap();
        fs::write(folder.path().join("a.toml"), "[service.a]\ncommand = \"true\"").unwrap();
        fs::write(folder.path().join("a.prod.toml"), "[service.a]\nuser = \"root\"").unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let plan = source(folder.path(), None).load().unwrap().plan.unwrap();
        assert_eq!(plan.services.keys().map(menshen_plan::ServiceName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(plan.services["a"].user, None);
        let plan = source(folder.path(), Some("prod")).load().unwrap().plan.unwrap();
        assert!(plan.services["a"].user.is_some());
    }

    #[test]
    fn a_service_that_is_wanted_alone_comes_with_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let service =
            |name: &str, needs: &str| format!("[service.{name}]\ncommand = \"true\"\ndepends_on = [{needs}]\n");
        let text = [service("db", ""), service("cache", "\"db\""), service("web", "\"cache\""), service("mail", "")];
        fs::write(&file, text.concat()).unwrap();
        let only = |names: &[&str]| {
            let only = names.iter().map(|name| (*name).to_owned()).collect();
            let plan = DefinitionSource { only, ..source(&file, None) }.load().map(|loaded| loaded.plan.unwrap());
            plan.map(|plan| plan.services.keys().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(only(&["web"]).unwrap(), ["cache", "db", "web"]);
        assert_eq!(only(&["mail", "db"]).unwrap(), ["db", "mail"]);
        fs::write(&file, format!("{}[service.lame]\ncommand = \"no-such-program-of-anybody\"\n", text.concat()))
            .unwrap();
        let found = |names: &[&str]| {
            let only = names.iter().map(|name| (*name).to_owned()).collect();
            let found = DefinitionSource { only, ..source(&file, None) }.load().unwrap().diagnostics;
            found.into_iter().filter(|found| found.message.contains("no-such-program")).count()
        };
        assert_eq!((found(&["web"]), found(&["lame"]), found(&[])), (0, 1, 1), "only what is meant is complained of");
        let error = only(&["webb"]).unwrap_err().to_string();
        assert_eq!(error, "the definition has no service 'webb'; did you mean 'web'?");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(source(&folder.path().join("x.toml"), None).load(), Err(DefinitionError::Missing(_))));
        assert!(matches!(source(folder.path(), None).load(), Err(DefinitionError::EmptyFolder(_))));
    }
}
