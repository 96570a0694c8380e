//! Another version goes on in the guard's place; what it guards does not notice. And what older versions left on disk.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use menshen_os::clock::wall_ms;
use menshen_tests::between::{Between, Fate};
use menshen_tests::events::Mark;
use menshen_tests::wait::until;
use menshen_tests::{Bed, BreakerState, Process, Service, Signal, State, Trees, Wanted, require, with_both_trees};
use serde_json::{Value, json};

/// What two readings of one instant may differ by: each guard asks anew how far the wall clock is ahead.
const CLOCK_TOLERANCE_MS: i64 = 100;

const LOGGING: &str = r#"
    [service.web]
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; echo $n > next; mv next last; done"]
"#;

/// A copy of the command, as another version would be.
fn copy(bed: &Bed, name: &str) -> PathBuf {
    let path = bed.path(name);
    fs::copy(menshen_tests::command::menshen(), &path).unwrap();
    path
}

/// A program that speaks as Menshen would: for its version, asked whether it can go on, and when it is to.
fn actor(bed: &Bed, asked: &str, begins: &str) -> PathBuf {
    let script = format!(
        "#!/bin/sh\ncase \"$1 $MENSHEN_TAKEOVER\" in\n--version*) echo menshen 9.9.9 ;;\n*from:*) {begins} ;;\n*) {asked} ;;\nesac\n"
    );
    let path = bed.write("actor", script);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

const WILLING: &str = "echo '{\"takeover\":1}'";

fn state(bed: &Bed) -> PathBuf {
    bed.home().join("state").join(bed.instance())
}

/// Every file below a folder, with its bytes, but for the lock: that is taken before anything is read.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(content(&entry.path()));
        } else if entry.file_name() != "lock" {
            files.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn executes(process: Process, binary: &Path) -> bool {
    fs::read_link(format!("/proc/{}/exe", process.pid)).is_ok_and(|path| path == binary)
}

fn open_files(process: Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap().count()
}

/// One service in each state that lasts, and two that are about to leave theirs.
const STATES: &str = r#"
    [service.backoff]
    command = ["sh", "-c", "test -e back && exec sleep 3600; exit 1"]
    restart = { delay = "8s", max = "8s", jitter = 0.0 }
    [service.patient]
    command = "false"
    restart = { delay = "1h", max = "1h", jitter = 0.0 }
    [service.tripped]
    command = "false"
    restart.delay = "10ms"
    breaker = { failures = 2, within = "1m", open_for = "1h", max_open = "2h", fallback = { command = "sleep 3600" } }
    [service.paused]
    command = "sleep 3600"
    [service.stopped]
    command = "sleep 3600"
    [service.once]
    command = ["sh", "-c", "echo done >> once"]
    type = "oneshot"
    [service.failed]
    command = "false"
    restart.policy = "never"
    [service.gate]
    command = "sleep 3600"
    probe.startup = { file = "never", interval = "1h", failure = 3600 }
    [service.waiting]
    command = "sleep 3600"
    depends_on = { gate = "ready" }
    [service.trial]
    command = ["sh", "-c", "test -e trial && exec sleep 3600; exit 1"]
    restart.delay = "10ms"
    breaker = { failures = 2, within = "1m", open_for = "100ms", max_open = "200ms", fallback = { command = "sleep 3600" } }
    probe.readiness = { file = "never", interval = "1h" }
    [service.stopping]
    command = ["sh", "-c", "trap '' TERM; echo there > there; while :; do sleep 0.1; done"]
    stop.timeout = "6s"
"#;

/// Has one guard follow another, and looks at every service before and after.
fn every_service_is_found_in_the_state_it_was(trees: Trees, follow: impl FnOnce(&mut Bed)) {
    let mut bed = Bed::new(trees, STATES).up();
    bed.await_file("there");
    bed.await_service("tripped", "tripped with its fallback", |service| {
        service.state == State::Tripped && service.fallback_pid.is_some()
    });
    bed.write("trial", "");
    bed.await_service("trial", "tried beside its fallback", |service| {
        service.breaker.state == BreakerState::HalfOpen && service.pid.is_some() && service.fallback_pid.is_some()
    });
    for (name, state) in
        [("once", State::Completed), ("failed", State::Failed), ("gate", State::Starting), ("waiting", State::Waiting)]
    {
        bed.await_state(name, state);
    }
    bed.menshen(["pause", "paused"]).done();
    bed.menshen(["stop", "stopped"]).done();
    let began = bed.await_state("patient", State::Backoff).service.since;
    // A wait that began anew would end this much later.
    until("it waits for a while", || wall_ms() > began.as_ms() + 10 * CLOCK_TOLERANCE_MS);
    let before = bed.mark();
    bed.menshen(["stop", "stopping", "--no-wait"]).done();
    bed.await_state("stopping", State::Stopping);
    let due = bed.await_state("backoff", State::Backoff).service.next_start.unwrap();
    bed.write("back", "");
    let facts = |service: Service| {
        let Service { state, wanted, pid, fallback_pid, breaker, restarts, restarts_total, last_exit, reason, .. } =
            service;
        (state, wanted, pid, fallback_pid, breaker, (restarts, restarts_total), last_exit, reason)
    };
    let names = ["patient", "tripped", "paused", "stopped", "once", "failed", "gate", "waiting", "trial", "stopping"];
    // Of all services at once: what is about to leave its state does not wait for a look at each.
    let look = |bed: &Bed| {
        let mut all: Value = bed.menshen(["status", "--json"]).json();
        let services: Vec<Service> = serde_json::from_value(all["services"].take()).unwrap();
        let named = |name: &str| services.iter().find(|service| service.name == name).unwrap().clone();
        let starts = ["patient", "tripped"].map(|name| named(name).next_start.unwrap().as_ms());
        (names.map(|name| facts(named(name))), starts)
    };
    let (facts_before, starts_before) = look(&bed);
    follow(&mut bed);
    let followed = wall_ms();
    let (facts_after, starts_after) = look(&bed);
    assert_eq!(facts_after, facts_before);
    for (before, after) in starts_before.into_iter().zip(starts_after) {
        assert!(before.abs_diff(after) < CLOCK_TOLERANCE_MS.unsigned_abs(), "{before} has become {after}");
    }
    each_goes_on(&bed, before);

    // What waited has waited until the instant it was to wait for, or, where nobody was there then, until somebody was.
    let started = bed.await_entry(before, "backoff", State::Starting).time.as_ms();
    let due = due.as_ms();
    assert!(started > due - CLOCK_TOLERANCE_MS && started < due.max(followed) + 2000, "due {due}, started {started}");
}

fn each_goes_on(bed: &Bed, before: Mark) {
    bed.await_ready("backoff");
    assert_eq!(bed.service("backoff").service.restarts, 1);
    bed.await_state("stopping", State::Stopped);
    assert_eq!(bed.states(before, "stopping"), [State::Stopping, State::Stopped]);
    assert_eq!(bed.service("stopping").service.last_exit.as_deref(), Some("killed by SIGKILL"));
    bed.menshen(["continue", "paused"]).done();
    bed.await_state("paused", State::Running);
    assert_eq!(bed.service("stopped").service.wanted, Wanted::Down);
    assert_eq!(bed.await_file("once"), "done\n", "it is done once");
}

with_both_trees! {
    fn how_a_program_of_an_earlier_guard_ends_during_an_upgrade_is_known(trees: Trees) {
        if !require::remembered_exits() {
            return;
        }
        let job = "[service.job]\ntype = \"oneshot\"\n\
                   command = [\"sh\", \"-c\", \"echo run >> runs; until [ -e go ]; do sleep 0.01; done\"]\n";
        let mut bed = Bed::new(trees, job).up();
        bed.await_file("runs");
        let job = bed.main_process("job");
        // It becomes a child of this process, which reaps it at once.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        bed.kill_guard();
        bed.start_guard();
        let begins = format!(
            "echo here > here; until [ -e on ]; do sleep 0.01; done; exec {} \"$@\"",
            menshen_tests::command::menshen().display()
        );
        actor(&bed, WILLING, &begins);
        let mut upgrade = bed.command().args(["upgrade", "--binary", "actor"]).spawn().unwrap();
        bed.await_file("here");
        bed.write("go", "");
        let pid = rustix::process::Pid::from_raw(job.pid.cast_signed());
        until("it is reaped", || {
            rustix::process::waitpid(pid, rustix::process::WaitOptions::NOHANG).unwrap().is_some()
        });
        bed.write("on", "");
        assert!(upgrade.wait().unwrap().success());
        let job = bed.await_state("job", State::Completed);
        assert_eq!(job.service.last_exit.as_deref(), Some("exit 0"));
        assert_eq!(bed.await_file("runs"), "run\n", "what is done is not done again");
    }

    fn an_upgrade_restarts_nothing_and_loses_no_line(trees: Trees) {
        let bed = Bed::new(trees, LOGGING).up();
        bed.await_ready("web");
        let (guard, web) = (bed.guard(), bed.main_process("web"));
        let mut files = None;
        for name in ["one", "two", "three"] {
            let binary = copy(&bed, name);
            let report: Value = bed.menshen(["upgrade", "--json", "--binary", name]).ended_with(0).json();
            assert_eq!((&report["adopted"], &report["changed"]), (&json!(1), &json!([])), "{report}");
            assert_eq!(report["pid"], guard.pid);
            assert!(executes(guard, &binary), "{name}");
            assert_eq!((bed.guard(), bed.main_process("web")), (guard, web));
            // One that just connects is gone in a moment, and one that follows may not have come back when they are first
            // counted.
            let most = *files.get_or_insert_with(|| open_files(guard) + 1);
            until("no more files are open than before", || open_files(guard) <= most);
        }
        let upgraded = bed.await_event(Mark::BEGIN, "it is told", |event| event.kind == "upgraded");
        assert!(upgraded.by.is_some() && upgraded.reason.contains("1 program runs on"), "{upgraded:?}");
        bed.menshen(["stop", "web"]).done();
        assert_eq!(bed.service("web").service.restarts_total, 0);
        let last: u64 = bed.await_file("last").trim().parse().unwrap();
        let logs = bed.menshen(["logs", "web", "-n", "all"]).ended_with(0).text();
        let mut expected = 0;
        for line in logs.lines() {
            expected += 1;
            assert_eq!(line, format!("line {expected}"));
        }
        // It may be killed between the line and the file.
        assert!((last..=last + 1).contains(&expected), "{expected} of {last}");
    }

    fn who_follows_a_log_is_told_every_line_once_whoever_guards(trees: Trees) {
        let mut bed = Bed::new(trees, LOGGING).up();
        bed.await_ready("web");
        let followed = fs::File::create(bed.path("followed")).unwrap();
        let mut follow = bed.command();
        follow.args(["logs", "web", "--follow", "-n", "all"]).stdout(followed).stderr(Stdio::null());
        let mut follow = follow.spawn().unwrap();
        let lines = |bed: &Bed| fs::read_to_string(bed.path("followed")).unwrap().lines().count();
        let goes_on = |bed: &Bed| {
            let before = lines(bed);
            until("it is followed", || lines(bed) > before + 100);
        };
        goes_on(&bed);
        for name in ["one", "two"] {
            copy(&bed, name);
            bed.menshen(["upgrade", "--binary", name]).done();
            goes_on(&bed);
        }
        bed.kill_guard();
        bed.start_guard();
        goes_on(&bed);
        bed.menshen(["stop", "web"]).done();
        let logs = bed.menshen(["logs", "web", "-n", "all"]).ended_with(0).text();
        until("all is followed", || lines(&bed) >= logs.lines().count());
        assert!(follow.try_wait().unwrap().is_none(), "it goes on as long as there is a guard");
        bed.menshen(["down"]).done();
        assert!(follow.wait().unwrap().success());
        let followed = fs::read_to_string(bed.path("followed")).unwrap();
        let expected: String = (1..=followed.lines().count()).map(|number| format!("line {number}\n")).collect();
        assert!(followed == expected && followed == logs, "lines were lost or told twice");
    }

    fn who_waits_for_a_service_waits_on_whoever_guards_it_by_then(trees: Trees) {
        const ONCE: &str = r#"
            [service.once]
            command = "sh -c 'while [ ! -e go ]; do sleep 0.05; done'"
            type = "oneshot"
            start = "manual"
        "#;
        let mut bed = Bed::new(trees, ONCE).up();
        let waiting = bed.command().args(["start", "once", "--timeout", "60s"]).stdout(Stdio::piped()).spawn().unwrap();
        bed.await_state("once", State::Running);
        let process = bed.main_process("once");
        copy(&bed, "next");
        bed.menshen(["upgrade", "--binary", "next"]).done();
        bed.kill_guard();
        bed.start_guard();
        assert_eq!(bed.main_process("once"), process);
        bed.write("go", "");
        let waited = waiting.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&waited.stdout);
        assert!(waited.status.success() && said.contains("once: completed"), "{waited:?}");
        assert_eq!(bed.service("once").service.restarts_total, 0);
    }

    fn a_command_that_a_guard_did_not_take_is_told_to_the_next(trees: Trees) {
        let bed = Bed::new(trees, "[service.web]\ncommand = \"sleep 3600\"\n").up();
        bed.await_ready("web");
        for verb in ["restart", "stop", "start"] {
            let (web, is_lost) = (bed.service("web").service.pid, AtomicBool::new(false));
            let request = format!("POST /v1/services/web/{verb}");
            let is_it = request.clone();
            let between = Between::of(&bed, move |line| match line.starts_with(&is_it) && !is_lost.swap(true, Ordering::Relaxed) {
                true => Fate::Lost,
                false => Fate::Passed,
            });
            bed.menshen([verb, "web", "--timeout", "30s"]).done();
            assert_ne!(bed.service("web").service.pid, web, "{verb}");
            let told = between.requests().iter().filter(|line| line.starts_with(&request)).count();
            assert_eq!(told, 2, "{verb}: {:?}", between.requests());
        }
    }

    fn a_stop_of_several_outlasts_its_guard_and_is_told_once(trees: Trees) {
        let deaf = |name: &str| {
            format!(
                "[service.{name}]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo deaf; while :; do sleep 0.1; done\"]\n\
                 stop.timeout = \"6s\"\nprobe.readiness.log = \"deaf\"\n"
            )
        };
        let mut bed = Bed::new(trees, &(deaf("one") + &deaf("two") + &deaf("three"))).up();
        let names = ["one", "two", "three"];
        names.iter().for_each(|name| drop(bed.await_ready(name)));
        let stop = bed.command().args(["stop", "--all", "--timeout", "60s"]).stderr(Stdio::piped()).spawn().unwrap();
        names.iter().for_each(|name| drop(bed.await_state(name, State::Stopping)));
        bed.kill_guard();
        bed.start_guard();
        let stop = stop.wait_with_output().unwrap();
        assert!(stop.status.success(), "{stop:?}");
        names.iter().for_each(|name| assert_eq!(bed.service(name).service.state, State::Stopped, "{name}"));
        let events = bed.menshen(["events", "--json", "-n", "all"]).ended_with(0).text();
        assert_eq!(events.matches("\"kind\":\"command\"").count(), names.len(), "{events}");
    }

    fn an_end_that_a_guard_did_not_take_is_told_to_the_next(trees: Trees) {
        let bed = Bed::new(trees, "[service.web]\ncommand = \"sleep 3600\"\n").up();
        bed.await_ready("web");
        let (guard, web, is_lost) = (bed.guard(), bed.main_process("web"), AtomicBool::new(false));
        let is_it = |line: &str| line.starts_with("POST") && line.contains("shutdown");
        let between = Between::of(&bed, move |line| match is_it(line) && !is_lost.swap(true, Ordering::Relaxed) {
            true => Fate::Lost,
            false => Fate::Passed,
        });
        bed.menshen(["down"]).done();
        assert!(!web.lives());
        until("the guard has ended", || !guard.lives());
        assert_eq!(between.requests().iter().filter(|line| is_it(line)).count(), 2, "{:?}", between.requests());
    }

    fn a_guard_that_is_killed_while_it_stops_everything_has_not_stopped_it(trees: Trees) {
        let deaf = "[service.deaf]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo deaf; while :; do sleep 1; done\"]\n\
                    stop.timeout = \"60s\"\nprobe.readiness.log = \"deaf\"\n";
        let mut bed = Bed::new(trees, deaf).up();
        bed.await_ready("deaf");
        let down = bed.command().arg("down").stderr(Stdio::piped()).spawn().unwrap();
        bed.await_state("deaf", State::Stopping);
        bed.kill_guard();
        let down = down.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&down.stderr);
        assert!(down.status.code() == Some(6) && said.contains("still runs, without a guard: deaf"), "{down:?}");
    }

    fn who_waits_is_told_that_no_guard_is_there(trees: Trees) {
        let mut bed = Bed::new(trees, "[service.once]\ncommand = \"sh -c 'while [ ! -e go ]; do sleep 0.05; done'\"\ntype = \"oneshot\"\nstart = \"manual\"\n").up();
        let mut waiting = bed.command().args(["start", "once", "--timeout", "60s"]).stderr(Stdio::piped()).spawn().unwrap();
        bed.await_state("once", State::Running);
        bed.kill_guard();
        let (mut said, mut errors) = (String::new(), std::io::BufReader::new(waiting.stderr.take().unwrap()));
        errors.read_line(&mut said).unwrap();
        assert!(said.contains("has ended; waiting for the next one"), "{said}");
        bed.start_guard();
        bed.write("go", "");
        assert!(waiting.wait().unwrap().success());
    }

    fn what_is_to_end_does_so_though_the_guard_does_not_tell_its_events(trees: Trees) {
        let mut bed = Bed::new(trees, "[service.web]\ncommand = \"sleep 3600\"\n[service.db]\ncommand = \"sleep 3600\"\n").up();
        bed.await_ready("web");
        bed.await_ready("db");
        let between = Between::of(&bed, |line| match line.starts_with("GET /v1/events") {
            true => Fate::Unanswered,
            false => Fate::Passed,
        });
        let stopped = bed.menshen(["stop", "web"]).ended_with(0);
        assert!(stopped.text().contains("web: stopped") && stopped.stderr.contains("does not tell its events"), "{stopped:?}");
        let down = bed.menshen(["down"]).ended_with(0);
        assert!(down.stderr.contains("does not tell its events"), "{down:?}");
        assert!(bed.await_guard_end().success());
        drop(between);
    }

    fn an_upgrade_finds_every_service_in_the_state_it_was(trees: Trees) {
        every_service_is_found_in_the_state_it_was(trees, |bed| {
            let guard = bed.guard();
            copy(bed, "next");
            bed.menshen(["upgrade", "--binary", "next"]).done();
            assert_eq!(bed.guard(), guard);
        });
    }

    fn the_guard_after_one_that_was_killed_finds_every_service_in_the_state_it_was(trees: Trees) {
        every_service_is_found_in_the_state_it_was(trees, |bed| {
            bed.kill_guard();
            bed.start_guard();
        });
    }

    fn a_probe_that_is_asked_during_an_upgrade_neither_fails_nor_stays_behind(trees: Trees) {
        let definition = "[service.web]\ncommand = \"sleep 3600\"\n\
            probe.liveness = { exec = [\"sh\", \"-c\", \"echo $$$$ > probe; exec sleep 3000\"], timeout = \"50m\", interval = \"1h\", failure = 1 }\n";
        let bed = Bed::new(trees, definition).up();
        let (probe, web) = (bed.await_process("probe"), bed.main_process("web"));
        copy(&bed, "next");
        bed.menshen(["upgrade", "--binary", "next"]).done();
        until("the probe has ended", || !probe.lives());
        assert_eq!(bed.main_process("web"), web);
        assert_eq!(bed.states(Mark::BEGIN, "web"), [State::Starting, State::Running]);
    }

    fn a_binary_that_cannot_take_over_is_refused_and_nothing_is_changed(trees: Trees) {
        let bed = Bed::new(trees, "[service.web]\ncommand = \"sleep 3600\"\n").up();
        bed.await_ready("web");
        let (guard, web) = (bed.guard(), bed.main_process("web"));
        let newer = state(&bed).join("services/other.json");
        let refused = |binary: &Path, why: &str| {
            let before = content(&state(&bed).join("services"));
            let ran = bed.menshen(["upgrade", "--binary", binary.to_str().unwrap()]).ended_with(1);
            assert!(ran.stderr.contains(why) && ran.stderr.contains("nothing was changed"), "{why}: {}", ran.stderr);
            assert_eq!(content(&state(&bed).join("services")), before, "{why}");
            assert_eq!((bed.guard(), bed.main_process("web")), (guard, web), "{why}");
            assert!(executes(guard, &menshen_tests::command::menshen()), "{why}");
        };
        refused(Path::new("/bin/true"), "is not Menshen");
        refused(&bed.path("nowhere"), "there is no");
        refused(bed.folder(), "is a folder");
        refused(&bed.write("plain", "x"), "is not executable");
        let broken = bed.write("broken", "\x7fELF");
        fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        refused(&broken, "is not Menshen, or not for this machine");
        refused(&actor(&bed, "exit 0", "exit 1"), "does not say whether it can take over");
        refused(&actor(&bed, "echo no room; exit 1", "exit 1"), "cannot take over: no room");

        // To a version that knows less, what a later one has written is unknown.
        let next = copy(&bed, "next");
        fs::write(&newer, "{\"format\":99}").unwrap();
        refused(&next, "its format has version 99");
        fs::remove_file(&newer).unwrap();
        bed.write("menshen.toml", "[service.web]\ncommand = 7\n");
        refused(&next, "the definition is refused");
        bed.write("menshen.toml", "[service.web]\ncommand = \"sleep 3600\"\n");
        assert!(!bed.events().iter().any(|event| event.kind == "upgrading"));
        bed.menshen(["upgrade", "--binary", "next"]).done();
        assert!(executes(guard, &next));
    }

    fn a_binary_that_is_gone_at_the_last_moment_leaves_the_guard_as_it_was(trees: Trees) {
        let bed = Bed::new(trees, LOGGING).up();
        bed.await_ready("web");
        let (guard, web) = (bed.guard(), bed.main_process("web"));
        let actor = actor(&bed, &format!("rm \"$0\"; {WILLING}"), "exit 1");
        let ran = bed.menshen(["upgrade", "--binary", actor.to_str().unwrap()]).ended_with(1);
        assert!(ran.stderr.contains("could not take over") && ran.stderr.contains("runs on"), "{}", ran.stderr);
        assert_eq!((bed.guard(), bed.main_process("web")), (guard, web));
        assert!(executes(guard, &menshen_tests::command::menshen()));
        bed.await_event(Mark::BEGIN, "it is told", |event| event.kind == "trouble" && event.reason.contains("goes on"));
        bed.menshen(["restart", "web"]).done();
    }

    fn a_definition_that_is_broken_meanwhile_leaves_nothing_without_a_guard(trees: Trees) {
        let real = menshen_tests::command::menshen().display().to_string();
        // It is what was followed at last that goes on, and not what the guard began with.
        let bed = Bed::new(trees, "[service.web]\ncommand = \"sleep 3600\"\n").up();
        let both = "[service.web]\ncommand = \"sleep 3600\"\n[service.mail]\ncommand = \"sleep 3600\"\n";
        bed.write("menshen.toml", both);
        bed.menshen(["reload"]).done();
        bed.await_ready("mail");
        let before = (bed.guard(), bed.main_process("web"), bed.main_process("mail"));
        let runs_on = |why: &str| {
            assert_eq!((bed.guard(), bed.main_process("web"), bed.main_process("mail")), before, "{why}");
            drop(bed.menshen(["reload"]).ended_with(3));
        };
        let goes_on = format!("exec {real} \"$@\"");
        let breaks = |how: &str| actor(&bed, &goes_on, &format!("{how}; {goes_on}"));
        let upgrade = |binary: &Path| bed.menshen(["upgrade", "--binary", binary.to_str().unwrap()]);
        upgrade(&breaks("echo '[service.web' > menshen.toml")).done();
        runs_on("it is no definition any more");
        bed.write("menshen.toml", both);
        upgrade(&breaks("rm menshen.toml")).done();
        assert_eq!((bed.guard(), bed.main_process("web"), bed.main_process("mail")), before, "it is gone");

        // Nor does the version that goes on because the next could not be executed.
        bed.write("menshen.toml", both);
        let gone = actor(&bed, &format!("echo '[service.web' > menshen.toml; rm \"$0\"; {WILLING}"), "exit 1");
        let ran = upgrade(&gone).ended_with(1);
        assert!(ran.stderr.contains("could not take over") && ran.stderr.contains("runs on"), "{}", ran.stderr);
        runs_on("the next version is gone, too");

        // What is mended is followed again.
        bed.write("menshen.toml", "[service.web]\ncommand = \"sleep 3600\"\n");
        bed.menshen(["reload"]).done();
        assert!(before.1.lives());
        until("what is not wanted any more has ended", || !before.2.lives());
    }

    fn a_version_that_dies_at_once_harms_nothing(trees: Trees) {
        let mut bed = Bed::new(trees, LOGGING).up();
        bed.await_ready("web");
        let web = bed.main_process("web");
        let actor = actor(&bed, WILLING, "exit 1");
        let ran = bed.menshen(["upgrade", "--binary", actor.to_str().unwrap()]).ended_with(6);
        assert!(ran.stderr.contains("has ended") && ran.stderr.contains("runs on"), "{}", ran.stderr);
        assert_eq!(bed.await_guard_end().code(), Some(1));
        assert!(web.lives());
        bed.start_guard();
        assert_eq!(bed.main_process("web"), web);
        assert_eq!(bed.service("web").service.restarts_total, 0);
    }

    fn who_asks_the_guard_to_end_while_it_becomes_another_is_heard(trees: Trees) {
        let mut bed = Bed::new(trees, LOGGING).up();
        bed.await_ready("web");
        let (guard, web) = (bed.guard(), bed.main_process("web"));
        // The next version takes its time to begin. A shell would let signals through that were held for it.
        let slow = format!(
            "#!/usr/bin/python3\nimport os, sys, time\n\
             if os.environ.get('MENSHEN_TAKEOVER', '').startswith('from:'):\n\
             \x20   print('here', file=open('here', 'w'), flush=True)\n\
             \x20   while not os.path.exists('go'): time.sleep(0.01)\n\
             os.execv('{real}', ['{real}'] + sys.argv[1:])\n",
            real = copy(&bed, "other").display()
        );
        let actor = bed.write("actor", slow);
        fs::set_permissions(&actor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let upgrade = bed.command().args(["upgrade", "--binary"]).arg(&actor).spawn();
        bed.await_file("here");
        assert!(guard.signal(Signal::TERM), "the process is the same");
        assert!(guard.lives() && web.lives());
        bed.write("go", "");
        assert_eq!(bed.await_guard_end().code(), Some(0));
        assert!(!web.lives(), "it was stopped as at any end");
        // What it heard of its upgrade is another matter.
        drop(upgrade.unwrap().wait());
    }

    fn a_guard_of_one_program_is_upgraded_as_any_other(trees: Trees) {
        let bed = Bed::new(trees, "");
        copy(&bed, "next");
        let mut run = bed.command();
        run.args(["run", "--name", bed.instance(), "--", "sh", "-c", "echo $$ > pid; sleep 3600"]);
        let mut guard = run.spawn().unwrap();
        let program = bed.await_process("pid");
        let instance = format!("run-{}", bed.instance());
        bed.menshen(["--instance", &instance, "upgrade", "--binary", "next"]).done();
        assert!(program.lives() && executes(Process::of(guard.id()), &bed.path("next")));
        Process::of(guard.id()).signal(Signal::TERM);
        assert_eq!(guard.wait().unwrap().code(), Some(0));
        assert!(!program.lives());
    }

    fn a_program_that_is_gone_from_its_place_meanwhile_keeps_its_guard(trees: Trees) {
        let bed = Bed::new(trees, "");
        let program = bed.path("program");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut run = bed.command();
        run.args(["run", "--name", bed.instance(), "--", program.to_str().unwrap(), "3600"]);
        let mut guard = run.spawn().unwrap();
        let process = Process::of(guard.id());
        until("it runs", || process.descendants().iter().any(|child| executes(*child, &program)));
        let child = process.descendants().into_iter().find(|child| executes(*child, &program)).unwrap();
        let goes_on = format!("exec {} \"$@\"", menshen_tests::command::menshen().display());
        let other = actor(&bed, &goes_on, &format!("rm program; {goes_on}"));
        let instance = format!("run-{}", bed.instance());
        bed.menshen(["--instance", &instance, "upgrade", "--binary", other.to_str().unwrap()]).done();
        assert!(child.lives() && process.lives());
        process.signal(Signal::TERM);
        assert_eq!(guard.wait().unwrap().code(), Some(0));
        assert!(!child.lives());
    }

    fn a_guard_whose_words_go_to_a_file_is_upgraded_as_any_other(trees: Trees) {
        let bed = Bed::new(trees, LOGGING);
        copy(&bed, "other");
        let mut guard = bed.command().args(["up", "--log-as", bed.instance()]).spawn().unwrap();
        until("its service runs", || bed.menshen(["status", "web"]).code == 0);
        let web = bed.main_process("web");
        bed.menshen(["upgrade", "--binary", "other"]).done();
        assert!(executes(Process::of(guard.id()), &bed.path("other")));
        assert_eq!(bed.main_process("web"), web);
        Process::of(guard.id()).signal(Signal::TERM);
        assert_eq!(guard.wait().unwrap().code(), Some(0));
    }

    fn what_guards_of_older_formats_remembered_is_taken_over(trees: Trees) {
        for format in [1, 2] {
            let definition = "[service.web]\ncommand = \"sleep 3600\"\n[service.idle]\ncommand = \"sleep 3600\"\n";
            let mut bed = Bed::new(trees, definition).up();
            bed.await_ready("web");
            bed.menshen(["stop", "idle"]).done();
            let web = bed.main_process("web");
            bed.kill_guard();
            for path in content(&state(&bed).join("services")).keys() {
                let mut record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                turn_back(&mut record, format);
                fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
            }
            // What it was started with nobody noted then.
            bed.write("menshen.toml", definition.replace("3600", "1800"));
            bed.start_guard();
            assert_eq!((bed.main_process("web"), bed.service("web").service.outdated), (web, false));
            assert_eq!(bed.service("idle").service.wanted, Wanted::Down);
            bed.menshen(["restart", "web"]).done();
            let written = fs::read_to_string(state(&bed).join("services/web.json")).unwrap();
            assert!(written.starts_with("{\"format\":3,"), "{written}");
        }
    }
}

