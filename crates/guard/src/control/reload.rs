//! Reading the definition again, and what that would change.

use std::sync::Arc;

use menshen_api::types::{Change, ReloadReport, ServiceChange};
use menshen_api::{Problem, ProblemCode};
use menshen_plan::{Cost, Diagnostic, Plan, ServiceDiff, Severity, Sources};

use crate::definition::DefinitionSource;
use crate::guard::input::Foreseen;
use crate::guard::status::word;

/// A definition that can be followed.
pub(crate) struct Reloaded {
    pub plan: Arc<Plan>,
    pub warnings: Vec<String>,
}

/// Reads the definition's files, aside from everything else: this may take its time.
pub(crate) async fn load_aside(source: &DefinitionSource) -> Result<Reloaded, Problem> {
    let source = source.clone();
    let loaded = tokio::task::spawn_blocking(move || load(&source)).await;
    loaded.unwrap_or_else(|error| Err(Problem::new(ProblemCode::Internal, error.to_string())))
}

fn load(source: &DefinitionSource) -> Result<Reloaded, Problem> {
    let refused = |detail: String| Problem::new(ProblemCode::DefinitionRefused, detail);
    let loaded = source.load().map_err(|error| refused(error.to_string()))?;
    let lines = |wanted: fn(&Diagnostic) -> bool| -> Vec<String> {
        loaded
            .diagnostics
            .iter()
            .filter(|diagnostic| wanted(diagnostic))
            .map(|diagnostic| line(diagnostic, &loaded.sources))
            .collect()
    };
    let warnings = lines(|diagnostic| !diagnostic.refuses() && diagnostic.severity > Severity::Advice);
    let errors = lines(Diagnostic::refuses);
    let plan = loaded.plan.ok_or_else(|| refused(errors.join("\n")))?;
    Ok(Reloaded { plan: Arc::new(plan), warnings })
}

/// A finding in one line.
fn line(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = diagnostic.span.map(|span| format!("{}: ", sources.describe(span))).unwrap_or_default();
    let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{place}{}: {}{help}", diagnostic.code, diagnostic.message)
}

/// What costs something though no field that is known to have changed does.
fn reason(service: &ServiceDiff) -> Option<&'static str> {
    if service.changes.iter().any(|change| change.cost == service.cost) {
        return None;
    }
    match service.cost {
        Cost::Restart => Some("it was started as it was defined earlier"),
        Cost::Signal => Some("its configuration files have changed since it was started, or was told to read them"),
        Cost::Live | Cost::New | Cost::Gone => None,
    }
}

/// A diff as the contract shows it, with what comes of it.
pub(super) fn report((diff, outcomes): Foreseen, applied: bool, warnings: Vec<String>) -> ReloadReport {
    let change = |change: menshen_plan::Change| Change {
        field: change.field,
        cost: word(&change.cost),
        old: change.old,
        new: change.new,
    };
    ReloadReport {
        applied,
        guard: diff.guard.into_iter().map(change).collect(),
        services: diff
            .services
            .into_iter()
            .map(|service| ServiceChange {
                name: service.name.to_string(),
                cost: word(&service.cost),
                outcome: outcomes.get(&service.name).map(word),
                reason: reason(&service).map(str::to_owned),
                changes: service.changes.into_iter().map(change).collect(),
            })
            .collect(),
        warnings,
    }
}
