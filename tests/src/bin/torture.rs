//! `cargo xtask torture` runs this: the campaign from a seed, and what came of it.

#![expect(clippy::print_stdout, reason = "what came of it is for whoever runs it")]

use clap::Parser;
use menshen_tests::Trees;
use menshen_tests::torture::campaign::{Orders, torture};

/// Kills a guard again and again and looks whether it keeps what it promised.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which choices are made.
    seed: u64,
    /// How often the guard is killed, besides once at each fail-point.
    kills: u32,
}

fn main() {
    let Arguments { seed, kills } = Arguments::parse();
    let trees = match std::env::var("MENSHEN_TREES").as_deref() {
        Ok("walk") => Trees::Walk,
        Ok(_) | Err(_) => Trees::Cgroup,
    };
    let orders = Orders { seed, kills, trees };
    println!("seed {seed}: {kills} kills and each fail-point once; again: {}", orders.again());
    println!("{}", torture(orders));
}
