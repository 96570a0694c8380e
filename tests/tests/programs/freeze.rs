//! Servers that hang: they are there, but they do not answer.

use menshen_tests::{Bed, Process, Signal, State, servers, with_both_trees};

with_both_trees! {
    fn a_server_that_hangs_is_killed_and_started_again(trees: Trees) {
        for (name, prepare) in servers::ALL {
            let bed = Bed::new(trees, "");
            let Some(server) = prepare(&bed) else { continue };
            let more = format!("{}\nstop.timeout = \"300ms\"", server.liveness());
            let bed = bed.and(&server.service(name, &more)).up();
            bed.await_service(name, "healthy", |service| service.ready && service.healthy == Some(true));

            let (tree, before) = (bed.tree(name), bed.mark());
            assert!(tree[0].signal(Signal::STOP), "{name} lives");
            // A child that served a probe may have ended meanwhile.
            tree[1..].iter().for_each(|process| _ = process.signal(Signal::STOP));
            let stopping = bed.await_entry(before, name, State::Stopping);
            assert!(stopping.reason.contains("liveness"), "{stopping:?}");
            bed.await_entry(before, name, State::Starting);
            let left: Vec<&Process> = tree.iter().filter(|process| process.lives()).collect();
            assert!(left.is_empty(), "{name}: {left:?} of {tree:?} lives");
            let detail = bed.await_service(name, "healthy", |service| service.ready && service.healthy == Some(true));
            assert_ne!(detail.service.pid, Some(tree[0].pid));
            assert_eq!(detail.service.restarts_total, 1);
            let states = [State::Stopping, State::Backoff, State::Starting, State::Running];
            assert_eq!(bed.states(before, name), states, "{name}");
        }
    }
}
