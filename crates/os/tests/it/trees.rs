//! Whole trees: nothing survives that is to end, nothing ends that is somebody else's. With cgroups and without.

use menshen_os::system::{Adopted, Earlier};
use menshen_os::usage::Limits;
use menshen_os::{Exit, OsEvent, Target, Token, TreeMode, TreeState};

use crate::bed::{BOTH, Bed, DAEMON, has, is_root, lives};

#[test]
fn a_daemon_child_keeps_the_tree_alive_after_its_parent() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let token = bed.spawn(&bed.shell(&format!("{DAEMON} exit 0")));
        let ended = bed.end_of(token);
        assert_eq!((ended.exit, ended.tree), (Exit::Code(0), TreeState::Alive), "{mode:?}");
        let daemon: u32 = bed.await_file("daemon").parse().unwrap();
        assert!(lives(daemon) && bed.system.is_member(token, daemon), "{mode:?}");
        bed.system.signal(token, Target::Rest, 15);
        assert!(lives(daemon), "it ignores SIGTERM");
        bed.system.kill(token, Target::Tree);
        bed.wait_empty(token);
        assert!(!lives(daemon), "{mode:?}");
    }
}

#[test]
fn a_program_whose_process_nobody_noted_is_found_by_its_tree() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let (_, pid) = bed.start(&bed.shell("echo up > up; while :; do sleep 0.1; done"));
        bed.await_file("up");
        // As after a guard that died between the start and its note of it; where nothing was started, nothing is found.
        let nothing = bed.system.adopt(Token(50), &Bed::place("stop"), 1, &Earlier::UNKNOWN).unwrap();
        let Adopted::Ended { exit: Exit::Unknown, tree } = nothing else { panic!("{mode:?} {nothing:?}") };
        bed.await_empty(Token(50), tree);
        let running = bed.system.running().unwrap();
        assert_eq!(bed.system.main_of(&running, &Bed::place("stop")), None);
        assert_eq!(bed.system.main_of(&running, &Bed::place("main")).unwrap().pid, pid);
        let found = bed.system.adopt(Token(51), &Bed::place("main"), 1, &Earlier::UNKNOWN).unwrap();
        assert_eq!(found, Adopted::Ended { exit: Exit::Unknown, tree: TreeState::Alive }, "{mode:?}");
        bed.system.kill(Token(51), Target::Tree);
        bed.until("it is gone", |_| !lives(pid));
    }
}

#[test]
fn guards_of_one_name_and_different_marks_have_nothing_to_do_with_each_other() {
    for mode in BOTH {
        let mut one = Bed::new(mode).namesake("@1", "/run/one");
        let mut other = one.namesake("@2", "/run/other");
        let (_, theirs) = other.start(&other.program(&["sleep", "1000"]));
        let (token, own) = one.start(&one.program(&["sleep", "1000"]));
        let running = one.system.running().unwrap();
        assert_eq!(one.system.main_of(&running, &Bed::place("main")).unwrap().pid, own, "{mode:?}");
        assert!(!one.system.is_member(token, theirs), "{mode:?}");
        assert_eq!(one.system.usage("web").processes, 1, "{mode:?}");
        one.system.kill(token, Target::Tree);
        let ended = one.end_of(token);
        one.await_empty(token, ended.tree);
        one.system.kill_left(&Bed::place("main"));
        one.system.forget("web");
        assert!(lives(theirs), "{mode:?}");
        assert!(!one.system.has(&one.system.running().unwrap(), &Bed::place("main")), "{mode:?}");
    }
}

#[test]
fn what_two_earlier_guards_had_in_one_folder_is_told_apart_by_its_marks() {
    let mut earlier = Bed::new(TreeMode::Auto).namesake("", "/run/one");
    let mut other = earlier.namesake("", "/run/other");
    let (token, pid) = earlier.start(&earlier.shell(&format!("{DAEMON} while :; do sleep 0.1; done")));
    let daemon: u32 = earlier.await_file("daemon").parse().unwrap();
    let (_, theirs) = other.start(&other.program(&["sleep", "1000"]));
    let mut bed = earlier.namesake("@1", "/run/one");
    let found = bed.system.main_of(&bed.system.running().unwrap(), &Bed::place("main")).unwrap();
    assert_eq!((found.pid, found.folder.as_deref()), (pid, earlier.system.folder(token).as_deref()));
    bed.system.adopt(Token(50), &Bed::place("main"), 1, &found).unwrap();
    assert!(bed.system.is_member(Token(50), daemon) && !bed.system.is_member(Token(50), theirs));
    bed.system.kill(Token(50), Target::Tree);
    bed.until("nothing of it lives", |_| !lives(pid) && !lives(daemon));
    assert!(lives(theirs));
}

