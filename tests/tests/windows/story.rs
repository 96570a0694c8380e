//! One definition, one program, one story: what is told of a service on Windows is what is told of it on Linux.

use std::collections::BTreeMap;

use menshen_tests::wait::until;
use menshen_tests::{Bed, Event, GuardedWindows, Service, State, Trees, require};

/// With the path of the puppet in the place of `PUPPET`.
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

/// What the story is told by: a command, and a service of the guard.
struct Teller<'a> {
    menshen: &'a dyn Fn(&[&str]),
    service: &'a dyn Fn(&str) -> Service,
    trees_full: &'a dyn Fn() -> bool,
}

impl Teller<'_> {
    fn act(&self) {
        until("web is ready", || (self.service)("web").ready);
        until("the tree is whole", || (self.trees_full)());
        until("the breaker is open", || (self.service)("crash").state == State::Tripped);
        for words in [["restart", "web"], ["pause", "web"], ["continue", "web"], ["stop", "tree"], ["stop", "web"]] {
            (self.menshen)(&words);
            if words == ["restart", "web"] {
                until("web is ready again", || (self.service)("web").ready);
            }
        }
    }
}

/// What was told of each service, without the numbers that differ from run to run.
fn stories(events: Vec<Event>) -> BTreeMap<String, Vec<String>> {
    let mut stories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let Some(service) = event.service else { continue };
        let detail = |name: &str| event.details.get(name).map(ToString::to_string).unwrap_or_default();
        let told = format!("{} {}{}{} {}", event.kind, detail("command"), detail("from"), detail("to"), event.reason);
        // Whether a program's line or its start is heard of first is chance.
        let told = told.replace("its readiness probe succeeded", "up");
        let told = told.replace("ms", "s").chars().fold(String::new(), |mut told, c| {
            match c {
                '0'..='9' | '.' if told.ends_with('#') => {}
                '0'..='9' => told.push('#'),
                _ => told.push(c),
            }
            told
        });
        stories.entry(service).or_default().push(told);
    }
    stories
}

#[test]
fn the_same_is_told_of_a_program_as_on_linux() {
    let Some(puppet) = require::example("puppet") else { return };
    let Some(windows) = GuardedWindows::start(&DEFINITION.replace("PUPPET", r"C:\test\puppet.exe")) else { return };
    windows.up();
    Teller {
        menshen: &|words| windows.menshen(words).done(),
        service: &|name| windows.service(name),
        trees_full: &|| windows.processes_of("puppet.exe stubborn").len() == 1,
    }
    .act();
    let there = stories(windows.menshen(&["events", "--json"]).ended_with(0).json_lines());
    windows.menshen(&["down"]).done();

    let bed = Bed::new(Trees::Walk, &DEFINITION.replace("PUPPET", &puppet.display().to_string())).up();
    Teller {
        menshen: &|words| bed.menshen(words).done(),
        service: &|name| bed.service(name).service,
        trees_full: &|| bed.tree("tree").len() == 3,
    }
    .act();
    let here = stories(bed.events());
    assert_eq!(here.len(), 3, "{here:?}");
    assert_eq!(there, here);
}
