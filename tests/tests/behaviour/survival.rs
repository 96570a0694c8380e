//! The guard dies; what it guards does not.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Process, Signal, State, Trees, wait, with_both_trees};

const SERVICES: &str = r#"
    [service.web]
    command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; echo $n > next; mv next last; sleep 0.01; done"]
    [service.flaky]
    command = ["sh", "-c", "exec sleep 1000"]
    restart.delay = "20ms"
"#;

/// A guard to which nothing happens looks after its memory a little later than this, and at all else with it.
const NOTED_WITHIN: Duration = Duration::from_secs(4);

/// The number in the last line written, and every number `menshen logs` has.
fn numbers(bed: &Bed) -> Vec<u64> {
    let ran = bed.menshen(["logs", "web", "-n", "all"]).ended_with(0);
    ran.text()
        .lines()
        .map(|line| line.strip_prefix("line ").unwrap_or_else(|| panic!("{line}")).parse().unwrap())
        .collect()
}

/// The guards that are said to have ended without a word.
fn said_of_the_guard_before(bed: &Bed) -> Vec<String> {
    let process = |event: menshen_tests::Event| {
        let before = event.reason.strip_prefix("the guard before this one (")?.split_once(") ended without a word")?.0;
        Some(before.to_owned())
    };
    bed.events().into_iter().filter_map(process).collect()
}

/// Ticks, and so does its child.
const TICKS: &str = r#"
    [service.web]
    command = ["sh", "-c", "sh -c 'while :; do echo tick >> ticks; sleep 0.02; done' & wait"]
"#;

/// The folder of the tree of `web`, where it has one.
fn folder_of_web(bed: &Bed) -> Option<PathBuf> {
    let mut folders = bed.cgroups().into_iter().map(|guard| guard.join("web@main"));
    folders.find(|folder| folder.join("cgroup.freeze").exists())
}

/// Freezes or thaws the tree of this process as a guard does.
fn freeze(bed: &Bed, main: Process, frozen: bool) {
    match folder_of_web(bed) {
        Some(folder) => std::fs::write(folder.join("cgroup.freeze"), if frozen { "1" } else { "0" }).unwrap(),
        None => {
            let signal = if frozen { Signal::STOP } else { Signal::CONT };
            std::iter::once(main).chain(main.descendants()).for_each(|process| _ = process.signal(signal));
        }
    }
}

/// Whether nothing of the tree of this process can run, as the kernel tells.
fn is_frozen(bed: &Bed, main: Process) -> bool {
    match folder_of_web(bed) {
        Some(folder) => std::fs::read_to_string(folder.join("cgroup.events")).unwrap().contains("frozen 1"),
        None => {
            let mut tree = std::iter::once(main).chain(main.descendants());
            tree.all(|process| process.is_stopped() || !process.lives())
        }
    }
}

