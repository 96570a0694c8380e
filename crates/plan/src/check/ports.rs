//! Which service listens where.

use std::collections::BTreeMap;

use crate::build::listened_ports;
use crate::check::{Code, Context, Subject};
use crate::definition::{ProbeKind, StartType};
use crate::diagnostic::Diagnostic;
use crate::plan::ProbeCheck;
use crate::ports::{listened_by, local_port, url_target};
use crate::source::Span;

pub(crate) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut first: BTreeMap<u16, Subject<'_>> = BTreeMap::new();
    for subject in context.services().filter(|subject| subject.plan.start != StartType::Disabled) {
        for port in listened_ports(&subject.plan.command, &subject.plan.probes) {
            let Some(other) = first.get(&port) else {
                first.insert(port, subject);
                continue;
            };
            let message = format!("'{}' and '{}' both use port {port}", other.name, subject.name);
            let diagnostic =
                Diagnostic::new(Code::PortClash, message).at(place(&subject, port)).label(format!("port {port} here"));
            diagnostics.push(diagnostic.related(place(other, port), "and here").help("give each its own port"));
        }
        check_fallback(&subject, diagnostics);
    }
}

/// Where a service names a port.
fn place(subject: &Subject<'_>, port: u16) -> Option<Span> {
    if listened_by(&subject.plan.command).contains(&port) {
        return subject.value(&["command"]);
    }
    let named = ProbeKind::ALL.into_iter().find_map(|kind| {
        let (key, target) = match &subject.plan.probes.get(kind)?.check {
            ProbeCheck::Http(http) => ("http", url_target(&http.url)?),
            ProbeCheck::Tcp(target) => ("tcp", target.clone()),
            ProbeCheck::Grpc { target, .. } => ("grpc", target.clone()),
            ProbeCheck::Exec(_) | ProbeCheck::Notify | ProbeCheck::File { .. } | ProbeCheck::Log(_) => return None,
        };
        (local_port(&target) == Some(port)).then(|| subject.value(&["probe", kind.as_str(), key]))
    });
    named.unwrap_or_else(|| subject.key(&[]))
}

fn check_fallback(subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(fallback) = &subject.plan.breaker.fallback else { return };
    let service = listened_ports(&subject.plan.command, &subject.plan.probes);
    let fallback = listened_by(&fallback.command);
    if let (Some(own), Some(theirs)) = (service.first(), fallback.first())
        && service.is_disjoint(&fallback)
    {
        let message =
            format!("the fallback listens on port {theirs}, but callers of '{}' look for it on {own}", subject.name);
        let help = "let it listen on the service's port; it then makes way before a trial starts";
        diagnostics
            .push(Diagnostic::new(Code::FallbackPort, message).at(subject.value(&["breaker", "fallback"])).help(help));
    }
}
