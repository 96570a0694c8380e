//! Findings for people: source line, caret, help.

use std::collections::BTreeMap;
use std::fmt;

use menshen_plan::source::{Source, SourceId};
use menshen_plan::{Code, Diagnostic, Loaded, Severity};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use crate::output::Palette;

/// Every finding, one below the other, the worst where it is seen: last. That services run as root is one.
pub(crate) fn render(loaded: &Loaded, palette: Palette) -> String {
    let styles = match palette {
        Palette::Colors => ThemeStyles::ansi(),
        Palette::None => ThemeStyles::none(),
    };
    let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_cause_chain();
    let mut text = String::new();
    let mut sources = BTreeMap::new();
    for diagnostic in &worst_last(&loaded.diagnostics) {
        let id = diagnostic.span.map(|span| span.source);
        let source = id.and_then(|id| Some((id, loaded.sources.get(id)?)));
        let lines = source.map(|(id, source)| &*sources.entry(id).or_insert_with(|| Lines::of(source, id, loaded)));
        let shown = Shown::new(diagnostic, loaded, lines);
        // Writing to a String cannot fail.
        let _ = handler.render_report(&mut text, &shown);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// In the order of the text, but by how bad they are.
fn worst_last(diagnostics: &[Diagnostic]) -> Vec<Diagnostic> {
    let is_root = |found: &&Diagnostic| found.code == Code::RunsAsRoot;
    let names: Vec<String> = diagnostics.iter().filter(is_root).filter_map(|found| found.service.clone()).collect();
    let mut first_of_root = diagnostics.iter().find(is_root).cloned();
    if let Some(first) = first_of_root.as_mut().filter(|_| names.len() > 1) {
        let names = names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        first.message = format!("{names} run as root and nothing in the definition shows that they must");
        first.help =
            first.help.take().map(|help| help.replacen("give it a user of its own", "give each a user of its own", 1));
    }
    let grouped = |found: &Diagnostic| if is_root(&found) { first_of_root.take() } else { Some(found.clone()) };
    let mut shown: Vec<Diagnostic> = diagnostics.iter().filter_map(grouped).collect();
    shown.sort_by_key(|found| found.severity);
    shown
}

/// A finding as miette takes it.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<&'a Lines>,
    labels: Vec<LabeledSpan>,
    /// Places in other files; they cannot be shown in the same excerpt.
    elsewhere: Vec<String>,
}

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic, loaded: &Loaded, source: Option<&'a Lines>) -> Self {
        let id = diagnostic.span.map(|span| span.source);
        let mut labels = Vec::new();
        let mut elsewhere = Vec::new();
        if let Some(span) = diagnostic.span {
            labels.push(LabeledSpan::new_primary_with_span(
                diagnostic.label.clone(),
                (span.start, span.end - span.start),
            ));
        }
        for related in &diagnostic.related {
            if Some(related.span.source) == id {
                let length = related.span.end - related.span.start;
                labels.push(LabeledSpan::new_with_span(Some(related.label.clone()), (related.span.start, length)));
            } else {
                elsewhere.push(format!("{}: {}", loaded.sources.describe(related.span), related.label));
            }
        }
        Self { diagnostic, source, labels, elsewhere }
    }
}

/// The text of a source as it may be shown, and where its lines begin: each of many findings is found without reading it all.
struct Lines {
    name: String,
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    fn of(source: &Source, id: SourceId, loaded: &Loaded) -> Self {
        let text = without_secrets(loaded, id, &source.text);
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { name: source.name.clone(), text, starts }
    }

    /// The number of the line with this byte, from 0.
    fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }
}

impl SourceCode for Lines {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // With one line more at both ends, those that are asked for begin and end as in the whole text.
        let first = self.line_of(span.offset()).saturating_sub(lines_before.saturating_add(1));
        let after = self.line_of(span.offset() + span.len()).saturating_add(lines_after).saturating_add(2);
        let start = self.starts[first];
        let end = self.starts.get(after).copied().unwrap_or(self.text.len());
        let within = SourceSpan::from((span.offset() - start, span.len()));
        let found = self.text[start..end].read_span(&within, lines_before, lines_after)?;
        let place = SourceSpan::from((found.span().offset() + start, found.span().len()));
        let (line, column) = (found.line() + first, found.column());
        let contents =
            MietteSpanContents::new_named(self.name.clone(), found.data(), place, line, column, found.line_count());
        Ok(Box::new(contents.with_language("TOML")))
    }
}

/// The text of a source with what was found to be a secret made unreadable; every place stays where it is.
fn without_secrets(loaded: &Loaded, id: SourceId, text: &str) -> String {
    let mut text = text.to_owned();
    let secrets = loaded.diagnostics.iter().filter(|other| other.code == Code::PlainSecret);
    for span in secrets.filter_map(|secret| secret.span).filter(|span| span.source == id) {
        if let Some(secret) = text.get(span.start..span.end) {
            let masked = "*".repeat(secret.len());
            text.replace_range(span.start..span.end, &masked);
        }
    }
    text
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, formatter)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        let lines: Vec<&str> = self.diagnostic.help.iter().chain(&self.elsewhere).map(String::as_str).collect();
        (!lines.is_empty()).then(|| Box::new(lines.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty())
            .then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_run_as_root_are_one_finding_and_errors_come_last() {
        let root = |name: &str| Diagnostic {
            service: Some(name.to_owned()),
            ..Diagnostic::new(Code::RunsAsRoot, format!("'{name}' runs as root"))
        };
        let error = Diagnostic::new(Code::MissingDirectory, "a folder is missing");
        assert_eq!(error.severity, Severity::Error);
        let shown = worst_last(&[error.clone(), root("db"), root("web")]);
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[0].message.starts_with("'db', 'web' run as root"), "{}", shown[0].message);
        assert_eq!(shown[1], error);
        assert_eq!(worst_last(&[root("db")]), [root("db")]);
    }

    #[test]
    fn lines_are_found_as_in_the_whole_text() {
        let text = "one = 1\n\ntwo = \"zwei\"\r\nthree = 3\nfour = \"vier\"";
        for text in [text, "", "\n", "a", "a\n", &format!("{text}\n")] {
            let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
            let lines = Lines { name: "menshen.toml".to_owned(), text: text.to_owned(), starts };
            for (offset, length) in
                (0..=text.len()).flat_map(|at| (0..=text.len() - at).map(move |length| (at, length)))
            {
                for (before, after) in [(0, 0), (1, 1), (2, 0), (0, 3)] {
                    let span = SourceSpan::from((offset, length));
                    let [found, whole] = [&lines as &dyn SourceCode, &text].map(|source| {
                        let found = source.read_span(&span, before, after).ok()?;
                        Some((found.data(), *found.span(), found.line(), found.column()))
                    });
                    assert_eq!(found, whole, "{text:?}: {span:?}, {before} before, {after} after");
                }
            }
        }
    }
}
