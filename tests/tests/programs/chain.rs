//! Three servers that need each other: nginx needs Redis, Redis needs PostgreSQL.

use menshen_tests::events::entered;
use menshen_tests::servers::Server;
use menshen_tests::{Bed, State, with_both_trees};

/// The three in a bed that is not up yet.
fn chain(trees: menshen_tests::Trees) -> Option<Bed> {
    let bed = Bed::new(trees, "");
    let (web, cache, db) = (Server::nginx(&bed)?, Server::redis(&bed)?, Server::postgres(&bed)?);
    let needs = |name: &str| format!("depends_on = {{ {name} = \"ready\" }}");
    Some(
        bed.and(&web.service("web", &needs("cache")))
            .and(&cache.service("cache", &needs("db")))
            .and(&db.service("db", "")),
    )
}

with_both_trees! {
    fn servers_start_when_what_they_need_is_ready_and_stop_the_other_way_round(trees: Trees) {
        let Some(bed) = chain(trees) else { return };
        let mut bed = bed.up();
        bed.await_ready("web");
        let events = bed.events();
        let starting = |name: &str| {
            events.iter().position(|event| entered(event, name) == Some(State::Starting)).unwrap()
        };
        let ready = |name: &str| {
            let of_it = |event: &menshen_tests::Event| event.kind == "probe" && event.service.as_deref() == Some(name);
            events.iter().position(|event| of_it(event) && event.details["passing"] == true).unwrap()
        };
        assert!(ready("db") < starting("cache"), "{events:#?}");
        assert!(ready("cache") < starting("web"), "{events:#?}");

        let before = bed.mark();
        bed.menshen(["down"]).done();
        assert!(bed.await_guard_end().success());
        let stopped = |name: &str| bed.await_entry(before, name, State::Stopped).sequence;
        let stopping = |name: &str| bed.await_entry(before, name, State::Stopping).sequence;
        assert!(stopped("web") < stopping("cache"));
        assert!(stopped("cache") < stopping("db"));
        assert_eq!(bed.processes(), []);
    }
}
