//! Building for Windows, on a machine that is none.
//!
//! rustup's toolchain has no part for Windows; Debian's brings the source of the standard library, of which one is built, once.
//! Everything is apart in `target/windows`. Tests run what is built here under Wine, in the test bed of that name.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::debian;
use crate::shell::{command, is_there, read, root, run, take_large_pages};

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
pub(crate) fn build() -> Result<(), String> {
    for (package, kind, programs) in BUILT {
        let mut build = cargo(CARGO);
        build.arg("build");
        tell_target(&mut build);
        build.args(["--package", package]);
        build.args(programs.iter().flat_map(|program| [kind, program]));
        run(&mut build)?;
    }
    TESTED.into_iter().try_for_each(build_unit_tests)
}

/// Builds the unit tests of a package's library, and puts them where they are found by its name.
fn build_unit_tests(package: &str) -> Result<(), String> {
    let mut tests = cargo(CARGO);
    tests.args(["test", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    tell_target(&mut tests);
    let messages = read(tests.args(["--package", package, "--lib"]))?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_of_tests = message["profile"]["test"] == true;
        message["executable"].as_str().filter(|_| is_of_tests).map(PathBuf::from)
    });
    let built = built.ok_or_else(|| format!("cargo does not say where the unit tests of {package} are"))?;
    let folder = root().join("target/windows").join(TARGET).join("debug/unit-tests");
    let put = fs::create_dir_all(&folder).and_then(|()| fs::copy(&built, folder.join(format!("{package}.exe"))));
    put.map(drop).map_err(|error| format!("putting {} into {}: {error}", built.display(), folder.display()))
}

/// The lints, with what is compiled for Windows alone.
pub(crate) fn lint() -> Result<(), String> {
    let mut clippy = cargo(CLIPPY);
    clippy.arg("clippy");
    tell_target(&mut clippy);
    clippy.args(LINTED.iter().flat_map(|package| ["--package", package]));
    run(clippy.args(["--quiet", "--", "--deny", "warnings"]))
}

/// The packages without which nothing can be built for Windows.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    let missing = NEEDS.iter().filter(|(path, _)| !PathBuf::from(path).exists());
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
    build()?;
    lint()
}

/// One of Debian's. What the cargo that runs this has put into the environment says which toolchain that one is of.
fn cargo(program: &str) -> Command {
    let mut cargo = command(program);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOC"] {
        cargo.env_remove(name);
    }
    // The standard library can be built by a nightly toolchain alone, or by one that is told to be one.
    take_large_pages(&mut cargo);
    cargo.env("CARGO", CARGO).env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
    cargo
}

fn tell_target(cargo: &mut Command) {
    cargo.args(["-Zbuild-std=std,panic_abort", "--target", TARGET, "--target-dir"]);
    cargo.arg(root().join("target/windows"));
}