with_both_trees! {
    fn what_the_last_guard_froze_or_thawed_and_did_not_note_is_as_it_was_noted(trees: Trees) {
        let mut bed = Bed::new(trees, TICKS).up();
        let ticks = |bed: &Bed| bed.await_file("ticks").len();
        bed.await_ready("web");
        let main = bed.main_process("web");
        wait::until("it ticks", || ticks(&bed) > 0);
        bed.kill_guard();
        freeze(&bed, main, true);
        bed.start_guard();
        let before = ticks(&bed);
        wait::until("it goes on", || ticks(&bed) > before);
        assert_eq!((bed.main_process("web"), bed.service("web").service.state), (main, State::Running));

        bed.menshen(["pause", "web"]).done();
        bed.kill_guard();
        freeze(&bed, main, false);
        let before = ticks(&bed);
        wait::until("it goes on without a guard", || ticks(&bed) > before);
        bed.start_guard();
        wait::until("it stands still", || is_frozen(&bed, main));
        assert_eq!(bed.service("web").service.state, State::Paused);
        bed.menshen(["continue", "web"]).done();
        let before = ticks(&bed);
        wait::until("it goes on again", || ticks(&bed) > before);
        assert_eq!((bed.main_process("web"), bed.service("web").service.restarts_total), (main, 0));
    }

    fn a_killed_guard_is_replaced_with_nothing_restarted_and_no_line_lost(trees: Trees) {
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("web");
        let flaky = bed.main_process("flaky");
        flaky.signal(Signal::KILL);
        bed.await_service("flaky", "restarted", |service| service.restarts == 1 && service.ready);
        let (web, flaky, guard) = (bed.main_process("web"), bed.main_process("flaky"), bed.guard());
        bed.kill_guard();
        let written: u64 = bed.await_file("last").trim().parse().unwrap();
        wait::until("it goes on writing without a guard", || {
            bed.await_file("last").trim().parse::<u64>().is_ok_and(|now| now > written + 20)
        });
        bed.start_guard();
        assert_eq!((bed.main_process("web"), bed.main_process("flaky")), (web, flaky));
        let detail = bed.service("flaky");
        assert_eq!((detail.service.restarts, detail.service.state), (1, State::Running), "{detail:?}");
        bed.await_event(Mark::BEGIN, "web is adopted", |event| event.kind == "adopted");
        assert_eq!(said_of_the_guard_before(&bed), [format!("process {}", guard.pid)]);
        bed.menshen(["stop", "web"]).done();
        let numbers = numbers(&bed);
        let last: u64 = bed.await_file("last").trim().parse().unwrap();
        let expected: Vec<u64> = (1..=last).collect();
        // It may be killed between the line and the file.
        assert!(numbers == expected || numbers == [expected, vec![last + 1]].concat(), "{numbers:?}");
    }

    fn a_guard_that_is_to_leave_ends_alone_and_the_next_finds_everything(trees: Trees) {
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("flaky");
        bed.await_file("last");
        let (web, flaky) = (bed.main_process("web"), bed.main_process("flaky"));
        bed.menshen(["down", "--leave"]).done();
        assert_eq!(bed.await_guard_end().code(), Some(0));
        assert!(web.lives() && flaky.lives());
        bed.start_guard();
        assert_eq!((bed.main_process("web"), bed.main_process("flaky")), (web, flaky));
        assert_eq!(bed.service("web").service.restarts_total, 0);
        assert!(said_of_the_guard_before(&bed).is_empty(), "it has taken its leave");
        bed.menshen(["stop", "web"]).done();
        let numbers = numbers(&bed);
        let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected);
        let last: u64 = bed.await_file("last").trim().parse().unwrap();
        assert!(numbers.len() as u64 >= last, "{last}");
    }

    fn a_program_that_dies_without_a_guard_is_seen_as_dead_and_comes_back(trees: Trees) {
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("flaky");
        let (web, flaky, before) = (bed.main_process("web"), bed.main_process("flaky"), bed.mark());
        bed.kill_guard();
        flaky.signal(Signal::KILL);
        wait::until("it is dead", || !flaky.lives());
        bed.start_guard();
        let detail = bed.await_service("flaky", "back", |service| service.restarts == 1 && service.ready);
        assert_ne!(detail.service.pid, Some(flaky.pid));
        // Each is told of as what it was found to be. Who follows events may hear of them a moment later.
        bed.await_event(before, "web is adopted", |event| event.kind == "adopted");
        let about = |kind: &str| -> Vec<String> {
            let events = bed.history_after(before).into_iter().filter(|event| event.kind == kind);
            events.map(|event| format!("{} {}", event.service.unwrap_or_default(), event.reason)).collect()
        };
        assert_eq!(about("adopted"), [format!("web process {} runs on", web.pid)]);
        let unseen = about("ended_unseen");
        assert!(unseen.len() == 1 && unseen[0].starts_with(&format!("flaky process {} ended", flaky.pid)), "{unseen:?}");
        assert!(unseen[0].ends_with("while no guard was there; this was found at take-over"), "{unseen:?}");
        bed.menshen(["stop", "--all"]).done();
        assert_eq!(bed.service("flaky").service.state, State::Stopped);
    }

    fn what_takes_long_to_end_with_its_guard_is_noted_meanwhile(trees: Trees) {
        let slow = "[service.slow]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo up > up; while :; do sleep 1000; done\"]\nstop.timeout = \"1h\"\n";
        let mut bed = Bed::new(trees, slow).up();
        assert_eq!(bed.await_file("up"), "up\n");
        let note = bed.home().join(format!("state/{}/services/slow.json", bed.instance()));
        let asked = SystemTime::now();
        bed.guard().signal(Signal::TERM);
        wait::until("it is noted that it ends", || {
            std::fs::read_to_string(&note).is_ok_and(|note| note.contains(r#""state":"stopping""#))
        });
        let noted = std::fs::metadata(&note).and_then(|note| note.modified()).unwrap();
        assert!(noted < asked + NOTED_WITHIN, "{:?}", noted.duration_since(asked));
        bed.kill_guard();
        bed.start_guard();
        bed.await_event(Mark::BEGIN, "the guard was shutting down", |event| event.kind == "shutting_down");
        bed.menshen(["down", "--now"]).done();
    }

    fn what_left_the_definition_while_no_guard_was_there_is_stopped_as_it_wanted_to_be(trees: Trees) {
        let old = "[service.old]\ncommand = [\"sh\", \"-c\", \"trap 'echo asked > asked; exit' HUP; while :; do sleep 0.01; done\"]\nstop.signal = \"SIGHUP\"\n";
        let mut bed = Bed::new(trees, SERVICES).and(old).up();
        bed.await_ready("old");
        let (old, web) = (bed.main_process("old"), bed.main_process("web"));
        bed.kill_guard();
        bed.write("menshen.toml", SERVICES);
        bed.start_guard();
        wait::until("it is ended", || !old.lives());
        assert_eq!(bed.await_file("asked"), "asked\n");
        wait::until("it is forgotten", || bed.menshen(["status", "old"]).code == 4);
        let left = bed.home().join(format!("state/{}/services/old.json", bed.instance()));
        wait::until("nothing is remembered of it", || !left.exists());
        assert_eq!(bed.main_process("web"), web);
    }
}

#[test]
fn a_second_guard_of_the_same_name_is_refused_and_harms_nothing() {
    let bed = Bed::new(Trees::Walk, SERVICES).up();
    bed.await_ready("web");
    let web = bed.main_process("web");
    let file = bed.path("menshen.toml");
    let name = format!("guard.name={}", bed.instance());
    let ran = bed.menshen(["up", "--file", file.to_str().unwrap(), "--set", &name]).ended_with(1);
    assert!(ran.stderr.contains("running already"), "{}", ran.stderr);
    assert!(web.lives());
    assert!(bed.service("web").service.ready);
}

#[test]
fn a_guard_nobody_reads_along_with_guards_on() {
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    for screen in [Stdio::piped(), full()] {
        let bed = Bed::new(Trees::Walk, SERVICES);
        let mut command = bed.command();
        command.args(["up", "--set", &format!("guard.name={}", bed.instance())]).stdout(screen).stderr(Stdio::null());
        let mut guard = command.spawn().unwrap();
        // Closes the reading end of a pipe.
        drop(guard.stdout.take());
        wait::until("it guards", || bed.menshen(["status", "--json"]).code == 0);
        bed.menshen(["restart", "flaky"]).done();
        bed.menshen(["restart", "flaky"]).done();
        assert_eq!(bed.service("flaky").service.state, State::Running);
        bed.menshen(["down"]).done();
        assert_eq!(guard.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_guard_whose_screen_stands_still_ends_all_the_same() {
    let bed =
        Bed::new(Trees::Walk, "[service.web]\ncommand = [\"sh\", \"-c\", \"yes | head -c 500000; exec sleep 1000\"]\n");
    let mut command = bed.command();
    command
        .args(["up", "--set", &format!("guard.name={}", bed.instance())])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut guard = command.spawn().unwrap();
    wait::until("it guards", || bed.menshen(["status", "--json"]).code == 0);
    let written = || bed.menshen(["logs", "web", "-n", "all"]).text().len() >= 500_000;
    wait::until("more is written than a pipe holds", written);
    bed.menshen(["down"]).done();
    // Nothing of its output was read.
    assert_eq!(wait::until_some("it ends", || guard.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn a_guard_takes_over_and_guards_on_although_the_disk_is_full() {
    if !menshen_tests::require::root() {
        return;
    }
    let mut bed = Bed::new(Trees::Walk, "[service.flaky]\ncommand = \"sleep 1000\"\n");
    let disk = bed.mount("home", "size=4m");
    let mut bed = bed.up();
    bed.await_ready("flaky");
    let flaky = bed.main_process("flaky");
    bed.kill_guard();
    disk.fill();
    bed.start_guard();
    assert_eq!(bed.main_process("flaky"), flaky);
    bed.await_event(Mark::BEGIN, "it says what is wrong", |event| event.reason.contains("the journal"));
    bed.menshen(["restart", "flaky"]).done();
    disk.make_room();
    bed.menshen(["stop", "flaky"]).done();
    let remembered = bed.home().join(format!("state/{}/services/flaky.json", bed.instance()));
    wait::until("the stop is remembered", || {
        std::fs::read_to_string(&remembered).is_ok_and(|text| text.contains("\"wanted\":\"down\""))
    });
}

#[test]
fn a_guard_whose_terminal_is_closed_stops_all_in_order() {
    let Some(python) = menshen_tests::require::program("python3") else { return };
    let bed = Bed::new(Trees::Walk, SERVICES);
    // A terminal of its own, closed once the guard is at work; the exit code is the guard's.
    bed.write(
        "terminal.py",
        "import os, pty, sys, time\n\
         pid, terminal = pty.fork()\n\
         if pid == 0:\n    os.execvp(sys.argv[1], sys.argv[1:])\n\
         while not os.path.exists('last'):\n    os.read(terminal, 1000)\n\
         os.close(terminal)\n\
         sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n",
    );
    let mut command = bed.command();
    let name = format!("guard.name={}", bed.instance());
    let menshen = command.get_program().to_owned();
    let mut in_terminal = Command::new(python);
    in_terminal.arg(bed.path("terminal.py")).arg(menshen).args(["up", "--set", &name]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => in_terminal.env(name, value),
            None => in_terminal.env_remove(name),
        };
    }
    in_terminal.current_dir(bed.folder());
    drop(menshen_tests::command::Ran::of(&in_terminal).ended_with(0));
    assert_eq!(bed.processes(), []);
    command.args(["status"]);
    drop(menshen_tests::command::Ran::of(&command).ended_with(6));
}
