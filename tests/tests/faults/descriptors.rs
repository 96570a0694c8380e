//! The guard has no file descriptors left.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use menshen_tests::{Bed, Process, Signal, State, Trees, WORKER, Worker, wait, with_both_trees};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::told::{ALERTS, heard, over};

/// Services that are asked in a way that takes a descriptor, and are restarted if they fail once. The end of a command that was
/// under way is not seen before there are descriptors again, so that one may fail.
fn probed(port: u16) -> String {
    let liveness = "interval = \"100ms\", timeout = \"20s\", failure = 1 }";
    let patient = "interval = \"100ms\", timeout = \"20s\", failure = 5 }";
    format!(
        "[service.by-address]\ncommand = \"sleep 1000\"\nprobe.liveness = {{ tcp = \"127.0.0.1:{port}\", {liveness}\n\
         [service.by-name]\ncommand = \"sleep 1000\"\nprobe.liveness = {{ tcp = \"localhost:{port}\", {liveness}\n\
         [service.by-command]\ncommand = \"sleep 1000\"\nprobe.liveness = {{ exec = [\"true\"], {patient}\n"
    )
}

/// A service whose main process leaves one behind that ignores the signal to end.
const LEAVES_A_CHILD: &str = r#"
    [service.leaves]
    command = ["sh", "-c", 'sh -c "trap \"\" TERM; echo \$$\$$ > child; while :; do sleep 1; done" & exec sleep 1000']
    stop.timeout = "300ms"
    restart.delay = "20ms"
"#;

/// A service that is to be started while there is nothing to start it with, and one whose log is to be closed meanwhile. That
/// writes numbered lines until there is a file `enough`, and then the last number into `last`.
const GO_ON: &str = r#"
    [service.alone]
    command = "sleep 1000"
    restart = { delay = "5s", max = "5s", jitter = 0.0 }
    breaker.failures = 0
    [service.counter]
    command = ["sh", "-c", 'n=0; while [ ! -e enough ]; do n=$$((n+1)); echo line $$n; [ $$((n % 100)) = 0 ] && sleep 0.01; done; echo $$n > last; exec sleep 1000']
    log.rotate = { size = "64KiB", keep = 0, total = "0B", compress = "none" }
"#;

with_both_trees! {
    fn the_guard_has_no_descriptors_left(trees: Trees) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It ends with the tests.
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let bed = Bed::new(trees, WORKER).and(&probed(port)).and(LEAVES_A_CHILD).and(ALERTS).up();
        let services = ["by-address", "by-name", "by-command"];
        for name in services {
            bed.await_service(name, "healthy", |service| service.healthy == Some(true));
        }
        let before = services.map(|name| bed.main_process(name));
        let (main, child) = (bed.main_process("leaves"), bed.await_process("child"));
        let (worker, mark) = (Worker::of(&bed), bed.mark());
        let guard = Pid::from_raw(bed.guard().pid.cast_signed()).unwrap();

        // Fewer than it has open: it gets no more.
        let none = Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum };
        let enough = prlimit(Some(guard), Resource::Nofile, none).unwrap();
        for name in ["by-address", "by-name"] {
            let cannot_be_asked = |event: &menshen_tests::Event| {
                event.service.as_deref() == Some(name) && event.reason.contains("cannot be asked")
            };
            bed.await_event(mark, &format!("{name} is not asked"), cannot_be_asked);
        }
        let mut status = bed.command().args(["status", "worker"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        heard(&bed, mark, "no connection to the control socket can be accepted", false);
        assert!(main.signal(Signal::KILL));
        bed.await_entry(mark, "leaves", State::Stopping);
        worker.works_undisturbed(&bed);
        assert!(child.lives(), "nobody could have found it");
        bed.await_event(mark, "it says that it cannot look", |event| {
            event.service.as_deref() == Some("leaves") && event.reason.contains("its processes cannot be looked at: too many open files")
        });
        assert_eq!(bed.history_after(mark).iter().filter(|event| leaves_stopping(event)).count(), 0, "while {child:?} lives");

        prlimit(Some(guard), Resource::Nofile, enough).unwrap();
        over(&bed, mark, "accepted again");
        over(&bed, mark, "liveness probe is asked again");
        // It was answered, or has given up waiting for that.
        status.wait().unwrap();
        bed.await_entry(mark, "leaves", State::Starting);
        assert!(!child.lives(), "it lives beside the next run");
        bed.await_ready("leaves");
        wait::until("it is started anew", || bed.await_process("child") != child);
        assert_eq!(services.map(|name| bed.main_process(name)), before, "they worked all the time");
        worker.works_undisturbed(&bed);
    }
}

