//! The syntax: that of Python's `configparser` as supervisord sets it up, with comments after `;` or `#` at the beginning of
//! a line or after a blank.

use crate::source::Source;

use super::super::draft::Drafts;
use super::super::settings::{Setting, Settings};
use super::super::{Note, NoteKind, Place};
use super::place_of;

/// A section with its settings.
#[derive(Debug)]
pub(super) struct Section {
    pub name: String,
    pub place: Place,
    pub settings: Settings,
}

/// The sections of a file.
pub(super) fn sections(source: &Source, drafts: &mut Drafts<'_>) -> Vec<Section> {
    let place = place_of(source);
    let mut reader = Reader { sections: Vec::new(), begun: None };
    for (line, text) in (1..).zip(source.text.lines()) {
        let text = without_comment(text);
        let indent = text.len() - text.trim_start().len();
        let trimmed = text.trim();
        if trimmed.is_empty() {
            continue;
        }
        if let Some((setting, begun_at)) = &mut reader.begun
            && indent > *begun_at
        {
            setting.value.push('\n');
            setting.value.push_str(trimmed);
            continue;
        }
        reader.end();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            let section =
                Section { name: name.trim().to_owned(), place: place.line(line), settings: Settings::default() };
            reader.sections.push(section);
            continue;
        }
        match (trimmed.split_once(['=', ':']), reader.sections.last()) {
            (Some((key, value)), Some(section)) => {
                let key = key.trim().to_lowercase();
                let shown = format!("[{}] {key}", section.name);
                let setting = Setting { key, shown, value: value.trim().to_owned(), place: place.line(line) };
                reader.begun = Some((setting, indent));
            }
            (Some(_), None) | (None, _) => {
                let message = "neither a section nor key=value in one; supervisord does not start with it";
                drafts.note(Note::new(NoteKind::Lost, &place.line(line), trimmed, message));
            }
        }
    }
    reader.end();
    reader.sections
}

struct Reader {
    sections: Vec<Section>,
    /// The setting that may go on, and how far its line was indented.
    begun: Option<(Setting, usize)>,
}

impl Reader {
    fn end(&mut self) {
        if let (Some((setting, _)), Some(section)) = (self.begun.take(), self.sections.last_mut()) {
            section.settings.push(setting);
        }
    }
}

fn without_comment(line: &str) -> &str {
    let mut after_blank = true;
    for (index, character) in line.char_indices() {
        if after_blank && matches!(character, ';' | '#') {
            return line[..index].trim_end();
        }
        after_blank = character.is_whitespace();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_begin_a_line_or_follow_a_blank() {
        assert_eq!(without_comment("a=b ; c"), "a=b");
        assert_eq!(without_comment("a=b;c#d # e"), "a=b;c#d");
        assert_eq!(without_comment("  ; c"), "");
    }
}
