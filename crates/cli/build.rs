//! How the command is linked.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|is| is == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // What unwinds a panic is a part of the command. As a library of its own it would be looked for, loaded and made ready
        // by each start, which takes longer than a guard takes to answer.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
