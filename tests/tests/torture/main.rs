//! The campaign of `cargo xtask torture`, in short.

use menshen_tests::torture::campaign::{Orders, torture};
use menshen_tests::{require, with_both_trees};

/// So many kills come besides one at each fail-point.
const KILLS: u32 = 50;

with_both_trees! {
    fn a_guard_that_is_killed_again_and_again_keeps_every_promise(trees: Trees) {
        if require::fail_points() {
            // Another one each time; if it fails, it says which it was.
            let orders = Orders { seed: menshen_os::clock::wall_ms().unsigned_abs(), kills: KILLS, trees };
            println!("{}", orders.again());
            println!("{}", torture(orders));
        }
    }
}
