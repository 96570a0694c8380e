//! What a source says, key by key, until it is taken.

use super::Place;

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The key to look it up by.
    pub key: String,
    /// The key as the source's users know it.
    pub shown: String,
    /// The value as text.
    pub value: String,
    pub place: Place,
}

/// The settings of one thing, in the order written. What is left after everything known was taken is noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(Vec<Setting>);

impl Settings {
    pub(crate) fn push(&mut self, setting: Setting) {
        self.0.push(setting);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Takes all settings of a key out; the last one counts.
    pub(crate) fn take(&mut self, key: &str) -> Option<Setting> {
        self.take_all(key).pop()
    }

    /// Takes all settings of a key out.
    pub(crate) fn take_all(&mut self, key: &str) -> Vec<Setting> {
        self.0.extract_if(.., |setting| setting.key == key).collect()
    }

    /// The last value of a key, which stays.
    pub(crate) fn peek(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
    }

    /// What nobody took.
    pub(crate) fn rest(self) -> Vec<Setting> {
        self.0
    }
}
