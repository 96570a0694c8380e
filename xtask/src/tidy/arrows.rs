//! Dependencies flow one way.

use serde_json::Value as Json;

use super::Finding;
use crate::shell::{cargo, read};

/// Who may know whom. What is not here must not be.
const ARROWS: [(&str, &[&str]); 15] = [
    ("menshen", &["menshen-activation", "menshen-scm"]),
    ("menshen-activation", &[]),
    ("menshen-plan", &[]),
    ("menshen-core", &["menshen-plan"]),
    ("menshen-sim", &["menshen-core", "menshen-plan"]),
    ("menshen-os", &["menshen-scm"]),
    ("menshen-scm", &[]),
    ("menshen-api", &[]),
    ("menshen-guard", &["menshen-plan", "menshen-core", "menshen-os", "menshen-api", "menshen"]),
    ("menshen-cli", &["menshen", "menshen-guard", "menshen-api", "menshen-sim", "menshen-plan", "menshen-os"]),
    ("menshen-greeter", &["menshen"]),
    ("menshen-shop", &[]),
    ("menshen-life-cycle", &["menshen"]),
    ("menshen-tests", &["menshen", "menshen-api", "menshen-os"]),
    ("xtask", &["menshen", "menshen-plan", "menshen-core", "menshen-api", "menshen-os", "menshen-sim"]),
];

/// Crates that are pure: no thread, clock, file or network even behind a dependency of theirs.
const PURE: [&str; 3] = ["menshen-plan", "menshen-core", "menshen-sim"];
const IMPURE: [&str; 8] = ["tokio", "rustix", "libc", "nix", "mio", "rusqlite", "hyper", "tempfile"];

/// Holds `cargo metadata` against the table.
pub(super) fn check() -> Result<Vec<Finding>, String> {
    let metadata = read(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Json = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        check_package(package, &mut findings);
    }
    Ok(findings)
}

fn check_package(package: &Json, findings: &mut Vec<Finding>) {
    let name = package["name"].as_str().unwrap_or_default();
    let mut find = |what: String| findings.push(Finding { path: format!("{name}/Cargo.toml"), line: 0, what });
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return find(format!("{name} is not in the table of arrows in xtask/src/tidy/arrows.rs"));
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = dependency["name"].as_str().unwrap_or_default();
        let is_ours = ARROWS.iter().any(|(known, _)| *known == other);
        if is_ours && !allowed.contains(&other) {
            find(format!("{name} must not know {other}"));
        }
        let only_for_tests = dependency["kind"] == "dev";
        if PURE.contains(&name) && IMPURE.contains(&other) && !only_for_tests {
            find(format!("{name} is pure and must not know {other}"));
        }
        if dependency["source"].is_string() && dependency["req"].as_str() == Some("*") {
            find(format!("{other} is used in any version"));
        }
    }
}
