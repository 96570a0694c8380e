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

    assert!(hear(&socket, "READY=1").contains("STATUS=guarding web: "));
    // Whoever waited for that can speak to it.
    bed.menshen(["events"]).done();
    bed.await_file("is-there");
    let environment = std::fs::read_to_string(bed.path("env")).unwrap();
    assert!(environment.contains("TOLD=everybody"), "{environment}");
    for name in ["NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"] {
        assert!(!environment.contains(name), "{environment}");
    }

    // It wants to hear that the guard lives twice in each of its intervals.
    hear(&socket, "WATCHDOG=1");
    hear(&socket, "WATCHDOG=1");

    std::fs::copy(menshen_tests::command::menshen(), bed.path("next")).unwrap();
    bed.menshen(["upgrade", "--binary", "next"]).done();
    hear(&socket, "READY=1");
    hear(&socket, "WATCHDOG=1");
    bed.menshen(["down"]).done();
    assert!(hear(&socket, "STOPPING=1").contains("STATUS=stopping everything"));
    for _ in 0..3 {
        assert_eq!(hear(&socket, "EXTEND"), "EXTEND_TIMEOUT_USEC=15000000");
    }
    assert_eq!(guard.wait().unwrap().code(), Some(0));
}

#[test]
fn the_manager_hears_how_what_is_guarded_stands_whenever_that_changes() {
    let definition = "[service.web]\ncommand = \"sleep 3600\"\n\
                      [service.job]\ncommand = [\"sh\", \"-c\", \"until test -e end; do sleep 0.05; done; exit 3\"]\n\
                      restart.policy = \"never\"\n";
    let bed = Bed::new(Trees::Walk, definition);
    let path = bed.path("manager");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut guard = bed.command();
    guard.args(["up", "--set", &format!("guard.name={}", bed.instance())]).env("NOTIFY_SOCKET", &path);
    let mut guard = guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(hear(&socket, "READY=1").ends_with("STATUS=guarding 2 services"));
    bed.menshen(["pause", "web"]).done();
    assert_eq!(hear(&socket, "paused"), "STATUS=guarding 2 services: 1 paused");
    bed.write("end", "");
    assert_eq!(hear(&socket, "failed"), "STATUS=guarding 2 services: 1 failed, 1 paused");
    bed.menshen(["continue", "web"]).done();
    assert_eq!(hear(&socket, "failed"), "STATUS=guarding 2 services: 1 failed");

    // Of one service there is more to say.
    bed.write("menshen.toml", "[service.web]\ncommand = \"sleep 3600\"\n");
    bed.menshen(["reload"]).done();
    assert_eq!(hear(&socket, "web"), "STATUS=guarding web: running");
    bed.menshen(["pause", "web"]).done();
    assert!(hear(&socket, "web: paused").starts_with("STATUS=guarding web: paused, "));
    bed.menshen(["down"]).done();
    assert_eq!(guard.wait().unwrap().code(), Some(0));
}
