//! A service that runs: what it is told, and what the manager says of it.

use std::fs;
use std::process::{Child, Stdio};

use menshen_tests::command::Ran;
use menshen_tests::wait::{until, until_some};
use menshen_tests::windows::Windows;
use serde_json::Value;

use super::{SERVICE, sample, sample_with, windows};

/// How the service is, as the manager's own program says.
fn state(wine: &Windows) -> String {
    let text = wine.run(&["sc", "query", SERVICE]).ended_with(0).text();
    let line = text.lines().find(|line| line.contains("STATE")).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

fn status(wine: &Windows) -> Value {
    sample(wine, &["status"]).ended_with(0).json()
}

/// Something that is done while the test goes on.
fn begin(wine: &Windows, words: &[&str]) -> Child {
    let mut command = wine.command(&[&["scm-sample.exe"][..], words].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn end(mut child: Child) {
    let status = until_some("it is done", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

/// Waits until three steps of a change of state were seen; every one comes after the one before.
fn await_steps(wine: &Windows, state: &str) {
    let mut steps: Vec<u64> = Vec::new();
    until(&format!("three steps of {state}"), || {
        let now = status(wine);
        let step = now["checkpoint"].as_u64().filter(|step| now["state"] == state && *step > 0);
        if step.is_some() {
            assert_eq!(now["wait_hint_ms"], 10_000, "{now}");
        }
        steps.extend(step.filter(|step| steps.last() != Some(step)));
        steps.len() >= 3
    });
    assert!(steps.is_sorted_by(|one, next| one < next), "{steps:?}");
}

fn await_note(wine: &Windows, note: &str) {
    until(&format!("it noted: {note}"), || wine.lines("notes").iter().any(|line| line == note));
}

/// Lets the service go on that waits for a file.
fn let_go_on(wine: &Windows, name: &str) {
    fs::write(wine.path(name), "").unwrap();
}

#[test]
fn it_is_what_it_was_told_and_where_it_was_told_to_be() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    assert_eq!(state(&wine), "STOPPED");
    wine.run(&["sc", "start", SERVICE, "one", "two words"]).done();
    await_note(&wine, r#"started by Scm with ["one", "two words"]"#);
    await_note(&wine, r"in C:\windows\temp");
    await_note(&wine, r#"SAMPLE is "a b \"c\" %PATH%""#);
    until("it runs", || state(&wine) == "RUNNING");
    for (verb, note, wanted) in
        [("pause", "pause", "PAUSED"), ("continue", "continue", "RUNNING"), ("reload", "reload", "RUNNING")]
    {
        sample(&wine, &["act", verb]).done();
        await_note(&wine, note);
        assert_eq!(state(&wine), wanted, "{verb}");
    }
    wine.run(&["net", "stop", SERVICE]).done();
    await_note(&wine, "stop: Manager");
    await_note(&wine, "ended");
    until("it is stopped", || state(&wine) == "STOPPED");
    let status = status(&wine);
    assert_eq!((&status["exit"], &status["pid"]), (&"code 0".into(), &Value::Null));
}

#[test]
fn checkpoints_advance_for_as_long_as_a_start_and_a_stop_take() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "slow").done();
    let started = begin(&wine, &["act", "start"]);
    await_steps(&wine, "starting");
    assert_eq!(state(&wine), "START_PENDING");
    let_go_on(&wine, "ready");
    end(started);
    assert_eq!(state(&wine), "RUNNING");

    let stopped = begin(&wine, &["act", "stop"]);
    await_steps(&wine, "stopping");
    assert_eq!(state(&wine), "STOP_PENDING");
    let_go_on(&wine, "end");
    end(stopped);
    assert_eq!(state(&wine), "STOPPED");
}

#[test]
fn a_service_that_comes_further_for_ever_is_waited_for_until_the_deadline() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "slow").done();
    for (verb, way, state) in [("start", "ready", "starting"), ("stop", "end", "stopping")] {
        let overdue = sample(&wine, &["act", verb, "3"]).ended_with(1);
        let left = format!("did not {verb} within 3s, and was left as it is: {state} (");
        let is_told = overdue.stderr.contains(&left) && overdue.stderr.contains(" at checkpoint ");
        assert!(is_told, "{verb}: {}", overdue.stderr);
        // What it was told it does, though nobody waits for it.
        let_go_on(&wine, way);
        until("it is done", || status(&wine)["state"] == if verb == "start" { "running" } else { "stopped" });
    }
}

#[test]
fn more_time_is_what_the_manager_is_told_to_wait() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "asking").done();
    sample(&wine, &["act", "start"]).done();
    let stopped = begin(&wine, &["act", "stop"]);
    let hint = |wine: &Windows| status(wine)["wait_hint_ms"].as_u64();
    until("an hour is waited for", || hint(&wine).is_some_and(|hint| (3_500_000..=3_600_000).contains(&hint)));
    let_go_on(&wine, "end");
    end(stopped);
}

