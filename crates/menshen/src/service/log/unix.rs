//! journald.

use std::io;

use super::{AnyLayer, Origin, ServiceName};

/// The log of whoever started the program; `None` where that is stderr.
pub(super) fn native(name: &ServiceName, origin: Origin) -> io::Result<Option<AnyLayer>> {
    match origin {
        // stderr leads to journald where this is set (systemd.exec(5)), and somewhere else where somebody wanted it so.
        Origin::Systemd if std::env::var_os("JOURNAL_STREAM").is_some() => {
            let layer = tracing_journald::layer()?.with_syslog_identifier(name.to_string());
            Ok(Some(Box::new(layer)))
        }
        Origin::Systemd | Origin::Interactive | Origin::Notified | Origin::Launchd | Origin::Scm | Origin::First => {
            Ok(None)
        }
    }
}