with_both_trees! {
    fn a_start_and_the_closing_of_a_log_wait_until_there_are_descriptors(trees: Trees) {
        let bed = Bed::new(trees, WORKER).and(GO_ON).and(ALERTS).up();
        bed.await_ready("alone");
        bed.await_ready("counter");
        let (alone, counter) = (bed.main_process("alone"), bed.main_process("counter"));
        let (worker, mark) = (Worker::of(&bed), bed.mark());
        let guard = Pid::from_raw(bed.guard().pid.cast_signed()).unwrap();
        // Its death has been seen to the end; its start is yet to come.
        assert!(alone.signal(Signal::KILL));
        bed.await_entry(mark, "alone", State::Backoff);
        let none = Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum };
        let enough = prlimit(Some(guard), Resource::Nofile, none).unwrap();

        let cannot_be_started = |event: &menshen_tests::Event| {
            menshen_tests::events::entered(event, "alone") == Some(State::Backoff)
                && event.reason.contains("could not be started")
                && event.reason.contains("too many open files")
        };
        bed.await_event(mark, "it cannot be started", cannot_be_started);
        worker.works_undisturbed(&bed);
        bed.await_event(mark, "its log cannot be closed", |event| {
            event.service.as_deref() == Some("counter") && event.kind == "trouble" && event.reason.contains("too many open files")
        });
        assert!(counter.lives());

        prlimit(Some(guard), Resource::Nofile, enough).unwrap();
        bed.await_ready("alone");
        wait::until("nothing is in trouble", || !bed.menshen(["status"]).text().contains("trouble"));
        bed.write("enough", "");
        let last: u64 = bed.await_file("last").trim().parse().unwrap();
        let lines = || bed.menshen(["logs", "counter", "-n", "all"]).ended_with(0).text();
        let expected: String = (1..=last).map(|number| format!("line {number}\n")).collect();
        wait::until("the last line is there", || lines().ends_with(&format!("line {last}\n")));
        assert!(lines() == expected, "a line is missing or doubled");
        assert_eq!(bed.service("counter").service.restarts_total, 0);
        worker.works_undisturbed(&bed);
    }
}

/// The numbers of the descriptors a process has open.
fn numbers(pid: u32) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// The first number above those of standard input, output and error that is free.
fn first_free(pid: u32) -> u64 {
    let used = numbers(pid);
    (3..).find(|number| !used.contains(number)).unwrap()
}

/// The process that holds for the guard of a bed: its copy.
fn holder(bed: &Bed) -> Option<Process> {
    let guard = bed.guard().pid;
    let children = std::fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).ok()?;
    let mut pids = children.split_ascii_whitespace().map(|pid| pid.parse().unwrap());
    let is_holder =
        |pid: &u32| std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"menshen-holder\n");
    pids.find(is_holder).map(Process::of).filter(Process::lives)
}

#[test]
fn a_holder_that_cannot_be_started_is_tried_again() {
    let bed = Bed::new(Trees::Walk, WORKER).and(ALERTS).up();
    let (worker, mark) = (Worker::of(&bed), bed.mark());
    let first = wait::until_some("there is a holder", || holder(&bed));
    let guard = Pid::from_raw(bed.guard().pid.cast_signed()).unwrap();
    let none = Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum };
    let enough = prlimit(Some(guard), Resource::Nofile, none).unwrap();
    assert!(first.signal(Signal::KILL));
    heard(&bed, mark, "nothing is held for the next one", false);
    worker.works_undisturbed(&bed);
    assert!(holder(&bed).is_none());

    prlimit(Some(guard), Resource::Nofile, enough).unwrap();
    over(&bed, mark, "is held for the next one again");
    assert!(holder(&bed).is_some());
    assert!(!bed.menshen(["status"]).text().contains("trouble"));
    worker.works_undisturbed(&bed);
}

#[test]
fn a_holder_that_ends_at_once_is_tried_again() {
    let bed = Bed::new(Trees::Walk, WORKER).up();
    let mark = bed.mark();
    // At first it may have been there for long enough.
    wait::until("it is told that it ends again and again", || {
        let ended = holder(&bed).is_some_and(|holder| holder.signal(Signal::KILL));
        ended && bed.menshen(["status"]).text().contains("the process that holds ends again and again")
    });
    heard(&bed, mark, "is held for the next one again", true);
    assert!(holder(&bed).is_some());
}

/// How many descriptors of processes that have ended somebody has open.
fn descriptors_of_ended(pid: u32) -> usize {
    let is_of_ended = |number: &u64| {
        let about = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
        about.lines().any(|line| line.strip_prefix("Pid:").is_some_and(|pid| pid.trim() == "-1"))
    };
    numbers(pid).into_iter().filter(is_of_ended).count()
}

