//! From one version of the guard to the next: what the next one is asked before, and what it is given.
//!
//! The guard starts the next version with its own command line and asks it, by a variable of its environment, whether it could
//! go on from here. Then it executes it in its own place, and the variable names the descriptor of a [`Handover`]; where the next
//! version is another process, that is in a note, which stays there until it guards. All of it belongs to a format that versions
//! share: it grows by fields that may be left out, and anything else is another format.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

use menshen_os::file::{Durability, replace};
use menshen_os::handover::{Kept, take, take_bytes};
use menshen_os::holder::HeldProcess;
use menshen_os::output::Descriptor;
use menshen_os::paths::Paths;
use menshen_os::service_manager::VARIABLES;
use menshen_plan::{Layer, Plan, Source};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::GuardError;
use crate::definition::DefinitionSource;

/// The variable by which a guard speaks to the version that is to follow it. No program of a service sees it.
pub(crate) const VARIABLE: &str = "MENSHEN_TAKEOVER";
/// What it begins with where a guard hands over; all else is a question.
const FROM: &str = "from:";
/// What the next version says last if it can go on.
pub const WILLING: &str = "{\"takeover\":1}";
/// The format of what is handed over.
const FORMAT: u32 = 1;

/// What the version before wants of this one.
#[derive(Debug)]
pub enum Takeover {
    /// To say whether it could go on.
    Question(Question),
    /// To go on.
    Begin(Box<Handover>),
}

/// What is asked before an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    format: u32,
    instance: String,
}

/// What one version gives the next: numbers are those of descriptors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handover {
    pub(crate) format: u32,
    /// The number of the event that tells of the upgrade.
    pub(crate) id: u64,
    /// The version before.
    pub(crate) from: String,
    pub(crate) binary: String,
    pub(crate) by: String,
    /// The binary could not take over, for this reason; this is the version before.
    pub(crate) failure: Option<String>,
    pub(crate) lock: Option<i32>,
    /// The lock of what is remembered. Versions before had none.
    #[serde(default)]
    pub(crate) memory_lock: Option<i32>,
    pub(crate) control: Option<i32>,
    /// The process that held for the version before.
    #[serde(default)]
    pub(crate) holder: Option<i32>,
    pub(crate) services: BTreeMap<String, OfService>,
    /// Main processes that are not this one's children.
    #[serde(default)]
    pub(crate) strangers: Vec<Stranger>,
    /// What the version before followed at last: the texts of the definition, layer by layer. Who does not give it lets the next
    /// one begin only if the definition on disk can be followed.
    #[serde(default)]
    pub(crate) definition: Vec<Vec<Text>>,
}

/// A text of a definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Text {
    name: String,
    text: String,
}

/// A handover to another process.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The boot during which it was written; later it means nothing.
    boot: String,
    handover: Handover,
}

/// What is handed over of a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OfService {
    /// Its notify socket.
    pub(crate) notify: Option<i32>,
    /// What its program left for its next start.
    pub(crate) descriptors: Vec<(String, i32)>,
}

/// A process of which nothing but this descriptor tells how it ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stranger {
    place: u64,
    run: u64,
    pid: u32,
    descriptor: i32,
}

impl Stranger {
    pub(crate) const fn new(HeldProcess { place, run, pid }: HeldProcess, descriptor: i32) -> Self {
        Self { place, run, pid, descriptor }
    }

    fn open(&self) -> Option<(HeldProcess, Kept)> {
        let Self { place, run, pid, descriptor } = *self;
        Some((HeldProcess { place, run, pid }, take(descriptor).ok()?))
    }
}

/// What was handed over, opened.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) lock: Option<Kept>,
    pub(crate) memory_lock: Option<Kept>,
    pub(crate) control: Option<Kept>,
    pub(crate) holder: Option<Kept>,
    pub(crate) services: BTreeMap<String, InheritedOfService>,
    pub(crate) strangers: Vec<(HeldProcess, Kept)>,
}

/// The same of a service.
#[derive(Debug, Default)]
pub(crate) struct InheritedOfService {
    pub(crate) notify: Option<Kept>,
    pub(crate) descriptors: Vec<(String, Arc<Descriptor>)>,
}

