//! `[service.NAME.log]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::{self, DurationText};
use crate::size::Size;

/// Where the program's output goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How it is written.
    pub format: LogFormat,
    /// When a new file is begun, and how many are kept.
    pub rotate: Rotate,
    /// Where else it goes.
    pub also: Vec<AlsoLog>,
}

/// How output is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Byte for byte; stdout and stderr in a file each.
    #[default]
    Raw,
    /// The time, the stream (`stdout`, or `stdout+` where the line goes on in the next) and a space before each line; one that is
    /// longer than 64 KiB goes on in the next. The time is when the guard took the line: what was written while none was there has
    /// that of the take-over.
    Text,
    /// One JSON object per line: `time`, `stream`, `text`; `base64` where the text is not UTF-8, `continues` where the line goes
    /// on in the next. The time as with `text`.
    Json,
}

/// When a new log file is begun, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rotate {
    /// A file is closed at this size, when the line it ends with is whole. In `raw` files the next end of a line is looked for
    /// within 64 KiB; a longer line is cut.
    pub size: Size,
    /// A file is closed at this age.
    #[serde(with = "duration")]
    #[schemars(with = "DurationText")]
    pub every: Duration,
    /// How many closed files are kept of each stream. 0 keeps them all, up to `total`.
    pub keep: u32,
    /// How closed files are compressed.
    pub compress: Compression,
    /// All files of the service together take no more than this; the oldest go first. "0B" sets no bound.
    pub total: Size,
}

/// How closed log files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Zstandard.
    #[default]
    Zstd,
    /// gzip.
    Gzip,
    /// Not at all.
    None,
}

/// Where else output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlsoLog {
    /// The systemd journal.
    Journald,
    /// The Windows Event Log.
    Eventlog,
    /// The guard's own stdout, with the service's name before each line.
    Stdout,
}

impl Default for Rotate {
    fn default() -> Self {
        Self {
            size: Size(10 << 20),
            every: Duration::from_secs(86_400),
            keep: 8,
            compress: Compression::default(),
            total: Size(1 << 30),
        }
    }
}
