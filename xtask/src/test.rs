//! Everything that has to pass.

use std::cell::Cell;
use std::process::Command;
use std::time::Instant;

use crate::shell::{Priority, building, cargo, is_there, run, say};
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
    // It is made beside everything else, and waited for before the tests.
    let bed = Cell::new(ci.then(|| std::thread::spawn(testbed::testbed)));
    let await_bed = move || bed.take().map_or(Ok(()), |bed| bed.join().map_err(|_| "it was not made".to_owned())?);
    let builds_for_windows = windows::missing_packages().is_empty();
    if builds_for_windows && filter.is_some() {
        steps.push(("build for Windows", Box::new(|| windows::build(Priority::Usual))));
    }
    steps.push(("build", Box::new(build)));
    steps.push(("test bed", Box::new(await_bed)));
    let wanted = filter.map(str::to_owned);
    let tests = move || match &wanted {
        Some(filter) => run(nextest(ci).arg(filter)),
        None if builds_for_windows => all_tests_beside_windows(ci),
        None => run(&mut nextest(ci)),
    };
    steps.push(("tests", Box::new(tests)));
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

/// The tests run the command itself, one with fail-points, and the example's programs.
fn build() -> Result<(), String> {
    torture::build()?;
    run(building().args(["nextest", "run", "--workspace", "--no-run"]))
}

fn nextest(ci: bool) -> Command {
    let mut nextest = cargo();
    nextest.args(["nextest", "run", "--workspace"]).args(if ci { &["--profile", "ci"][..] } else { &[] });
    nextest
}

/// All tests. They wait for half of their time; what some of them run under Wine is held against the lints and built in the
/// processors' spare time, while the others run.
fn all_tests_beside_windows(ci: bool) -> Result<(), String> {
    const UNDER_WINE: &str = "package(menshen-tests) & (binary(scm) | binary(windows))";
    let for_windows = || {
        let begun = Instant::now();
        windows::lint(Priority::Spare)?;
        windows::build(Priority::Spare)?;
        say(&format!("held against the lints and built for Windows in {} s", begun.elapsed().as_secs()));
        Ok(())
    };
    let build = std::thread::spawn(for_windows);
    let of_this_system = run(nextest(ci).args(["-E", &format!("not ({UNDER_WINE})")]));
    let built = build.join().unwrap_or_else(|_| Err("building for Windows was given up".to_owned()));
    let under_wine = built.and_then(|()| run(nextest(ci).args(["-E", UNDER_WINE])));
    let failed: Vec<String> = [of_this_system, under_wine].into_iter().filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
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
