//! The texts a definition comes from, and places in them.

use serde::Serialize;

/// One text: a file, or one `--set` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What to call it in a message: the file's path as the user gave it, or `--set`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// Which [`Source`] of [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SourceId(u32);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// Which text.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A line and a column for people: both start at 1, the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// Every text that went into one load.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a text and says under which id it is kept.
    pub fn add(&mut self, source: Source) -> SourceId {
        let id = SourceId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(source);
        id
    }

    /// The text behind an id.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(usize::try_from(id.0).ok()?)
    }

    /// Every text, in the order added.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        (0u32..).map(SourceId).zip(&self.0)
    }

    /// Where a span starts, for people.
    #[must_use]
    pub fn position(&self, span: Span) -> Position {
        let text = self.get(span.source).map_or("", |source| source.text.as_str());
        let before = floor_char_boundary(text, span.start);
        let head = &text[..before];
        let line_start = head.rfind('\n').map_or(0, |newline| newline + 1);
        Position { line: head.matches('\n').count() + 1, column: head[line_start..].chars().count() + 1 }
    }

    /// `menshen.toml:12:5`, the way compilers write a place.
    #[must_use]
    pub fn describe(&self, span: Span) -> String {
        let name = self.get(span.source).map_or("?", |source| source.name.as_str());
        let Position { line, column } = self.position(span);
        format!("{name}:{line}:{column}")
    }
}

impl Span {
    /// An empty span at the start of a source, for what concerns the text as a whole.
    #[must_use]
    pub const fn start_of(source: SourceId) -> Self {
        Self { source, start: 0, end: 0 }
    }

    /// A part of this span, given as offsets from its start; cut to fit.
    #[must_use]
    pub fn part(self, from: usize, to: usize) -> Self {
        let start = self.start.saturating_add(from).min(self.end);
        let end = self.start.saturating_add(to).clamp(start, self.end);
        Self { source: self.source, start, end }
    }
}

fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let source = sources.add(Source { name: "a.toml".into(), text: "x = 1\nä = \"ö\"\n".into() });
        let span = Span { source, start: 11, end: 12 };
        assert_eq!(sources.position(span), Position { line: 2, column: 5 });
        assert_eq!(sources.describe(span), "a.toml:2:5");
    }

    #[test]
    fn a_position_inside_a_character_or_past_the_end_does_not_panic() {
        let mut sources = Sources::default();
        let source = sources.add(Source { name: "a".into(), text: "ä".into() });
        for start in 0..5 {
            assert_eq!(sources.position(Span { source, start, end: start }).line, 1);
        }
    }
}
