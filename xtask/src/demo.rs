//! The example shop, guarded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::shell::{cargo, command, root, run, say};

pub(crate) fn demo() -> Result<(), String> {
    say("building everything first, which takes some minutes");
    run(cargo().args(["build", "--release", "--package", "menshen-cli", "--package", "menshen-shop"]))?;
    let menshen = root().join("target/release/menshen");
    let home = root().join("target/demo");
    say(&introduction(&menshen, &home));
    let shop = root().join("examples/shop/menshen.toml");
    let programs = root().join("target/release");
    let mut guard = command(&menshen);
    guard.arg("up").arg("--file").arg(shop).arg("--set").arg(format!("BIN={}", programs.display()));
    guard.arg("--set").arg(format!("STATE={}", home.join("shop").display()));
    // Everything the demo makes stays in the repository's own target folder.
    guard.env("MENSHEN_HOME", home);
    // Ctrl-C is for the guard, which closes the shop; this waits until it has.
    let heard = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, heard).map_err(|error| format!("Ctrl-C: {error}"))?;
    run(&mut guard)
}

/// What there is to try. Its commands work wherever they are typed.
fn introduction(menshen: &Path, home: &Path) -> String {
    let (menshen, home) = (menshen.display(), home.display());
    format!(
        "
A shop of four programs is about to open, guarded by Menshen. Things to try, in another terminal:

  open http://127.0.0.1:8080/     the shop; now and then it cannot take money
  export MENSHEN_HOME={home}
  alias menshen={menshen}
                                  so that the command is there, and finds this guard

  menshen status                  what is going on
  menshen status payment          why the payment service is as it is
  menshen logs -f                 what all of them write
  kill -9 PID                     any of them: it is back in a moment
  kill -STOP PID                  the worker's: it hangs; its liveness probe has it restarted
  menshen pause web               and `continue web`

Watch the payment service: it dies again and again, the breaker opens, its offline page stands in, and a trial closes
the breaker. Ctrl-C closes the shop, in order.
"
    )
}
