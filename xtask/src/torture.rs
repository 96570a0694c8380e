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

/// Builds the workspace, and beside the command itself one with fail-points, `menshen-with-fail-points`, that the rest of the
/// workspace knows nothing of.
pub(crate) fn build() -> Result<(), String> {
    // The features of the whole workspace: with those of fewer packages, what they depend on would be built again.
    let with_fail_points =
        ["build", "--workspace", "--bin", "menshen", "--quiet", "--features", "menshen-cli/fail-points"];
    run(building().args(with_fail_points))?;
    let folder = root().join("target/debug");
    let copied = fs::copy(folder.join("menshen"), folder.join("menshen-with-fail-points"));
    copied.map_err(|error| format!("copying target/debug/menshen: {error}"))?;
    run(building().args(["build", "--workspace", "--quiet"]))
}

fn seconds() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