#[test]
fn a_service_that_refuses_to_stop_is_ended() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "stubborn").done();
    sample(&wine, &["act", "start"]).done();
    assert_eq!(status(&wine)["state"], "running");
    sample(&wine, &["act", "stop"]).done();
    await_note(&wine, "stop: Manager");
    let status = status(&wine);
    assert_eq!((&status["state"], &status["exit"]), (&"failed".into(), &"own code 1".into()), "{status}");
    assert!(!wine.lines("notes").contains(&"ended".to_owned()));
}

#[test]
fn a_service_that_crashes_is_shown_as_failed_and_can_be_started_again() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "steady").done();
    sample(&wine, &["act", "start"]).done();
    let pid = status(&wine)["pid"].as_u64().unwrap();
    wine.run(&["taskkill", "/F", "/PID", &pid.to_string()]).done();
    let crashed =
        until_some("it is seen to have crashed", || Some(status(&wine)).filter(|now| now["state"] != "running"));
    assert_eq!((&crashed["state"], &crashed["exit"]), (&"failed".into(), &"code 1067".into()), "{crashed}");
    sample(&wine, &["act", "start"]).done();
    let again = status(&wine);
    assert!(again["state"] == "running" && again["pid"] != pid, "{again}");
}

#[test]
fn it_is_started_when_the_machine_is_if_it_is_to_be() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "plain", "steady").done();
    sample(&wine, &["--name", "by-hand", "install", "manual", r"C:\test", "steady"]).done();
    sample(&wine, &["act", "start"]).done();
    wine.cut_off();
    wine.boot();
    let is_up = || {
        status(&wine)["state"] == "running"
            && wine.lines("notes").iter().filter(|line| line.starts_with("in ")).count() == 2
    };
    until("it is started at boot", is_up);
    let by_hand: Value = sample(&wine, &["--name", "by-hand", "status"]).ended_with(0).json();
    assert_eq!(by_hand["state"], "stopped");
}

#[test]
fn a_delayed_start_comes_after_the_others() {
    let Some(wine) = windows() else { return };
    sample_with(&wine, "install", "full", "steady").done();
    sample(&wine, &["--name", "at-once", "install", "plain", r"C:\test\other", "steady"]).done();
    fs::create_dir(wine.path("other")).unwrap();
    // In milliseconds; else it is two minutes.
    let control = r"HKLM\System\CurrentControlSet\Control";
    wine.run(&["reg", "add", control, "/v", "AutoStartDelay", "/t", "REG_DWORD", "/d", "8000", "/f"]).done();
    wine.cut_off();
    wine.boot();
    until("the other is started", || wine.lines(r"other/notes").iter().any(|line| line.starts_with("started by Scm")));
    assert_eq!(wine.lines("notes"), Vec::<String>::new(), "the delayed one is not started yet");
    await_note(&wine, "started by Scm with []");
    until("it runs", || state(&wine) == "RUNNING");
}

#[test]
fn a_program_that_somebody_starts_by_hand_is_no_service() {
    let Some(wine) = windows() else { return };
    let mut child = begin(&wine, &["serve", r"C:\test", "steady"]);
    await_note(&wine, "started by Interactive with []");
    await_note(&wine, r"in C:\test");
    assert!(child.try_wait().unwrap().is_none(), "it goes on until somebody ends it");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_cannot_be_told_is_refused_by_name() {
    let Some(wine) = windows() else { return };
    let refusal = |words: &[&str]| -> Ran { sample(&wine, words).ended_with(1) };
    assert!(refusal(&["act", "start"]).stderr.contains("knows no service"));
    sample_with(&wine, "install", "plain", "steady").done();
    let paused = refusal(&["act", "pause"]).stderr;
    assert!(paused.contains("cannot pause") && paused.contains("it does not run"), "{paused}");
}
