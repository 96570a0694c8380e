//! The same seed gives the same run.

use std::cell::RefCell;

use menshen_core::{Effect, Event};
use menshen_sim::{Options, Sabotage, run};

thread_local! {
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

fn write_down(event: &Event, effects: &mut Vec<Effect>) {
    LOG.with_borrow_mut(|log| log.push_str(&format!("{event:?}\n{effects:?}\n")));
}

/// Every event and effect of a run, whole plans included.
fn log(seed: u64) -> String {
    LOG.take();
    let sabotage = Sabotage { effects: write_down, ..Sabotage::default() };
    let outcome = run(&Options { sabotage, ..Options::of(seed) });
    assert!(outcome.events > 0);
    LOG.take()
}

#[test]
fn the_same_seed_gives_byte_identical_events_and_effects() {
    for seed in 0..40 {
        assert!(log(seed) == log(seed), "seed {seed} gives two different runs");
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(log(1), log(2));
}
