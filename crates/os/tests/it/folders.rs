//! The folders of trees that are cgroups: which there are, whose, and when they go.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use menshen_os::system::{Adopted, Earlier};
use menshen_os::usage::Limits;
use menshen_os::{Exit, Target, Token, TreeMode, TreeState};

use crate::bed::{Bed, DAEMON, has, lives};

#[test]
fn a_tree_that_is_gone_leaves_no_folder_behind() {
    let mut bed = Bed::new(TreeMode::Auto);
    let folders = own_folders(&format!("menshen.{}", bed.config.mark));
    bed.system.limit("web", &Limits { tasks: Some(100), ..Limits::default() });
    bed.run(&bed.program(&["true"]));
    if !has("cgroup that can be made", || folders.iter().any(|folder| folder.exists())) {
        return;
    }
    bed.system.forget("web");
    bed.system.close();
    let left: Vec<&PathBuf> = folders.iter().filter(|folder| folder.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Where a guard that is a child of this process has a folder of this name, in each hierarchy.
fn own_folders(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(|path| path.trim_start_matches('/'));
    let own: Vec<&str> = own.collect();
    mounts.flat_map(|mount| own.iter().map(|own| Path::new(mount).join(own).join(name)).collect::<Vec<_>>()).collect()
}

/// A program that goes on, and the folder of its tree; nothing on a machine where trees have none.
fn sleeper_in_a_folder(bed: &mut Bed) -> Option<(Token, PathBuf)> {
    let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
    let folder = bed.system.folder(token);
    has("cgroup v2", || folder.is_some()).then_some((token, folder?))
}

#[test]
fn the_folder_of_what_is_over_goes_while_everything_else_goes_on() {
    let mut bed = Bed::new(TreeMode::Auto);
    let Some((token, folder)) = sleeper_in_a_folder(&mut bed) else { return };
    bed.system.kill(token, Target::Tree);
    assert_eq!(bed.end_of(token).exit, Exit::Signal(9));
    bed.system.forget_by_and_by("web");
    bed.until("its folder is gone", |_| !folder.exists());
}

#[test]
fn the_folder_of_what_lives_stays_until_that_has_ended() {
    let mut bed = Bed::new(TreeMode::Auto);
    let Some((token, folder)) = sleeper_in_a_folder(&mut bed) else { return };
    bed.system.forget_by_and_by("web");
    bed.system.kill(token, Target::Tree);
    assert_eq!(bed.end_of(token).exit, Exit::Signal(9), "it was known by its folder all the same");
    bed.system.close();
    let of_guard = folder.parent().unwrap();
    assert!(!of_guard.exists(), "{}", of_guard.display());
}

#[test]
fn a_tree_that_an_earlier_guard_made_elsewhere_is_taken_over_whole() {
    let mut earlier = Bed::new(TreeMode::Auto);
    let run_folder = earlier.config.run_folder.display().to_string();
    let (token, pid) = earlier.start(&earlier.shell(&format!("{DAEMON} while :; do sleep 0.1; done")));
    let daemon: u32 = earlier.await_file("daemon").parse().unwrap();
    let (start_time, folder) = (earlier.system.start_time(token).unwrap(), earlier.system.folder(token));
    // Of another mark, it has its folders elsewhere, as one has that was started in another cgroup.
    let mut bed = earlier.namesake("@1", &run_folder);
    let adopted = Earlier { pid, start_time, first: earlier.system.first(token), folder: folder.clone() };
    bed.system.adopt(Token(50), &Bed::place("main"), 1, &adopted).unwrap();
    if folder.is_some() {
        assert!(bed.system.is_member(Token(50), daemon));
    }
    bed.system.kill(Token(50), Target::Tree);
    bed.until("nothing lives", |_| !lives(pid) && (folder.is_none() || !lives(daemon)));
    bed.until("nothing is left of it", |bed| bed.system.folder(Token(50)).is_none());
    bed.system.forget("web");
    let of_guard = folder.and_then(|folder| folder.parent().map(Path::to_owned));
    assert!(of_guard.is_none_or(|folder| !folder.exists()), "its folder is left, or that of the guard before");
}

#[test]
fn the_folders_of_a_service_that_an_earlier_guard_made_elsewhere_go_with_that_guards() {
    let mut earlier = Bed::new(TreeMode::Auto);
    let run_folder = earlier.config.run_folder.display().to_string();
    let (token, pid) = earlier.start(&earlier.program(&["sleep", "1000"]));
    let (start_time, folder) = (earlier.system.start_time(token).unwrap(), earlier.system.folder(token));
    if !has("cgroup v2", || folder.is_some()) {
        return;
    }
    let folder = folder.unwrap();
    let of_program = moved(pid, &folder, "web/main");
    fs::remove_dir(&folder).unwrap();
    let mut bed = earlier.namesake("@1", &run_folder);
    let adopted = Earlier { pid, start_time, first: None, folder: Some(of_program) };
    bed.system.adopt(Token(50), &Bed::place("main"), 1, &adopted).unwrap();
    bed.system.kill(Token(50), Target::Tree);
    bed.until("nothing is left of it", |bed| bed.system.folder(Token(50)).is_none());
    bed.system.forget("web");
    let of_guard = folder.parent().unwrap();
    assert!(!of_guard.exists(), "{}", of_guard.display());
}

/// Where a process lives from now on, beside its tree's folder.
fn moved(pid: u32, folder: &Path, home: &str) -> PathBuf {
    let home = folder.parent().unwrap().join(home);
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("cgroup.procs"), pid.to_string()).unwrap();
    home
}

/// A next guard of the same name.
fn next_of(bed: &Bed) -> Bed {
    bed.namesake("", &bed.config.run_folder.display().to_string())
}

#[test]
fn a_service_goes_on_in_the_folder_that_an_earlier_version_made_for_it() {
    let mut earlier = Bed::new(TreeMode::Auto);
    let Some((token, folder)) = sleeper_in_a_folder(&mut earlier) else { return };
    let of_guard = folder.parent().unwrap();
    assert_eq!(folder, of_guard.join("web@main"));
    let of_service = of_guard.join("web");
    let of_program = of_service.join("main");
    fs::create_dir_all(&of_program).unwrap();
    let mut bed = next_of(&earlier);
    for _ in 0..2 {
        let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
        assert_eq!(bed.system.folder(token).unwrap(), of_program);
        assert!(folder.exists(), "somebody lives in it");
        bed.system.kill(token, Target::Tree);
        assert_eq!(bed.end_of(token).exit, Exit::Signal(9));
    }
    earlier.system.kill(token, Target::Tree);
    assert_eq!(earlier.end_of(token).exit, Exit::Signal(9));
    assert_eq!(bed.run(&bed.program(&["true"])).exit, Exit::Code(0));
    assert!(!folder.exists(), "nobody would be born in it any more");
    bed.system.forget_by_and_by("web");
    bed.until("that of the service is gone", |_| !of_service.exists());
}

#[test]
fn what_nobody_noted_is_found_in_whichever_folder_it_lives() {
    for is_grouped in [false, true] {
        let mut earlier = Bed::new(TreeMode::Auto);
        let (token, pid) = earlier.start(&earlier.program(&["sleep", "1000"]));
        let folder = earlier.system.folder(token);
        if !has("cgroup v2", || folder.is_some()) {
            return;
        }
        let of_program = folder.unwrap().with_file_name("web").join("main");
        fs::create_dir_all(&of_program).unwrap();
        if is_grouped {
            fs::write(of_program.join("cgroup.procs"), pid.to_string()).unwrap();
        }
        let mut bed = next_of(&earlier);
        let adopted = bed.system.adopt(Token(50), &Bed::place("main"), 1, &Earlier::UNKNOWN).unwrap();
        assert_eq!(adopted, Adopted::Ended { exit: Exit::Unknown, tree: TreeState::Alive }, "grouped: {is_grouped}");
        assert!(bed.system.is_member(Token(50), pid), "grouped: {is_grouped}");
        let census = bed.system.running().unwrap();
        let found = bed.system.main_of(&census, &Bed::place("main")).unwrap();
        assert_eq!((found.pid, found.folder), (pid, bed.system.folder(Token(50))), "grouped: {is_grouped}");
        bed.system.kill(Token(50), Target::Tree);
        bed.until("it is ended", |_| !lives(pid));
    }
}

#[test]
fn what_is_left_is_killed_in_whichever_folders_it_lives_or_in_none_of_them() {
    for homes in [["web@main", "web/main"], ["..", ".."]] {
        let mut earlier = Bed::new(TreeMode::Auto);
        let mut pids = Vec::new();
        for home in homes {
            let (token, pid) = earlier.start(&earlier.program(&["sleep", "1000"]));
            let folder = earlier.system.folder(token);
            if !has("cgroup v2", || folder.is_some()) {
                return;
            }
            moved(pid, &folder.unwrap(), home);
            pids.push(pid);
        }
        next_of(&earlier).system.kill_left(&Bed::place("main"));
        earlier.until(&format!("both are killed: {homes:?}"), |_| !pids.iter().any(|pid| lives(*pid)));
    }
}

#[test]
fn a_folder_that_an_earlier_guard_left_goes_with_its_service_and_no_other_does() {
    let mut earlier = Bed::new(TreeMode::Auto);
    let Some((token, folder)) = sleeper_in_a_folder(&mut earlier) else { return };
    earlier.system.kill(token, Target::Tree);
    let ended = earlier.end_of(token);
    earlier.await_empty(token, ended.tree);
    let of_other = folder.with_file_name("website@main");
    fs::create_dir(&of_other).unwrap();
    let mut bed = next_of(&earlier);
    bed.system.forget("web");
    assert!(!folder.exists() && of_other.exists());
}

#[test]
fn what_a_service_has_used_is_counted_also_where_its_folder_is_gone() {
    let mut bed = Bed::new(TreeMode::Auto);
    let busy = "import time\nwhile time.process_time() < 0.3: pass\nopen('done','w').write('1\\n')\ntime.sleep(1000)";
    let (token, _) = bed.start(&bed.program(&["python3", "-c", busy]));
    if !has("cgroup v2", || bed.system.folder(token).is_some()) {
        return;
    }
    bed.await_file("done");
    bed.system.kill(token, Target::Tree);
    assert_eq!(bed.end_of(token).exit, Exit::Signal(9));
    let before = bed.system.usage("web").cpu;
    assert!(before.as_millis() >= 300, "{before:?}");
    // In a folder made anew.
    let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
    assert!(bed.system.usage("web").cpu >= before);
    assert!(bed.system.cpu_of_run(token).unwrap() < before, "that of the run is its own");
    bed.system.kill(token, Target::Tree);
    assert_eq!(bed.end_of(token).exit, Exit::Signal(9));
    bed.system.forget("web");
    bed.start(&bed.program(&["sleep", "1000"]));
    assert!(bed.system.usage("web").cpu < before, "another service of its name has used nothing of that");
}

#[test]
fn a_program_is_born_in_a_folder_made_anew_where_somebody_has_removed_its_own() {
    let mut bed = Bed::new(TreeMode::Auto);
    let limits = Limits { tasks: Some(100), ..Limits::default() };
    for is_limited in [false, true] {
        let is_enforced = is_limited && bed.system.limit("web", &limits).tasks;
        let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
        let folder = bed.system.folder(token);
        if !has("cgroup v2", || folder.is_some()) {
            return;
        }
        let folder = folder.unwrap();
        bed.system.signal(token, Target::Main, 15);
        assert_eq!(bed.end_of(token).exit, Exit::Signal(15));
        bed.until("nothing is in it", |_| fs::remove_dir(&folder).is_ok());
        let of_guard = own_folders(&format!("menshen.{}", bed.config.mark));
        let limited = of_guard.iter().map(|folder| folder.join("web")).filter(|folder| folder.exists());
        let limited: BTreeSet<PathBuf> = limited.collect();
        assert_eq!(!limited.is_empty(), is_enforced);
        limited.iter().for_each(|folder| fs::remove_dir(folder).unwrap());
        let (token, pid) = bed.start(&bed.program(&["sleep", "1000"]));
        assert!(bed.system.is_member(token, pid) && bed.system.folder(token).unwrap().exists());
        let most = |folder: &PathBuf| fs::read_to_string(folder.join("pids.max")).unwrap();
        assert!(limited.iter().all(|folder| most(folder).trim() == "100"), "{limited:?}");
        bed.system.kill(token, Target::Tree);
        assert_eq!(bed.end_of(token).exit, Exit::Signal(9));
    }
}

#[test]
fn a_service_called_like_a_file_of_the_kernel_is_held_to_its_limits_as_any_other() {
    let mut bed = Bed::new(TreeMode::Auto);
    let folders = own_folders(&format!("menshen.{}", bed.config.mark));
    let limits = Limits { tasks: Some(100), ..Limits::default() };
    let as_any = bed.system.limit("web", &limits);
    for name in ["tasks", "cgroup.procs", "pids.max"] {
        assert_eq!(bed.system.limit(name, &limits), as_any, "{name}");
        bed.system.forget(name);
    }
    bed.system.forget("web");
    bed.system.close();
    assert!(!folders.iter().any(|folder| folder.exists()), "{folders:?}");
}
