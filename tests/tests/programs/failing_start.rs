//! Servers that cannot start: the guard waits longer each time, gives up for a while, and says why.

use std::net::{Ipv4Addr, TcpListener};

use menshen_tests::events::Mark;
use menshen_tests::{Bed, BreakerState, State, servers, with_both_trees};

/// What each server says of a port that somebody else has.
const PORT_TAKEN: [(&str, &str); 3] =
    [("nginx", "Address already in use"), ("redis", "Address already in use"), ("postgres", "Address already in use")];
/// An argument each server refuses, and what it says of it.
const REFUSED: [(&str, &[&str], &str); 3] = [
    ("nginx", &["-g", "no_such_directive on;"], "unknown directive \"no_such_directive\""),
    ("redis", &["--no-such-setting", "1"], "no-such-setting"),
    ("postgres", &["-c", "no_such_setting=1"], "unrecognized configuration parameter \"no_such_setting\""),
];

with_both_trees! {
    fn a_server_whose_port_is_taken_trips_and_comes_back_when_it_is_free(trees: Trees) {
        for ((name, prepare), (_, complaint)) in servers::ALL.into_iter().zip(PORT_TAKEN) {
            let bed = Bed::new(trees, "");
            let Some(server) = prepare(&bed) else { continue };
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, server.port)).unwrap();
            let more = "restart.delay = \"50ms\"\nbreaker = { failures = 2, within = \"60s\", open_for = \"5m\" }";
            let bed = bed.and(&server.service(name, more)).up();

            let tripped = bed.await_state(name, State::Tripped);
            assert_eq!(tripped.service.breaker.state, BreakerState::Open);
            assert_eq!(tripped.service.restarts_total, 2);
            assert!(tripped.service.next_start.is_some(), "{tripped:#?}");
            assert_eq!(tripped.service.last_exit.as_deref(), Some("exit 1"));
            let status = bed.menshen(["status", name]).ended_with(3).text();
            assert!(status.contains("exit 1") && status.contains(complaint), "{status}");
            let backoff = bed.await_entry(Mark::BEGIN, name, State::Backoff);
            assert!(backoff.reason.contains("exit 1"), "{backoff:?}");

            drop(taken);
            bed.menshen(["reset", name]).done();
            assert!(bed.await_ready(name).service.breaker.state != BreakerState::Open);
            bed.menshen(["status"]).done();
        }
    }

    fn a_server_that_refuses_its_configuration_fails_and_status_says_why(trees: Trees) {
        let mut bed = Bed::new(trees, "");
        let mut names = Vec::new();
        for ((name, prepare), (_, argument, complaint)) in servers::ALL.into_iter().zip(REFUSED) {
            let Some(mut server) = prepare(&bed) else { continue };
            server.command.extend(argument.iter().map(ToString::to_string));
            bed = bed.and(&server.service(name, "restart.on_exit = { 1 = \"fail\" }"));
            names.push((name, complaint));
        }
        let bed = bed.up();
        for (name, complaint) in names {
            let failed = bed.await_state(name, State::Failed);
            assert!(failed.service.reason.contains("exit 1"), "{failed:#?}");
            assert_eq!(failed.service.pid, None);
            let status = bed.menshen(["status", name]).ended_with(3).text();
            assert!(status.contains("exit 1: on_exit fail"), "{status}");
            assert!(status.contains(complaint), "{status}");
            assert_eq!(bed.states(Mark::BEGIN, name).iter().filter(|state| **state == State::Starting).count(), 1);
        }
        drop(bed.menshen(["status"]).ended_with(7));
    }
}
