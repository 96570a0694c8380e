//! What the seeds try.

use menshen_sim::{Coverage, Options, run};

use crate::seeds::kept;

/// With the kept seeds, which reach the rare corners, so many reach everything.
const SEEDS: u64 = 600;

#[test]
fn every_event_every_effect_and_every_row_of_the_table_is_reached() {
    let mut coverage = Coverage::default();
    (0..SEEDS).chain(kept()).for_each(|seed| coverage.add(&run(&Options::of(seed)).coverage));
    let rows = coverage.rows().filter(|(_, count)| *count == 0);
    let rows = rows.map(|((from, trigger, to), _)| format!("{from} --{}--> {to}", trigger.as_str()));
    let words = coverage.events().chain(coverage.effects()).filter(|(_, count)| *count == 0);
    let missing: Vec<String> = rows.chain(words.map(|(name, _)| name.to_owned())).collect();
    assert!(missing.is_empty(), "no seed reaches:\n{}", missing.join("\n"));
}

#[test]
fn what_was_not_tried_is_not_counted() {
    let nothing = Coverage::default();
    assert!(nothing.rows().all(|(_, count)| count == 0));
    assert!(nothing.events().chain(nothing.effects()).all(|(_, count)| count == 0));
}
