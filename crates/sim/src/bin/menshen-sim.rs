//! Runs seeds, and replays the one that failed.
//!
//! `menshen-sim run --from A --count N [--jobs J] [--coverage]` runs seeds and prints those that fail, each with the command
//! that replays it. `menshen-sim replay --seed N [--services S] [--actions A] [--quiet]` runs one again and prints every event
//! and effect, or, with `--quiet`, only what came of it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use menshen_sim::shrink::report;
use menshen_sim::{Coverage, Options, Outcome, run};

const USAGE: &str = "\
usage: menshen-sim run --from A --count N [--jobs J] [--coverage]
       menshen-sim replay --seed N [--services S] [--actions A] [--quiet]
";

fn main() -> ExitCode {
    // A panic of the core is a finding like any other, and told like one.
    std::panic::set_hook(Box::new(|_| {}));
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("run") => Arguments::read(&words[1..]).and_then(|arguments| campaign(&arguments)),
        Some("replay") => Arguments::read(&words[1..]).and_then(|arguments| replay(&arguments)),
        Some(_) | None => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            // There is nobody left to tell if this fails.
            let _ = write!(io::stderr().lock(), "{message}");
            ExitCode::from(2)
        }
    }
}

#[derive(Debug, Default)]
struct Arguments {
    seed: u64,
    from: u64,
    count: u64,
    jobs: u64,
    services: Option<u64>,
    actions: Option<u64>,
    quiet: bool,
    coverage: bool,
}

impl Arguments {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut arguments = Self { count: 1000, jobs: 1, ..Self::default() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))
            };
            match word.as_str() {
                "--seed" => arguments.seed = number()?,
                "--from" => arguments.from = number()?,
                "--count" => arguments.count = number()?,
                "--jobs" => arguments.jobs = number()?.max(1),
                "--services" => arguments.services = Some(number()?),
                "--actions" => arguments.actions = Some(number()?),
                "--quiet" => arguments.quiet = true,
                "--coverage" => arguments.coverage = true,
                other => return Err(format!("unknown argument {other}\n{USAGE}")),
            }
        }
        Ok(arguments)
    }

    fn options(&self) -> Options {
        let mut options = Options::of(self.seed);
        if let Some(services) = self.services {
            options.services_max = usize::try_from(services).unwrap_or(usize::MAX);
        }
        if let Some(actions) = self.actions {
            options.actions_max = actions;
        }
        Options { traced: !self.quiet, ..options }
    }
}

/// Runs one seed again. Whether everything held.
fn replay(arguments: &Arguments) -> Result<bool, String> {
    let outcome = run(&arguments.options());
    let print = || -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(outcome.trace.as_bytes())?;
        print_violations(&mut out, &outcome)?;
        writeln!(
            out,
            "seed {}: {} events, {} effects, {} guards, {:?} of virtual time, {} violations",
            outcome.seed,
            outcome.events,
            outcome.effects,
            outcome.guards,
            outcome.time,
            outcome.violations.len()
        )
    };
    print().map_err(|error| error.to_string())?;
    Ok(outcome.violations.is_empty())
}

fn print_violations(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    outcome.violations.iter().try_for_each(|violation| writeln!(out, "  {violation}"))
}

/// What many runs came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: u64,
    events: u64,
    effects: u64,
    guards: u64,
    time: Duration,
    coverage: Coverage,
}

/// Runs many seeds. Whether everything held in all of them.
fn campaign(arguments: &Arguments) -> Result<bool, String> {
    let end = arguments.from.saturating_add(arguments.count);
    let next = AtomicU64::new(arguments.from);
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let (sender, outcomes) = mpsc::sync_channel(64);
        for _ in 0..arguments.jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                let mut seeds =
                    std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end));
                seeds.all(|seed| sender.send(run(&Options::of(seed))).is_ok())
            });
        }
        drop(sender);
        outcomes.iter().try_for_each(|outcome| add(&mut sum, &outcome))
    })
    .map_err(|error| error.to_string())?;
    print_sum(&sum, arguments.coverage).map_err(|error| error.to_string())?;
    Ok(sum.failed == 0)
}

fn add(sum: &mut Sum, outcome: &Outcome) -> io::Result<()> {
    sum.seeds += 1;
    sum.events += outcome.events;
    sum.effects += outcome.effects;
    sum.guards += outcome.guards;
    sum.time += outcome.time;
    sum.coverage.add(&outcome.coverage);
    let Some(text) = report(outcome) else { return Ok(()) };
    sum.failed += 1;
    io::stdout().lock().write_all(text.as_bytes())
}

fn print_sum(sum: &Sum, coverage: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if coverage {
        for ((from, trigger, to), count) in sum.coverage.rows() {
            writeln!(out, "{count:>12}  {from} --{}--> {to}", trigger.as_str())?;
        }
        for (name, count) in sum.coverage.events().chain(sum.coverage.effects()) {
            writeln!(out, "{count:>12}  {name}")?;
        }
    }
    writeln!(
        out,
        "{} seeds, {} failed; {} events, {} effects, {} guards, {} hours of virtual time",
        sum.seeds,
        sum.failed,
        sum.events,
        sum.effects,
        sum.guards,
        sum.time.as_secs() / 3600
    )
}
