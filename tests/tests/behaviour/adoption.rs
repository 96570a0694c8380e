//! What the next guard finds is not always what the last one meant to leave.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use menshen_tests::command::built;
use menshen_tests::events::Mark;
use menshen_tests::{Bed, Process, Signal, State, Trees, require, wait, with_both_trees};
use serde_json::Value as Json;

const WEB: &str = "[service.web]\ncommand = \"sleep 1000\"\nrestart.delay = \"20ms\"\n";

/// The file in which a service is remembered.
fn record(bed: &Bed, service: &str) -> PathBuf {
    bed.home().join(format!("state/{}/services/{service}.json", bed.instance()))
}

/// Changes what is remembered of a service.
fn edit_record(bed: &Bed, service: &str, edit: impl FnOnce(&mut Json)) {
    let path = record(bed, service);
    let mut json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    edit(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

/// Leaves half of what is remembered of a service.
fn damage_record(bed: &Bed, service: &str) {
    let path = record(bed, service);
    let content = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &content[..content.trim_end().len() / 2]).unwrap();
}

/// Copies a folder with all that is in it, as a backup does.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Has a next guard find the program that runs, with the state folder of a backup.
fn finds_web_with_state_of(bed: &mut Bed, backup: &Path, web: Process) {
    bed.kill_guard();
    let state = bed.home().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    copy(backup, &state);
    bed.start_guard();
    bed.await_ready("web");
    assert_eq!(bed.main_process("web"), web);
}

/// A process that has nothing to do with the guard, for as long as this lives.
struct Stranger(Child);

impl Stranger {
    fn start() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn process(&self) -> Process {
        Process::of(self.0.id())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may be gone, which the test has told by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The start time of a process as `/proc` has it.
fn start_time(process: Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap()
}

with_both_trees! {
    fn what_stands_in_and_was_not_noted_gets_no_twin(trees: Trees) {
        if !require::fail_points() {
            return;
        }
        let definition = "[service.fuse]\ncommand = \"false\"\nbreaker = { failures = 1, within = \"1m\", open_for = \"1h\", \
                          max_open = \"2h\", fallback = { command = \"sleep 3597\" } }\n";
        let mut bed = Bed::new(trees, definition);
        // The second that is born stands in for the first.
        bed.die_at("child-born:2");
        let fallbacks = |bed: &Bed| -> Vec<u32> {
            let is_fallback = |process: &Process| process.command() == "sleep 3597";
            bed.processes().iter().filter(|process| is_fallback(process)).map(|process| process.pid).collect()
        };
        wait::until("one stands in whom nobody knows", || fallbacks(&bed).len() == 1);
        bed.start_guard();
        let fuse = bed.await_service("fuse", "tripped, with its fallback", |service| {
            service.state == State::Tripped && service.fallback_pid.is_some()
        });
        let one: Vec<u32> = fuse.service.fallback_pid.into_iter().collect();
        wait::until("one stands in", || fallbacks(&bed) == one);
    }

    fn a_program_that_was_started_again_and_not_noted_gets_no_twin(trees: Trees) {
        if !require::fail_points() {
            return;
        }
        let bed = Bed::new(trees, "");
        let noted = format!("until grep -q :$$$$, {}; do sleep 0.01; done", record(&bed, "web").display());
        let script = format!("[ -e again ] && exec sleep 3596; touch again; {noted}; exit 7");
        let mut bed = bed.and(&format!(
            "[service.web]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nrestart.delay = \"0s\"\n"
        ));
        // The first is noted, and is dead.
        bed.die_at("child-born:2");
        let lives = |bed: &Bed| -> Vec<u32> {
            let is_web = |process: &Process| process.command() == "sleep 3596";
            bed.processes().iter().filter(|process| is_web(process)).map(|process| process.pid).collect()
        };
        wait::until("one runs whom nobody knows", || lives(&bed).len() == 1);
        let again = lives(&bed);
        bed.start_guard();
        let web = bed.await_ready("web").service;
        assert_eq!((web.pid.into_iter().collect(), web.restarts_total), (again.clone(), 1), "{web:?}");
        assert_eq!(lives(&bed), again);
    }

    fn what_a_killed_guard_asked_as_a_probe_is_ended_by_the_next(trees: Trees) {
        let definition = "[service.web]\ncommand = \"sleep 3600\"\n\
            probe.liveness = { exec = [\"sh\", \"-c\", \"echo $$$$ > probe; exec sleep 3000\"], timeout = \"50m\", interval = \"1h\", failure = 1 }\n";
        let mut bed = Bed::new(trees, definition).up();
        let (probe, web) = (bed.await_process("probe"), bed.main_process("web"));
        bed.kill_guard();
        assert!(probe.lives());
        bed.start_guard();
        wait::until("the probe has ended", || !probe.lives());
        assert_eq!(bed.main_process("web"), web);
    }

    fn a_program_whose_record_is_half_written_runs_on_and_gets_no_twin(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        let web = bed.main_process("web");
        bed.kill_guard();
        let path = record(&bed, "web");
        let content = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &content[..content.trim_end().len() / 2]).unwrap();
        std::fs::write(path.with_extension("json.new"), &content[..7]).unwrap();
        bed.start_guard();
        bed.await_ready("web");
        assert_eq!(bed.main_process("web"), web);
        bed.await_event(Mark::BEGIN, "the damage is told", |event| event.reason.contains("web.json cannot be used"));
        bed.menshen(["stop", "web"]).done();
        assert!(!web.lives());
    }

    fn what_stands_in_for_a_service_that_left_the_definition_ends_though_its_record_is_half_written(trees: Trees) {
        let fuse = "[service.fuse]\ncommand = \"false\"\nbreaker = { failures = 1, within = \"1m\", open_for = \"1h\", \
                    max_open = \"2h\", fallback = { command = \"sleep 3592\" } }\n";
        let mut bed = Bed::new(trees, &format!("{WEB}{fuse}")).up();
        bed.await_ready("web");
        let fuse = bed.await_service("fuse", "stood in for", |service| service.fallback_pid.is_some());
        let (web, fallback) = (bed.main_process("web"), Process::of(fuse.service.fallback_pid.unwrap()));
        wait::until("it is noted", || record(&bed, "fuse").exists());
        bed.kill_guard();
        damage_record(&bed, "fuse");
        bed.write("menshen.toml", WEB);
        bed.start_guard();
        wait::until("it is ended", || !fallback.lives());
        wait::until("nothing is remembered of it", || !record(&bed, "fuse").exists());
        assert_eq!(bed.main_process("web"), web);
    }

    fn a_damaged_record_of_which_nothing_runs_is_told_and_gone(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        bed.kill_guard();
        std::fs::write(record(&bed, "old"), "{\"half\"").unwrap();
        bed.start_guard();
        bed.await_event(Mark::BEGIN, "the damage is told", |event| event.reason.contains("old.json cannot be used"));
        wait::until("nothing is remembered of it", || !record(&bed, "old").exists());
        bed.menshen(["down"]).done();
        bed.await_guard_end();
        let ran = bed.menshen(["status"]).ended_with(6);
        assert!(!ran.stderr.contains("is not known"), "{}", ran.stderr);
    }

    fn a_program_whose_service_left_the_definition_ends_though_its_record_is_half_written(trees: Trees) {
        let two = format!("{WEB}[service.old]\ncommand = [\"sh\", \"-c\", \"sleep 3593 & exec sleep 3593\"]\n");
        let mut bed = Bed::new(trees, &two).up();
        bed.await_ready("web");
        bed.await_ready("old");
        let (web, left) = (bed.main_process("web"), bed.tree("old"));
        bed.kill_guard();
        damage_record(&bed, "old");
        bed.write("menshen.toml", WEB);
        bed.start_guard();
        bed.await_event(Mark::BEGIN, "the damage is told", |event| event.reason.contains("old.json cannot be used"));
        wait::until("it ends", || left.iter().all(|process| !process.lives()));
        wait::until("nothing of it is kept", || !record(&bed, "old").exists());
        assert_eq!(bed.main_process("web"), web);
        assert!(!bed.menshen(["status"]).text().contains("old"));
    }

    fn a_program_that_runs_is_found_when_the_state_folder_is_that_of_another_day(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        bed.menshen(["stop", "web"]).done();
        bed.kill_guard();
        let backup = bed.path("backup");
        copy(&bed.home().join("state"), &backup);
        bed.start_guard();
        bed.menshen(["start", "web"]).done();
        let web = bed.main_process("web");
        finds_web_with_state_of(&mut bed, &backup, web);
        bed.menshen(["restart", "web"]).done();
        assert!(!web.lives());
        assert_eq!(bed.tree("web").len(), 1);
    }

    fn a_program_that_runs_is_found_when_the_state_folder_knows_of_the_one_before_it(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        let earlier = bed.main_process("web");
        bed.kill_guard();
        let backup = bed.path("backup");
        copy(&bed.home().join("state"), &backup);
        bed.start_guard();
        bed.menshen(["restart", "web"]).done();
        let web = bed.main_process("web");
        assert!(!earlier.lives());
        finds_web_with_state_of(&mut bed, &backup, web);
        assert_eq!(bed.tree("web").len(), 1);
        web.signal(Signal::KILL);
        bed.await_service("web", "back", |service| service.ready && service.pid.is_some_and(|pid| pid != web.pid));
        assert_eq!(bed.tree("web").len(), 1);
    }

    fn a_program_that_runs_is_found_when_nothing_tells_of_its_guard_any_more(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        let web = bed.main_process("web");
        bed.kill_guard();
        for folder in ["run", "state"] {
            std::fs::remove_dir_all(bed.home().join(folder)).unwrap();
        }
        bed.start_guard();
        bed.await_ready("web");
        assert_eq!(bed.main_process("web"), web);
        bed.menshen(["stop", "web"]).done();
        assert!(!web.lives());
    }

    fn a_process_that_merely_has_the_number_of_the_record_is_left_alone(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        let web = bed.main_process("web");
        bed.kill_guard();
        web.signal(Signal::KILL);
        wait::until("it is dead", || !web.lives());
        let stranger = Stranger::start();
        // As if the kernel had come round to the number again.
        edit_record(&bed, "web", |record| {
            record["processes"][0]["pid"] = stranger.process().pid.into();
            record["memory"]["life"]["main"]["pid"] = stranger.process().pid.into();
        });
        bed.start_guard();
        let detail = bed.await_service("web", "back", |service| service.restarts == 1 && service.ready);
        assert_ne!(detail.service.pid, Some(stranger.process().pid));
        bed.menshen(["stop", "web"]).done();
        assert!(stranger.process().lives());
    }

    fn a_record_of_an_earlier_boot_says_what_was_wanted_and_nothing_of_processes(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).and("[service.idle]\ncommand = \"sleep 1000\"\n").up();
        bed.await_ready("web");
        bed.menshen(["stop", "idle"]).done();
        let web = bed.main_process("web");
        bed.kill_guard();
        web.signal(Signal::KILL);
        let stranger = Stranger::start();
        // In this boot the number and even the start time may be those of anything.
        edit_record(&bed, "web", |record| {
            record["boot"] = "another".into();
            record["processes"][0]["pid"] = stranger.process().pid.into();
            record["processes"][0]["start_time"] = start_time(stranger.process()).into();
        });
        edit_record(&bed, "idle", |record| record["boot"] = "another".into());
        // What a guard left to be held is gone after a boot.
        std::fs::remove_file(bed.home().join(format!("run/{}/holder", bed.instance()))).unwrap();
        bed.start_guard();
        let detail = bed.await_ready("web");
        assert_eq!((detail.service.restarts, detail.service.restarts_total), (0, 0), "a new boot, a new count");
        assert_ne!(detail.service.pid, Some(stranger.process().pid));
        assert_eq!(bed.service("idle").service.state, State::Stopped);
        bed.menshen(["stop", "web"]).done();
        assert!(stranger.process().lives());
    }

    fn what_waited_in_an_earlier_boot_starts_anew_and_what_was_paused_is_paused_again(trees: Trees) {
        let dies = "command = [\"sh\", \"-c\", \"[ -e healed ] || exit 7; exec sleep 1000\"]";
        let services = format!(
            "[service.waits]\n{dies}\nrestart = {{ delay = \"1h\", max = \"1h\" }}\n\
             [service.fuse]\n{dies}\nrestart.delay = \"10ms\"\n\
             breaker = {{ failures = 1, within = \"1m\", open_for = \"1h\", max_open = \"2h\", \
             fallback = {{ command = \"sleep 3591\" }} }}\n"
        );
        let mut bed = Bed::new(trees, WEB).and(&services).up();
        bed.await_ready("web");
        bed.menshen(["pause", "web"]).done();
        bed.await_state("waits", State::Backoff);
        let fuse = bed.await_service("fuse", "stood in for", |service| service.fallback_pid.is_some());
        let left = [bed.main_process("web"), Process::of(fuse.service.fallback_pid.unwrap())];
        let noted = |service: &str| std::fs::read_to_string(record(&bed, service)).unwrap_or_default();
        wait::until("all is noted", || {
            noted("waits").contains("backoff")
                && noted("web").contains("paused")
                && noted("fuse").contains(&left[1].pid.to_string())
        });
        bed.kill_guard();
        for process in left {
            process.signal(Signal::KILL);
        }
        wait::until("the machine has gone down", || left.iter().all(|process| !process.lives()));
        for service in ["web", "waits", "fuse"] {
            edit_record(&bed, service, |record| record["boot"] = "another".into());
        }
        std::fs::remove_file(bed.home().join(format!("run/{}/holder", bed.instance()))).unwrap();
        bed.write("healed", "");
        bed.start_guard();
        for service in ["waits", "fuse"] {
            let now = bed.await_ready(service).service;
            assert_eq!((now.state, now.restarts_total, now.fallback_pid), (State::Running, 0, None), "{now:?}");
            assert_eq!(bed.tree(service).len(), 1);
        }
        // What an operator said holds.
        let web = bed.await_state("web", State::Paused).service;
        assert_eq!((web.restarts_total, bed.tree("web").len()), (0, 1), "{web:?}");
        assert_ne!(web.pid, Some(left[0].pid));
        bed.menshen(["continue", "web"]).done();
        bed.await_ready("web");
    }
}

#[test]
fn what_a_guard_of_the_same_name_runs_in_a_container_is_left_alone() {
    if !require::root() || require::program("unshare").is_none() {
        return;
    }
    let mut bed = Bed::new(Trees::Walk, WEB);
    // What is the guard's there is elsewhere here.
    let own = "mkdir -p inside \"$HOME\" && mount --bind inside \"$HOME\" && exec \"$@\"";
    let guard = bed.guard_command(&built("menshen"));
    let mut container = Command::new("unshare");
    container.args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", own, "sh"]);
    container.arg(guard.get_program()).args(guard.get_args()).current_dir(bed.folder());
    container.envs(guard.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("HOME", bed.home());
    let container = Stranger(container.spawn().unwrap());
    let is_web = |process: &Process| {
        std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).is_ok_and(|name| name == "sleep\n")
    };
    let web = wait::until_some("it runs", || container.process().descendants().into_iter().find(is_web));
    bed.start_guard();
    bed.await_ready("web");
    assert_ne!(bed.main_process("web"), web);
    bed.menshen(["stop", "web"]).done();
    assert!(web.lives());
    // Now there was a guard, and what it may have left is looked for.
    bed.kill_guard();
    bed.start_guard();
    assert!(web.lives());
}
