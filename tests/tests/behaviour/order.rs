//! Starting and stopping in order.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Signal, State, Trees};

#[test]
fn a_completed_oneshot_is_shown_as_ready_as_it_is_to_those_who_need_it() {
    let definition = r#"
        [service.job]
        command = ["sh", "-c", "until [ -e go ]; do sleep 0.01; done"]
        type = "oneshot"
        [service.web]
        command = "sleep 1000"
        depends_on = { job = "ready" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_state("job", State::Running);
    assert!(!bed.service("job").service.ready);
    assert_eq!(bed.service("web").service.state, State::Waiting);
    bed.write("go", "");
    bed.await_ready("web");
    let job = bed.service("job").service;
    assert_eq!((job.state, job.ready), (State::Completed, true));
    // When that was does not change with who asks.
    let since: std::collections::BTreeSet<String> =
        (0..40).map(|_| bed.service("web").service.since.to_string()).collect();
    assert_eq!(since.len(), 1, "{since:?}");
}

#[test]
fn conditions_decide_when_a_dependant_starts() {
    let definition = r#"
        [service.schema]
        type = "oneshot"
        command = ["sh", "-c", "while [ ! -e schema ]; do sleep 0.02; done"]

        [service.db]
        command = "sleep 1000"
        probe.readiness = { exec = ["test", "-e", "db"], interval = "50ms" }

        [service.log]
        command = "sleep 1000"

        [service.web]
        command    = "sleep 1000"
        depends_on = { schema = "completed", db = "ready", log = "started" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_ready("log");
    let waiting = bed.await_state("web", State::Waiting);
    assert!(waiting.service.reason.contains("waiting for db to be ready"), "{waiting:?}");
    bed.write("db", "");
    bed.await_ready("db");
    let waiting = bed.await_service("web", "waiting for schema", |service| service.reason.contains("schema"));
    assert_eq!(waiting.service.state, State::Waiting);
    bed.write("schema", "");
    bed.await_ready("web");
    assert_eq!(bed.states(Mark::BEGIN, "web"), [State::Waiting, State::Starting, State::Running]);
}

#[test]
fn a_service_keeps_running_without_what_it_needs_and_brings_it_along_when_started() {
    let definition = r#"
        [service.db]
        command = "sleep 1000"
        [service.web]
        command    = "sleep 1000"
        depends_on = ["db"]
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_ready("web");
    bed.menshen(["stop", "db"]).done();
    assert!(bed.service("web").service.ready, "nobody asked to stop it");
    bed.menshen(["stop", "web"]).done();
    let mark = bed.mark();
    bed.menshen(["start", "web"]).done();
    let db = bed.await_entry(mark, "db", State::Running).sequence;
    let web = bed.await_entry(mark, "web", State::Running).sequence;
    assert!(db < web);
}

#[test]
fn losing_a_dependency_does_what_the_definition_says() {
    let definition = r#"
        [service.db]
        command = "sleep 1000"
        restart.delay = "50ms"
        [service.with]
        command    = "sleep 1000"
        depends_on = { db = { condition = "ready", on_loss = "restart" } }
        [service.without]
        command    = "sleep 1000"
        depends_on = { db = "ready" }
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_ready("with");
    bed.await_ready("without");
    let (with, without, mark) = (bed.main_process("with"), bed.main_process("without"), bed.mark());
    bed.main_process("db").signal(Signal::KILL);
    bed.await_entry(mark, "with", State::Stopping);
    bed.await_entry(mark, "with", State::Running);
    assert!(!with.lives());
    assert!(without.lives(), "nobody asked to restart it");
    assert_eq!(bed.states(mark, "without"), []);
}

#[test]
fn what_is_stopped_together_stops_in_reverse_whatever_order_it_is_named_in() {
    // Each writes down that it ends, and takes its time for that.
    let service = |name: &str, needs: &str| {
        let script =
            format!("trap 'sleep 0.1; echo {name} >> ended; exit 0' TERM; echo up; while :; do sleep 0.05; done");
        format!(
            "[service.{name}]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nprobe.readiness.log = \"up\"\ndepends_on = [{needs}]\n"
        )
    };
    let definition = [service("db", ""), service("api", "\"db\""), service("web", "\"api\"")].concat();
    let bed = Bed::new(Trees::Walk, &definition).up();
    for words in [["db", "api", "web"], ["api", "db", "web"], ["web", "db", "api"]] {
        bed.await_ready("web");
        bed.write("ended", "");
        bed.menshen([&["stop"][..], &words].concat()).done();
        assert_eq!(std::fs::read_to_string(bed.path("ended")).unwrap(), "web\napi\ndb\n", "{words:?}");
        bed.menshen(["start", "web"]).done();
    }
}
