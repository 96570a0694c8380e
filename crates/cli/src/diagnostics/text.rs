//! Findings for people: source line, caret, help.

use std::fmt;

use menshen_plan::source::Source;
use menshen_plan::{Code, Diagnostic, Loaded, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, ThemeCharacters, ThemeStyles};

use crate::output::Palette;

/// Every finding, one below the other.
pub(crate) fn render(loaded: &Loaded, palette: Palette) -> String {
    let styles = match palette {
        Palette::Colors => ThemeStyles::ansi(),
        Palette::None => ThemeStyles::none(),
    };
    let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_cause_chain();
    let mut text = String::new();
    for diagnostic in &loaded.diagnostics {
        let shown = Shown::new(diagnostic, loaded);
        // Writing to a String cannot fail.
        let _ = handler.render_report(&mut text, &shown);
        text.push('\n');
    }
    text.trim_end().to_owned()
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
