//! Guards of one name that remember in different folders are strangers to each other.

use menshen_tests::command::{Ran, menshen};
use menshen_tests::{Bed, Process, State, with_both_trees};

const WEB: &str = r#"
    [service.web]
    command = ["sh", "-c", "sleep 1000 & wait"]
    probe.readiness = { exec = ["true"], interval = "50ms" }
    restart.delay = "20ms"
"#;

with_both_trees! {
    fn guards_of_one_name_never_end_each_others_programs(trees: Trees) {
        let mut one = Bed::new(trees, WEB);
        let mut other = Bed::new(trees, WEB).named_as(&one).up();
        other.await_ready("web");
        let theirs = other.tree("web");
        one.start_guard();
        one.await_ready("web");
        assert_ne!(one.main_process("web"), theirs[0]);
        // What is left of one is found and ended as its own, be it by a guard that knows nothing but marks.
        one.kill_guard();
        std::fs::remove_dir_all(one.home().join("state")).unwrap();
        one.start_guard();
        one.await_ready("web");
        one.menshen(["restart", "web"]).done();
        one.menshen(["stop", "web"]).done();
        assert_eq!(one.service("web").service.state, State::Stopped);
        one.menshen(["down"]).done();
        assert!(one.await_guard_end().success());
        assert!(theirs.iter().all(Process::lives), "{theirs:?}");
        let web = other.service("web").service;
        assert_eq!((web.state, web.restarts_total), (State::Running, 0));
        other.menshen(["down"]).done();
        assert!(other.await_guard_end().success());
        assert!(!theirs.iter().any(Process::lives), "{theirs:?}");
    }

    fn a_guard_whose_run_folder_was_removed_stays_the_only_one(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        let (guard, web) = (bed.guard(), bed.main_process("web"));
        // The next version is as much the only one.
        bed.menshen(["upgrade"]).done();
        std::fs::remove_dir_all(bed.home().join("run")).unwrap();
        let refused = Ran::of(&bed.guard_command(&menshen())).ended_with(1).stderr;
        assert!(refused.contains(&format!("(process {})", guard.pid)) && refused.contains("run folder"), "{refused}");
        assert!(guard.lives() && web.lives());
        let absent = bed.menshen(["status"]).ended_with(6);
        assert!(!absent.stderr.contains("without a guard") && absent.text().is_empty(), "{}", absent.stderr);
        bed.kill_guard();
        bed.start_guard();
        bed.await_ready("web");
        assert_eq!(bed.main_process("web"), web);
    }
    fn a_guard_that_could_not_lock_what_it_remembers_does_so_once_it_can(trees: Trees) {
        let mut bed = Bed::new(trees, WEB).up();
        bed.await_ready("web");
        let web = bed.main_process("web");
        bed.kill_guard();
        let memory = bed.home().join("state").join(bed.instance());
        let lock = memory.join("lock");
        // Not even root can write into a file that is a folder.
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
        let mark = bed.mark();
        bed.start_guard();
        let tells = |text: &'static str| drop(bed.await_event(mark, text, |event| event.reason.contains(text)));
        tells("nothing but its run folder keeps the guard the only one");
        std::fs::remove_dir(&lock).unwrap();
        std::fs::rename(memory.join("services"), memory.join("aside")).unwrap();
        // Its answer may say that it is not remembered.
        drop(bed.menshen(["stop", "web"]));
        tells("what the guard remembers cannot be written");
        std::fs::rename(memory.join("aside"), memory.join("services")).unwrap();
        tells("what the guard remembers is locked now");
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), bed.guard().pid.to_string());
        bed.menshen(["start", "web"]).done();
        std::fs::remove_dir_all(bed.home().join("run")).unwrap();
        let refused = Ran::of(&bed.guard_command(&menshen())).ended_with(1).stderr;
        assert!(refused.contains("run folder"), "{refused}");
        assert!(!web.lives());
        bed.kill_guard();
        bed.start_guard();
        bed.await_ready("web");
    }
}