/// Makes a record what it was in an older format.
fn turn_back(record: &mut Value, format: u32) {
    record["format"] = json!(format);
    let life = record["memory"]["life"].as_object_mut().unwrap();
    ["definition", "configuration"].iter().for_each(|since| drop(life.remove(*since)));
    if format == 1 {
        record.as_object_mut().unwrap().remove("format");
        record["memory"]["format"] = json!(1);
    }
}

/// Starts a guard on a state it does not know.
fn refuses_to_start(bed: &Bed) {
    let before = content(&state(bed));
    let name = format!("guard.name={}", bed.instance());
    let ran = bed.menshen(["up", "--set", &name]).ended_with(1);
    assert!(
        ran.stderr.contains("written by a newer version") && ran.stderr.contains("nothing was changed"),
        "{}",
        ran.stderr
    );
    assert_eq!(content(&state(bed)), before);
}

#[test]
fn a_state_of_a_newer_version_is_refused_and_left_as_it_is_and_so_is_what_runs() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 3600\"\n").up();
    bed.await_ready("web");
    let web = bed.main_process("web");
    bed.kill_guard();
    let record = state(&bed).join("services/web.json");
    let kept = fs::read(&record).unwrap();
    fs::write(&record, "{\"format\":99,\"all\":\"different\"}").unwrap();
    refuses_to_start(&bed);
    assert!(web.lives());
    fs::write(&record, kept).unwrap();

    // Whoever opens a journal that a killed guard left writes what lies beside it into it.
    bed.start_guard();
    bed.menshen(["down", "--leave"]).done();
    bed.await_guard_end();
    set_journal_version(&bed, 2);
    refuses_to_start(&bed);
    assert!(web.lives());
    set_journal_version(&bed, 1);
    bed.start_guard();
    assert_eq!((bed.main_process("web"), bed.service("web").service.restarts_total), (web, 0));
}

/// Writes a version where SQLite keeps the `user_version` of a file.
fn set_journal_version(bed: &Bed, version: u32) {
    let journal = state(bed).join("journal.db");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[60..64].copy_from_slice(&version.to_be_bytes());
    fs::write(&journal, &bytes).unwrap();
}

#[test]
fn what_an_operator_asked_of_a_guard_of_the_first_format_still_holds() {
    let bed = Bed::new(
        Trees::Walk,
        "[service.stopped]\ncommand = \"sleep 3600\"\n[service.running]\ncommand = \"sleep 3600\"\n",
    );
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/guard/fixtures/state/1");
    fs::create_dir_all(state(&bed).join("services")).unwrap();
    for file in ["journal.db", "services/stopped.json", "services/running.json"] {
        fs::copy(old.join(file), state(&bed).join(file)).unwrap();
    }
    let bed = bed.up();
    bed.await_ready("running");
    let stopped = bed.service("stopped").service;
    assert_eq!((stopped.state, stopped.wanted), (State::Stopped, Wanted::Down));
}
