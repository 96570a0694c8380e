//! A service that does what the test tells it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use menshen_tests::wait::until_some;
use menshen_tests::{Bed, Trees, require};
use serde_json::{Value, json};

const PROGRAM: &str = include_str!("puppet.py");
/// Restarts come at once, and a test that kills often does not trip the breaker.
const QUICK: &str = "restart.delay = \"50ms\"\nrestart.jitter = 0.0\nbreaker.failures = 0\nstop.timeout = \"5s\"";

/// A bed with the puppet's program in it; `None` without Python.
pub(crate) fn bed(trees: Trees) -> Option<Bed> {
    require::program("python3")?;
    let bed = Bed::new(trees, "");
    bed.write("puppet.py", PROGRAM);
    Some(bed)
}

/// The definition of a service that is a puppet; `more` are further lines of it.
pub(crate) fn service(name: &str, more: &str) -> String {
    let mut text = format!("[service.{name}]\ncommand = [\"python3\", \"puppet.py\", \"{name}\"]\n");
    for line in QUICK.lines() {
        let key = line.split([' ', '.']).next().unwrap_or_default();
        // A test that has its own idea of it says so.
        if !more.lines().any(|own| own.starts_with(key)) {
            let _ = writeln!(text, "{line}");
        }
    }
    text + more + "\n"
}

/// A bed with one puppet called `web`, and its guard.
pub(crate) fn web(trees: Trees, more: &str) -> Option<Bed> {
    Some(bed(trees)?.and(&service("web", more)).up())
}

/// Has a puppet do something, once it runs. What it evaluates to.
///
/// The puppet has answered when this returns, so what it sent to the guard is on its way.
pub(crate) fn tell(bed: &Bed, name: &str, statement: &str) -> Value {
    let path = bed.path(&format!("{name}.sock"));
    let mut stream = until_some(&format!("{name} can be told"), || UnixStream::connect(&path).ok());
    writeln!(stream, "{}", json!(statement)).unwrap();
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).unwrap();
    let reply: Value =
        serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error} after {statement}: {reply}"));
    assert_eq!(reply.get("error"), None, "{statement}");
    reply["value"].clone()
}

/// Has a puppet do something it may not survive.
pub(crate) fn tell_last(bed: &Bed, name: &str, statement: &str) {
    let path = bed.path(&format!("{name}.sock"));
    let mut stream = until_some(&format!("{name} can be told"), || UnixStream::connect(&path).ok());
    writeln!(stream, "{}", json!(statement)).unwrap();
    // Its end closes the connection.
    let _ = BufReader::new(stream).read_line(&mut String::new());
}
