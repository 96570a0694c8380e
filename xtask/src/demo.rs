//! The example shop, guarded.

use crate::shell::{cargo, command, root, run, say};

pub(crate) fn demo() -> Result<(), String> {
    run(cargo().args(["build", "--release", "--quiet", "--package", "menshen-cli", "--package", "menshen-shop"]))?;
    say(INTRODUCTION);
    let menshen = root().join("target/release/menshen");
    let shop = root().join("examples/shop/menshen.toml");
    let programs = root().join("target/release");
    let mut guard = command(&menshen);
    guard.arg("up").arg("--file").arg(shop).arg("--set").arg(format!("BIN={}", programs.display()));
    // Everything the demo makes stays in the repository's own target folder.
    guard.env("MENSHEN_HOME", root().join("target/demo"));
    run(&mut guard)
}

const INTRODUCTION: &str = "";
