//! What programs say of themselves: the sd_notify protocol, as sd_notify(3) and sd_listen_fds(3) describe it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use menshen_tests::events::Mark;
use menshen_tests::wait::until;
use menshen_tests::{Bed, Event, Process, Signal, State, Trees, port, with_both_trees};
use serde_json::{Value, json};

use crate::puppet::{self, tell, tell_last};

/// Longer than any time-out of a definition here: what was to happen by then has happened. The time-outs themselves leave
/// room for Python to start on a busy machine.
const LONG_ENOUGH: Duration = Duration::from_secs(4);

fn pass(since: Instant, time: Duration) {
    until("time passes", || since.elapsed() > time);
}

/// Waits for an event that says that something of the guard or of this service does not work.
fn await_trouble(bed: &Bed, mark: Mark, text: &str) -> Event {
    bed.await_event(mark, text, |event| event.kind == "trouble" && event.reason.contains(text))
}

/// Waits until a service is ready, or no longer so; the event.
fn await_readiness(bed: &Bed, mark: Mark, name: &str, passing: bool) -> Event {
    bed.await_event(mark, &format!("{name} ready: {passing}"), |event| {
        let about = event.kind == "probe" && event.service.as_deref() == Some(name);
        about && event.details["probe"] == "readiness" && event.details["passing"] == passing
    })
}

/// Has a puppet say something, and waits until the guard has heard everything up to that.
fn say_and_be_heard(bed: &Bed, name: &str, word: &str) {
    tell(bed, name, &format!("notify('STATUS={word}')"));
    bed.await_service(name, "heard", |service| service.status_text.as_deref() == Some(word));
}

#[test]
fn a_service_is_up_when_it_says_so_and_what_needs_it_waits() {
    let Some(bed) = puppet::bed(Trees::Walk) else { return };
    let page = "[service.page]\ncommand = \"sleep 3600\"\ndepends_on = { web = \"ready\" }";
    let bed = bed.and(&puppet::service("web", "type = \"notify\"")).and(page).up();

    say_and_be_heard(&bed, "web", "warming up");
    let web = bed.service("web").service;
    assert_eq!((web.state, web.ready), (State::Starting, false));
    assert_eq!(bed.service("page").service.state, State::Waiting);
    assert!(bed.menshen(["status"]).ended_with(7).text().contains("starting"));

    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");
    bed.await_ready("page");
    let ready = await_readiness(&bed, Mark::BEGIN, "web", true);
    assert!(ready.sequence < bed.await_entry(Mark::BEGIN, "page", State::Starting).sequence);
    assert_eq!(bed.states(Mark::BEGIN, "web"), [State::Starting, State::Running]);
}

