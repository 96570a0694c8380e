//! What happens while no guard is there is known to the next one.

use std::path::Path;

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Process, Signal, State, Trees, require, with_both_trees};

/// Programs that wait for a file before they do what they are named after.
const SERVICES: &str = r#"
    [service.fails]
    command = ["sh", "-c", "until [ -e go ]; do sleep 0.01; done; echo last words; exit 7"]
    restart.delay = "20s"
    breaker.failures = 0
    [service.job]
    type = "oneshot"
    command = ["sh", "-c", "echo run >> runs; until [ -e go ]; do sleep 0.01; done; echo all done"]
"#;

/// The processes that hold for the guards of a bed.
fn holders(bed: &Bed) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_holder = |pid: &u32| {
        let of = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let words = of("cmdline");
        let is_of_bed = words.windows(bed.instance().len()).any(|window| window == bed.instance().as_bytes());
        of("comm") == b"menshen-holder\n" && is_of_bed
    };
    pids.filter(is_holder).map(Process::of).filter(Process::lives).collect()
}

/// The one there is to be.
fn holder(bed: &Bed) -> Process {
    menshen_tests::wait::until_some("there is one holder", || <[Process; 1]>::try_from(holders(bed)).ok())[0]
}

/// Has something taken out of the guard's folder of pipes while there is no guard, and looks at every line there should be of a
/// shell that does something first.
fn writes_on_without(trees: Trees, first: &str, take_out: impl FnOnce(&Path)) {
    // Mostly its stdout is the file, and the pipe is another descriptor of the shell's.
    let script = "n=0; while :; do n=$((n+1)); echo line $n; { echo $n; sleep 0.01; } > next; mv next last; done";
    let counts = format!("[service.counts]\ncommand = [\"sh\", \"-c\", \"{first}; {script}\"]\n");
    let mut bed = Bed::new(trees, &counts).up();
    bed.await_file("last");
    let counts = bed.main_process("counts");
    bed.kill_guard();
    take_out(&bed.home().join("run").join(bed.instance()));
    let written: u64 = bed.await_file("last").trim().parse().unwrap();
    bed.start_guard();
    assert_eq!(bed.main_process("counts"), counts);
    menshen_tests::wait::until("it has written more", || {
        bed.await_file("last").trim().parse::<u64>().is_ok_and(|last| last > written + 10)
    });
    bed.menshen(["restart", "counts"]).done();
    let logs = || bed.menshen(["logs", "counts", "-n", "all"]).ended_with(0);
    menshen_tests::wait::until("the second run writes", || logs().text().matches("line 1\n").count() == 2);
    bed.menshen(["stop", "counts"]).done();
    let numbers: Vec<u64> =
        logs().text().lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
    let again = numbers.iter().rposition(|number| *number == 1).unwrap();
    assert!(again as u64 > written + 10, "the first run is whole: {numbers:?}");
    let (first, second) = numbers.split_at(again);
    assert!(first.iter().copied().eq(1..=first.len() as u64), "{numbers:?}");
    assert!(second.iter().copied().eq(1..=second.len() as u64), "{numbers:?}");
}

