//! Findings for programs.

use menshen_plan::{Diagnostic, Loaded, Severity, Span};
use serde_json::{Value as Json, json};

/// Every finding, and how many there are of each severity.
pub(crate) fn render(loaded: &Loaded) -> Json {
    let diagnostics: Vec<Json> = loaded.diagnostics.iter().map(|diagnostic| one(diagnostic, loaded)).collect();
    json!({
        "refused": loaded.is_refused(),
        "errors": loaded.count(Severity::Error),
        "warnings": loaded.count(Severity::Warning),
        "advice": loaded.count(Severity::Advice),
        "diagnostics": diagnostics,
    })
}

fn one(diagnostic: &Diagnostic, loaded: &Loaded) -> Json {
    let related: Vec<Json> = diagnostic
        .related
        .iter()
        .map(|related| json!({ "message": related.label, "place": place(related.span, loaded) }))
        .collect();
    json!({
        "code": diagnostic.code,
        "name": diagnostic.code.rule().name,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "place": diagnostic.span.map(|span| place(span, loaded)),
        "related": related,
    })
}

fn place(span: Span, loaded: &Loaded) -> Json {
    let start = loaded.sources.position(span);
    let end = loaded.sources.position(Span { start: span.end, ..span });
    json!({
        "file": loaded.sources.get(span.source).map(|source| &source.name),
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    })
}
