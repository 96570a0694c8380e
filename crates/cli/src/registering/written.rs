//! The definition that `menshen install NAME -- CMD` makes of a command.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use menshen::service::{ServiceName, Step};
use menshen_guard::definition::DefinitionSource;
use menshen_os::file::{create_folder, replace_shared};

use super::folders::remove_empty_above;
use super::refusal::unusable;
use crate::definition::{environment, paths, quoted, quoted_command};
use crate::failure::{Exit, Failure};

/// Its first line.
const MARK: &str = "# Written by `menshen install`; `menshen edit` changes it, `menshen uninstall` removes it.";

/// A definition that has yet to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Where it goes.
    pub path: PathBuf,
    text: String,
}

/// What was there before.
#[derive(Debug)]
#[must_use = "it is put back when nothing comes of the installation"]
pub(crate) struct Before {
    path: PathBuf,
    text: Option<Vec<u8>>,
}

impl Written {
    /// Of a program and its arguments. A program that is named by a path is the one that this means where it is typed.
    pub(crate) fn of_command(name: &ServiceName, (program, arguments): (&str, &[String])) -> Self {
        let program = if program.contains('/') || program.contains(std::path::MAIN_SEPARATOR) {
            std::path::absolute(program).map_or_else(|_| program.to_owned(), |path| path.display().to_string())
        } else {
            program.to_owned()
        };
        let (quoted, command) = (quoted(name.as_str()), quoted_command(std::iter::once(&program).chain(arguments)));
        let text = format!("{MARK}\n[guard]\nname = {quoted}\n\n[service.{quoted}]\ncommand = {command}\n");
        Self { path: paths().definitions.join(format!("{name}.toml")), text }
    }

    /// As a definition that can be read before it is written.
    pub(crate) fn source(&self, settings: &[String]) -> DefinitionSource {
        DefinitionSource {
            path: self.path.clone(),
            text: Some(self.text.clone()),
            profile: None,
            settings: settings.to_vec(),
            environment: environment(),
            only: Vec::new(),
        }
    }

    /// What writing it would do.
    pub(crate) fn step(&self) -> Step {
        Step::file(&self.path, 0o644, &self.text)
    }

    /// Writes it. One that somebody else wrote is left alone.
    pub(crate) fn write(&self) -> Result<Before, Failure> {
        let path = &self.path;
        let failed = |error: std::io::Error| {
            remove_empty_above(path);
            unusable("writing", path, &error)
        };
        let before = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read.map_err(|error| unusable("reading", path, &error))?),
        };
        if before.as_ref().is_some_and(|there| !there.starts_with(MARK.as_bytes())) {
            let message = format!("{} is there, and was not written by `menshen install`", path.display());
            return Err(Failure::new(Exit::Failed, message)
                .help(format!("choose another name, or install that definition: `--file {}`", path.display())));
        }
        create_folder(path.parent().unwrap_or(path), 0o750).map_err(failed)?;
        replace_shared(path, self.text.as_bytes()).map_err(failed)?;
        Ok(Before { path: path.clone(), text: before })
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
        let written = Written::of_command(&"worker".parse().unwrap(), ("sleep", &arguments));
        let plan = written.source(&[]).load().unwrap().plan.unwrap();
        let service = &plan.services["worker"];
        assert_eq!(service.command.0[0], "sleep");
        assert_eq!(service.command.0[1..], arguments);
    }
}
