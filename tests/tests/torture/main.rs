//! The campaign of `cargo xtask torture`, in short.

use menshen_tests::torture::campaign::{Orders, torture};
use menshen_tests::{require, with_both_trees};

/// So many kills come besides one at each fail-point.
const KILLS: u32 = 50;

with_both_trees! {
    fn a_guard_that_is_killed_again_and_again_keeps_every_promise(trees: Trees) {
        if require::fail_points() {
            println!("{}", torture(Orders { seed: 1, kills: KILLS, trees }));
        }
    }
}
