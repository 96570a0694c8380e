//! One definition, one program, one story: what is told of a service on Windows is what is told of it on Linux.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use menshen_tests::command::built;
use menshen_tests::wait::until;
use menshen_tests::{Bed, Event, GuardedWindows, Service, State, Trees, example, port, require};

/// What somebody adds to the example's definition.
const ANNEX: &str = r#"
[service.annex]
command         = ["${BIN:../../target/debug}/greeter", "--listen", "127.0.0.1:0"]
depends_on      = { cellar = "ready" }
probe.readiness = { log = "greeting whoever connects" }
stop            = { timeout = "1s" }
"#;
/// What no example does; with the path of the puppet in the place of `PUPPET`.
const TREE: &str = r#"
[service.tree]
command = ['PUPPET', "tree"]
stop.timeout = "1s"
[service.crash]
command = ['PUPPET', "exit", "3"]
restart.delay = "100ms"
breaker.failures = 3
breaker.open_for = "1m"
"#;

/// Where a story is acted out: commands, a service of the guard, the folder of the definition, and whether a tree is whole.
struct Stage<'a> {
    menshen: &'a dyn Fn(&[&str]),
    service: &'a dyn Fn(&str) -> Service,
    folder: PathBuf,
    tree_is_whole: &'a dyn Fn() -> bool,
}

impl Stage<'_> {
    fn menshen(&self, words: &[&str]) {
        (self.menshen)(words);
    }

    fn await_ready(&self, service: &str) {
        until(&format!("{service} is ready"), || (self.service)(service).ready);
    }

    fn await_open_breaker(&self, service: &str) {
        until(&format!("the breaker of {service} is open"), || (self.service)(service).state == State::Tripped);
    }
}

/// What the example's definition says to try. One thing is over before the next begins, so that their order is no chance.
fn greeters(stage: &Stage<'_>) {
    ["hall", "stairs", "attic"].iter().for_each(|service| stage.await_ready(service));
    stage.menshen(&["pause", "hall"]);
    stage.menshen(&["continue", "hall"]);
    stage.await_ready("hall");
    stage.menshen(&["restart", "stairs"]);
    stage.await_ready("stairs");
    stage.menshen(&["stop", "attic"]);
    stage.menshen(&["start", "attic"]);
    stage.await_ready("attic");
    stage.menshen(&["start", "cellar", "--no-wait"]);
    stage.await_open_breaker("cellar");
    fs::write(stage.folder.join("cellar.txt"), "mind your head\n").unwrap();
    stage.menshen(&["reset", "cellar"]);
    stage.await_ready("cellar");
    stage.menshen(&["reload"]);
    let mut definition = OpenOptions::new().append(true).open(stage.folder.join("menshen.toml")).unwrap();
    definition.write_all(ANNEX.as_bytes()).unwrap();
    stage.menshen(&["reload"]);
    stage.await_ready("annex");
    // What needs nothing of one another would end in any order.
    stage.menshen(&["stop", "annex"]);
    stage.menshen(&["stop", "cellar"]);
}

fn a_tree_and_a_crash(stage: &Stage<'_>) {
    until("the tree is whole", || (stage.tree_is_whole)());
    stage.await_open_breaker("crash");
    stage.menshen(&["stop", "tree"]);
}

/// What is told on Windows and on Linux until the guard's end.
fn told_there_and_here(windows: &GuardedWindows, bed: Bed, act: fn(&Stage<'_>)) -> [Vec<Event>; 2] {
    windows.up();
    act(&Stage {
        menshen: &|words| windows.menshen(words).done(),
        service: &|name| windows.service(name),
        folder: windows.folder_of_definition(),
        tree_is_whole: &|| windows.processes_of("puppet.exe stubborn").len() == 1,
    });
    windows.menshen(&["down"]).done();
    windows.up();
    let there = windows.menshen(&["events", "--json", "--since", "1d"]).ended_with(0).json_lines();
    windows.menshen(&["down"]).done();

    let mut bed = bed.up();
    act(&Stage {
        menshen: &|words| bed.menshen(words).done(),
        service: &|name| bed.service(name).service,
        folder: bed.folder().to_owned(),
        tree_is_whole: &|| bed.tree("tree").len() == 3,
    });
    bed.menshen(["down"]).done();
    bed.await_guard_end();
    bed.start_guard();
    [there, bed.events()].map(of_first_guard)
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

/// Wine ends one thread of a program for Ctrl-Break, and calls no handler. The example has several: it hears nothing, and is killed
/// when its time is over.
fn is_for_wine(event: &Event) -> bool {
    event.kind == "killed"
}

#[test]
fn an_example_does_everything_in_the_same_order_as_on_linux_with_the_same_file() {
    let Some(windows) = GuardedWindows::start_example("greeter") else { return };
    windows.menshen(&["check", "--file", windows.definition()]).done();
    let definition = fs::read_to_string(example::definition("greeter")).unwrap();
    let mut bed = Bed::new(Trees::Walk, &definition).set("BIN", built("greeter").parent().unwrap().display());
    for port in ["HALL", "STAIRS", "ATTIC", "CELLAR"] {
        bed = bed.set(port, port::free());
    }
    let [there, here] = told_there_and_here(&windows, bed, greeters);
    let there = there.into_iter().filter(|event| !is_for_wine(event)).collect();
    let [there, here] = [there, here].map(|events: Vec<Event>| {
        let of = |event: &Event| event.service.clone().unwrap_or_else(|| "guard".to_owned());
        events.iter().map(|event| format!("{}: {}", of(event), told(event))).collect::<Vec<String>>()
    });
    let of = |who: &str| here.iter().filter(|told| told.starts_with(who)).count();
    assert!(
        ["guard: ", "hall: ", "stairs: ", "attic: ", "cellar: ", "annex: "].iter().all(|who| of(who) >= 4),
        "{here:#?}"
    );
    assert_eq!(there, here);
}

#[test]
fn the_same_is_told_of_a_tree_and_of_a_crash_as_on_linux() {
    let Some(puppet) = require::example("puppet") else { return };
    let Some(windows) = GuardedWindows::start(&TREE.replace("PUPPET", r"C:\test\puppet.exe")) else { return };
    let bed = Bed::new(Trees::Walk, &TREE.replace("PUPPET", &puppet.display().to_string()));
    let [there, here] = told_there_and_here(&windows, bed, a_tree_and_a_crash).map(|events| {
        let mut stories: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in events {
            let story = told(&event);
            if let Some(service) = event.service {
                stories.entry(service).or_default().push(story);
            }
        }
        stories
    });
    assert_eq!(here.len(), 2, "{here:?}");
    assert_eq!(there, here);
}
