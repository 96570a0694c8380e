//! How quick and how small the guard is: measured with the real `menshen` on this machine, beside the least the system itself
//! can do.
//!
//! Each row is a file of `bench/`, which says what exactly it measures. What the guard does and what the system itself does
//! are measured in turn, so that what else the machine does meets both.

mod figures;
mod guarded;
mod idle;
mod instructions;
mod logs;
mod machine;
mod memory;
mod peers;
mod program;
mod restart;
mod run_folder;
mod soak;
mod start;
mod status;
mod stop;

pub(crate) use instructions::{Then, hold_or_update};
pub(crate) use soak::{Arguments as SoakArguments, soak};

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::shell::{cargo, root, run, say};
use figures::Figure;
use guarded::Menshen;
use program::Program;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to measure. Without it, everything.
    rows: Vec<Row>,
    /// How often, where the row says how often.
    #[arg(long, conflicts_with = "quick")]
    rounds: Option<usize>,
    /// A look instead of a measurement: everything once, and little of it.
    #[arg(long)]
    quick: bool,
    /// Measure Menshen beside its peers instead, all or those named, and write docs/benchmarks.md. What is not there is
    /// installed: from Debian as root, or below ~/.cache/menshen-peers.
    #[arg(long, value_name = "NAME,…", num_args = 0.., require_equals = true, value_delimiter = ',', conflicts_with_all = ["rows", "json"])]
    peers: Option<Vec<peers::Who>>,
    /// Count instructions instead, and hold them against what is expected.
    #[arg(long, conflicts_with_all = ["rows", "rounds", "quick", "peers", "json"])]
    instructions: bool,
    /// Expect from now on what is counted.
    #[arg(long, requires = "instructions")]
    update: bool,
    /// Write the figures to this file as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// From a program's death to its successor's first statement.
    Restart,
    /// Starting 100 and 1,000 programs.
    Start,
    /// The guard's memory.
    Memory,
    /// How long `menshen status` takes.
    Status,
    /// How often an idle guard wakes up.
    Idle,
    /// How quickly output comes into logs.
    Logs,
    /// Stopping everything.
    Stop,
}

/// How thoroughly to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// With this many rounds, or the row's own number.
    Full {
        rounds: Option<usize>,
    },
    Quick,
}

impl Effort {
    /// How many rounds, where a row usually has so many.
    const fn rounds(self, usual: usize) -> usize {
        match self {
            Self::Full { rounds: Some(rounds) } if rounds > 0 => rounds,
            Self::Full { .. } => usual,
            Self::Quick => 1,
        }
    }

    const fn deaths(self) -> usize {
        match self {
            Self::Full { .. } => 200,
            Self::Quick => 20,
        }
    }
}

pub(crate) fn bench(arguments: &Arguments) -> Result<(), String> {
    if arguments.instructions {
        return instructions::instructions(if arguments.update { Then::Update } else { Then::Hold });
    }
    let effort = if arguments.quick { Effort::Quick } else { Effort::Full { rounds: arguments.rounds } };
    let rows = if arguments.rows.is_empty() { Row::value_variants() } else { &arguments.rows };
    run(cargo().args(["build", "--release", "--quiet", "--package", "menshen-cli"]))?;
    if let Some(who) = &arguments.peers {
        return peers::bench(who, effort);
    }
    let program = Program::new(program::build()?)?;
    let menshen = Menshen { command: root().join("target/release/menshen"), program, homes: RefCell::default() };
    let facts = machine::facts(&std::env::temp_dir());
    let mut loads = vec![machine::load()];
    let mut figures = Vec::new();
    for row in rows {
        let name = row.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        say(&format!("measuring {name}; load average {}", machine::load()));
        figures.extend(measure(*row, &menshen, effort).map_err(|error| format!("{name}: {error}"))?);
        loads.push(machine::load());
    }
    say("");
    for (name, value) in &facts {
        say(&format!("{name}: {value}"));
    }
    say(&format!("load average: {} at first, {} in the end", loads[0], loads[loads.len() - 1]));
    say(&format!("\n{}", figures::table(&figures)));
    arguments.json.as_deref().map_or(Ok(()), |path| write_json(path, &facts, &loads, &figures))
}

fn measure(row: Row, menshen: &Menshen, effort: Effort) -> Result<Vec<Figure>, String> {
    match row {
        Row::Restart => restart::measure(menshen, effort),
        Row::Start => {
            let few = start::measure(menshen, effort, 100)?;
            Ok(few.into_iter().chain(start::measure(menshen, effort, 1000)?).collect())
        }
        Row::Memory => memory::measure(menshen),
        Row::Status => status::measure(menshen, effort),
        Row::Idle => idle::measure(menshen, effort),
        Row::Logs => logs::measure(menshen, effort),
        Row::Stop => stop::measure(menshen, effort),
    }
}

fn write_json(
    path: &Path,
    facts: &[(&'static str, String)],
    loads: &[String],
    figures: &[Figure],
) -> Result<(), String> {
    let figures: Vec<_> = figures.iter().map(Figure::json).collect();
    let all = json!({ "machine": machine::json(facts), "load_averages": loads, "figures": figures });
    std::fs::write(path, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
}
