//! What a service writes to the Event Log. Wine keeps none of it, and tells what it was given.

use menshen_tests::wait::until;

use super::{sample, sample_with, windows};

/// How grave an event is, by the numbers of Windows.
const ERROR: u16 = 1;
const WARNING: u16 = 2;
const INFORMATION: u16 = 4;

#[test]
fn what_a_service_logs_is_in_the_event_log_with_ids_that_stay() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "telling").done();
    sample(&wine, &["act", "start"]).ended_with(1);
    until("it has said why it ended", || wine.logged().iter().any(|(_, id)| *id == 1000));
    let all = [(ERROR, 1), (WARNING, 2), (INFORMATION, 3), (INFORMATION, 4), (ERROR, 77), (ERROR, 1000)];
    assert_eq!(wine.logged(), all);
    let told = wine.told();
    assert!(told.contains(r#"RegisterEventSourceW ((null),L"scm-sample")"#), "{told}");
    let texts = ["an error", "a warning", "information", "by: the sample", "count: 3", "it has told everything"];
    for text in texts {
        assert!(told.contains(text), "{text}: {told}");
    }
}

#[test]
fn why_a_service_ended_is_in_the_event_log_though_it_has_no_log_of_its_own() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "stubborn").done();
    sample(&wine, &["act", "start"]).done();
    assert_eq!(wine.logged(), []);
    sample(&wine, &["act", "stop"]).done();
    assert_eq!(wine.logged(), [(ERROR, 1000)]);
    assert!(wine.told().contains("it did not stop within its time"), "{}", wine.told());
}
