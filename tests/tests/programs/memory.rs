//! A program that leaks memory.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Event, State, require, with_both_trees};

/// Takes 4 MiB more every 20 ms, and writes into all of it, so that the memory is really used.
const LEAK: &str = "import time\nkept = []\nwhile True:\n    kept.append(b'x' * (4 << 20))\n    time.sleep(0.02)\n";

/// The guard says so in one way where the kernel enforces the limit, and in another where it has to look for itself.
fn is_over_the_limit(event: &Event) -> bool {
    event.reason.contains("out of memory") || event.reason.contains("limit exceeded: memory")
}

fn leak(trees: menshen_tests::Trees, oom: &str) -> Option<Bed> {
    let python = require::program("python3")?;
    let bed = Bed::new(trees, "");
    bed.write("leak.py", LEAK);
    let definition = format!(
        "[service.leak]\ncommand = [\"{}\", \"leak.py\"]\nlimits = {{ memory = \"64MiB\", oom = \"{oom}\" }}\n\
         restart.delay = \"50ms\"\nbreaker.failures = 0\n\
         [alert.ops]\nexec = [\"sh\", \"-c\", 'echo \"$$MENSHEN_ALERT_SERVICE $$MENSHEN_ALERT_TEXT\" > alert']\non = [\"limit\"]\n",
        python.display()
    );
    Some(bed.and(&definition).up())
}

with_both_trees! {
    fn a_program_that_leaks_is_ended_at_its_limit_told_of_and_started_again(trees: Trees) {
        let Some(bed) = leak(trees, "restart") else { return };
        let first = bed.await_state("leak", State::Running).service.pid;
        let event = bed.await_event(Mark::BEGIN, "the limit is exceeded", is_over_the_limit);
        bed.await_service("leak", "started again", |service| service.pid.is_some() && service.pid != first);
        let backoff = bed.await_entry(Mark::BEGIN, "leak", State::Backoff);
        assert!(is_over_the_limit(&backoff), "{backoff:?} does not say why, {event:?} does");
        let alert = bed.await_file("alert");
        assert!(alert.starts_with("leak ") && alert.contains("memory"), "{alert}");
    }

    fn a_program_that_leaks_stays_down_where_the_definition_says_so(trees: Trees) {
        let Some(bed) = leak(trees, "fail") else { return };
        bed.await_event(Mark::BEGIN, "the limit is exceeded", is_over_the_limit);
        let failed = bed.await_state("leak", State::Failed).service;
        assert_eq!(failed.pid, None, "{failed:#?}");
        assert!(failed.reason.contains("memory"), "{failed:#?}");
        let starts = bed.states(Mark::BEGIN, "leak").iter().filter(|state| **state == State::Starting).count();
        assert_eq!(starts, 1);
        assert_eq!(failed.last_exit.as_deref(), Some("killed by SIGKILL"));
        bed.menshen(["status", "leak"]).ended_with(3);
    }
}