#[test]
fn killing_a_tree_kills_everything_in_it_and_nothing_else() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let mut bystander = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let (token, main) = bed.start(&bed.shell(&format!("{DAEMON} (sleep 1000 & exec sleep 1000) & sleep 1000")));
        let daemon: u32 = bed.await_file("daemon").parse().unwrap();
        bed.until("all are there", |bed| bed.system.usage("web").processes >= 5);
        bed.system.kill(token, Target::Tree);
        let ended = bed.end_of(token);
        assert_eq!(ended.exit, Exit::Signal(9), "{mode:?}");
        bed.until("nothing is left", |bed| bed.system.usage("web").processes == 0);
        assert!(!lives(main) && !lives(daemon), "{mode:?}");
        assert!(lives(bystander.id()));
        bystander.kill().unwrap();
        bystander.wait().ok();
    }
}

#[test]
fn a_signal_to_the_main_process_reaches_it_alone() {
    let mut bed = Bed::new(TreeMode::Auto);
    let (token, _) = bed.start(
        &bed.shell("trap 'echo got > main; exit 0' USR1; sleep 1000 & echo $! > child; while :; do sleep 0.02; done"),
    );
    let child: u32 = bed.await_file("child").parse().unwrap();
    bed.system.signal(token, Target::Main, 10);
    let ended = bed.end_of(token);
    assert_eq!((ended.exit, ended.tree), (Exit::Code(0), TreeState::Alive));
    assert!(lives(child));
}

#[test]
fn a_double_forked_program_is_found_in_both_modes() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let script = "import os,time\nif os.fork()==0:\n os.setsid()\n if os.fork()==0:\n  open('daemon','w').write(str(os.getpid())+'\\n')\n  time.sleep(1000)\n os._exit(0)\nos.wait()\ntime.sleep(1000)";
        let (token, _) = bed.start(&bed.program(&["python3", "-c", script]));
        let daemon: u32 = bed.await_file("daemon").parse().unwrap();
        assert!(bed.system.is_member(token, daemon), "{mode:?}");
        bed.system.kill(token, Target::Tree);
        bed.until("the daemon is gone", |_| !lives(daemon));
    }
}

#[test]
fn a_daemon_without_parent_session_and_environment_belongs_to_its_tree() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let script = "(setsid env -i /bin/sh -c 'echo $$ > daemon; exec /bin/sleep 1000' &); while [ ! -s daemon ]; do sleep 0.01; done";
        let token = bed.spawn(&bed.shell(script));
        let ended = bed.end_of(token);
        let daemon: u32 = bed.await_file("daemon").parse().unwrap();
        assert_eq!(ended.tree, TreeState::Alive, "{mode:?}");
        assert!(bed.system.is_member(token, daemon), "{mode:?}");
        bed.system.kill(token, Target::Tree);
        bed.wait_empty(token);
        assert!(!lives(daemon), "{mode:?}");
    }
}

#[test]
fn a_frozen_tree_does_nothing_until_it_is_thawed() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let (token, _) = bed.start(&bed.shell("n=0; while :; do n=$((n+1)); echo $n > count; sleep 0.01; done"));
        bed.await_file("count");
        bed.system.freeze(token).unwrap();
        bed.wait_for(|event| matches!(event, OsEvent::Frozen { token: frozen } if *frozen == token).then_some(()));
        let frozen = std::fs::read_to_string(bed.folder.path().join("count")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(std::fs::read_to_string(bed.folder.path().join("count")).unwrap(), frozen, "{mode:?}");
        bed.system.thaw(token).unwrap();
        let frozen: u64 = frozen.trim().parse().unwrap_or(0);
        bed.until("it counts on", |bed| {
            bed.read_file("count").is_some_and(|text| text.trim().parse::<u64>().is_ok_and(|now| now > frozen))
        });
    }
}

