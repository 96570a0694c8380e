//! Services as they come out of a source, before names are mended and dependencies resolved.

use std::path::Path;

use crate::command_line::CommandLine;
use crate::definition::{EnvironmentValue, OnLoss, SecretText, Service};
use crate::facts::Facts;

use super::settings::Setting;
use super::template::Template;
use super::{Note, Place};

/// Everything that came out of the sources so far.
pub(crate) struct Drafts<'a> {
    pub services: Vec<Draft>,
    pub notes: Vec<Note>,
    /// The machine, for what depends on it: a file of variables that may be missing.
    pub facts: &'a dyn Facts,
    /// The folder of sources whose names have none.
    pub folder: &'a Path,
}

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// What the source's dependencies call it.
    pub id: String,
    /// The name it would have.
    pub name: String,
    pub place: Place,
    /// Lines above it.
    pub comments: Vec<String>,
    pub service: Service,
    pub needs: Vec<Need>,
}

/// A dependency.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    /// The `id` of what must be there.
    pub on: String,
    pub on_loss: OnLoss,
    /// The setting that says so.
    pub setting: Setting,
}

impl Need {
    /// Whether it is told of by what is needed (systemd's `Before=`): it is turned around when all units are there.
    pub(crate) fn is_turned(&self) -> bool {
        self.setting.key == "[Unit] Before"
    }
}

impl<'a> Drafts<'a> {
    pub(crate) fn new(facts: &'a dyn Facts, folder: &'a Path) -> Self {
        Self { services: Vec::new(), notes: Vec::new(), facts, folder }
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

impl Draft {
    pub(crate) fn new(id: impl Into<String>, name: impl Into<String>, place: Place) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            place,
            comments: Vec::new(),
            service: Service::default(),
            needs: Vec::new(),
        }
    }

    pub(crate) fn set_environment(&mut self, name: &str, value: Template) {
        let value = EnvironmentValue(SecretText::Plain(value.into_text()));
        self.service.environment.insert(name.to_owned(), value);
    }
}

/// A command of words that are written as they stand in a definition.
pub(crate) fn command(words: Vec<Template>) -> CommandLine {
    CommandLine(words.into_iter().map(Template::into_text).collect())
}
