//! The definition that `menshen install NAME -- CMD` makes of a command.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use menshen::service::{ServiceName, Step};
use menshen_guard::definition::DefinitionSource;
use menshen_os::file::{create_folder, replace_shared};
use menshen_plan::ServicePlan;

use super::folders::remove_empty_above;
use super::record::{DefinitionOrigin, Record};
use super::refusal::unusable;
use crate::definition::{environment, paths, quoted, quoted_command};
use crate::failure::{Exit, Failure};

/// Its first line.
const MARK: &str = "# Written by `menshen install`; `menshen edit` changes it, `menshen uninstall` removes it.";
/// The folder for such definitions, below that of the machine's own: those are read as one, and each of these has its own guard.
const FOLDER: &str = "installed";
/// A guard of another account reads its definition itself, and begins in its folder. Secrets are in files of their own.
const FOLDER_MODE: u32 = 0o755;

/// A definition that has yet to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Where it goes.
    pub path: PathBuf,
    text: String,
    /// Where an earlier version has written it.
    former: Option<PathBuf>,
}

/// What was there before.
#[derive(Debug)]
#[must_use = "it is put back when nothing comes of the installation"]
pub(crate) struct Before {
    path: PathBuf,
    text: Option<Vec<u8>>,
}

/// What becomes of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is there as it is to be.
    None,
    /// It is written.
    Written,
}

impl Written {
    /// Of a program and its arguments. It runs in the folder where it is typed, and a program that is named by a path is the one
    /// that this means there. What somebody has added to the definition since it was written first stays in it.
    pub(crate) fn of_command(
        name: &ServiceName,
        (program, arguments): (&str, &[String]),
        noted: Option<&Record>,
    ) -> Result<Self, Failure> {
        let program = if program.contains('/') || program.contains(std::path::MAIN_SEPARATOR) {
            std::path::absolute(program).map_or_else(|_| program.to_owned(), |path| path.display().to_string())
        } else {
            program.to_owned()
        };
        let here = here()?;
        let words: Vec<String> = std::iter::once(program).chain(arguments.iter().cloned()).collect();
        let path = paths().definitions.join(FOLDER).join(format!("{name}.toml"));
        let noted = noted.filter(|noted| noted.origin == DefinitionOrigin::Written).map(|noted| &noted.definition);
        let former = noted.filter(|noted| **noted != path).cloned();
        let made = Self { path, text: text_of(name, &words, Some(&here)), former };
        let place = made.former.as_ref().unwrap_or(&made.path);
        let Some(there) = read(place)? else { return Ok(made) };
        if noted.is_none() && !there.starts_with(MARK) {
            let message = format!("{} is there, and was not written by `menshen install`", place.display());
            return Err(Failure::new(Exit::Failed, message)
                .help(format!("choose another name, or install that definition: `--file {}`", place.display())));
        }
        let service = service_in(&there, place, name);
        let is_as_written = |service: &ServicePlan| {
            let texts = [None, Some(&*service.directory)].map(|folder| text_of(name, &service.command.0, folder));
            texts.contains(&there)
        };
        if service.as_deref().is_some_and(is_as_written) {
            return Ok(made);
        }
        if service.is_some_and(|service| service.command.0 == words) {
            return Ok(Self { text: there, ..made });
        }
        let message = format!("{} was edited since it was written, and has another command", place.display());
        Err(Failure::new(Exit::Failed, message)
            .help(format!("`menshen edit {name}` changes the command as well; `menshen uninstall {name}` begins anew")))
    }

    /// As a definition that can be read before it is written.
    pub(crate) fn source(&self, settings: &[String]) -> DefinitionSource {
        source(&self.path, &self.text, settings)
    }

    /// What writing it would do.
    pub(crate) fn steps(&self) -> impl Iterator<Item = String> {
        let written = Step::file(&self.path, 0o644, &self.text).to_string();
        let removed = self.former.as_ref().map(|path| format!("remove {}", path.display()));
        std::iter::once(written).chain(removed)
    }

    /// Whether it would be written.
    pub(crate) fn change(&self) -> Result<Change, Failure> {
        let is_there = read(&self.path)?.is_some_and(|there| there == self.text);
        Ok(if is_there && self.former.is_none() { Change::None } else { Change::Written })
    }

    /// Writes it.
    pub(crate) fn write(&self) -> Result<Before, Failure> {
        let path = &self.path;
        let failed = |error: std::io::Error| {
            remove_empty_above(path);
            unusable("writing", path, &error)
        };
        let before = read(path)?.map(String::into_bytes);
        create_folder(path.parent().unwrap_or(path), FOLDER_MODE).map_err(failed)?;
        replace_shared(path, self.text.as_bytes()).map_err(failed)?;
        Ok(Before { path: path.clone(), text: before })
    }

    /// Once it is in its place and the manager knows it, nobody reads the one of an earlier version.
    pub(crate) fn remove_former(&self) -> Result<(), Failure> {
        let Some(former) = &self.former else { return Ok(()) };
        match fs::remove_file(former) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable("removing", former, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// What is written of a command. An earlier version has written nothing of a folder.
fn text_of(name: &ServiceName, words: &[String], folder: Option<&Path>) -> String {
    let (quoted_name, command) = (quoted(name.as_str()), quoted_command(words));
    let text = format!("{MARK}\n[guard]\nname = {quoted_name}\n\n[service.{quoted_name}]\ncommand = {command}\n");
    let directory = folder.map(|folder| quoted(&folder.to_string_lossy().replace('$', "$$")));
    directory.map_or_else(|| text.clone(), |directory| format!("{text}directory = {directory}\n"))
}

/// Where it is typed.
fn here() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(|error| {
        let why = menshen_os::error::describe(&error);
        Failure::new(Exit::Failed, format!("the folder this is typed in cannot be found: {why}"))
    })?;
    if here.to_str().is_some() {
        return Ok(here);
    }
    let message = format!("{} is no folder that a definition can name: it is no text", here.display());
    Err(Failure::new(Exit::Failed, message).help("install it from another folder"))
}

fn source(path: &Path, text: &str, settings: &[String]) -> DefinitionSource {
    DefinitionSource {
        path: path.to_owned(),
        text: Some(text.to_owned()),
        profile: None,
        settings: settings.to_vec(),
        environment: environment(),
        only: Vec::new(),
    }
}

/// The service that a definition has; nothing, where it is refused.
fn service_in(text: &str, path: &Path, name: &ServiceName) -> Option<Arc<ServicePlan>> {
    let plan = source(path, text, &[]).load().ok()?.plan?;
    plan.services.get(name.as_str()).cloned()
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| unusable("reading", path, &error)),
    }
}

impl Before {
    /// Has everything as it was.
    pub(crate) fn put_back(self) -> Result<(), Failure> {
        let path = &self.path;
        match &self.text {
            Some(text) => replace_shared(path, text).map_err(|error| unusable("writing", path, &error)),
            None => fs::remove_file(path)
                .map_err(|error| unusable("removing", path, &error))
                .inspect(|()| remove_empty_above(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_arrives_as_it_was_typed() {
        let arguments = ["two words", "", "$HOME", "100%", "a\"b\\c", "--flag"].map(str::to_owned);
        let written = Written::of_command(&"worker".parse().unwrap(), ("sleep", &arguments), None).unwrap();
        let plan = written.source(&[]).load().unwrap().plan.unwrap();
        let service = &plan.services["worker"];
        assert_eq!(service.command.0[0], "sleep");
        assert_eq!(service.command.0[1..], arguments);
        assert_eq!(service.directory, std::env::current_dir().unwrap());
    }
}
