//! Errors as RFC 9457 problems, each with a stable code.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])+ $code:ident = $status:literal $title:literal;)+) => {
        /// What went wrong, for programs. Codes are never given another meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode {
            $($(#[$doc])+ $code,)+
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            /// The HTTP status it comes with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$code => $status,)+
                }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$code => $title,)+
                }
            }
        }
    };
}

codes! {
    /// The request cannot be read.
    BadRequest = 400 "The request cannot be read";
    /// The caller may not do this.
    NotPermitted = 403 "Not permitted";
    /// There is nothing at this path.
    NotFound = 404 "Nothing here";
    /// There is no such service.
    NoSuchService = 404 "No such service";
    /// The path does not take this method.
    MethodNotAllowed = 405 "Not with this method";
    /// The service is disabled in the definition.
    Disabled = 409 "The service is disabled";
    /// The service is not running.
    NotRunning = 409 "The service is not running";
    /// The service is not paused.
    NotPaused = 409 "The service is not paused";
    /// The definition names no reload signal.
    NoReloadSignal = 409 "No reload signal";
    /// What was waited for cannot come any more.
    WaitFailed = 409 "What was waited for did not come";
    /// The idempotency key was used for something else.
    IdempotencyMismatch = 409 "The idempotency key was used for something else";
    /// The body is larger than it may be.
    TooLarge = 413 "Too large";
    /// The new definition cannot be used.
    DefinitionRefused = 422 "The definition is refused";
    /// The binary cannot take the guard's place.
    UpgradeRefused = 422 "The upgrade is refused";
    /// Something went wrong in the guard.
    Internal = 500 "Something went wrong in the guard";
    /// The guard is shutting down.
    ShuttingDown = 503 "The guard is shutting down";
    /// The guard has too much to do.
    Busy = 503 "The guard is busy";
    /// What was waited for did not come in time.
    WaitTimeout = 504 "What was waited for did not come in time";
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `about:blank`: the code tells what kind it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means, in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// What went wrong, for programs.
    pub code: ProblemCode,
}

impl Problem {
    /// A problem with what happened.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_as_the_standard_wants_it() {
        let problem = Problem::new(ProblemCode::NoSuchService, "there is no service 'x'");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "type": "about:blank", "title": "No such service", "status": 404, "detail": "there is no service 'x'", "code": "no_such_service" })
        );
    }
}
