//! Who gives commands to a guard that may die at any moment, and remembers what may follow from each.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use menshen_api::client::Call;
use menshen_api::types::{Event, EventList, EventQuery, Service, SignalRequest, UpgradeRequest, Upgrading};
use menshen_api::{Client, ClientError, Endpoint};
use menshen_os::local_socket;
use tokio::runtime::Runtime;

use super::notes::Notes;
use crate::Bed;

/// A guard that lives answers sooner.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What became of a call.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    /// It was answered, which is a promise.
    Answered(T),
    /// It was refused; nothing was done.
    Refused(String),
    /// Nobody listened; nothing was done.
    Unheard,
    /// The guard died over it. It may have been done.
    Unclear,
}

/// What the commands given to a service may come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Commands that were answered, and those that may have been taken besides.
    pub answered: u64,
    pub unclear: u64,
    /// The most starts that commands have asked for.
    pub starts_max: u64,
    /// The last answered word, and nothing unclear after it: whether it is to run.
    pub wanted: Option<bool>,
    /// Since the last answered word it must have begun a life after this one.
    pub life_after: u64,
    /// The starts there had been when everything was last looked at.
    pub starts_before: u64,
    /// Commands until then, answered and not.
    pub settled: u64,
    pub doubted: u64,
}

/// What can be asked of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
    Pause,
    Continue,
    Reset,
    Reload,
    Signal,
}

impl Verb {
    /// What the service is wanted to do then: to run, or not to; `None` if that stays as it was.
    const fn wants(self) -> Option<bool> {
        match self {
            Self::Start | Self::Restart | Self::Continue => Some(true),
            Self::Stop | Self::Pause => Some(false),
            Self::Reset | Self::Reload | Self::Signal => None,
        }
    }

    const fn endpoint(self) -> Endpoint {
        match self {
            Self::Start => Endpoint::StartService,
            Self::Stop => Endpoint::StopService,
            Self::Restart => Endpoint::RestartService,
            Self::Pause => Endpoint::PauseService,
            Self::Continue => Endpoint::ContinueService,
            Self::Reset => Endpoint::ResetService,
            Self::Reload => Endpoint::ReloadService,
            Self::Signal => Endpoint::SignalService,
        }
    }
}

/// A signal that ends no program which knows nothing of it.
const HARMLESS: &str = "SIGURG";

/// Gives commands.
pub(super) struct Operator {
    runtime: Runtime,
    client: Client,
    pub ledgers: BTreeMap<&'static str, Ledger>,
}

impl Operator {
    pub(super) fn of(bed: &Bed) -> Self {
        let socket = menshen_os::paths::Paths::below(&bed.home()).control(bed.instance());
        let client = Client::new(bed.instance(), move || {
            let socket = socket.clone();
            async move { local_socket::connect(&socket).await }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client, ledgers: BTreeMap::new() }
    }

    /// Gives a command, and enters what may follow from it.
    pub(super) fn command(&mut self, name: &'static str, verb: Verb, notes: &Notes) -> Outcome<Service> {
        let call = Call::about(verb.endpoint(), name);
        let signal = SignalRequest { signal: HARMLESS.to_owned() };
        let call = if verb == Verb::Signal { call.body(&signal).unwrap() } else { call };
        let outcome = self.call::<Service>(&call);
        let ledger = self.ledgers.entry(name).or_default();
        match outcome {
            Outcome::Answered(_) => {
                ledger.answered += 1;
                // What runs already, or is about to, is not started once more.
                let has_ended = notes.last().is_none_or(|life| life.code.is_some());
                let is_started = verb == Verb::Start && (has_ended || ledger.wanted != Some(true));
                ledger.starts_max += u64::from(verb == Verb::Restart || is_started);
                let was_down = ledger.wanted == Some(false);
                ledger.wanted = verb.wants().or(ledger.wanted);
                if verb == Verb::Restart || (verb == Verb::Start && was_down) {
                    ledger.life_after = notes.starts();
                }
            }
            Outcome::Unclear => {
                ledger.unclear += 1;
                // A stop may have been begun and not noted: the program's death is then one like any other.
                ledger.starts_max += 1;
                let same = verb.wants().is_none() || ledger.wanted == verb.wants();
                ledger.wanted = ledger.wanted.filter(|_| same);
            }
            Outcome::Refused(_) | Outcome::Unheard => {}
        }
        outcome
    }

    /// A service as the guard sees it.
    pub(super) fn service(&self, name: &str) -> Outcome<Service> {
        self.call(&Call::about(Endpoint::GetService, name))
    }

    /// Has the guard read its definition again.
    pub(super) fn reload(&self) -> Outcome<serde_json::Value> {
        self.call(&Call::new(Endpoint::Reload))
    }

    /// Has the guard make room for a next one of this binary.
    pub(super) fn upgrade(&self, binary: &Path) -> Outcome<Upgrading> {
        let request = UpgradeRequest { binary: binary.display().to_string() };
        self.call(&Call::new(Endpoint::Upgrade).body(&request).unwrap())
    }

    /// Every event the guard has.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut after = 0;
        let mut last = 0;
        loop {
            let query = EventQuery { after: Some(after), ..EventQuery::default() };
            let call = Call::new(Endpoint::ListEvents).query(&query).unwrap();
            let Outcome::Answered(page) = self.call::<EventList>(&call) else {
                panic!("a guard that lives has events")
            };
            for event in page.events.iter() {
                assert!(event.sequence > last, "events out of order: {} after {last}", event.sequence);
                last = event.sequence;
            }
            events.extend(page.events);
            let Some(next) = page.next else { return events };
            after = next;
        }
    }

    fn call<T: serde::de::DeserializeOwned>(&self, call: &Call<'_>) -> Outcome<T> {
        let answer = self.runtime.block_on(async { tokio::time::timeout(ANSWER_WITHIN, self.client.call(call)).await });
        match answer.expect("a guard answers, or dies, within this time") {
            Ok(answer) => Outcome::Answered(answer),
            Err(ClientError::Unreachable(_)) => Outcome::Unheard,
            Err(ClientError::Problem(problem)) => Outcome::Refused(problem.to_string()),
            Err(ClientError::Silent { .. } | ClientError::Broken(_) | ClientError::Unreadable(_)) => Outcome::Unclear,
        }
    }
}
