//! One definition, one program, one story: what is told of a service on Windows is what is told of it on Linux.

use std::collections::BTreeMap;

use menshen_tests::wait::until;
use menshen_tests::{Bed, Event, GuardedWindows, Service, State, Trees, require};

/// With the path of the puppet in the place of `PUPPET`, as all of them.
const DEFINITION: &str = r#"
[service.web]
command = ['PUPPET', "wait"]
probe.readiness.log = "ready"
[service.tree]
command = ['PUPPET', "tree"]
stop.timeout = "1s"
[service.crash]
command = ['PUPPET', "exit", "3"]
restart.delay = "100ms"
breaker.failures = 3
breaker.open_for = "1m"
"#;
/// Each needs the one before.
const CHAIN: &str = r#"
[service.db]
command = ['PUPPET', "wait"]
probe.readiness.log = "ready"
[service.api]
command = ['PUPPET', "wait"]
probe.readiness.log = "ready"
depends_on = { db = "ready" }
[service.web]
command = ['PUPPET', "wait"]
probe.readiness.log = "ready"
depends_on = { api = "ready" }
"#;

/// What a story is told by: commands, a service of the guard, and how many processes a tree has.
struct Teller<'a> {
    menshen: &'a dyn Fn(&[&str]),
    service: &'a dyn Fn(&str) -> Service,
    trees_full: &'a dyn Fn() -> bool,
}

impl Teller<'_> {
    fn await_ready(&self, service: &str) {
        until(&format!("{service} is ready"), || (self.service)(service).ready);
    }
}

fn each_by_itself(teller: &Teller<'_>) {
    teller.await_ready("web");
    until("the tree is whole", || (teller.trees_full)());
    until("the breaker is open", || (teller.service)("crash").state == State::Tripped);
    for words in [["restart", "web"], ["pause", "web"], ["continue", "web"], ["stop", "tree"], ["stop", "web"]] {
        (teller.menshen)(&words);
        if words == ["restart", "web"] {
            teller.await_ready("web");
        }
    }
}

fn one_after_the_other(teller: &Teller<'_>) {
    teller.await_ready("web");
    (teller.menshen)(&["reload"]);
    (teller.menshen)(&["stop", "web"]);
    (teller.menshen)(&["start", "web"]);
    teller.await_ready("web");
}

/// What is told on Windows and on Linux; `None` where that cannot be.
fn told_there_and_here(definition: &str, act: fn(&Teller<'_>)) -> Option<[Vec<Event>; 2]> {
    let puppet = require::example("puppet")?;
    let windows = GuardedWindows::start(&definition.replace("PUPPET", r"C:\test\puppet.exe"))?;
    windows.up();
    act(&Teller {
        menshen: &|words| windows.menshen(words).done(),
        service: &|name| windows.service(name),
        trees_full: &|| windows.processes_of("puppet.exe stubborn").len() == 1,
    });
    windows.menshen(&["down"]).done();
    windows.up();
    let there = windows.menshen(&["events", "--json"]).ended_with(0).json_lines();
    windows.menshen(&["down"]).done();

    let mut bed = Bed::new(Trees::Walk, &definition.replace("PUPPET", &puppet.display().to_string())).up();
    act(&Teller {
        menshen: &|words| bed.menshen(words).done(),
        service: &|name| bed.service(name).service,
        trees_full: &|| bed.tree("tree").len() == 3,
    });
    bed.menshen(["down"]).done();
    bed.await_guard_end();
    bed.start_guard();
    Some([there, bed.events()].map(of_first_guard))
}

/// What was told until its end, which the guard after it knows.
fn of_first_guard(events: Vec<Event>) -> Vec<Event> {
    let mut starts = 0;
    let is_of_first = |event: &Event| {
        starts += u32::from(event.kind == "started");
        starts < 2
    };
    events.into_iter().take_while(is_of_first).collect()
}

/// An event without the numbers that differ from run to run.
fn told(event: &Event) -> String {
    let detail = |name: &str| event.details.get(name).map(ToString::to_string).unwrap_or_default();
    let told = format!("{} {}{}{} {}", event.kind, detail("command"), detail("from"), detail("to"), event.reason);
    // Whether a program's line or its start is heard of first is chance.
    let told = told.replace("its readiness probe succeeded", "up");
    told.replace("ms", "s").chars().fold(String::new(), |mut told, c| {
        match c {
            '0'..='9' | '.' if told.ends_with('#') => {}
            '0'..='9' => told.push('#'),
            _ => told.push(c),
        }
        told
    })
}

#[test]
fn the_same_is_told_of_a_program_as_on_linux() {
    let Some(both) = told_there_and_here(DEFINITION, each_by_itself) else { return };
    let [there, here] = both.map(|events| {
        let mut stories: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events {
            let story = told(&event);
            if let Some(service) = event.service {
                stories.entry(service).or_default().push(story);
            }
        }
        stories
    });
    assert_eq!(here.len(), 3, "{here:?}");
    assert_eq!(there, here);
}

#[test]
fn what_needs_one_another_and_the_guard_itself_do_everything_in_the_same_order_as_on_linux() {
    let Some(both) = told_there_and_here(CHAIN, one_after_the_other) else { return };
    let [there, here] = both.map(|events| {
        let of = |event: &Event| event.service.clone().unwrap_or_else(|| "guard".to_owned());
        events.iter().map(|event| format!("{}: {}", of(event), told(event))).collect::<Vec<String>>()
    });
    let of = |who: &str| here.iter().filter(|told| told.starts_with(who)).count();
    assert!(["guard: ", "db: ", "api: ", "web: "].iter().all(|who| of(who) >= 3), "{here:#?}");
    assert_eq!(there, here);
}
