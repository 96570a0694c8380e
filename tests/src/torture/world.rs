//! The definition under torture: more than ten services, each there for something.

use std::fmt::Write as _;
use std::path::Path;

/// What a service is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It runs on, whatever happens: started once, and never again.
    Steady,
    /// It dies at times, by itself and by the campaign's hand, and is started again each time.
    Mortal,
    /// It is started, stopped and restarted by commands, and dies of nothing else.
    Commanded,
    /// It is started by commands, does one thing and ends.
    Errand,
    /// It runs on and is paused at times: started once, and never again.
    Paused,
    /// It dies by itself, and waits for its next start longer than most guards live.
    Patient,
    /// It dies by itself whenever it is tried, and its breaker is open for twice as long each time.
    Fused,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Raw,
    Text,
    Json,
}

impl Format {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// One service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cast {
    pub name: &'static str,
    pub part: Part,
    /// What the program is told; see `chronicler`.
    program: &'static str,
    /// More of its definition.
    more: &'static str,
    /// How its log is written.
    pub format: Format,
    /// Whether every line it wrote is kept.
    pub keeps_all: bool,
}

const NO_WAIT: &str = "restart = { delay = \"20ms\", max = \"20ms\", jitter = 0.0 }\nbreaker.failures = 0\n";
/// [`Part::Patient`] waits so long.
pub(super) const PATIENCE_MS: u64 = 1500;
const PATIENT: &str = "restart = { delay = \"1500ms\", max = \"1500ms\", jitter = 0.0 }\nbreaker.failures = 0\n";
/// The breaker of [`Part::Fused`] opens after so many failures, for so long the first time.
pub(super) const FAILURES: u64 = 3;
pub(super) const OPEN_FOR_MS: u64 = 200;
/// What stands in while it is open.
pub(super) const FALLBACK: &str = "sleep 3599";
const FUSED: &str = "restart = { delay = \"20ms\", max = \"20ms\", jitter = 0.0 }\nbreaker = { failures = 3, within = \"1d\", \
                     open_for = \"200ms\", max_open = \"1d\", close_after = \"1h\", fallback = { command = \"sleep 3599\" } }\n";
const KEEP_ALL: &str = "log.rotate = { size = \"64KiB\", keep = 0, total = \"0B\" }\n";
const KEEP_ALL_GZIP: &str = "log.rotate = { size = \"48KiB\", keep = 0, total = \"0B\", compress = \"gzip\" }\n";
/// Little of its log is kept, and it takes a signal for a reload that ends no program.
const BROOK: &str = "log.rotate = { size = \"4KiB\", keep = 2 }\nreload.signal = \"SIGURG\"\n";
const ONCE: &str =
    "type = \"oneshot\"\nstart = \"manual\"\nrestart = { delay = \"20ms\", max = \"20ms\" }\nbreaker.failures = 0\n";

/// All of them.
pub(super) const CAST: [Cast; 13] = [
    Cast { name: "rock", part: Part::Steady, program: "child", more: "", format: Format::Raw, keeps_all: true },
    Cast { name: "brook", part: Part::Steady, program: "", more: BROOK, format: Format::Raw, keeps_all: false },
    Cast { name: "sloth", part: Part::Paused, program: "child", more: "", format: Format::Text, keeps_all: true },
    Cast {
        name: "snail",
        part: Part::Patient,
        program: "lives=50-200 codes=1",
        more: PATIENT,
        format: Format::Raw,
        keeps_all: true,
    },
    Cast {
        name: "fuse",
        part: Part::Fused,
        program: "lives=20-100 codes=1",
        more: FUSED,
        format: Format::Json,
        keeps_all: true,
    },
    Cast {
        name: "mayfly",
        part: Part::Mortal,
        program: "lives=50-400 codes=1,0,3 halting",
        more: NO_WAIT,
        format: Format::Json,
        keeps_all: true,
    },
    Cast {
        name: "moth",
        part: Part::Mortal,
        program: "lives=300-2000 codes=7 child",
        more: NO_WAIT,
        format: Format::Raw,
        keeps_all: true,
    },
    Cast {
        name: "mouse",
        part: Part::Mortal,
        program: "lives=1000-9000 codes=0 halting",
        more: NO_WAIT,
        format: Format::Text,
        keeps_all: true,
    },
    Cast {
        name: "servant",
        part: Part::Commanded,
        program: "halting",
        more: "",
        format: Format::Json,
        keeps_all: true,
    },
    Cast { name: "steward", part: Part::Commanded, program: "child", more: "", format: Format::Raw, keeps_all: true },
    Cast {
        name: "mule",
        part: Part::Commanded,
        program: "child deaf",
        more: "stop.timeout = \"100ms\"\n",
        format: Format::Text,
        keeps_all: true,
    },
    Cast {
        name: "errand",
        part: Part::Errand,
        program: "lives=20-300 codes=0",
        more: ONCE,
        format: Format::Raw,
        keeps_all: true,
    },
    Cast {
        name: "quest",
        part: Part::Errand,
        program: "lives=20-300 codes=9",
        more: "type = \"oneshot\"\nstart = \"manual\"\nrestart = { delay = \"20ms\", max = \"20ms\", on_exit = { 9 = \"stop\" } }\nbreaker.failures = 0\n",
        format: Format::Json,
        keeps_all: true,
    },
];

/// A service that comes into the definition and leaves it. Its log is not looked at: a guard that finds it running, and not in
/// the definition, writes what comes as it is, and a line may begin in a file of the one format and end in one of the other.
pub(super) const GUEST: Cast =
    Cast { name: "guest", part: Part::Commanded, program: "halting", more: "", format: Format::Json, keeps_all: true };

/// The services of a part.
pub(super) fn of(part: Part) -> impl Iterator<Item = &'static Cast> {
    CAST.iter().filter(move |cast| cast.part == part)
}

/// The definition, with the guest or without.
pub(super) fn definition(chronicler: &Path, folder: &Path, with_guest: bool) -> String {
    let mut text = String::new();
    for cast in CAST.iter().chain(with_guest.then_some(&GUEST)) {
        let words = [chronicler.display().to_string(), folder.display().to_string(), cast.name.to_owned()];
        let words = words.into_iter().chain(cast.program.split_whitespace().map(str::to_owned));
        let words = serde_json::Value::from(words.collect::<Vec<_>>());
        let log = match cast.name {
            "brook" => "",
            "moth" => KEEP_ALL_GZIP,
            _ => KEEP_ALL,
        };
        // Writing to memory cannot fail.
        let _ = write!(text, "\n[service.{}]\ncommand = {words}\n{}{log}", cast.name, cast.more);
        let _ = writeln!(text, "log.format = \"{}\"", cast.format.as_str());
    }
    text
}
