//! `menshen check`: the rules a definition is held against before anything runs.
//!
//! [`code`] lists every rule with its severity; `explain/` has a page for each, whose examples are the rule's tests. Rules
//! about single values are found while reading (`parse`, `expand`, `decode`, `build`); those that weigh several values
//! against each other or against the machine are the functions in the files here.

mod accounts;
mod allow;
mod code;
mod commands;
mod dependencies;
mod logs;
mod machine;
mod ports;
mod probes;
mod restarts;
mod security;
#[cfg(test)]
mod tests;
mod values;

pub use code::{Code, Rule};

pub(crate) use allow::apply_allowances;

use crate::build::Places;
use crate::definition::{Definition, Service, ServiceName};
use crate::diagnostic::Diagnostic;
use crate::facts::Facts;
use crate::plan::{Plan, ServicePlan};
use crate::source::{Sources, Span};

/// What the rules look at.
pub(crate) struct Context<'a> {
    pub definition: &'a Definition,
    pub built: &'a Plan,
    pub places: &'a Places<'a>,
    pub sources: &'a Sources,
    pub facts: &'a dyn Facts,
}

/// One service as the rules see it.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub name: &'a ServiceName,
    pub written: &'a Service,
    pub plan: &'a ServicePlan,
    pub places: &'a Places<'a>,
}

impl<'a> Subject<'a> {
    /// The place of a value of this service, or of what is nearest around it.
    pub(crate) fn value(&self, path: &[&str]) -> Option<Span> {
        self.places.value(&self.path(path))
    }

    /// The place of a key of this service.
    pub(crate) fn key(&self, path: &[&str]) -> Option<Span> {
        self.places.key(&self.path(path))
    }

    /// Whether a mistake in this value is reported already.
    pub(crate) fn is_faulty(&self, path: &[&str]) -> bool {
        self.places.is_faulty(&self.path(path))
    }

    /// Whether the definition says anything here.
    pub(crate) fn is_written(&self, path: &[&str]) -> bool {
        self.places.exact(&self.path(path)).is_some()
    }

    fn path<'b>(&self, path: &[&'b str]) -> Vec<&'b str>
    where
        'a: 'b,
    {
        ["service", self.name.as_str()].into_iter().chain(path.iter().copied()).collect()
    }
}

impl<'a> Context<'a> {
    /// Every service.
    pub(crate) fn services(&self) -> impl Iterator<Item = Subject<'a>> {
        let places = self.places;
        self.definition.service.iter().zip(self.built.services.values()).map(move |((name, written), plan)| Subject {
            name,
            written,
            plan,
            places,
        })
    }
}

/// Runs every rule that weighs values against each other or against the machine.
pub(crate) fn run(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let per_service: [fn(&Context<'_>, &Subject<'_>, &mut Vec<Diagnostic>); 9] = [
        values::check,
        commands::check,
        dependencies::check,
        machine::check,
        accounts::check,
        probes::check,
        restarts::check,
        logs::check,
        security::check,
    ];
    for subject in context.services() {
        let before = diagnostics.len();
        for rule in per_service {
            rule(context, &subject, diagnostics);
        }
        diagnostics[before..].iter_mut().for_each(|found| found.service = Some(subject.name.to_string()));
    }
    dependencies::check_cycles(context, diagnostics);
    dependencies::check_alerts(context, diagnostics);
    ports::check(context, diagnostics);
    security::check_definition(context, diagnostics);
}
