//! Findings for people: source line, caret, help.

use std::fmt;

use menshen_plan::source::Source;
use menshen_plan::{Code, Diagnostic, Loaded, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, ThemeCharacters, ThemeStyles};

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
    for diagnostic in &worst_last(&loaded.diagnostics) {
        let shown = Shown::new(diagnostic, loaded);
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
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    /// Places in other files; they cannot be shown in the same excerpt.
    elsewhere: Vec<String>,
}

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic, loaded: &Loaded) -> Self {
        let id = diagnostic.span.map(|span| span.source);
        let source = id.and_then(|id| loaded.sources.get(id));
        let shown = |source: &Source| {
            NamedSource::new(&source.name, without_secrets(loaded, diagnostic, &source.text)).with_language("TOML")
        };
        let source = source.map(shown);
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

/// The text of a finding's source with what was found to be a secret made unreadable; every place stays where it is.
fn without_secrets(loaded: &Loaded, diagnostic: &Diagnostic, text: &str) -> String {
    let mut text = text.to_owned();
    let id = diagnostic.span.map(|span| span.source);
    let secrets = loaded.diagnostics.iter().filter(|other| other.code == Code::PlainSecret);
    for span in secrets.filter_map(|secret| secret.span).filter(|span| Some(span.source) == id) {
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

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
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
}