with_both_trees! {
    fn how_a_program_ended_that_nobody_saw_end_is_known(trees: Trees) {
        if !require::remembered_exits() {
            return;
        }
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("fails");
        bed.await_file("runs");
        let (fails, job) = (bed.main_process("fails"), bed.main_process("job"));
        bed.kill_guard();
        bed.write("go", "");
        menshen_tests::wait::until("both have ended", || !fails.lives() && !job.lives());
        bed.start_guard();
        let fails = bed.await_state("fails", State::Backoff);
        assert_eq!(fails.service.last_exit.as_deref(), Some("exit 7"));
        let job = bed.await_state("job", State::Completed);
        assert_eq!(job.service.last_exit.as_deref(), Some("exit 0"));
        assert_eq!(bed.await_file("runs"), "run\n", "what is done is not done again");
        let logs = bed.menshen(["logs", "fails", "job", "-n", "all"]).ended_with(0);
        assert!(logs.text().contains("last words") && logs.text().contains("all done"), "{}", logs.text());
    }

    fn an_end_that_nobody_can_know_any_more_is_a_failure(trees: Trees) {
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("fails");
        bed.await_file("runs");
        let (fails, job) = (bed.main_process("fails"), bed.main_process("job"));
        let holder = holder(&bed);
        // They become children of this process, which reaps them at once and tells nobody.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        bed.kill_guard();
        assert!(holder.signal(Signal::KILL));
        menshen_tests::wait::until("nobody holds", || holders(&bed).is_empty());
        bed.write("go", "");
        for program in [fails, job] {
            let pid = rustix::process::Pid::from_raw(program.pid.cast_signed());
            menshen_tests::wait::until("it has ended and is reaped", || {
                rustix::process::waitpid(pid, rustix::process::WaitOptions::NOHANG).unwrap().is_some()
            });
        }
        bed.start_guard();
        let fails = bed.await_state("fails", State::Backoff);
        assert_eq!((fails.service.last_exit.as_deref(), fails.service.restarts), (Some("ended with unknown status"), 1));
        bed.await_state("job", State::Completed);
        assert_eq!(bed.await_file("runs"), "run\nrun\n", "whether it was done is not known");
    }

    fn what_a_program_wrote_last_is_kept_where_a_link_leads_to_the_pipes(trees: Trees) {
        let bed = Bed::new(trees, SERVICES);
        for folder in [bed.path("pipes"), bed.home()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::os::unix::fs::symlink(bed.path("pipes"), bed.home().join("run")).unwrap();
        let mut bed = bed.up();
        bed.await_ready("fails");
        let fails = bed.main_process("fails");
        bed.kill_guard();
        bed.write("go", "");
        menshen_tests::wait::until("it has ended", || !fails.lives());
        // Nobody else has the pipe now.
        holder(&bed);
        bed.start_guard();
        bed.await_state("fails", State::Backoff);
        assert_eq!(bed.menshen(["logs", "fails", "-n", "all"]).ended_with(0).text(), "last words\n");
    }

    fn how_it_ended_is_known_even_to_the_guard_after_the_next(trees: Trees) {
        if !require::remembered_exits() || !require::fail_points() {
            return;
        }
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("fails");
        let fails = bed.main_process("fails");
        bed.kill_guard();
        bed.write("go", "");
        menshen_tests::wait::until("it has ended", || !fails.lives());
        for point in ["taken-over:1", "holder-begun:1", "holder-named:1", "record-overwritten:1"] {
            bed.die_at(point);
        }
        bed.start_guard();
        let fails = bed.await_state("fails", State::Backoff);
        assert_eq!((fails.service.last_exit.as_deref(), fails.service.restarts), (Some("exit 7"), 1));
    }

    fn what_a_program_says_while_no_guard_is_there_is_heard_by_the_next(trees: Trees) {
        let definition = r#"
            [service.slow]
            command = ["python3", "slow.py"]
            type = "notify"
            start_timeout = "3s"
            probe.liveness = { notify = true, interval = "2s" }
        "#;
        let bed = Bed::new(trees, definition);
        bed.write("slow.py", r#"
import os, socket, time
guard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text): guard.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
def await_file(name):
    while not os.path.exists(name): time.sleep(0.01)
print("here", file=open("here", "w"), flush=True)
await_file("go")
say("READY=1\nSTATUS=all warm")
# More than any socket holds: nobody is kept waiting by a guard that is not there.
for _ in range(2000): say("WATCHDOG=1")
print("said", file=open("said", "w"), flush=True)
while True:
    say("WATCHDOG=1")
    time.sleep(0.1)
"#);
        let mut bed = bed.up();
        bed.await_file("here");
        let slow = bed.main_process("slow");
        bed.kill_guard();
        bed.write("go", "");
        bed.await_file("said");
        bed.start_guard();
        let detail = bed.await_ready("slow");
        assert_eq!((bed.main_process("slow"), detail.service.restarts_total), (slow, 0));
        assert_eq!(detail.service.status_text.as_deref(), Some("all warm"));
    }

    fn a_program_whose_pipes_were_removed_writes_on_into_its_log(trees: Trees) {
        for ends in [&["out", "err"][..], &["out"], &["err"]] {
            writes_on_without(trees, ":", |run| {
                for end in ends {
                    std::fs::remove_file(run.join(format!("counts.{end}"))).unwrap();
                }
            });
        }
    }

    fn a_program_whose_folder_of_pipes_was_moved_away_writes_on_into_its_log(trees: Trees) {
        writes_on_without(trees, ":", |run| std::fs::rename(run, run.with_extension("aside")).unwrap());
    }

    fn a_program_whose_guards_sockets_and_pipes_are_all_gone_writes_on_into_its_log(trees: Trees) {
        // One that writes into one pipe alone is found by that.
        for first in [":", "exec 2>&1"] {
            writes_on_without(trees, first, |run| std::fs::remove_dir_all(run).unwrap());
        }
    }

    fn a_holder_that_is_killed_is_replaced(trees: Trees) {
        if !require::remembered_exits() {
            return;
        }
        let mut bed = Bed::new(trees, SERVICES).up();
        bed.await_ready("fails");
        let first = holder(&bed);
        // One that ends at once would end again and again.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        first.signal(Signal::KILL);
        menshen_tests::wait::until("there is another", || holders(&bed).iter().any(|holder| *holder != first));
        let fails = bed.main_process("fails");
        bed.kill_guard();
        bed.write("go", "");
        menshen_tests::wait::until("it has ended", || !fails.lives());
        bed.start_guard();
        assert_eq!(bed.await_state("fails", State::Backoff).service.last_exit.as_deref(), Some("exit 7"));
    }
}

#[test]
fn there_is_one_holder_as_long_as_there_is_something_to_hold() {
    let mut bed = Bed::new(Trees::Walk, SERVICES).up();
    bed.await_ready("fails");
    let first = holder(&bed);
    bed.menshen(["upgrade"]).done();
    bed.await_event(Mark::BEGIN, "it is upgraded", |event| event.kind == "upgraded");
    menshen_tests::wait::until("another has taken its place", || !first.lives());
    let second = holder(&bed);
    bed.kill_guard();
    assert_eq!(holder(&bed), second);
    bed.start_guard();
    menshen_tests::wait::until("the next guard has its own", || !second.lives());
    let third = holder(&bed);
    bed.menshen(["down", "--leave"]).done();
    bed.await_guard_end();
    assert_eq!(holder(&bed), third, "what runs on is held");
    bed.start_guard();
    menshen_tests::wait::until("the next guard has its own", || !third.lives());
    bed.menshen(["down"]).done();
    bed.await_guard_end();
    menshen_tests::wait::until("there is none", || holders(&bed).is_empty());
}

#[test]
fn a_holder_whose_socket_is_gone_ends() {
    let mut bed = Bed::new(Trees::Walk, SERVICES).up();
    bed.await_ready("fails");
    let holder = holder(&bed);
    bed.kill_guard();
    assert!(holder.lives());
    std::fs::remove_file(bed.home().join(format!("run/{}/holder", bed.instance()))).unwrap();
    menshen_tests::wait::until("nobody can ask for what it holds", || !holder.lives());
}

#[test]
fn a_holder_whose_folder_was_moved_away_or_one_above_it_ends() {
    // The guard's own folder, that of all guards, and that of everything.
    for above in 0..3 {
        let mut bed = Bed::new(Trees::Walk, SERVICES).up();
        bed.await_ready("fails");
        let holder = holder(&bed);
        bed.kill_guard();
        // Before, it would not find the folder.
        menshen_tests::wait::until("it holds", || {
            let words = std::fs::read(format!("/proc/{}/cmdline", holder.pid));
            words.is_ok_and(|words| words.starts_with(b"menshen\0hold\0"))
        });
        let folder = bed.home().join("run").join(bed.instance());
        let moved = folder.ancestors().nth(above).unwrap();
        let aside = moved.with_extension("aside");
        std::fs::rename(moved, &aside).unwrap();
        menshen_tests::wait::until("nobody can ask for what it holds", || !holder.lives());
        std::fs::rename(&aside, moved).unwrap();
    }
}
