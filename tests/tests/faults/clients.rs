//! Callers of the control socket that mean no good, or hang.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Signal, Trees, WORKER, Worker, require, wait};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::told::{ALERTS, begun, heard, over};

const FLAKY: &str = "[service.flaky]\ncommand = \"sleep 1000\"\nrestart.delay = \"20ms\"\n";
const CONNECTIONS: usize = 1000;

fn connect(bed: &Bed) -> UnixStream {
    UnixStream::connect(bed.control_socket()).unwrap()
}

/// Commands of others are answered, and programs are looked after.
fn all_is_well(bed: &Bed, worker: &Worker) {
    bed.menshen(["restart", "flaky"]).done();
    assert!(bed.main_process("flaky").signal(Signal::KILL));
    bed.await_ready("flaky");
    worker.works_undisturbed(bed);
}

/// How often it was told that connections are refused.
fn refusals(bed: &Bed) -> usize {
    let is_refusal = |event: &&menshen_tests::Event| event.kind == "trouble" && event.reason.contains("are refused");
    bed.events().iter().filter(is_refusal).count()
}

#[test]
fn one_process_opens_a_thousand_connections_to_a_guard_with_few_descriptors() {
    let bed = Bed::new(Trees::Walk, WORKER).and(FLAKY).and(ALERTS).up();
    let worker = Worker::of(&bed);
    let guard = Pid::from_raw(bed.guard().pid.cast_signed()).unwrap();
    // What most systems give a program that does not ask for more.
    prlimit(
        Some(guard),
        Resource::Nofile,
        Rlimit { current: Some(1024), maximum: getrlimit(Resource::Nofile).maximum },
    )
    .unwrap();
    let mut held: Vec<UnixStream> = (0..CONNECTIONS).map(|_| connect(&bed)).collect();
    for (number, stream) in held.iter_mut().enumerate().filter(|(number, _)| number % 3 != 0) {
        // Some say nothing, some half of something, some ask for what has no end. Those that were refused are closed.
        let request = if number % 3 == 1 {
            "GET /v1/serv"
        } else {
            "GET /v1/events HTTP/1.1\r\nAccept: text/event-stream\r\nHost: x\r\n\r\n"
        };
        let _ = stream.write_all(request.as_bytes());
    }
    let told = begun(&bed, Mark::BEGIN, "connections to the control socket are refused");
    assert!(told.reason.contains(&format!("by process {}", std::process::id())), "{told:?}");
    all_is_well(&bed, &worker);
    assert!(bed.menshen(["status"]).text().contains("connections to the control socket are refused"));
    drop(held);
    over(&bed, Mark::BEGIN, "there is room again");
    all_is_well(&bed, &worker);
    assert_eq!(refusals(&bed), 1, "it is told once");
}

#[test]
fn another_user_opens_a_thousand_connections_from_many_processes() {
    /// Opens as many as it is told, and holds them until it is killed.
    const HOLD: &str = "use IO::Socket::UNIX; @held = map { IO::Socket::UNIX->new(Peer => $ARGV[0]) } 1..$ARGV[1]; \
                        print scalar(grep { defined } @held), \"\\n\"; close STDOUT; sleep 1000";
    const PROCESSES: usize = 20;
    let (Some(perl), Some(setpriv)) = (require::program("perl"), require::program("setpriv")) else { return };
    if !require::root() {
        return;
    }
    let bed = Bed::new(Trees::Walk, WORKER).and(FLAKY).and("[guard.access]\nusers = { nobody = \"viewer\" }\n").up();
    let worker = Worker::of(&bed);
    let per_process = (CONNECTIONS / PROCESSES).to_string();
    let mut others = Vec::new();
    for _ in 0..PROCESSES {
        let mut command = Command::new(&setpriv);
        command.args(["--pdeathsig", "KILL", "--reuid", "nobody", "--clear-groups"]).arg(&perl).args(["-e", HOLD]);
        command.arg(bed.control_socket()).arg(&per_process).current_dir("/").stdout(Stdio::piped());
        others.push(command.spawn().unwrap());
    }
    for other in &mut others {
        let mut opened = String::new();
        other.stdout.take().unwrap().read_to_string(&mut opened).unwrap();
        assert_eq!(opened.trim(), per_process);
    }
    heard(&bed, Mark::BEGIN, "connections to the control socket are refused", false);
    all_is_well(&bed, &worker);
    for mut other in others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    heard(&bed, Mark::BEGIN, "there is room again", true);
    all_is_well(&bed, &worker);
    assert_eq!(refusals(&bed), 1, "it is told once");
}

