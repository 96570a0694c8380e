//! `check.allow`: findings that are known and accepted.

use crate::build::Places;
use crate::check::Code;
use crate::definition::Check;
use crate::diagnostic::{Diagnostic, Severity};

/// Takes out what the definition allows. Errors stay, and a code that cannot be allowed is itself a finding.
pub(crate) fn apply_allowances(check: &Check, places: &Places<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut allowed = Vec::new();
    for (index, text) in check.allow.iter().enumerate() {
        let index = index.to_string();
        let span = places.value(&["check", "allow", &index]);
        match text.parse::<Code>() {
            Ok(code) if code.rule().severity < Severity::Error => allowed.push(code),
            Ok(code) => {
                let message = format!("{code} is an error and cannot be allowed");
                diagnostics.push(
                    Diagnostic::new(Code::UnknownRule, message).at(span).help("take it out, and mend what it reports"),
                );
            }
            Err(message) => diagnostics.push(Diagnostic::new(Code::UnknownRule, message).at(span)),
        }
    }
    diagnostics.retain(|diagnostic| !allowed.contains(&diagnostic.code));
}
