//! The payment service. Its moods are known: it works for a while, then dies several times in a row, then works again. With
//! `--offline` it is its own fallback: it takes no money, but says so.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use shop::arguments::{has, port, value};
use shop::http::serve;
use shop::say::{err, out};

/// One start in so many is a good one; the others die young.
const STARTS_IN_A_MOOD: u64 = 5;
/// How long a start that dies young lives.
const SHORT_LIFE: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            err(error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    if has("--offline") {
        out("taking no money until the payment service is back");
        return serve(port(8081)?, |_, _| {
            (503, "the payment service is being mended, please order now and pay later\n".to_owned())
        });
    }
    let long_life: u64 = value("--good-for", "25").parse().map_err(|_| "--good-for takes seconds".to_owned())?;
    let start = count_start()?;
    let life = if start % STARTS_IN_A_MOOD == 0 { Duration::from_secs(long_life) } else { SHORT_LIFE };
    std::thread::spawn(move || {
        std::thread::sleep(life);
        err(format_args!("start {start}: something went wrong after {} ms", life.as_millis()));
        std::process::abort();
    });
    serve(port(8081)?, |method, path| match (method, path) {
        ("GET", "/crash") => std::process::abort(),
        _ => (200, "cards and cash\n".to_owned()),
    })
}

/// The how manieth start this is, from 0.
fn count_start() -> Result<u64, String> {
    let state = PathBuf::from(value("--state", "."));
    let path = state.join("payment-starts");
    let start = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0_u64);
    fs::create_dir_all(&state)
        .and_then(|()| fs::write(&path, format!("{}\n", start + 1)))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(start)
}
