//! systemd.

use std::fmt;

/// What systemd is asked over D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To read all units again.
    Reload,
    /// To start a unit at boot.
    Enable(String),
    /// Not to start a unit at boot.
    Disable(String),
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reload => formatter.write_str("ask systemd to read its units again (Reload)"),
            Self::Enable(unit) => write!(formatter, "ask systemd to enable {unit} (EnableUnitFiles)"),
            Self::Disable(unit) => write!(formatter, "ask systemd to disable {unit} (DisableUnitFiles)"),
        }
    }
}
