//! Everything that has to pass.

use std::cell::Cell;
use std::process::Command;
use std::time::Instant;

use crate::shell::{building, cargo, is_there, run, say};
use crate::{bench, codegen, debian, testbed, tidy, torture, windows};

/// Programs nobody here wrote, that are guarded in the tests or help them: how to find each, and the Debian package it comes
/// from.
const REAL_PROGRAMS: [(&str, &str, &str); 9] = [
    ("nginx", "-v", "nginx-light"),
    ("redis-server", "--version", "redis-server"),
    (POSTGRES, "--version", "postgresql"),
    ("python3", "--version", "python3"),
    ("faketime", "--version", "faketime"),
    ("shellcheck", "--version", "shellcheck"),
    ("plistutil", "--version", "libplist-utils"),
    ("zsh", "--version", "zsh"),
    ("fish", "--version", "fish"),
];
const POSTGRES: &str = "postgres";
/// Where Debian and its like keep each version of PostgreSQL; every release has another.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

type Step = Box<dyn Fn() -> Result<(), String>>;

pub(crate) fn test(filter: Option<&str>) -> Result<(), String> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    prepare(ci)?;
    let mut steps: Vec<(&str, Step)> = Vec::new();
    if filter.is_none() {
        steps.push(("format", Box::new(|| run(cargo().args(["fmt", "--all", "--check"])))));
        steps.push(("tidy", Box::new(tidy::tidy)));
        let lints = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
        steps.push(("lints", Box::new(move || run(building().args(lints)))));
        steps.push(("generated files", Box::new(codegen::check)));
    }
    let builds_for_windows = windows::missing_packages().is_empty();
    if builds_for_windows && filter.is_none() {
        steps.push(("lints for Windows", Box::new(windows::lint)));
    }
    // It is made beside everything else, and waited for before the tests.
    let bed = Cell::new(ci.then(|| std::thread::spawn(testbed::testbed)));
    let await_bed = move || bed.take().map_or(Ok(()), |bed| bed.join().map_err(|_| "it was not made".to_owned())?);
    let wanted = filter.map(str::to_owned);
    if builds_for_windows {
        steps.push(("build for Windows", Box::new(windows::build)));
    }
    steps.push(("test bed", Box::new(await_bed)));
    steps.push(("tests", Box::new(move || tests(ci, wanted.as_deref()))));
    if filter.is_none() && ci {
        // Of what has been built for the tests.
        steps.push(("instructions", Box::new(|| bench::hold_or_update(bench::Then::Hold))));
    }
    if filter.is_none() {
        steps.push((
            "examples in the docs",
            Box::new(|| run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))),
        ));
    }
    let mut times = Vec::new();
    for (name, step) in steps {
        let begun = Instant::now();
        step().map_err(|error| format!("{name}: {error}"))?;
        times.push(format!("{name} {} s", begun.elapsed().as_secs()));
    }
    say(&format!("\nall passed: {}", times.join(", ")));
    Ok(())
}

fn tests(ci: bool, filter: Option<&str>) -> Result<(), String> {
    // The tests run the command itself, one with fail-points, and the example's programs.
    torture::build()?;
    let with = |mut nextest: Command| {
        nextest.args(["nextest", "run", "--workspace"]);
        nextest.args(if ci { &["--profile", "ci"][..] } else { &[] }).args(filter);
        nextest
    };
    run(with(building()).arg("--no-run"))?;
    run(&mut with(cargo()))
}

/// Whether a real program is there, be it in a folder that is not in `PATH`.
fn is_installed(program: &str, argument: &str) -> bool {
    let versions = std::fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten();
    let mut folders = versions.map(|version| version.path().join("bin").join(program));
    is_there(program, argument)
        || program == POSTGRES && folders.any(|path| is_there(&path.to_string_lossy(), argument))
}

/// Sees to what the tests need. In CI as root it is installed; elsewhere what is missing is named, and the tests that need
/// it say that they are skipped.
fn prepare(ci: bool) -> Result<(), String> {
    if !is_there("cargo", "nextest") && !is_there("cargo-nextest", "--version") {
        run(cargo().args(["install", "cargo-nextest", "--locked"]))?;
    }
    let missing = REAL_PROGRAMS.iter().filter(|(program, argument, _)| !is_installed(program, argument));
    let mut missing: Vec<&str> = missing.map(|(.., package)| *package).collect();
    missing.extend(testbed::missing_packages());
    missing.extend(windows::missing_packages());
    if missing.is_empty() {
        return Ok(());
    }
    if !ci {
        say(&format!("missing: {}; the tests that need them are skipped (apt-get install {0})", missing.join(" ")));
        return Ok(());
    }
    // The servers are started by the tests, not by the packages.
    debian::install(&missing)
}
