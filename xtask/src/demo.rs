//! The example shop, guarded.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::shell::{cargo, command, root, run, say};

pub(crate) fn demo() -> Result<(), String> {
    say("building everything first, which takes some minutes");
    run(cargo().args(["build", "--release", "--package", "menshen-cli", "--package", "menshen-shop"]))?;
    say(INTRODUCTION);
    let menshen = root().join("target/release/menshen");
    let shop = root().join("examples/shop/menshen.toml");
    let programs = root().join("target/release");
    let mut guard = command(&menshen);
    guard.arg("up").arg("--file").arg(shop).arg("--set").arg(format!("BIN={}", programs.display()));
    guard.arg("--set").arg(format!("STATE={}", root().join("target/demo/shop").display()));
    // Everything the demo makes stays in the repository's own target folder.
    guard.env("MENSHEN_HOME", root().join("target/demo"));
    // Ctrl-C is for the guard, which closes the shop; this waits until it has.
    let heard = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, heard).map_err(|error| format!("Ctrl-C: {error}"))?;
    run(&mut guard)
}

const INTRODUCTION: &str = r#"
A shop of four programs is about to open, guarded by Menshen. Things to try, in another terminal:

  open http://127.0.0.1:8080/            the shop; now and then it cannot take money
  export MENSHEN_HOME=target/demo        so that the command finds this guard
  target/release/menshen status          what is going on
  target/release/menshen status payment  why the payment service is as it is
  target/release/menshen logs -f         what all of them write
  kill -9 PID                            any of them: it is back in a moment
  kill -STOP PID (the worker's)          it hangs; its liveness probe has it restarted
  target/release/menshen pause web       and `continue web`

Watch the payment service: it dies again and again, the breaker opens, its offline page stands in, and a trial closes
the breaker. Ctrl-C closes the shop, in order.
"#;