/// Why this version cannot go on.
#[derive(Debug, Error)]
pub enum TakeoverError {
    /// The version before speaks otherwise.
    #[error("this version does not know how to take over from that one (format {found}, known is {FORMAT})")]
    OtherFormat {
        /// Its format.
        found: u32,
    },
    /// What it said cannot be read.
    #[error("what is to be taken over cannot be read: {0}")]
    Unreadable(String),
    /// The definition names another guard.
    #[error("the definition on disk is that of a guard named '{named}', and '{running}' is to be upgraded")]
    OtherGuard {
        /// What the definition says.
        named: String,
        /// Who asks.
        running: String,
    },
    /// What is kept cannot be used.
    #[error(transparent)]
    State(#[from] GuardError),
}

impl Takeover {
    /// Whether the version before reads along, and waits for an answer.
    #[must_use]
    pub fn is_asked() -> bool {
        std::env::var_os(VARIABLE).is_some_and(|said| !said.to_string_lossy().starts_with(FROM))
    }

    /// What the version before wants; `None` if there was none.
    ///
    /// # Errors
    /// When it speaks in a way this one does not know.
    pub fn from_environment() -> Result<Option<Self>, TakeoverError> {
        let unreadable = |error: &dyn std::fmt::Display| TakeoverError::Unreadable(error.to_string());
        let Some(said) = std::env::var_os(VARIABLE) else { return Ok(None) };
        let said = said.to_string_lossy();
        if let Some(number) = said.strip_prefix(FROM) {
            let number = number.parse().map_err(|error| unreadable(&error))?;
            let bytes = take_bytes(number).map_err(|error| unreadable(&error))?;
            let handover: Handover = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
            return known(handover.format).map(|()| Some(Self::Begin(Box::new(handover))));
        }
        serde_json::from_str(&said).map(|question| Some(Self::Question(question))).map_err(|error| unreadable(&error))
    }
}

impl Question {
    pub(crate) fn new(instance: &str) -> Self {
        Self { format: FORMAT, instance: instance.to_owned() }
    }

    /// Whether this version can go on in the place of the one that asks. Nothing is changed.
    ///
    /// # Errors
    /// Why not.
    pub fn answer(&self, plan: &Plan, paths: &Paths) -> Result<(), TakeoverError> {
        known(self.format)?;
        if plan.name.as_str() != self.instance {
            let (named, running) = (plan.name.to_string(), self.instance.clone());
            return Err(TakeoverError::OtherGuard { named, running });
        }
        crate::guard::recall(&paths.memory(&self.instance)).map(drop).map_err(TakeoverError::State)
    }
}

const fn known(format: u32) -> Result<(), TakeoverError> {
    if format == FORMAT { Ok(()) } else { Err(TakeoverError::OtherFormat { found: format }) }
}

impl Handover {
    /// An upgrade of which nothing is kept yet.
    pub(crate) fn new(id: u64, binary: String, by: String) -> Self {
        Self {
            format: FORMAT,
            id,
            from: env!("CARGO_PKG_VERSION").to_owned(),
            binary,
            by,
            failure: None,
            lock: None,
            memory_lock: None,
            control: None,
            holder: None,
            services: BTreeMap::new(),
            strangers: Vec::new(),
            definition: Vec::new(),
        }
    }

    /// The same with what is followed.
    pub(crate) fn following(mut self, plan: &Plan) -> Self {
        let text = |source: &Source| Text { name: source.name.clone(), text: source.text.clone() };
        self.definition = plan.texts.iter().map(|layer| layer.files.iter().map(text).collect()).collect();
        self
    }

    /// What the version before followed at last, if it has given it and this version can follow it.
    #[must_use]
    pub fn followed(&self, source: &DefinitionSource) -> Option<Plan> {
        // One that gave none is of an earlier version: that is no definition without services.
        if self.definition.is_empty() {
            return None;
        }
        let file = |text: &Text| Source { name: text.name.clone(), text: text.text.clone() };
        let layers = self.definition.iter().map(|files| Layer { files: files.iter().map(file).collect() });
        source.load_texts(layers.collect()).ok()?.plan
    }

    /// Notes it for the next version, where that is another process.
    pub(crate) fn leave(&self, note: &Path) -> io::Result<()> {
        let left = Note { boot: menshen_os::clock::boot_id(), handover: self.clone() };
        replace(note, &serde_json::to_vec(&left)?, Durability::Guard)
    }

    /// What the version before noted for this one. Anything else that is there is nothing to go by.
    pub(crate) fn left(note: &Path) -> Option<Self> {
        let Note { boot, handover } = serde_json::from_slice(&std::fs::read(note).ok()?).ok()?;
        (boot == menshen_os::clock::boot_id() && known(handover.format).is_ok()).then_some(handover)
    }

