//! What an import tells besides the definition.

use serde::Serialize;

use super::Place;
use super::settings::Setting;

/// Something of a source that did not come along as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How much is lost.
    pub kind: NoteKind,
    /// Where it is written.
    pub place: Place,
    /// The service it is about, by its name in the definition.
    pub service: Option<String>,
    /// What the source calls it: `[Service] ProtectSystem`.
    pub key: String,
    /// What it meant and what has become of it: a lower-case fragment.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// How much is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteKind {
    /// There is no equivalent: it is not in the definition.
    Lost,
    /// It is in the definition, and does not do quite the same.
    Changed,
    /// It does the same if something is seen to.
    Advice,
}

impl NoteKind {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Changed => "changed",
            Self::Advice => "advice",
        }
    }
}

impl Note {
    /// A note about something that has no name of its own in the source.
    pub(crate) fn new(kind: NoteKind, place: &Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, place: place.clone(), service: None, key: key.into(), message: message.into(), help: None }
    }

    /// A setting without an equivalent.
    pub(crate) fn lost(setting: &Setting, message: impl Into<String>) -> Self {
        Self::new(NoteKind::Lost, &setting.place, &setting.shown, message)
    }

    /// A setting that comes close.
    pub(crate) fn changed(setting: &Setting, message: impl Into<String>) -> Self {
        Self::new(NoteKind::Changed, &setting.place, &setting.shown, message)
    }

    /// A setting that needs something.
    pub(crate) fn advice(setting: &Setting, message: impl Into<String>) -> Self {
        Self::new(NoteKind::Advice, &setting.place, &setting.shown, message)
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
