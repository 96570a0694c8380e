//! Building for Windows, on a machine that is none.
//!
//! rustup's toolchain has no part for Windows; Debian's brings the source of the standard library, of which one is built, once.
//! Everything is apart in `target/windows`. Tests run what is built here under Wine, in the test bed of that name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::debian;
use crate::shell::{Priority, is_there, read, root, run, take_large_pages};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Debian's toolchain, which is beside rustup's and not in its way.
const CARGO: &str = "/usr/bin/cargo";
const CLIPPY: &str = "/usr/bin/cargo-clippy";
const RUSTC: &str = "/usr/bin/rustc";
/// Programs: how to find each, and the Debian package it comes from.
const NEEDS: [(&str, &str); 5] = [
    (CARGO, "cargo-web"),
    (CLIPPY, "rust-web-clippy"),
    (RUSTC, "rustc-web"),
    ("/usr/share/doc/rust-web-src", "rust-web-src"),
    ("/usr/bin/x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64"),
];
/// What is built: a package, of which kind, and which of its programs.
const BUILT: [(&str, &str, &[&str]); 4] = [
    ("menshen-greeter", "--bin", &["greeter"]),
    ("menshen-life-cycle", "--bin", &["life-cycle", "life-cycle-sample", "scm-sample"]),
    ("menshen-cli", "--bin", &["menshen"]),
    ("menshen-os", "--example", &["puppet"]),
];
/// What has unit tests that run there.
const TESTED: [&str; 3] = ["menshen", "menshen-os", "menshen-scm"];
/// What is held against the lints as Windows compiles it.
const LINTED: [&str; 7] =
    ["menshen", "menshen-cli", "menshen-greeter", "menshen-guard", "menshen-life-cycle", "menshen-os", "menshen-scm"];

/// Builds everything that tests run under Wine.
pub(crate) fn build(priority: Priority) -> Result<(), String> {
    let mut build = cargo(CARGO, priority);
    build.arg("build");
    tell_target(&mut build);
    tell_packages(&mut build);
    for (_, kind, programs) in BUILT {
        build.args(programs.iter().flat_map(|program| [kind, program]));
    }
    run(&mut build)?;
    build_unit_tests(priority)
}

/// Builds the unit tests of libraries, and puts them where they are found by their packages' names.
fn build_unit_tests(priority: Priority) -> Result<(), String> {
    let mut tests = cargo(CARGO, priority);
    tests.args(["test", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    tell_target(&mut tests);
    tell_packages(&mut tests);
    let messages = read(tests.arg("--lib"))?;
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let folder = root().join("target/windows").join(TARGET).join("debug/unit-tests");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for package in TESTED {
        let is_of_tests = |message: &&Value| {
            message["profile"]["test"] == true && message["target"]["name"] == package.replace('-', "_")
        };
        let built = messages.iter().filter(is_of_tests).find_map(|message| message["executable"].as_str());
        let built = built.ok_or_else(|| format!("cargo does not say where the unit tests of {package} are"))?;
        let put = fs::copy(built, folder.join(format!("{package}.exe")));
        put.map_err(|error| format!("putting {built} into {}: {error}", folder.display()))?;
    }
    Ok(())
}

/// All packages at once, and the same ones each time: with others, what they depend on would be built again with other features.
fn tell_packages(cargo: &mut Command) {
    let packages: BTreeSet<&str> = BUILT.iter().map(|(package, ..)| *package).chain(TESTED).collect();
    cargo.args(packages.into_iter().flat_map(|package| ["--package", package]));
}

/// The lints, with what is compiled for Windows alone.
pub(crate) fn lint(priority: Priority) -> Result<(), String> {
    let mut clippy = cargo(CLIPPY, priority);
    clippy.arg("clippy");
    tell_target(&mut clippy);
    clippy.args(LINTED.iter().flat_map(|package| ["--package", package]));
    run(clippy.args(["--quiet", "--", "--deny", "warnings"]))
}

/// The packages without which nothing can be built for Windows.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    let missing = NEEDS.iter().filter(|(path, _)| !Path::new(path).exists());
    missing.map(|(_, package)| *package).collect()
}

/// Installs what is missing, and builds.
pub(crate) fn windows() -> Result<(), String> {
    let missing = missing_packages();
    if !missing.is_empty() {
        if !is_there("apt-get", "--version") {
            return Err(format!("building for Windows needs Debian's {}", missing.join(" ")));
        }
        debian::install(&missing)?;
    }
    build(Priority::Usual)?;
    lint(Priority::Usual)
}

/// One of Debian's. What the cargo that runs this has put into the environment says which toolchain that one is of.
fn cargo(program: &str, priority: Priority) -> Command {
    let mut cargo = priority.of(program);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOC"] {
        cargo.env_remove(name);
    }
    take_large_pages(&mut cargo);
    // The standard library can be built by a nightly toolchain alone, or by one that is told to be one.
    cargo.env("CARGO", CARGO).env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
    cargo
}

fn tell_target(cargo: &mut Command) {
    cargo.args(["-Zbuild-std=std,panic_abort", "--target", TARGET, "--target-dir"]);
    cargo.arg(root().join("target/windows"));
    // Few tests run there: they would gain less than it takes to optimise what others wrote, the standard library among it.
    cargo.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
}
