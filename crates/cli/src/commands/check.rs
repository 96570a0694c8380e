//! `menshen check`.

use anstyle::AnsiColor;
use menshen_plan::count::counted;
use menshen_plan::{Code, Loaded, Severity};

use crate::args::{Arguments, Check, CheckFormat};
use crate::definition::{load, source};
use crate::diagnostics;
use crate::failure::{Exit, Failure};
use crate::output::{self, styled};
use crate::table::{Cell, Table};

pub(super) fn check(arguments: &Arguments, check: &Check) -> Result<Exit, Failure> {
    if let Some(code) = &check.explain {
        return explain(arguments, code);
    }
    let loaded = load(&source(&check.definition)?)?;
    let format = if arguments.json { CheckFormat::Json } else { check.format };
    match format {
        CheckFormat::Json => output::json(&diagnostics::json::render(&loaded)),
        CheckFormat::Sarif => output::json(&diagnostics::sarif::render(&loaded)),
        CheckFormat::Text => print_text(&loaded),
    }
    let worst = if check.strict { Severity::Warning } else { Severity::Error };
    let passed = loaded.diagnostics.iter().all(|diagnostic| diagnostic.severity < worst);
    Ok(if passed { Exit::Done } else { Exit::Refused })
}

fn print_text(loaded: &Loaded) {
    if !loaded.diagnostics.is_empty() {
        output::line(diagnostics::text::render(loaded, output::palette()));
        output::line("");
    }
    output::line(summary(loaded));
}

fn summary(loaded: &Loaded) -> String {
    let services = loaded.plan.as_ref().map_or(loaded.definition.service.len(), |plan| plan.services.len());
    let found: Vec<String> = [Severity::Error, Severity::Warning, Severity::Advice]
        .into_iter()
        .map(|severity| (loaded.count(severity), words(severity)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, ([one, several], color))| styled(counted(count, one, several), color.on_default()))
        .collect();
    let checked = counted(services, "service", "services");
    if found.is_empty() {
        return format!("{} {checked}, nothing to complain of", styled("ok:", AnsiColor::Green.on_default()));
    }
    format!("{checked}: {}; `menshen check --explain CODE` explains each", found.join(", "))
}

/// A severity for people: one of it, and several.
const fn words(severity: Severity) -> ([&'static str; 2], AnsiColor) {
    match severity {
        Severity::Error => (["error", "errors"], AnsiColor::Red),
        Severity::Warning => (["warning", "warnings"], AnsiColor::Yellow),
        Severity::Advice => (["hint", "hints"], AnsiColor::Cyan),
    }
}

/// Prints a rule's page, or the list of rules.
fn explain(arguments: &Arguments, code: &str) -> Result<Exit, Failure> {
    if code.is_empty() {
        list_rules(arguments);
        return Ok(Exit::Done);
    }
    let code: Code = code.parse().map_err(|message: String| Failure::new(Exit::Failed, message))?;
    let rule = code.rule();
    if arguments.json {
        output::json(
            &serde_json::json!({ "code": code, "name": rule.name, "severity": rule.severity, "summary": rule.summary, "page": rule.page }),
        );
    } else {
        // The examples are marked for the tests; readers need no marks.
        output::line(rule.page.replace("```toml wrong", "```toml").replace("```toml right", "```toml").trim_end());
    }
    Ok(Exit::Done)
}

fn list_rules(arguments: &Arguments) {
    if arguments.json {
        let rules = Code::ALL.iter().map(|code| code.rule());
        let rules: Vec<_> = rules.map(|rule| serde_json::json!({ "code": rule.code, "name": rule.name, "severity": rule.severity, "summary": rule.summary })).collect();
        return output::json(&rules);
    }
    let mut table = Table::with_heading(&["CODE", "SEVERITY", "NAME", "SUMMARY"]);
    for rule in Code::ALL.iter().map(|code| code.rule()) {
        let ([severity, _], color) = words(rule.severity);
        let severity = Cell::styled(severity, color.on_default());
        table.add(vec![Cell::new(rule.code.as_str()), severity, Cell::new(rule.name), Cell::new(rule.summary)]);
    }
    output::lines(&table.lines());
}
