//! A program sees what the plan says, and nothing else.

use menshen_tests::{Bed, Trees, require};

#[test]
fn a_program_gets_the_planned_environment_folder_and_an_empty_stdin() {
    let definition = r#"
        [service.web]
        type        = "oneshot"
        command     = ["sh", "-c", "pwd > out; env | sort >> out; echo \"stdin:$(cat)\" >> out; echo end >> out"]
        environment = { GREETING = "a \"b\" $$HOME ünï", EMPTY = "" }
        env_file    = "web.env"
    "#;
    let bed = Bed::new(Trees::Walk, definition);
    bed.write("web.env", "FROM_FILE='x y'\nGREETING=not this\n");
    let mut bed = bed;
    bed.start_guard();
    menshen_tests::wait::until("it has written all", || bed.await_file("out").ends_with("end\n"));
    let out = bed.await_file("out");
    let folder = bed.folder().canonicalize().unwrap();
    assert_eq!(out.lines().next(), Some(folder.to_str().unwrap()), "the definition's folder is where it works");
    for line in ["GREETING=a \"b\" $HOME ünï", "EMPTY=", "FROM_FILE=x y", "stdin:"] {
        assert!(out.lines().any(|have| have == line), "{line} is not in\n{out}");
    }
    assert!(!out.contains("CARGO"), "what the guard was started with leaks:\n{out}");
}

#[test]
fn a_program_runs_as_its_user_with_its_groups_umask_niceness_and_limits() {
    if !require::root() {
        return;
    }
    let definition = r#"
        [service.web]
        type    = "oneshot"
        command = ["sh", "-c", "{ id -un; id -gn; id -G; umask; nice; ulimit -n; cut -d' ' -f1,6 < /proc/$$$$/stat; echo end; } > out/all"]
        user    = "nobody"
        group   = "nogroup"
        groups  = ["games"]
        umask   = "0027"
        nice    = 5
        limits.files = 333
    "#;
    let bed = Bed::new(Trees::Walk, definition);
    std::fs::create_dir(bed.path("out")).unwrap();
    std::os::unix::fs::chown(bed.path("out"), Some(65534), None).unwrap();
    let mut bed = bed;
    bed.start_guard();
    menshen_tests::wait::until("it has written all", || bed.await_file("out/all").ends_with("end\n"));
    let out = bed.await_file("out/all");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..6], ["nobody", "nogroup", "65534 60", "0027", "5", "333"], "{out}");
    let (pid, session) = lines[6].split_once(' ').unwrap();
    assert_eq!(pid, session, "it leads a session of its own");
}

#[test]
fn a_memory_hog_is_ended_and_comes_back() {
    if !require::root() {
        return;
    }
    for trees in [Trees::Cgroup, Trees::Walk].into_iter().filter(|trees| trees.are_there()) {
        let definition = r#"
            [service.hog]
            command = ["sh", "-c", "x=0123456789abcdef; while :; do x=$x$x; done"]
            limits.memory = "64MiB"
            restart.delay = "10s"
        "#;
        let bed = Bed::new(trees, definition).up();
        let detail = bed.await_state("hog", menshen_tests::State::Backoff);
        let why = format!("{} {:?}", detail.service.reason, detail.service.last_failure);
        assert!(why.contains("memory") || why.contains("SIGKILL"), "{trees:?}: {why}");
    }
}
