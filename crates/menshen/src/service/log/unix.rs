//! journald.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::{AnyLayer, Origin, ServiceName};

/// The log of whoever started the program; `None` where that is stderr.
pub(super) fn native(name: &ServiceName, origin: Origin) -> io::Result<Option<AnyLayer>> {
    match origin {
        Origin::Systemd if leads_to_journald() => {
            let layer = tracing_journald::layer()?.with_syslog_identifier(name.to_string());
            Ok(Some(Box::new(layer)))
        }
        Origin::Systemd | Origin::Interactive | Origin::Notified | Origin::Launchd | Origin::Scm | Origin::First => {
            Ok(None)
        }
    }
}

/// Whether stderr is the stream to journald that systemd opened, whose device and inode it names; somebody may have led it
/// elsewhere. See `JOURNAL_STREAM` in systemd.exec(5).
fn leads_to_journald() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = fs::metadata("/dev/stderr").map(|stderr| format!("{}:{}", stderr.dev(), stderr.ino()));
    stderr.is_ok_and(|stderr| stderr == stream)
}