#[test]
fn a_parent_that_waits_for_a_stopped_child_to_execute_counts_as_frozen() {
    let mut bed = Bed::new(TreeMode::Walk);
    // The parent is held in the kernel until its child executes something, and the child waits for a writer before that.
    let script = "import os, time\nos.mkfifo('gate')\nopen('up', 'w').write('up\\n')\nos.posix_spawn('/bin/sleep', ['sleep', '1000'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, 'gate', os.O_RDONLY, 0)])\ntime.sleep(1000)";
    let (token, pid) = bed.start(&bed.program(&["python3", "-c", script]));
    bed.await_file("up");
    bed.until("the parent waits in the kernel", |_| state_of(pid) == Some('D'));
    bed.system.freeze(token).unwrap();
    bed.wait_for(|event| matches!(event, OsEvent::Frozen { token: frozen } if *frozen == token).then_some(()));
    bed.system.thaw(token).unwrap();
    let gate = bed.folder.path().join("gate");
    let _writer = std::fs::OpenOptions::new().write(true).open(gate).unwrap();
    bed.until("it goes on", |_| state_of(pid) == Some('S'));
}

fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

#[test]
fn a_frozen_tree_can_be_killed() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
        bed.system.freeze(token).unwrap();
        bed.wait_for(|event| matches!(event, OsEvent::Frozen { .. }).then_some(()));
        bed.system.kill(token, Target::Tree);
        assert_eq!(bed.end_of(token).exit, Exit::Signal(9), "{mode:?}");
    }
}

#[test]
fn a_new_main_process_is_followed_if_it_belongs_to_the_tree() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let (token, old) = bed.start(
            &bed.shell("sh -c 'echo $$ > new; sleep 1000; exit 0' & while [ ! -f go ]; do sleep 0.01; done; exit 0"),
        );
        let new: u32 = bed.await_file("new").parse().unwrap();
        let foreign = bed.system.set_main(token, std::process::id()).unwrap_err();
        assert_eq!(foreign.kind(), std::io::ErrorKind::PermissionDenied, "{mode:?}");
        assert!(bed.system.set_main(token, 4_000_000).is_err());
        bed.system.set_main(token, new).unwrap();
        std::fs::write(bed.folder.path().join("go"), "").unwrap();
        bed.until("the old one is reaped", |_| !std::path::Path::new(&format!("/proc/{old}")).exists());
        bed.system.signal(token, Target::Main, 15);
        assert_eq!(bed.end_of(token).exit, Exit::Signal(15), "{mode:?}");
    }
}

#[test]
fn every_orphan_is_reaped() {
    let mut bed = Bed::new(TreeMode::Auto);
    let (token, _) =
        bed.start(&bed.shell("for i in 1 2 3 4 5; do (sh -c 'echo $$ >> orphans; exit 0' &) ; done; sleep 1000"));
    bed.until("five ran", |bed| bed.read_file("orphans").is_some_and(|text| text.lines().count() == 5));
    let orphans: Vec<u32> = bed.read_file("orphans").unwrap().lines().map(|pid| pid.parse().unwrap()).collect();
    bed.until("none is a zombie", |_| {
        orphans.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
    });
    bed.system.kill(token, Target::Tree);
}

#[test]
fn usage_counts_the_whole_tree() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        let (_, _) = bed.start(&bed.program(&["python3", "-c", "import subprocess,time\np=subprocess.Popen(['sleep','1000'])\nx=bytearray(50_000_000)\nt=time.process_time()\nwhile time.process_time()-t<0.2: pass\nopen('done','w').write('1\\n')\ntime.sleep(1000)"]));
        bed.await_file("done");
        let usage = bed.system.usage("web");
        assert_eq!((usage.processes, usage.tasks), (2, 2), "{mode:?}");
        assert!(usage.memory_bytes > 50_000_000 && usage.memory_bytes < 500_000_000, "{mode:?} {usage:?}");
        assert!(usage.cpu.as_millis() >= 200, "{mode:?} {usage:?}");
        assert!(usage.files >= 6, "{mode:?} {usage:?}");
    }
}

