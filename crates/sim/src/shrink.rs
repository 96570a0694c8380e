//! From a run that fails to a smaller one that fails the same way.

use crate::definition::SERVICES_MAX;
use crate::invariants::Invariant;
use crate::run::{Options, Outcome, run};

/// More actions than this are not tried one by one.
const ACTIONS_MAX: u64 = 80;

/// The options of the smallest run found in which the same invariant does not hold: with the fewest services, and of those
/// with the fewest actions. `None` if the run does not fail.
#[must_use]
pub fn shrink(failing: &Options) -> Option<Options> {
    let invariant = failed(&run(failing))?;
    let fails = |options: &Options| failed(&run(options)) == Some(invariant);
    let mut smallest = *failing;
    let fewer = (1..failing.services_max.min(SERVICES_MAX)).map(|services_max| Options { services_max, ..*failing });
    if let Some(found) = fewer.into_iter().find(fails) {
        smallest = found;
    }
    let fewer = (0..failing.actions_max.min(ACTIONS_MAX)).map(|actions_max| Options { actions_max, ..smallest });
    if let Some(found) = fewer.into_iter().find(fails) {
        smallest = found;
    }
    Some(smallest)
}

fn failed(outcome: &Outcome) -> Option<Invariant> {
    outcome.violations.first().map(|violation| violation.invariant)
}

/// What did not hold in a run, with the commands that replay it and a smaller one like it; `None` if everything held.
#[must_use]
pub fn report(outcome: &Outcome) -> Option<String> {
    if outcome.violations.is_empty() {
        return None;
    }
    let whole = Options::of(outcome.seed);
    let mut text = format!("seed {} failed:\n", outcome.seed);
    outcome.violations.iter().for_each(|violation| text.push_str(&format!("  {violation}\n")));
    text.push_str(&format!("  replay: {}\n", command(&whole)));
    let smaller = shrink(&whole).map(|smallest| command(&smallest)).filter(|smaller| *smaller != command(&whole));
    smaller.into_iter().for_each(|smaller| text.push_str(&format!("  smaller: {smaller}\n")));
    Some(text)
}

/// The command that replays a run, with every event and effect.
#[must_use]
pub fn command(options: &Options) -> String {
    let whole = Options::of(options.seed);
    let mut command = format!("cargo run -p menshen-sim -- replay --seed {}", options.seed);
    if options.services_max != whole.services_max {
        command.push_str(&format!(" --services {}", options.services_max));
    }
    if options.actions_max != whole.actions_max {
        command.push_str(&format!(" --actions {}", options.actions_max));
    }
    command
}