#[test]
fn half_a_request_is_not_waited_for_for_good() {
    let bed = Bed::new(Trees::Walk, WORKER).up();
    let worker = Worker::of(&bed);
    let mut silent = connect(&bed);
    for half in [
        "GET /v1/services HTTP/1.1\r\nHost:",
        "POST /v1/services/worker/signal HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let (mut stream, mark) = (connect(&bed), bed.mark());
        stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        let mut line = String::new();
        let mut answer = BufReader::new(&stream);
        answer.read_line(&mut line).unwrap();
        // Told what is wrong, or hung up on.
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{line}");
        let said = heard(&bed, mark, "half a request", false);
        assert!(said.reason.contains(&format!("process {}", std::process::id())), "{said:?}");
    }
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "it is hung up on, too");
    let halves = bed.events().iter().filter(|event| event.reason.contains("half a request")).count();
    // Whoever says nothing at all between two requests, or before the first, does nothing wrong.
    assert_eq!(halves, 2);
    worker.works_undisturbed(&bed);
}

#[test]
fn followers_that_do_not_read_keep_nobody_waiting_and_miss_nothing() {
    const LINES: usize = 300_000;
    const MEMORY_MAX: u64 = 48 << 20;
    let chatty = format!(
        "[service.chatty]\ncommand = [\"sh\", \"-c\", \"seq {LINES}; exec sleep 1000\"]\nlog.rotate = {{ size = \"64KiB\", keep = 0, total = \"1GiB\" }}\n"
    );
    let bed = Bed::new(Trees::Walk, WORKER).and(FLAKY).up();
    let worker = Worker::of(&bed);
    let bed = bed.and(&chatty);
    bed.menshen(["reload"]).done();
    let ask = |path: &str| {
        let mut stream = connect(&bed);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let logs = ask("/v1/services/chatty/logs?follow=true");
    let events: Vec<UnixStream> = (0..8).map(|_| ask("/v1/events")).collect();
    heard(&bed, Mark::BEGIN, "which follows the log of chatty, has read nothing", false);
    wait::until("all is written", || bed.menshen(["logs", "chatty", "-n", "1"]).text().trim() == LINES.to_string());
    for _ in 0..50 {
        bed.menshen(["restart", "flaky"]).done();
    }
    all_is_well(&bed, &worker);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bed.guard().pid)).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).unwrap();
    let bytes = kilobytes.trim().parse::<u64>().unwrap() << 10;
    assert!(bytes < MEMORY_MAX, "the guard takes {} MiB", bytes >> 20);
    // It reads on after all.
    let texts = BufReader::new(logs).lines().map(Result::unwrap).filter(|line| line.starts_with('{'));
    let texts = texts.map(|line| serde_json::from_str::<menshen_tests::LogLine>(&line).unwrap().text);
    assert!(texts.take(LINES).eq((1..=LINES).map(|number| number.to_string())));
    heard(&bed, Mark::BEGIN, "which follows the log of chatty, reads on", true);
    drop(events);
}

#[test]
fn of_many_followers_that_do_not_read_as_many_ends_are_told_as_beginnings() {
    /// More than are told of within a minute.
    const FOLLOWERS: usize = 14;
    let chatty = "[service.chatty]\ncommand = [\"sh\", \"-c\", \"while :; do seq 1000; sleep 0.01; done\"]\n";
    let bed = Bed::new(Trees::Walk, chatty).up();
    let told = |over: bool| {
        let is_told = |event: &&menshen_tests::Event| {
            event.kind == "trouble" && event.details["over"] == over && event.reason.contains("which follows the log")
        };
        bed.events().iter().filter(is_told).count()
    };
    let follow = || {
        let mut stream = connect(&bed);
        let request =
            "GET /v1/services/chatty/logs?follow=true HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let followers: Vec<UnixStream> = (0..FOLLOWERS).map(|_| follow()).collect();
    wait::until("as many are told of as are ever told of", || told(false) == 10);
    drop(followers);
    wait::until("the end of each is told", || told(true) == 10);
    // What the guard was told before it answered is written down by then.
    bed.menshen(["restart", "chatty"]).done();
    assert_eq!((told(false), told(true)), (10, 10));
}
