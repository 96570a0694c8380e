//! The machine is suspended, and wakes.

use std::time::Duration;

use menshen_tests::computer::Computer;
use menshen_tests::wait::until;
use menshen_tests::{Event, Service, State};

/// A program that works and is asked how it is, one that dies and comes back, and one that waits long before it does.
const DEFINITION: &str = r#"
[guard]
name = "suspended"
[check]
allow = ["M024", "M028"]
[service.works]
command = ["sh", "-c", "while :; do echo round >> /works; sleep 0.1; done"]
probe.liveness = { exec = ["sh", "-c", "echo asked >> /asked"], interval = "500ms", timeout = "3s" }
[service.mayfly]
command = "sleep 0.3"
restart = { delay = "200ms", max = "200ms", jitter = 0.0 }
breaker.failures = 0
[service.waits]
command = ["sh", "-c", "grep -m 1 '^now at' /proc/timer_list >> /waits; exec sleep 1000"]
restart = { delay = "25s", max = "25s", jitter = 0.0 }
"#;
/// How long the last one waits: from before the machine falls asleep until after it wakes.
const DELAY: Duration = Duration::from_secs(25);
/// When the machine is to wake. Falling asleep takes some of it.
const ALARM_SECONDS: u32 = 15;
/// Longer than the guard passes over, and than a probe may take.
const ASLEEP_MIN: Duration = Duration::from_secs(5);

/// A computer on which all run, and what dies has come back.
fn guarded() -> Option<Computer> {
    let computer = Computer::boot(&[("menshen.toml", DEFINITION)])?;
    computer.start_guard();
    until("what dies comes back", || computer.service("mayfly").restarts_total > 2);
    until("it is asked", || computer.service("works").healthy == Some(true));
    Some(computer)
}

/// The length that an event tells.
fn told(event: &Event) -> Option<u64> {
    event.reason.strip_prefix("the machine was suspended for ")?.strip_suffix('s')?.parse().ok()
}

/// How long the machine slept is part of how long ago something was.
fn assert_started_as(now: &Service, before: &Service) {
    let apart = now.started.zip(before.started).map(|(now, before)| now.as_ms().abs_diff(before.as_ms()));
    assert!(apart.is_some_and(|ms| ms < 1000), "{before:?}, {now:?}");
}

#[test]
fn a_suspended_machine_is_told_of_and_disturbs_nothing() {
    let Some(computer) = guarded() else { return };
    let count = |file: &str| computer.run(&format!("wc -l < {file}")).text().trim().parse::<u64>().unwrap();
    let (works, waits) = (computer.service("works"), computer.service("waits"));
    let (mark, before) = (computer.events().last().unwrap().sequence, computer.clocks());
    computer.run(&format!("kill {}", waits.pid.unwrap())).done();
    until("it waits for its next start", || computer.service("waits").state == State::Backoff);

    computer.suspend(ALARM_SECONDS);
    let after = computer.clocks();
    assert!(after.awake < before.awake + DELAY, "the wait was over before the machine was asleep");
    let asleep = (after.all - before.all) - (after.awake - before.awake);
    assert!(asleep > ASLEEP_MIN, "{asleep:?}");
    let (rounds, asked, restarts) = (count("/works"), count("/asked"), computer.service("mayfly").restarts_total);

    until("what works goes on, and is asked how it is", || count("/works") > rounds + 2 && count("/asked") > asked + 2);
    until("what dies comes back as before", || computer.service("mayfly").restarts_total > restarts + 2);
    until("what waits has waited", || count("/waits") == 2);
    let started = computer.run("tail -n 1 /waits").text();
    let started = Duration::from_nanos(started.split(' ').nth(2).unwrap().parse().unwrap());
    assert!(started >= before.awake + DELAY, "it waits while the machine is awake: {before:?}, {started:?}");

    let now = computer.service("works");
    assert_eq!((now.pid, now.restarts_total, now.healthy), (works.pid, works.restarts_total, Some(true)));
    assert_started_as(&now, &works);
    let events: Vec<Event> = computer.events().into_iter().filter(|event| event.sequence > mark).collect();
    let clock: Vec<&Event> = events.iter().filter(|event| event.kind == "clock").collect();
    let [event] = clock[..] else { panic!("one event tells of the clocks: {clock:?}") };
    let length = told(event).unwrap_or_else(|| panic!("{event:?}"));
    assert!(length.abs_diff(asleep.as_secs()) <= 1, "{asleep:?}: {event:?}");
    let about: Vec<&Event> = events.iter().filter(|event| event.service.as_deref() == Some("works")).collect();
    assert!(about.is_empty(), "something was done to what works: {about:#?}");

    computer.run("kill -9 $(cat /run/menshen/suspended.lock)").done();
    computer.start("menshen up --file /menshen.toml");
    until("the next guard answers", || computer.run("menshen status").code != 6);
    let next = computer.service("works");
    assert_eq!(next.pid, works.pid);
    assert_started_as(&next, &works);
    let crashes = computer.run("dmesg | grep segfault");
    assert_eq!(crashes.code, 1, "something crashed: {}", crashes.text());
}