    /// Opens what was handed over. What is not there is made anew, as after a guard that was killed.
    pub(crate) fn open(&self) -> Inherited {
        let opened = |number: Option<i32>| number.and_then(|number| take(number).ok());
        let descriptor = |(name, number): &(String, i32)| {
            take(*number).ok().map(|descriptor| (name.clone(), Arc::new(Descriptor::from(descriptor))))
        };
        let of_service = |(name, of_service): (&String, &OfService)| {
            let descriptors = of_service.descriptors.iter().filter_map(descriptor).collect();
            (name.clone(), InheritedOfService { notify: opened(of_service.notify), descriptors })
        };
        Inherited {
            lock: opened(self.lock),
            memory_lock: opened(self.memory_lock),
            control: opened(self.control),
            holder: opened(self.holder),
            services: self.services.iter().map(of_service).collect(),
            strangers: self.strangers.iter().filter_map(Stranger::open).collect(),
        }
    }
}

/// Has the version before, which is to guard again, say of the one that should have followed it why it could not.
///
/// # Errors
/// When that cannot be noted.
pub fn note_failure(paths: &Paths, instance: &str, why: String) -> io::Result<()> {
    let note = paths.handover(instance);
    match Handover::left(&note) {
        Some(handover) => Handover { failure: Some(why), ..handover }.leave(&note),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The environment of the guard, with what it has to say to the next version instead of what was said to itself.
pub(crate) fn environment(said: OsString) -> Vec<(OsString, OsString)> {
    let own = std::env::vars_os().filter(|(name, _)| name != VARIABLE);
    own.chain([(VARIABLE.into(), said)]).collect()
}

/// The environment the guard was started with, for commands that run as itself: without what a version before or a service
/// manager says to the guard alone.
pub fn own_environment() -> impl Iterator<Item = (OsString, OsString)> {
    let is_others = |name: &OsString| name != VARIABLE && VARIABLES.iter().all(|told| name != told);
    menshen_os::host::variables().filter(move |(name, _)| is_others(name))
}

/// What asks the next version.
pub(crate) fn question(instance: &str) -> OsString {
    serde_json::to_string(&Question::new(instance)).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_format_said_is_understood() {
        let question: Question = serde_json::from_str(r#"{"format":1,"instance":"shop"}"#).unwrap();
        assert_eq!(question, Question::new("shop"));
        let given = r#"{"format":1,"id":7,"from":"0.1.0","binary":"/usr/bin/menshen","by":"root (pid 1)","failure":null,
            "lock":5,"control":6,"services":{"web":{"notify":7,"descriptors":[["listen",8]]}},"later":"unknown"}"#;
        let handover: Handover = serde_json::from_str(given).unwrap();
        assert_eq!((handover.id, handover.lock, handover.services["web"].notify), (7, Some(5), Some(7)));
        assert_eq!(handover.memory_lock, None, "the lock of what is remembered came later");
        assert_eq!(handover.services["web"].descriptors, [("listen".to_owned(), 8)]);
        // It gave no definition, which is not one without services.
        let source = DefinitionSource {
            path: "/etc/menshen".into(),
            text: None,
            profile: None,
            settings: Vec::new(),
            environment: BTreeMap::new(),
            only: Vec::new(),
        };
        assert!(handover.followed(&source).is_none());
        assert!(handover.strangers.is_empty());
    }

    #[test]
    fn what_is_noted_is_found_until_the_next_boot() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::below(folder.path());
        std::fs::create_dir_all(paths.pipes("shop")).unwrap();
        let note = paths.handover("shop");
        assert!(Handover::left(&note).is_none() && note_failure(&paths, "shop", String::new()).is_err());
        Handover::new(7, "next".to_owned(), "root".to_owned()).leave(&note).unwrap();
        note_failure(&paths, "shop", "it fell".to_owned()).unwrap();
        let left = Handover::left(&note).unwrap();
        assert_eq!((left.id, left.failure.as_deref()), (7, Some("it fell")));
        let of_yesterday = Note { boot: "yesterday".to_owned(), handover: left };
        std::fs::write(&note, serde_json::to_vec(&of_yesterday).unwrap()).unwrap();
        assert!(Handover::left(&note).is_none());
    }

    #[test]
    fn another_format_or_another_guard_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::of_caller(Some(home.path()), &|_| None);
        let source = DefinitionSource {
            path: home.path().to_owned(),
            text: Some("[guard]\nname = \"shop\"\n[service.web]\ncommand = \"true\"\n".to_owned()),
            profile: None,
            settings: Vec::new(),
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            only: Vec::new(),
        };
        let plan = source.load().unwrap().plan.unwrap();
        assert!(Question::new("shop").answer(&plan, &paths).is_ok());
        assert!(matches!(Question::new("store").answer(&plan, &paths), Err(TakeoverError::OtherGuard { .. })));
        let newer = Question { format: FORMAT + 1, ..Question::new("shop") };
        assert!(matches!(newer.answer(&plan, &paths), Err(TakeoverError::OtherFormat { .. })));
    }
}
