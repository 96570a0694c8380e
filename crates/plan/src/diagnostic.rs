//! What is wrong with a definition: where, why, and what to do.

use serde::Serialize;

use crate::secret::Secrets;
use crate::source::Span;

pub use crate::check::Code;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Advice,
    /// Probably not what was meant; the definition still works.
    Warning,
    /// Cannot work.
    Error,
}

/// What a finding depends on, and with it what `up` does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The text alone: an error refuses the definition everywhere.
    Definition,
    /// This machine: a program that is missing now may be there later (a disk not mounted yet), so `check` calls it an
    /// error but `up` goes on and the one service fails to start, with the reason.
    Machine,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The rule.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What happened: a lower-case fragment.
    pub message: String,
    /// The place the finding is about.
    pub span: Option<Span>,
    /// What to write under that place.
    pub label: Option<String>,
    /// Other places that belong to it, each with its text.
    pub related: Vec<Related>,
    /// What to do.
    pub help: Option<String>,
    /// The service it is about, if it is about that one alone.
    #[serde(skip)]
    pub service: Option<String>,
}

/// A second place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    /// The place.
    pub span: Span,
    /// What to write under it.
    pub label: String,
}

impl Diagnostic {
    /// A finding of a rule, with the rule's own severity.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.rule().severity,
            message: message.into(),
            span: None,
            label: None,
            related: Vec::new(),
            help: None,
            service: None,
        }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into();
        self
    }

    /// Says what to write under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Option<Span>, label: impl Into<String>) -> Self {
        if let Some(span) = span {
            self.related.push(Related { span, label: label.into() });
        }
        self
    }

    /// Takes secrets out of everything it says; it is shown, logged and sent to places that read findings.
    pub(crate) fn mask(&mut self, secrets: &Secrets) {
        let texts = [Some(&mut self.message), self.label.as_mut(), self.help.as_mut()].into_iter().flatten();
        for text in texts.chain(self.related.iter_mut().map(|related| &mut related.label)) {
            if secrets.is_in(text) {
                *text = secrets.mask(text);
            }
        }
    }

    /// Whether this finding alone refuses the definition.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.severity == Severity::Error && self.code.rule().scope == Scope::Definition
    }
}