#[test]
fn a_memory_limit_kills_and_is_named_as_the_cause() {
    if !has("right to set limits (root)", is_root) {
        return;
    }
    let mut bed = Bed::new(TreeMode::Auto);
    let warm = bed.run(&bed.program(&["true"]));
    assert_eq!(warm.exit, Exit::Code(0));
    let enforced = bed.system.limit("web", &Limits { memory_bytes: Some(30 << 20), cpu_cores: None, tasks: None });
    if !has("memory controller", || enforced.memory) {
        return;
    }
    let ended = bed.run(&bed.program(&["python3", "-c", "x=bytearray(200_000_000); print(len(x))"]));
    assert_eq!((ended.exit, ended.oom), (Exit::Signal(9), true));
    bed.system.limit("web", &Limits::default());
    let ended = bed.run(&bed.program(&["python3", "-c", "x=bytearray(200_000_000); print(len(x))"]));
    assert_eq!((ended.exit, ended.oom), (Exit::Code(0), false), "a limit can be lifted");
}

#[test]
fn a_limit_of_tasks_keeps_a_fork_bomb_small() {
    if !has("right to set limits (root)", is_root) {
        return;
    }
    let mut bed = Bed::new(TreeMode::Auto);
    bed.run(&bed.program(&["true"]));
    let enforced = bed.system.limit("web", &Limits { memory_bytes: None, cpu_cores: None, tasks: Some(5) });
    if !has("pids controller", || enforced.tasks) {
        return;
    }
    let ended = bed.run(&bed.program(&["python3", "-c", "import os,time\nn=0\ntry:\n  for i in range(20):\n    if os.fork()==0: time.sleep(1000)\n    n+=1\nexcept OSError as e: print(n, e.strerror)"]));
    assert_eq!(ended.tail.trim(), "4 Resource temporarily unavailable");
}

#[test]
fn a_limit_reaches_what_runs_already() {
    if !has("right to set limits (root)", is_root) {
        return;
    }
    let mut bed = Bed::new(TreeMode::Auto);
    let script = "import os,time\nopen('up','w').write('1\\n')\nwhile not os.path.exists('limited'): time.sleep(0.01)\nn=0\ntry:\n  for i in range(20):\n    if os.fork()==0: time.sleep(1000)\n    n+=1\nexcept OSError as e: print(n, e.strerror)";
    let token = bed.spawn(&bed.program(&["python3", "-c", script]));
    bed.await_file("up");
    let enforced = bed.system.limit("web", &Limits { memory_bytes: None, cpu_cores: None, tasks: Some(5) });
    if !has("pids controller", || enforced.tasks) {
        return;
    }
    std::fs::write(bed.folder.path().join("limited"), "").unwrap();
    assert_eq!(bed.end_of(token).tail.trim(), "4 Resource temporarily unavailable");
}

#[test]
fn a_place_can_be_used_again_after_its_tree_was_killed() {
    for mode in BOTH {
        let mut bed = Bed::new(mode);
        for _ in 0..3 {
            let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
            bed.system.kill(token, Target::Tree);
            assert_eq!(bed.end_of(token).exit, Exit::Signal(9), "{mode:?}");
            let ended = bed.run(&bed.shell("echo alive"));
            assert_eq!((ended.exit, ended.tail.as_str()), (Exit::Code(0), "alive\n"), "{mode:?}");
        }
    }
}

/// Processes begin and end all the time, and are nobody's here.
struct Churn(std::process::Child);

impl Churn {
    fn begin() -> Self {
        let mut shell = std::process::Command::new("sh");
        Self(shell.args(["-c", "while :; do /bin/true; done"]).spawn().unwrap())
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        // The system may have reaped it.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn an_end_is_seen_however_much_begins_and_ends_beside_it() {
    let _churn = [Churn::begin(), Churn::begin()];
    let mut bed = Bed::new(TreeMode::Walk);
    for _ in 0..10 {
        let token = bed.spawn(&bed.shell("sleep 0.01"));
        let ended = bed.end_of(token);
        bed.await_empty(token, ended.tree);
    }
}
