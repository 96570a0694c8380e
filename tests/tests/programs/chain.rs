//! Three servers that need each other: nginx needs Redis, Redis needs PostgreSQL.

use menshen_tests::events::Mark;
use menshen_tests::servers::Server;
use menshen_tests::{Bed, Process, Signal, State, with_both_trees};

/// Each with what it needs.
const CHAIN: [(&str, Option<&str>); 3] = [("web", Some("cache")), ("cache", Some("db")), ("db", None)];

/// The three in a bed that is not up yet.
fn chain(trees: menshen_tests::Trees) -> Option<Bed> {
    let bed = Bed::new(trees, "");
    let servers = [Server::nginx(&bed)?, Server::redis(&bed)?, Server::postgres(&bed)?];
    let add = |bed: Bed, ((name, needs), server): ((&str, Option<&str>), &Server)| {
        let needs = needs.map(|other| format!("depends_on = {{ {other} = \"ready\" }}\n")).unwrap_or_default();
        // Each is killed more often than a breaker would have it.
        bed.and(&server.service(name, &format!("{needs}breaker.failures = 0")))
    };
    Some(CHAIN.into_iter().zip(&servers).fold(bed, add))
}

/// Where in the history a service came into a state first.
fn first(bed: &Bed, name: &str, state: State) -> u64 {
    bed.await_entry(Mark::BEGIN, name, state).sequence
}

fn first_ready(bed: &Bed, name: &str) -> u64 {
    let is_it = |event: &menshen_tests::Event| {
        event.kind == "probe" && event.service.as_deref() == Some(name) && event.details["passing"] == true
    };
    bed.await_event(Mark::BEGIN, &format!("{name} is ready"), is_it).sequence
}

with_both_trees! {
    fn servers_start_when_what_they_need_is_ready_and_stop_the_other_way_round(trees: Trees) {
        let Some(bed) = chain(trees) else { return };
        let mut bed = bed.up();
        bed.await_ready("web");
        for (name, needs) in CHAIN {
            assert_eq!(bed.states(Mark::BEGIN, name).last(), Some(&State::Running), "{name}");
            if let Some(other) = needs {
                assert_eq!(bed.states(Mark::BEGIN, name)[0], State::Waiting, "{name}");
                assert!(first_ready(&bed, other) < first(&bed, name, State::Starting), "{name} did not wait for {other}");
            }
        }
        assert_eq!(bed.cgroups().is_empty(), trees == menshen_tests::Trees::Walk);
        bed.menshen(["down"]).done();
        assert!(bed.await_guard_end().success());
        for (name, needs) in CHAIN {
            if let Some(other) = needs {
                assert!(first(&bed, name, State::Stopped) < first(&bed, other, State::Stopping), "{other} did not wait for {name}");
            }
        }
        assert_eq!(bed.processes(), []);
        assert!(bed.cgroups().is_empty(), "{:?} are left", bed.cgroups());
    }

    fn a_killed_server_comes_back_alone_and_leaves_nothing_of_its_tree(trees: Trees) {
        let Some(bed) = chain(trees) else { return };
        let bed = bed.up();
        bed.await_ready("web");
        for (signal, word) in [(Signal::KILL, "killed by SIGKILL"), (Signal::SEGV, "killed by SIGSEGV")] {
            for (name, _) in CHAIN {
                die_and_come_back(&bed, name, signal, word);
            }
        }
    }
}

fn die_and_come_back(bed: &Bed, name: &str, signal: Signal, word: &str) {
    let others: Vec<(&str, Process)> =
        CHAIN.iter().filter(|(other, _)| *other != name).map(|(other, _)| (*other, bed.main_process(other))).collect();
    let (tree, before) = (bed.tree(name), bed.mark());
    assert!(tree[0].signal(signal), "{name} lives");
    let died = bed.await_entry(before, name, State::Backoff);
    assert!(died.reason.contains(word), "{name}: {died:?}");
    // What is left of the tree has the port, or the database: nothing may be started beside it.
    bed.await_entry(before, name, State::Starting);
    let left: Vec<&Process> = tree.iter().filter(|process| process.lives()).collect();
    assert!(left.is_empty(), "{name}: {left:?} of {tree:?} lives after {word}");
    let detail = bed.await_ready(name);
    assert_eq!(detail.service.last_exit.as_deref(), Some(word), "{name}");
    // Where something was left behind, that was ended first.
    let states = bed.states(before, name);
    let states = states.strip_prefix(&[State::Stopping]).unwrap_or(&states);
    assert_eq!(states, [State::Backoff, State::Starting, State::Running], "{name} after {word}");
    for (other, process) in others {
        assert_eq!(bed.main_process(other), process, "{other} was touched when {name} was {word}");
    }
}
