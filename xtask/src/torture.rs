//! A guard is killed again and again: see `tests/src/torture.rs`.

use std::fs;

use crate::shell::{building, root, run};

/// How long to torture, and by which choices.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The same seed makes the same choices. Without it, one that has not been.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How often the guard is killed, besides once at each fail-point.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    kills: u32,
}

/// Builds everything and runs the campaign. `MENSHEN_TREES=walk` has trees held together without cgroups.
pub(crate) fn torture(arguments: &Arguments) -> Result<(), String> {
    build()?;
    let seed = arguments.seed.unwrap_or_else(seconds);
    let mut campaign = crate::shell::command(root().join("target/debug/torture"));
    run(campaign.args([seed.to_string(), arguments.kills.to_string()]))
}

/// What only runs the command, and needs no other build of its own for the one with fail-points.
const ONLY_RUN_IT: [&str; 5] = ["menshen-greeter", "menshen-life-cycle", "menshen-shop", "menshen-tests", "xtask"];

/// Builds the workspace, and beside the command itself one with fail-points, `menshen-with-fail-points`, that the rest of the
/// workspace knows nothing of.
pub(crate) fn build() -> Result<(), String> {
    let mut with_fail_points = building();
    with_fail_points.args(["build", "--workspace", "--quiet", "--features", "menshen-cli/fail-points"]);
    run(with_fail_points.args(ONLY_RUN_IT.iter().flat_map(|package| ["--exclude", package])))?;
    let folder = root().join("target/debug");
    let copied = fs::copy(folder.join("menshen"), folder.join("menshen-with-fail-points"));
    copied.map_err(|error| format!("copying target/debug/menshen: {error}"))?;
    run(building().args(["build", "--workspace", "--quiet"]))
}

fn seconds() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