#[test]
fn a_service_that_never_says_so_is_killed_at_its_time_out_and_that_counts() {
    let Some(bed) = puppet::bed(Trees::Walk) else { return };
    bed.write("web.begin.py", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n");
    let more = "type = \"notify\"\nstart_timeout = \"1s\"\nstop.timeout = \"200ms\"";
    let bed = bed.and(&puppet::service("web", more)).up();

    let stopping = bed.await_entry(Mark::BEGIN, "web", State::Stopping);
    assert!(stopping.reason.contains("not up after 1s: waiting for READY=1"), "{stopping:?}");
    let backoff = bed.await_entry(Mark::BEGIN, "web", State::Backoff);
    assert!(backoff.reason.contains("READY=1"), "{backoff:?}");
    let again = bed.await_service("web", "started again", |service| service.restarts_total >= 1);
    assert_eq!(again.service.last_exit.as_deref(), Some("killed by SIGKILL"));
    assert!(again.service.last_failure.is_some_and(|failure| failure.contains("READY=1")));

    // One that is told in time lives on.
    bed.write("web.begin.py", "notify('READY=1')\n");
    bed.await_ready("web");
}

#[test]
fn a_status_is_shown_and_cannot_do_things_to_a_terminal() {
    let Some(bed) = puppet::web(Trees::Walk, "type = \"notify\"") else { return };
    tell(&bed, "web", r#"notify('READY=1\nSTATUS=\x1b[2J\x1b]0;mine\x07serving\r\x9b31m 7 of 9\x00\x7f')"#);
    let detail = bed.await_service("web", "heard", |service| service.status_text.is_some());
    assert!(detail.service.status_text.is_some_and(|text| text.contains("serving") && text.contains("7 of 9")));
    for arguments in [&["status"][..], &["status", "web"], &["events", "--since", "1d"]] {
        let text = bed.menshen(arguments).text();
        let harmful: Vec<char> = text.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert_eq!(harmful, [], "{text:?}");
        assert!(arguments[0] == "events" || text.contains("7 of 9"), "{text}");
    }

    // What the last run said is not what this one says.
    let before = bed.mark();
    tell_last(&bed, "web", "os._exit(1)");
    bed.await_entry(before, "web", State::Starting);
    tell(&bed, "web", "notify('READY=1')");
    assert_eq!(bed.await_ready("web").service.status_text, None);
}

#[test]
fn a_service_that_reloads_is_not_ready_until_it_has() {
    let Some(bed) = puppet::bed(Trees::Walk) else { return };
    let handler = "def reload(*_):\n    notify(f'RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}')\n\
                   signal.signal(signal.SIGHUP, reload)\nnotify('READY=1')\n";
    bed.write("web.begin.py", handler);
    bed.write("web.conf", "a = 1\n");
    let more = "type = \"notify\"\nreload = { signal = \"SIGHUP\", files = [\"web.conf\"] }";
    let bed = bed.and(&puppet::service("web", more)).up();
    let (process, before) = (bed.await_ready("web").service.pid, bed.mark());

    assert!(bed.menshen(["reload"]).ended_with(0).text().contains("nothing changed"));
    bed.write("web.conf", "a = 2\n");
    bed.menshen(["reload"]).done();
    let reloading = await_readiness(&bed, before, "web", false);
    assert!(reloading.reason.contains("reloading"), "{reloading:?}");
    assert!(bed.menshen(["status"]).ended_with(7).text().contains("not ready"));

    tell(&bed, "web", "notify('READY=1')");
    assert_eq!(bed.await_ready("web").service.pid, process);
    assert_eq!(bed.states(before, "web"), [], "a reload is no restart");
}

#[test]
fn a_service_that_says_it_stops_is_not_ready_and_its_end_is_an_end_like_any_other() {
    let Some(bed) = puppet::web(Trees::Walk, "type = \"notify\"") else { return };
    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");
    let before = bed.mark();
    tell(&bed, "web", "notify('STOPPING=1\\nSTATUS=saving')");
    let stopping = await_readiness(&bed, before, "web", false);
    assert!(stopping.reason.contains("stopping by itself"), "{stopping:?}");
    assert_eq!(bed.service("web").service.state, State::Running);
    tell_last(&bed, "web", "os._exit(0)");
    bed.await_entry(before, "web", State::Backoff);
    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");
}

#[test]
fn a_watchdog_that_is_fed_keeps_still_and_one_that_is_not_restarts() {
    let more = "type = \"notify\"\nprobe.liveness = { notify = true, interval = \"1s\", failure = 3 }";
    let Some(bed) = puppet::web(Trees::Walk, more) else { return };
    let told = tell(&bed, "web", "[os.environ.get(n) for n in ('WATCHDOG_USEC', 'WATCHDOG_PID')] + [str(os.getpid())]");
    assert_eq!(told[0], "3000000");
    assert_eq!(told[1], told[2], "the watchdog is the main process's");

    tell(&bed, "web", "beating = beat(0.1)");
    tell(&bed, "web", "notify('READY=1')");
    let process = bed.await_ready("web").service.pid;
    pass(Instant::now(), LONG_ENOUGH);
    let alive = bed.service("web").service;
    assert_eq!((alive.pid, alive.healthy, alive.restarts_total), (process, Some(true), 0));

    let before = bed.mark();
    tell(&bed, "web", "beating.set()");
    let stopping = bed.await_entry(before, "web", State::Stopping);
    assert!(stopping.reason.contains("not fed in time"), "{stopping:?}");
    bed.await_entry(before, "web", State::Starting);
    assert_eq!(bed.service("web").service.restarts_total, 1);
    assert_eq!(bed.states(before, "web")[..3], [State::Stopping, State::Backoff, State::Starting]);
}

#[test]
fn a_watchdog_can_be_triggered_and_its_time_can_be_changed() {
    let more = "type = \"notify\"\nprobe.liveness = { notify = true, interval = \"1h\", failure = 1 }";
    let Some(bed) = puppet::web(Trees::Walk, more) else { return };
    for (number, word) in [(1, "WATCHDOG=trigger"), (2, "WATCHDOG_USEC=200000")] {
        tell(&bed, "web", "notify('READY=1')");
        bed.await_ready("web");
        let before = bed.mark();
        tell_last(&bed, "web", &format!("notify('{word}')"));
        let stopping = bed.await_entry(before, "web", State::Stopping);
        assert!(number == 2 || stopping.reason.contains(word), "{stopping:?}");
        bed.await_entry(before, "web", State::Starting);
        assert_eq!(bed.service("web").service.restarts_total, number, "{word}");
    }
}

#[test]
fn a_program_that_asks_for_more_time_to_start_and_to_stop_gets_it() {
    let Some(bed) = puppet::bed(Trees::Walk) else { return };
    let begin =
        "MORE = 'EXTEND_TIMEOUT_USEC=60000000'\nsignal.signal(signal.SIGTERM, lambda *_: notify(MORE))\nnotify(MORE)\n";
    bed.write("web.begin.py", begin);
    let more = "type = \"notify\"\nstart_timeout = \"3s\"\nstop.timeout = \"3s\"";
    let bed = bed.and(&puppet::service("web", more)).up();

    tell(&bed, "web", "None");
    pass(Instant::now(), LONG_ENOUGH);
    let starting = bed.service("web").service;
    assert_eq!((starting.state, starting.restarts_total), (State::Starting, 0));
    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");

    let (process, before) = (bed.main_process("web"), bed.mark());
    bed.menshen(["stop", "web", "--no-wait"]).done();
    bed.await_entry(before, "web", State::Stopping);
    pass(Instant::now(), LONG_ENOUGH);
    assert!(process.lives());
    assert_eq!(bed.service("web").service.state, State::Stopping);
    tell_last(&bed, "web", "os._exit(0)");
    let stopped = bed.await_state("web", State::Stopped);
    assert_eq!(stopped.service.last_exit.as_deref(), Some("exit 0"));
}

#[test]
fn an_upgrade_keeps_what_a_program_left_and_hears_what_it_says_meanwhile() {
    let Some(bed) = puppet::web(Trees::Walk, "type = \"notify\"\nfd_store = 2") else { return };
    tell(&bed, "web", "memory = os.memfd_create('state'); os.write(memory, b'what it knew')");
    tell(&bed, "web", "notify('FDSTORE=1\\nFDNAME=state', memory)");
    // It becomes ready at some moment of the upgrade, and says so again and again what it has said.
    tell(
        &bed,
        "web",
        "said = 0\ndef count():\n    global said\n    while said < 400:\n        said += 1\n        notify(f'STATUS={said}')\n        time.sleep(0.001)\n    notify('READY=1')",
    );
    tell(&bed, "web", "threading.Thread(target=count).start()");
    let binary = bed.path("next");
    std::fs::copy(menshen_tests::command::menshen(), &binary).unwrap();
    bed.menshen(["upgrade", "--binary", "next"]).done();
    bed.await_ready("web");
    assert_eq!(bed.service("web").service.status_text.as_deref(), Some("400"), "nothing it said is lost");
    assert_eq!(bed.states(Mark::BEGIN, "web"), [State::Starting, State::Running]);

    let first = bed.main_process("web");
    first.signal(Signal::KILL);
    bed.await_service("web", "started again", |service| service.restarts == 1);
    let stored = "[os.environ.get('LISTEN_FDNAMES'), os.pread(3, 100, 0).decode()]";
    assert_eq!(tell(&bed, "web", stored), json!(["state", "what it knew"]));
}

with_both_trees! {
    fn the_guard_follows_the_child_that_a_program_names(trees: Trees) {
        let Some(bed) = puppet::bed(trees) else { return };
        // The parent ends once the child has named itself, as a program that becomes a daemon does.
        bed.write(
            "web.begin.py",
            "first = os.getpid()\nread, write = os.pipe()\nif os.fork():\n    os.read(read, 1)\n    os._exit(0)\n\
             notify(f'MAINPID={os.getpid()}\\nREADY=1')\nos.write(write, b'.')\n",
        );
        let stop = "stop.timeout = \"5s\"\nstop.command = [\"sh\", \"-c\", \"echo $MAINPID > asked; kill $MAINPID\"]";
        let bed = bed.and(&puppet::service("web", &format!("type = \"notify\"\n{stop}"))).up();
        let mut last = 0;
        for (end, word) in [("os._exit(7)", "exit 7"), ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL")] {
            bed.await_service("web", "another", |service| service.ready && service.pid != Some(last));
            let first = u32::try_from(tell(&bed, "web", "first").as_u64().unwrap()).unwrap();
            until("the parent is gone", || !Process::find(first).is_some_and(|process| process.lives()));
            let web = bed.service("web").service;
            assert_eq!(web.state, State::Running, "the end of the parent is not the end of the service");
            assert_eq!(Some(tell(&bed, "web", "os.getpid()")), web.pid.map(Value::from));
            last = web.pid.unwrap();

            let before = bed.mark();
            tell_last(&bed, "web", end);
            let backoff = bed.await_entry(before, "web", State::Backoff);
            assert!(backoff.reason.contains(word), "{backoff:?}");
            let again = bed.await_service("web", "another", |service| service.ready && service.pid != Some(last));
            assert_eq!(again.service.last_exit.as_deref(), Some(word));
        }
        assert_eq!(bed.service("web").service.restarts_total, 2);

        let tree = bed.tree("web");
        bed.menshen(["stop", "web"]).done();
        assert_eq!(bed.await_file("asked").trim(), tree[0].pid.to_string(), "the stop command knows the child");
        assert!(tree.iter().all(|process| !process.lives()), "{tree:?}");
    }

    fn a_main_process_that_is_not_the_services_is_refused(trees: Trees) {
        let Some(bed) = puppet::bed(trees) else { return };
        let bed = bed.and(&puppet::service("web", "type = \"notify\"")).and(&puppet::service("other", "")).up();
        tell(&bed, "web", "notify('READY=1')");
        let pid = bed.await_ready("web").service.pid;
        let other = bed.await_ready("other").service.pid.unwrap();
        for stranger in [std::process::id(), other, bed.guard().pid, 1 << 30] {
            let before = bed.mark();
            tell(&bed, "web", &format!("notify('MAINPID={stranger}')"));
            await_trouble(&bed, before, &format!("MAINPID={stranger} was passed over"));
            assert_eq!(bed.service("web").service.pid, pid);
        }
        let before = bed.mark();
        assert!(bed.main_process("web").signal(Signal::KILL));
        bed.await_entry(before, "web", State::Backoff);
        assert_eq!(bed.service("other").service.pid, Some(other));
    }

    fn what_is_said_to_the_next_guard_is_heard(trees: Trees) {
        let more = "type = \"notify\"\nprobe.liveness = { notify = true, interval = \"1s\", failure = 3 }";
        let Some(mut bed) = puppet::web(trees, more) else { return };
        // The main process is one the last guard did not start.
        tell(&bed, "web", "parent = os.getpid()");
        tell(&bed, "web", "fork(lambda: (os.setsid(), notify(f'MAINPID={os.getpid()}\\nREADY=1'), beat(0.1), sleep_on()))");
        let main = bed.await_service("web", "ready", |service| service.ready && service.healthy == Some(true)).service;
        assert_ne!(Some(tell(&bed, "web", "parent")), main.pid.map(Value::from));
        for word in ["to the next", "to the one after"] {
            bed.kill_guard();
            bed.start_guard();
            let adopted = bed.service("web").service;
            assert_eq!((adopted.state, adopted.pid), (State::Running, main.pid), "{adopted:#?}");
            say_and_be_heard(&bed, "web", word);
            bed.await_service("web", "well", |service| service.ready && service.healthy == Some(true));
        }
        let before = bed.mark();
        assert!(Process::of(main.pid.unwrap()).signal(Signal::STOP));
        let stopping = bed.await_entry(before, "web", State::Stopping);
        assert!(stopping.reason.contains("not fed in time"), "{stopping:?}");
        bed.await_entry(before, "web", State::Starting);
    }

    fn only_the_services_own_processes_are_heard(trees: Trees) {
        let Some(bed) = puppet::bed(trees) else { return };
        let bed = bed.and(&puppet::service("web", "type = \"notify\"")).and(&puppet::service("other", "")).up();
        let socket = tell(&bed, "web", "os.environ['NOTIFY_SOCKET']");
        let (socket, before) = (socket.as_str().unwrap(), bed.mark());
        UnixDatagram::unbound().unwrap().send_to(b"READY=1\nSTATUS=forged", socket).unwrap();
        await_trouble(&bed, before, &format!("process {} ", std::process::id()));
        let before = bed.mark();
        tell(&bed, "other", &format!("os.environ.update(NOTIFY_SOCKET={socket:?})"));
        let other = tell(&bed, "other", "notify('READY=1\\nSTATUS=forged') or os.getpid()");
        await_trouble(&bed, before, &format!("process {other} "));
        say_and_be_heard(&bed, "web", "true");
        assert_eq!(bed.service("web").service.state, State::Starting);

        // One that is its child is heard, even if it is gone in a moment and nobody has asked for its end.
        tell(&bed, "web", "child = fork(lambda: notify('READY=1'))");
        bed.await_ready("web");
        // And so is one whose parent is gone.
        tell(&bed, "web", "fork(lambda: fork(lambda: (os.setsid(), notify('STATUS=grandchild'), sleep_on())))");
        bed.await_service("web", "heard", |service| service.status_text.as_deref() == Some("grandchild"));
    }
}

#[test]
fn messages_that_are_no_messages_harm_nothing() {
    let Some(bed) = puppet::web(Trees::Walk, "type = \"notify\"\nfd_store = 1") else { return };
    tell(&bed, "web", "None");
    let pid = bed.service("web").service.pid;
    let junk = [
        "b''",
        "b'\\0'",
        "b'\\n\\n\\n'",
        "b'='",
        "b'READY'",
        "b'READY=0'",
        "bytes(range(256)) * 16",
        "b'STATUS=' + b'x' * 100000",
        "b'\\xff\\xfe=\\xc3\\x28'",
        "b'MAINPID=' + b'9' * 4000",
        "b'WATCHDOG_USEC=-1\\nEXTEND_TIMEOUT_USEC=99999999999999999999999999'",
        // Cut where the guard's room ends, these would say something else.
        "b'#' * 4087 + b'\\nREADY=1'.ljust(100, b'0')",
        "b'#' * (4096 - 9 - len(str(os.getpid()))) + f'\\nMAINPID={os.getpid()}'.encode() + b'0'",
    ];
    for message in junk {
        tell(&bed, "web", &format!("notify({message})"));
        // Descriptors that come along are let go.
        tell(&bed, "web", &format!("notify({message}, 0, 1, 2)"));
    }
    tell(&bed, "web", "[notify(f'STATUS={n}') for n in range(3000)] and None");
    say_and_be_heard(&bed, "web", "still here");
    let web = bed.service("web").service;
    assert_eq!((web.state, web.pid, web.restarts_total), (State::Starting, pid, 0));
    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");
}

#[test]
fn descriptors_come_back_at_the_next_start_with_what_is_in_them() {
    let more = "type = \"notify\"\nfd_store = 2";
    let Some(bed) = puppet::web(Trees::Walk, more) else { return };
    let port = port::free();
    assert_eq!(tell(&bed, "web", "[name for name in os.environ if name.startswith('LISTEN_')]"), json!([]));
    tell(&bed, "web", &format!("listener = socket.create_server(('127.0.0.1', {port}))"));
    tell(&bed, "web", "notify('FDSTORE=1\\nFDNAME=web', listener.fileno())");
    tell(&bed, "web", "memory = os.memfd_create('state'); os.write(memory, b'what it knew')");
    tell(&bed, "web", "notify('FDSTORE=1\\nFDNAME=state\\nREADY=1', memory)");
    bed.await_ready("web");

    let kill = |bed: &Bed| assert!(bed.main_process("web").signal(Signal::KILL));
    let restart = |bed: &Bed| bed.menshen(["restart", "web", "--no-wait"]).done();
    for end in [kill as fn(&Bed), restart] {
        let before = bed.mark();
        // A client that comes while nobody accepts, and one that comes while nobody is there.
        let early = connect(port);
        end(&bed);
        let late = connect(port);
        bed.await_entry(before, "web", State::Starting);
        let given = "[os.environ.get(n) for n in ('LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID')] + [str(os.getpid())]";
        until("the next one runs", || tell(&bed, "web", "'LISTEN_FDS' in os.environ") == json!(true));
        let given = tell(&bed, "web", given);
        assert_eq!((&given[0], &given[1]), (&json!("2"), &json!("web:state")));
        assert_eq!(given[2], given[3], "what is passed is for the main process");
        assert_eq!(tell(&bed, "web", "os.pread(4, 100, 0).decode()"), "what it knew");
        tell(&bed, "web", "listener = socket.socket(fileno=3)");
        for mut client in [early, late] {
            let statement = "(lambda c: c.sendall(c.recv(100).upper()))(listener.accept()[0])";
            tell(&bed, "web", statement);
            let mut answer = [0; 5];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HELLO");
        }
        tell(&bed, "web", "notify('READY=1')");
        bed.await_ready("web");
    }
}

fn connect(port: u16) -> TcpStream {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(menshen_tests::wait::DEADLINE)).unwrap();
    client.write_all(b"hello").unwrap();
    client
}

#[test]
fn the_store_of_descriptors_is_bounded_holds_each_once_and_can_be_emptied() {
    let Some(bed) = puppet::web(Trees::Walk, "type = \"notify\"\nfd_store = 2\nstop.timeout = \"2s\"") else { return };
    let names = |bed: &Bed| tell(bed, "web", "os.environ.get('LISTEN_FDNAMES')");
    let again = |bed: &Bed, commands: &[&str]| {
        tell(bed, "web", "notify('READY=1')");
        let old = bed.await_ready("web").service.pid;
        commands.iter().for_each(|command| bed.menshen([command, "web", "--no-wait"]).done());
        bed.await_service("web", "another", |service| service.pid.is_some() && service.pid != old);
        until("it can be told", || tell(bed, "web", "os.getpid()") != json!(old));
    };
    tell(&bed, "web", "a, b, c = (os.memfd_create(name) for name in 'abc')");
    // The same again, also by another number, is still one.
    tell(&bed, "web", "[notify('FDSTORE=1\\nFDNAME=a', fd) for fd in (a, a, os.dup(a))] and None");
    let before = bed.mark();
    tell(&bed, "web", "notify('FDSTORE=1', b, c)");
    await_trouble(&bed, before, "`fd_store` allows 2");
    again(&bed, &["restart"]);
    assert_eq!(names(&bed), "a:stored");

    tell(&bed, "web", "notify('FDSTOREREMOVE=1\\nFDNAME=a')");
    again(&bed, &["restart"]);
    assert_eq!(names(&bed), "stored");

    // Who stops a service wants nothing of it to be left.
    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");
    bed.menshen(["stop", "web"]).done();
    bed.menshen(["start", "web", "--no-wait"]).done();
    assert_eq!(names(&bed), Value::Null);
}

#[test]
fn systemds_own_tool_is_understood() {
    let Some(bed) = puppet::web(Trees::Walk, "type = \"notify\"") else { return };
    tell(&bed, "web", "import shutil");
    if tell(&bed, "web", "shutil.which('systemd-notify')") == Value::Null {
        return;
    }
    // The tool waits until the guard has taken its message (BARRIER=1), and fails if it does not.
    let run = "subprocess.run(['systemd-notify', '--ready', '--status=by the tool'], timeout=30).returncode";
    assert_eq!(tell(&bed, "web", run), 0);
    let detail = bed.await_ready("web");
    assert_eq!(detail.service.status_text.as_deref(), Some("by the tool"));
}
