//! Every rule: its code, its severity, and what it is about in one line.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::diagnostic::{Scope, Severity};

/// What is fixed about a rule.
#[derive(Debug)]
pub struct Rule {
    /// Its code.
    pub code: Code,
    /// A name for machines that want one: `unknown-key`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it depends on.
    pub scope: Scope,
    /// One line.
    pub summary: &'static str,
    /// A page: what, why, an example that is wrong and one that is right.
    pub page: &'static str,
}

macro_rules! rules {
    ($($code:ident = $number:literal $name:literal $severity:ident $scope:ident $summary:literal;)+) => {
        /// The code of a rule. Codes are never used again for something else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $summary] $code,)+
        }

        impl Code {
            /// Every rule.
            pub const ALL: &'static [Code] = &[$(Code::$code),+];

            /// `M012`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Code::$code => $number,)+
                }
            }

            /// What is fixed about the rule.
            #[must_use]
            pub const fn rule(self) -> &'static Rule {
                match self {
                    $(Code::$code => &Rule {
                        code: Code::$code,
                        name: $name,
                        severity: Severity::$severity,
                        scope: Scope::$scope,
                        summary: $summary,
                        page: include_str!(concat!("explain/", $number, ".md")),
                    },)+
                }
            }
        }
    };
}

rules! {
    Syntax              = "M001" "syntax"                Error   Definition "The text is not TOML.";
    UnknownKey          = "M002" "unknown-key"           Error   Definition "A key the format does not have.";
    WrongType           = "M003" "wrong-type"            Error   Definition "A value of the wrong type.";
    MissingKey          = "M004" "missing-key"           Error   Definition "A key that must be there is missing.";
    BadDuration         = "M005" "bad-duration"          Error   Definition "A text that is not a duration.";
    BadSize             = "M006" "bad-size"              Error   Definition "A text that is not a size.";
    BadValue            = "M007" "bad-value"             Error   Definition "A value that cannot be.";
    EmptyCommand        = "M008" "empty-command"         Error   Definition "A service or probe without a command to run.";
    BadCommand          = "M009" "bad-command"           Error   Definition "A command that cannot be split into words.";
    UnsetPlaceholder    = "M010" "unset-placeholder"     Error   Definition "A placeholder without a value or a default.";
    BadPlaceholder      = "M011" "bad-placeholder"       Error   Definition "A placeholder that cannot be read.";
    DependencyCycle     = "M012" "dependency-cycle"      Error   Definition "Services that wait for each other.";
    UnknownDependency   = "M013" "unknown-dependency"    Error   Definition "A dependency on a service that is not defined.";
    SelfDependency      = "M014" "self-dependency"       Error   Definition "A service that waits for itself.";
    MissingProgram      = "M015" "missing-program"       Error   Machine    "A program that is not there.";
    NotExecutable       = "M016" "not-executable"        Error   Machine    "A program that cannot be executed.";
    MissingDirectory    = "M017" "missing-directory"     Error   Machine    "A working directory that is not there.";
    EnvFile             = "M018" "env-file"              Error   Definition "An env file that is missing or unreadable.";
    EnvFileLine         = "M019" "env-file-line"         Error   Definition "A line of an env file that cannot be read.";
    UnknownUser         = "M020" "unknown-user"          Error   Machine    "A user this machine does not have.";
    UnknownGroup        = "M021" "unknown-group"         Error   Machine    "A group this machine does not have.";
    ReadyWithoutProbe   = "M022" "ready-without-probe"   Warning Definition "Waiting for `ready` of a service that has no readiness probe.";
    PortClash           = "M023" "port-clash"            Warning Definition "Two services on one port.";
    ProbeTimeout        = "M024" "probe-timeout"         Warning Definition "A probe whose time-out is longer than its interval.";
    StartupWindow       = "M025" "startup-window"        Error   Definition "A start-up window shorter than one interval.";
    BackoffMax          = "M026" "backoff-max"           Error   Definition "A longest wait below the first wait.";
    BreakerWindow       = "M027" "breaker-window"        Warning Definition "A breaker that the back-off keeps from ever opening.";
    RunsAsRoot          = "M028" "runs-as-root"          Warning Machine    "A service that runs as root without need.";
    WorldWritableProgram = "M029" "world-writable-program" Warning Machine  "A program run as root that anybody can change.";
    WorldWritableDefinition = "M030" "world-writable-definition" Warning Machine "A definition carried out as root that anybody can change.";
    PlainSecret         = "M031" "plain-secret"          Warning Definition "A secret written in plain text.";
    RotationWithoutRetention = "M032" "rotation-without-retention" Warning Definition "Logs that are rotated and never deleted.";
    NoHealthProbe       = "M033" "no-health-probe"       Advice  Definition "A daemon without a liveness or readiness probe.";
    FallbackPort        = "M034" "fallback-port"         Warning Definition "A fallback that listens where nobody looks for it.";
    UnreachableRule     = "M035" "unreachable-rule"      Warning Definition "A restart rule that can never apply.";
    Credential          = "M036" "credential"            Error   Definition "A credential that cannot be read.";
    BadName             = "M037" "bad-name"              Error   Definition "A name that cannot be one.";
    DefinedTwice        = "M038" "defined-twice"         Error   Definition "A service, an alert or the guard's name defined in two files of one folder.";
    OneshotDaemonRule   = "M039" "oneshot-daemon-rule"   Error   Definition "A one-shot with a setting for programs that run on.";
    DependsOnDisabled   = "M040" "depends-on-disabled"   Error   Definition "A dependency on a service that never starts.";
    BadSet              = "M041" "bad-set"               Error   Definition "A --set argument that cannot be read.";
    ShellSyntax         = "M042" "shell-syntax"          Warning Definition "Shell syntax in a command: no shell is run.";
    LostBackslash       = "M043" "lost-backslash"        Warning Definition "A backslash that splitting the command takes away.";
    MissingInterpreter  = "M044" "missing-interpreter"   Error   Machine    "A script whose interpreter is not there.";
    ProbeMethod         = "M045" "probe-method"          Error   Definition "A probe that names no method, or several.";
    AlertRoute          = "M046" "alert-route"           Error   Definition "An alert that names no route, or two.";
    NoServices          = "M047" "no-services"           Warning Definition "A definition without services.";
    UnbracedVariable    = "M048" "unbraced-variable"     Warning Definition "`$NAME` without braces, which is not expanded.";
    NeverCompletes      = "M049" "never-completes"       Error   Definition "Waiting for a daemon to complete.";
    ReadableCredential  = "M050" "readable-credential"   Warning Machine    "A credential that everybody can read.";
    StopSignal          = "M051" "stop-signal"           Warning Definition "A stop signal that asks nothing.";
    UnknownRule         = "M052" "unknown-rule"          Warning Definition "`check.allow` names a rule that cannot be allowed.";
    UnknownService      = "M053" "unknown-service"       Error   Definition "An alert about a service that is not defined.";
    NoSuchLog           = "M054" "no-such-log"           Error   Machine    "A place for logs this machine does not have.";
    NotOnThisSystem     = "M055" "not-on-this-system"    Error   Machine    "An option that this kind of system does not have.";
    AccountPassword     = "M056" "account-password"      Error   Machine    "An account without the password it needs, or a password without such an account.";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = String;

    /// Reads `M012`, `m12` or `dependency-cycle`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.trim();
        let number = wanted.strip_prefix(['M', 'm']).and_then(|digits| digits.parse::<u16>().ok());
        let code = Self::ALL.iter().copied().find(|code| {
            let own = code.as_str()[1..].parse::<u16>().ok();
            code.rule().name == wanted || (number.is_some() && own == number)
        });
        code.ok_or_else(|| format!("there is no rule '{wanted}'; `menshen check --explain` lists them"))
    }
}
