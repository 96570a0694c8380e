//! Menshen beside its peers: the same work for all, in turn, on one machine.
//!
//! What is measured is in [`results::Row`]; how is in `restart`, `many` and `logs`; each peer is a file that implements
//! [`peer::Peer`]. The page is written by `page`, and says what of the `goals` is met.

mod container;
mod goals;
mod horust;
mod install;
mod logs;
mod many;
mod menshen;
mod page;
mod peer;
mod pitchfork;
mod pm2;
mod restart;
mod results;
mod runit;
mod s6;
mod session;
mod standing;
mod supervisor;
mod systemd;

use std::time::Duration;

use clap::ValueEnum;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::program::{self, Program};
use super::{Effort, machine};
use crate::shell::{root, say};
use page::Circumstances;
use peer::Peer;
use results::{Results, Row};
use session::Place;

/// Where the page is.
const PAGE: &str = "docs/benchmarks.md";
const ROUNDS: usize = 3;
/// Deaths in each round at the least; the supervisor that waits longest takes some seconds for each.
const DEATHS: usize = 5;
const WATCHED: Duration = Duration::from_secs(60);

/// Whom to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Who {
    Menshen,
    Systemd,
    S6,
    Runit,
    Supervisord,
    Pm2,
    Pitchfork,
    Horust,
}

impl Who {
    fn peer(self) -> Box<dyn Peer> {
        match self {
            Self::Menshen => Box::<menshen::Menshen>::default(),
            Self::Systemd => Box::new(systemd::Systemd),
            Self::S6 => Box::new(s6::S6),
            Self::Runit => Box::new(runit::Runit),
            Self::Supervisord => Box::new(supervisor::Supervisor),
            Self::Pm2 => Box::new(pm2::Pm2),
            Self::Pitchfork => Box::new(pitchfork::Pitchfork),
            Self::Horust => Box::new(horust::Horust),
        }
    }
}

/// What of the work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    rounds: usize,
    deaths: usize,
    watched: Duration,
    programs: &'static [usize],
}

impl From<Effort> for Extent {
    fn from(effort: Effort) -> Self {
        match effort {
            Effort::Full { .. } => {
                Self { rounds: effort.rounds(ROUNDS), deaths: DEATHS, watched: WATCHED, programs: &[0, 100, 1000] }
            }
            Effort::Quick => Self { rounds: 1, deaths: 2, watched: Duration::from_secs(5), programs: &[0, 100] },
        }
    }
}

/// What is measured right before a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// The same without any.
    Bare,
    Nothing,
}

/// Measures those who are named, or all. The page of a measurement is written; that of a look is shown.
pub(super) fn bench(who: &[Who], effort: Effort) -> Result<(), String> {
    if matches!(effort, Effort::Full { .. }) && machine::has_changes() {
        return Err("what is measured has no commit: the page names the one it is of, so commit first".to_owned());
    }
    let command = command(who, effort);
    let who = if who.is_empty() { Who::value_variants() } else { who };
    let Found { peers, absent } = find(who);
    raise_descriptors()?;
    let place = Place::new(Program::new(program::build()?)?);
    let extent = Extent::from(effort);
    let versions =
        peers.iter().map(|peer| Ok((peer.name(), peer.source().version()?))).collect::<Result<_, String>>()?;
    let first = machine::load();
    let results = measure(&place, &peers, extent);
    let circumstances = Circumstances {
        command,
        rounds: extent.rounds,
        facts: machine::facts(&std::env::temp_dir()),
        loads: [first, machine::load()],
        versions,
        absent,
    };
    let page = page::page(&circumstances, &peers, &results)?;
    if effort == Effort::Quick {
        say(&page);
        return Ok(());
    }
    say(&format!("written: {PAGE}"));
    std::fs::write(root().join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))
}

/// As it was given.
fn command(who: &[Who], effort: Effort) -> String {
    let names = who.iter().filter_map(|who| Some(who.to_possible_value()?.get_name().to_owned()));
    let names = names.collect::<Vec<_>>().join(",");
    let of_whom = if names.is_empty() { names } else { format!("={names}") };
    let how = match effort {
        Effort::Full { rounds: Some(rounds) } => format!(" --rounds {rounds}"),
        Effort::Full { rounds: None } => String::new(),
        Effort::Quick => " --quick".to_owned(),
    };
    format!("cargo xtask bench --peers{of_whom}{how}")
}

/// Those that can be had, and those that cannot with the reason.
#[derive(Default)]
struct Found {
    peers: Vec<Box<dyn Peer>>,
    absent: Vec<(&'static str, String)>,
}

fn find(who: &[Who]) -> Found {
    let mut found = Found::default();
    for peer in who.iter().map(|who| who.peer()) {
        match peer.source().install() {
            Ok(()) => found.peers.push(peer),
            Err(why) => {
                say(&format!("{}: {why}", peer.name()));
                found.absent.push((peer.name(), why));
            }
        }
    }
    found
}

/// Some supervisors hold several descriptors for each program, and 1,000 programs are watched here.
fn raise_descriptors() -> Result<(), String> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| format!("raising the limit of open files: {error}"))
}

fn measure(place: &Place, peers: &[Box<dyn Peer>], extent: Extent) -> Results {
    let mut results = Results::default();
    let expected = logs::expected();
    for round in 1..=extent.rounds {
        for (turn, peer) in peers.iter().map(AsRef::as_ref).enumerate() {
            // Menshen is the first if it is there, and its goals are held against this: what the machine is like changes by the
            // minute.
            let beside = if turn == 0 { Beside::Bare } else { Beside::Nothing };
            let tell = |what: &str| {
                say(&format!(
                    "round {round} of {}: {}, {what}; load average {}",
                    extent.rounds,
                    peer.name(),
                    machine::load()
                ));
            };
            tell("restarts");
            if beside == Beside::Bare {
                restart::measure_bare(place, extent.deaths, &mut results);
            }
            restart::measure(place, peer, extent.deaths, &mut results);
            tell("logs");
            if beside == Beside::Bare {
                logs::measure_cat(place, &mut results);
            }
            logs::measure(place, peer, &expected, &mut results);
            if peer.name() == "Menshen" {
                logs::measure_formats(place, peer, &mut results);
            }
            for count in extent.programs {
                tell(&format!("{count} programs"));
                let watched = (round == 1 && *count == 100).then_some(extent.watched);
                many::measure(place, peer, *count, (watched, beside), &mut results);
            }
        }
    }
    for peer in peers {
        results.take(Row::Installed, peer.name(), peer.source().files().map(|files| many::megabytes(&files)));
    }
    results
}
