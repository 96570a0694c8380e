//! What services wait for.

use crate::check::{Code, Context, Subject};
use crate::decode::nearest;
use crate::definition::{Condition, ServiceName, ServiceType, StartType};
use crate::diagnostic::Diagnostic;
use crate::order;

pub(crate) fn check(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let name = subject.name;
    for (dependency, requirement) in &subject.plan.depends_on {
        let span = subject.key(&["depends_on", dependency.as_str()]);
        if dependency == name {
            let message = format!("'{name}' depends on itself");
            diagnostics.push(Diagnostic::new(Code::SelfDependency, message).at(span).help("take the dependency out"));
            continue;
        }
        let Some(needed) = context.built.services.get(dependency) else {
            let message = format!("'{name}' depends on '{dependency}', which is not defined");
            let names = context.built.services.keys().map(ServiceName::as_str).filter(|known| *known != name.as_str());
            let help = nearest(dependency.as_str(), names).map_or_else(
                || format!("define [service.{dependency}], or take the dependency out"),
                |near| format!("did you mean '{near}'?"),
            );
            diagnostics.push(Diagnostic::new(Code::UnknownDependency, message).at(span).help(help));
            continue;
        };
        let oneshot = needed.kind == ServiceType::Oneshot;
        if requirement.condition == Condition::Completed && !oneshot {
            let message = format!("'{dependency}' is a daemon and never completes");
            diagnostics.push(
                Diagnostic::new(Code::NeverCompletes, message)
                    .at(span)
                    .help("wait for \"ready\", or give it type = \"oneshot\""),
            );
        }
        let written = subject.is_written(&["depends_on", dependency.as_str()]);
        let has_readiness = needed.has_readiness() || needed.kind == ServiceType::Notify || oneshot;
        if requirement.condition == Condition::Ready && written && !has_readiness {
            let message = format!("'{dependency}' has no readiness probe, so it counts as ready once it is started");
            let help = format!("give [service.{dependency}] a probe.readiness, or wait for \"started\"");
            diagnostics.push(Diagnostic::new(Code::ReadyWithoutProbe, message).at(span).help(help));
        }
        if needed.start == StartType::Disabled && subject.plan.start != StartType::Disabled {
            let message = format!("'{name}' waits for '{dependency}', which is disabled");
            diagnostics.push(
                Diagnostic::new(Code::DependsOnDisabled, message)
                    .at(span)
                    .help("enable it with start = \"auto\" or \"manual\", or take the dependency out"),
            );
        }
    }
}

pub(crate) fn check_cycles(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let services = &context.built.services;
    let graph: order::Graph<'_> = services
        .iter()
        .map(|(name, service)| (name.as_str(), service.depends_on.keys().map(ServiceName::as_str).collect()))
        .collect();
    for cycle in order::cycles(&graph) {
        let place = |pair: &[&str]| context.places.key(&["service", pair[0], "depends_on", pair[1]]);
        let mut links = cycle.windows(2);
        let first = links.next().and_then(place);
        let message = format!("these services wait for each other: {}", cycle.join(" → "));
        let diagnostic = Diagnostic::new(Code::DependencyCycle, message).at(first).label("the circle starts here");
        let diagnostic = links.fold(diagnostic, |diagnostic, pair| {
            diagnostic.related(place(pair), format!("'{}' waits for '{}'", pair[0], pair[1]))
        });
        diagnostics.push(diagnostic.help("take one of these dependencies out"));
    }
}

pub(crate) fn check_alerts(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for (alert, plan) in &context.built.alerts {
        for (index, service) in plan.services.iter().flatten().enumerate() {
            if !context.built.services.contains_key(service) {
                let index = index.to_string();
                let span = context.places.value(&["alert", alert.as_str(), "services", &index]);
                let near = nearest(service.as_str(), context.built.services.keys().map(ServiceName::as_str));
                let help = near.map_or_else(
                    || "name a service of this definition".to_owned(),
                    |near| format!("did you mean '{near}'?"),
                );
                diagnostics.push(
                    Diagnostic::new(Code::UnknownService, format!("there is no service '{service}'"))
                        .at(span)
                        .help(help),
                );
            }
        }
    }
}
