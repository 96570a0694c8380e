//! Findings as SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>), for code scanning.

use menshen_plan::{Code, Diagnostic, Loaded, Severity, Span};
use serde_json::{Value as Json, json};

/// A SARIF log of one run.
pub(crate) fn render(loaded: &Loaded) -> Json {
    let rules: Vec<Json> = Code::ALL.iter().map(|code| rule(*code)).collect();
    let results: Vec<Json> = loaded.diagnostics.iter().map(|diagnostic| result(diagnostic, loaded)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "menshen check", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            // SARIF counts columns in UTF-16 units unless told otherwise.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Json {
    let rule = code.rule();
    json!({
        "id": code,
        "name": rule.name,
        "shortDescription": { "text": rule.summary },
        "help": { "text": rule.page, "markdown": rule.page },
        "defaultConfiguration": { "level": level(rule.severity) },
    })
}

fn result(diagnostic: &Diagnostic, loaded: &Loaded) -> Json {
    let text = match &diagnostic.help {
        Some(help) => format!("{}. {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let related: Vec<Json> = diagnostic
        .related
        .iter()
        .map(|related| {
            let mut location = location(related.span, loaded);
            location["message"] = json!({ "text": related.label });
            location
        })
        .collect();
    let index = Code::ALL.iter().position(|code| *code == diagnostic.code);
    json!({
        "ruleId": diagnostic.code,
        "ruleIndex": index,
        "level": level(diagnostic.severity),
        "message": { "text": text },
        "locations": diagnostic.span.map(|span| location(span, loaded)).into_iter().collect::<Vec<_>>(),
        "relatedLocations": related,
    })
}

fn location(span: Span, loaded: &Loaded) -> Json {
    let start = loaded.sources.position(span);
    let end = loaded.sources.position(Span { start: span.end, ..span });
    let file = loaded.sources.get(span.source).map_or("", |source| source.name.as_str());
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": file },
            "region": { "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column },
        },
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "note",
    }
}
