//! Signals by name, the same on every platform.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::decode::TextKind;

macro_rules! signals {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// A signal. Which number it has is the operating system's business.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Signal {
            $(#[doc = concat!("`SIG", $name, "`.")] $variant,)+
            /// `SIGRTMIN+n`.
            Realtime(u8),
        }

        impl Signal {
            /// Every signal that has a name of its own.
            pub const NAMED: &'static [Signal] = &[$(Signal::$variant),+];

            fn short_name(self) -> Option<&'static str> {
                match self {
                    $(Signal::$variant => Some($name),)+
                    Signal::Realtime(_) => None,
                }
            }
        }
    };
}

signals! {
    Hup = "HUP", Int = "INT", Quit = "QUIT", Ill = "ILL", Trap = "TRAP", Abrt = "ABRT", Bus = "BUS", Fpe = "FPE", Kill = "KILL",
    Usr1 = "USR1", Segv = "SEGV", Usr2 = "USR2", Pipe = "PIPE", Alrm = "ALRM", Term = "TERM", Stkflt = "STKFLT", Chld = "CHLD",
    Cont = "CONT", Stop = "STOP", Tstp = "TSTP", Ttin = "TTIN", Ttou = "TTOU", Urg = "URG", Xcpu = "XCPU", Xfsz = "XFSZ",
    Vtalrm = "VTALRM", Prof = "PROF", Winch = "WINCH", Io = "IO", Pwr = "PWR", Sys = "SYS",
}

/// The highest `n` of `SIGRTMIN+n`.
pub const REALTIME_MAX: u8 = 30;

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is not a signal; write a name such as SIGTERM, SIGHUP or SIGRTMIN+3")]
pub struct UnknownSignal(pub String);

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(signal) = Self::NAMED.iter().find(|signal| signal.short_name() == Some(name)) {
            return Ok(*signal);
        }
        let offset = match name.strip_prefix("RTMIN") {
            Some("") => Some(0),
            Some(plus) => plus.strip_prefix('+').and_then(|number| number.parse().ok()),
            None => None,
        };
        offset
            .filter(|number| *number <= REALTIME_MAX)
            .map(Self::Realtime)
            .ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.short_name(), self) {
            (Some(name), _) => write!(formatter, "SIG{name}"),
            (None, Self::Realtime(offset)) => write!(formatter, "SIGRTMIN+{offset}"),
            (None, other) => write!(formatter, "{other:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::decode::parsed_text(deserializer, &TextKind::SIGNAL, str::parse)
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Signal {
    fn schema_name() -> Cow<'static, str> {
        "Signal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A signal by name, with or without SIG; SIGRTMIN+n for real-time signals.",
            "examples": ["SIGTERM", "SIGHUP", "SIGRTMIN+3"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_reads_its_own_name_back() {
        for signal in Signal::NAMED.iter().copied().chain((0..=REALTIME_MAX).map(Signal::Realtime)) {
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn a_name_may_lack_sig_and_be_lower_case() {
        assert_eq!("term".parse(), Ok(Signal::Term));
        assert_eq!(" SigHup ".parse(), Ok(Signal::Hup));
    }

    #[test]
    fn what_names_no_signal_is_refused() {
        for text in ["", "SIG", "SIGFOO", "RTMIN+31", "RTMIN-1", "15"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }
}
