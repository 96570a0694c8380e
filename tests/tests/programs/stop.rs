//! The end of servers and of everything they have started: Stopped is said when nothing is left, and not before.

use menshen_tests::{Bed, Process, State, require, servers, with_both_trees};

/// Ways for a server, the arguments of the script, not to hear of the signal that asks it to end.
const DEAF: [&str; 2] = [
    // The shell ignores it, and the server does not get it.
    r#"trap '' TERM; "$@" & wait"#,
    // Nobody hears it: what a process ignores and blocks, its children ignore and block, until they say otherwise.
    r#"trap '' TERM; exec env --block-signal=TERM sh -c 'while :; do sleep 1; done' & "$@" & wait"#,
];

/// Ways to leave a process behind that its parent knows nothing of. Each writes its number into `daemon`.
const DAEMONS: [(&str, &str); 4] = [
    ("a child in a session of its own", r#"setsid sh -c 'echo $$ > daemon; exec sleep 3600' & "#),
    ("a grandchild whose parent is gone", r#"(setsid sh -c 'echo $$ > daemon; exec sleep 3600' &) ; "#),
    ("one that ignores the signal", r#"(setsid sh -c 'trap "" TERM HUP INT; echo $$ > daemon; exec sleep 3600' &) ; "#),
    (
        "one without environment, folder and output",
        r#"(setsid env -i /bin/sh -c 'trap "" TERM; echo $$ > daemon; cd /; exec /bin/sleep 3600 <&- >&- 2>&-' &) ; "#,
    ),
];

/// Stops a service; everything of the tree has to be gone when the guard says that it is stopped.
fn stop_and_look(bed: &Bed, name: &str, tree: &[Process], what: &str) {
    let before = bed.mark();
    let stop = bed.menshen(["stop", name, "--no-wait"]);
    stop.done();
    bed.await_entry(before, name, State::Stopped);
    let left: Vec<&Process> = tree.iter().filter(|process| process.lives()).collect();
    assert!(left.is_empty(), "{what}: {left:?} of {tree:?} lives when {name} is stopped");
    let detail = bed.service(name);
    assert_eq!((detail.service.state, detail.service.pid), (State::Stopped, None), "{what}");
}

with_both_trees! {
    fn a_server_that_ignores_the_signal_is_killed_with_its_tree_at_the_timeout(trees: Trees) {
        for (name, prepare) in servers::ALL {
            for script in DEAF {
                let bed = Bed::new(trees, "");
                let Some(server) = prepare(&bed) else { continue };
                let bed = bed.and(&server.service_in_script(name, script, "stop.timeout = \"300ms\"")).up();
                bed.await_ready(name);
                let tree = bed.tree(name);
                assert!(tree.len() > 1, "the shell has a server below it");
                stop_and_look(&bed, name, &tree, script);
                let last_exit = bed.service(name).service.last_exit;
                assert_eq!(last_exit.as_deref(), Some("killed by SIGKILL"), "{script}");
            }
        }
    }

    fn stop_reports_only_when_the_tree_is_empty(trees: Trees) {
        if require::program("setsid").is_none() {
            return;
        }
        for (what, script) in DAEMONS {
            let bed = Bed::new(trees, "");
            let Some(server) = servers::Server::redis(&bed) else { return };
            let script = format!("{script} exec \"$@\"");
            let bed = bed.and(&server.service_in_script("cache", &script, "stop.timeout = \"500ms\"")).up();
            bed.await_ready("cache");
            let daemon = bed.await_process("daemon");
            let tree: Vec<Process> = bed.tree("cache").into_iter().chain([daemon]).collect();
            stop_and_look(&bed, "cache", &tree, what);
        }
    }

    fn what_a_dead_server_leaves_behind_is_gone_before_it_is_started_again(trees: Trees) {
        for (what, script) in DAEMONS {
            let bed = Bed::new(trees, "");
            let Some(server) = servers::Server::redis(&bed) else { return };
            let script = format!("{script} exec \"$@\"");
            let bed = bed.and(&server.service_in_script("cache", &script, "stop.timeout = \"500ms\"")).up();
            bed.await_ready("cache");
            let (main, daemon) = (bed.main_process("cache"), bed.await_process("daemon"));
            let before = bed.mark();
            assert!(main.signal(menshen_tests::Signal::KILL));
            bed.await_entry(before, "cache", State::Starting);
            assert!(!daemon.lives(), "{what}: lives beside the next run");
        }
    }

    fn a_tree_taken_over_from_a_killed_guard_is_stopped_whole(trees: Trees) {
        for (what, script) in DAEMONS {
            let bed = Bed::new(trees, "");
            let Some(server) = servers::Server::redis(&bed) else { return };
            let script = format!("{script} exec \"$@\"");
            let mut bed = bed.and(&server.service_in_script("cache", &script, "stop.timeout = \"500ms\"")).up();
            bed.await_ready("cache");
            let daemon = bed.await_process("daemon");
            let tree: Vec<Process> = bed.tree("cache").into_iter().chain([daemon]).collect();
            bed.kill_guard();
            bed.start_guard();
            bed.await_ready("cache");
            assert_eq!(bed.main_process("cache"), tree[0], "{what}: it runs on");
            stop_and_look(&bed, "cache", &tree, what);
        }
    }

    fn what_a_server_left_behind_while_no_guard_was_there_is_gone_before_it_is_started_again(trees: Trees) {
        for (what, script) in DAEMONS {
            let bed = Bed::new(trees, "");
            let Some(server) = servers::Server::redis(&bed) else { return };
            let script = format!("{script} exec \"$@\"");
            let mut bed = bed.and(&server.service_in_script("cache", &script, "stop.timeout = \"500ms\"")).up();
            bed.await_ready("cache");
            let (main, daemon) = (bed.main_process("cache"), bed.await_process("daemon"));
            let before = bed.mark();
            bed.kill_guard();
            assert!(main.signal(menshen_tests::Signal::KILL));
            menshen_tests::wait::until("the server is gone", || !main.lives());
            bed.start_guard();
            bed.await_entry(before, "cache", State::Starting);
            assert!(!daemon.lives(), "{what}: lives beside the next run");
            bed.await_ready("cache");
        }
    }

    fn a_server_that_becomes_a_daemon_is_stopped_whole(trees: Trees) {
        let bed = Bed::new(trees, "");
        let Some(server) = servers::Server::nginx(&bed) else { return };
        let configuration = std::fs::read_to_string(bed.path("nginx/nginx.conf")).unwrap();
        bed.write("nginx/nginx.conf", configuration.replace("daemon off;", "daemon on;"));
        // The start script ends nginx's own way: the server goes on without the process that was started.
        let script = r#""$@"; exec sleep 3600"#;
        let bed = bed.and(&server.service_in_script("web", script, "stop.timeout = \"300ms\"")).up();
        bed.await_ready("web");
        let master = bed.await_process("nginx/nginx.pid");
        let tree: Vec<Process> =
            bed.tree("web").into_iter().chain([master]).chain(master.descendants()).collect();
        assert!(!master.descendants().is_empty(), "nginx has a worker");
        stop_and_look(&bed, "web", &tree, "nginx as a daemon");
    }
}
