//! The definition under torture: ten services, each there for something.

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
const KEEP_ALL: &str = "log.rotate = { size = \"64KiB\", keep = 0, total = \"0B\" }\n";
const KEEP_ALL_GZIP: &str = "log.rotate = { size = \"48KiB\", keep = 0, total = \"0B\", compress = \"gzip\" }\n";
const KEEP_FEW: &str = "log.rotate = { size = \"4KiB\", keep = 2 }\n";
const ONCE: &str =
    "type = \"oneshot\"\nstart = \"manual\"\nrestart = { delay = \"20ms\", max = \"20ms\" }\nbreaker.failures = 0\n";

/// All of them.
pub(super) const CAST: [Cast; 10] = [
    Cast { name: "rock", part: Part::Steady, program: "child", more: "", format: Format::Raw, keeps_all: true },
    Cast { name: "brook", part: Part::Steady, program: "", more: KEEP_FEW, format: Format::Raw, keeps_all: false },
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

/// A service that comes into the definition and leaves it.
pub(super) const GUEST: Cast =
    Cast { name: "guest", part: Part::Commanded, program: "", more: "", format: Format::Raw, keeps_all: true };

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
