//! What the guard says to the service manager it runs under, and what programs do not hear of that.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use menshen_tests::{Bed, Trees};

/// Longer than any of this takes.
const SOON: Duration = Duration::from_secs(60);

/// Waits for a message that holds this.
fn hear(socket: &UnixDatagram, word: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{word} was not said: {error}"));
        let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if message.contains(word) {
            return message;
        }
    }
}

#[test]
fn the_guard_says_that_it_guards_and_asks_for_time_while_it_stops_everything() {
    let program = "env > env; echo done > is-there; trap 'sleep 3; exit 0' TERM; while :; do sleep 0.1; done";
    let definition = format!("[service.web]\ncommand = [\"sh\", \"-c\", \"{program}\"]\ninherit = \"all\"\n");
    let bed = Bed::new(Trees::Walk, &definition);
    let path = bed.path("manager");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut guard = bed.command();
    guard.args(["up", "--set", &format!("guard.name={}", bed.instance())]).env("NOTIFY_SOCKET", &path);
    guard.envs([("LISTEN_PID", "1"), ("LISTEN_FDS", "1"), ("WATCHDOG_USEC", "1000000"), ("TOLD", "everybody")]);
    let mut guard = guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    assert!(hear(&socket, "READY=1").contains("STATUS=guarding 1 services"));
    // Whoever waited for that can speak to it.
    bed.menshen(["events"]).done();
    bed.await_file("is-there");
    let environment = std::fs::read_to_string(bed.path("env")).unwrap();
    assert!(environment.contains("TOLD=everybody"), "{environment}");
    for name in ["NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"] {
        assert!(!environment.contains(name), "{environment}");
    }

    std::fs::copy(menshen_tests::command::menshen(), bed.path("next")).unwrap();
    bed.menshen(["upgrade", "--binary", "next"]).done();
    hear(&socket, "READY=1");
    bed.menshen(["down"]).done();
    assert!(hear(&socket, "STOPPING=1").contains("STATUS=stopping everything"));
    for _ in 0..3 {
        assert_eq!(hear(&socket, "EXTEND"), "EXTEND_TIMEOUT_USEC=15000000");
    }
    assert_eq!(guard.wait().unwrap().code(), Some(0));
}