#[test]
fn how_a_service_ended_is_not_held_because_another_cannot_be_noted() {
    const ENDS: u64 = 50;
    let services = r#"
        [service.stuck]
        command = "sleep 1000"
        [service.fails]
        start = "manual"
        command = "false"
        restart = { delay = "10ms", max = "10ms", jitter = 0.0 }
        breaker.failures = 0
    "#;
    let bed = Bed::new(Trees::Walk, services).up();
    bed.await_ready("stuck");
    let record = bed.home().join(format!("state/{}/services/stuck.json", bed.instance()));
    wait::until("it is noted", || record.exists());
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir_all(record.join("in the way")).unwrap();
    let stopped = bed.menshen(["stop", "stuck"]).ended_with(0);
    assert!(stopped.stderr.contains("cannot be remembered"), "{}", stopped.stderr);
    bed.menshen(["start", "fails", "--no-wait"]).done();
    bed.await_service("fails", "ended often", |service| service.restarts_total >= ENDS);
    bed.menshen(["stop", "fails"]).done();
    wait::until("its ends are let go of", || descriptors_of_ended(bed.guard().pid) < 10);
    assert!(bed.menshen(["status"]).text().contains("trouble"));
}

#[test]
fn what_a_program_wrote_last_is_held_though_there_are_no_descriptors_left() {
    let job = r#"
        [service.job]
        type = "oneshot"
        command = ["sh", "-c", "until [ -e go ]; do sleep 0.01; done; echo last words"]
    "#;
    let mut bed = Bed::new(Trees::Walk, job).up();
    let (job, guard) = (bed.main_process("job"), bed.guard().pid);
    let holder = wait::until_some("there is a holder", || holder(&bed));
    // It has the guard's table of descriptors. Those who call take what is free below what it awaits the guard's end by.
    let is_guard = |number: &u64| {
        let about = std::fs::read_to_string(format!("/proc/{guard}/fdinfo/{number}")).unwrap_or_default();
        about.lines().any(|line| line.strip_prefix("Pid:").is_some_and(|pid| pid.trim() == guard.to_string()))
    };
    let awaited = numbers(guard).into_iter().find(is_guard).unwrap();
    let mut callers = Vec::new();
    wait::until("there is none free", || {
        callers.push(UnixStream::connect(bed.control_socket()).unwrap());
        first_free(guard) > awaited
    });
    let none = Rlimit { current: Some(first_free(guard)), maximum: Some(first_free(guard)) };
    prlimit(Pid::from_raw(holder.pid.cast_signed()), Resource::Nofile, none).unwrap();
    bed.kill_guard();
    bed.write("go", "");
    wait::until("it has ended", || !job.lives());
    bed.start_guard();
    bed.await_service("job", "over", |service| service.state != State::Running);
    let logs = || bed.menshen(["logs", "job", "-n", "all"]).ended_with(0).text();
    wait::until("what it wrote last is there", || logs().contains("last words"));
}

/// So many services are left by a guard, and the next has too few descriptors to look after them all at once: it has one for
/// each that was held for it, too, and not enough for all of that.
const LEFT: u64 = 40;

with_both_trees! {
    fn what_a_guard_left_and_the_next_cannot_look_at_yet_gets_no_twin(trees: Trees) {
        let services: String = (0..LEFT).map(|number| format!("[service.s{number}]\ncommand = \"sleep 1000\"\n")).collect();
        let mut bed = Bed::new(trees, &services).up();
        let names: Vec<String> = (0..LEFT).map(|number| format!("s{number}")).collect();
        names.iter().for_each(|name| drop(bed.await_ready(name)));
        let before: Vec<_> = names.iter().map(|name| bed.main_process(name)).collect();
        let open = std::fs::read_dir(format!("/proc/{}/fd", bed.guard().pid)).unwrap().count() as u64;
        bed.kill_guard();
        let mark = bed.mark();
        // What this process may have, its children have.
        let few = Rlimit { current: Some(open + LEFT / 2), maximum: Some(open + LEFT / 2) };
        setrlimit(Resource::Nofile, few).unwrap();
        bed.start_guard();
        heard(&bed, mark, "cannot be looked at yet: too many open files", false);
        heard(&bed, mark, "all that the guard before left has been looked at", true);
        for (name, before) in names.iter().zip(before) {
            let detail = bed.service(name);
            assert_eq!((detail.service.state, detail.service.pid), (State::Running, Some(before.pid)), "{detail:?}");
            assert_eq!(detail.service.restarts_total, 0, "{name}");
        }
        let sleepers = bed.processes().into_iter().filter(|process| process.command() == "sleep 1000").count();
        assert_eq!(sleepers as u64, LEFT);
    }
}

/// The service is said to have ended.
fn leaves_stopping(event: &menshen_tests::Event) -> bool {
    event.service.as_deref() == Some("leaves") && event.details.get("from").is_some_and(|from| from == "stopping")
}
