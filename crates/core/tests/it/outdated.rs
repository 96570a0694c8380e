//! A definition that was changed while no guard was there: what runs is not as it is defined, until something starts it anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use menshen_core::{Command, Effect, Event, Exit, Outcome, State, Tree};
use menshen_plan::{Cost, Input, Layer, Plan, Source, diff, load};

use crate::memory::successor;
use crate::rig::{AnyMachine, Rig, plan};

/// A service with some keys, as a guard with this environment has it.
fn with(keys: &str, environment: &[(&str, &str)]) -> Plan {
    let keys = if keys.starts_with("command") { keys.to_owned() } else { format!("command = \"web\"\n{keys}") };
    let files = vec![Source { name: "menshen.toml".to_owned(), text: format!("[service.web]\n{keys}\n") }];
    let environment: BTreeMap<_, _> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let input = Input { layers: vec![Layer { files }], environment, folder: "/opt/shop".into(), ..Input::default() };
    let loaded = load(&input, &AnyMachine);
    loaded.plan.unwrap_or_else(|| panic!("{keys}: {:#?}", loaded.diagnostics))
}

fn fingerprint(plan: &Plan) -> String {
    plan.services["web"].fingerprint.to_string()
}

/// Keys of which each is one that another start of the program has, or none.
const KEYS: [&str; 41] = [
    "command = \"web --new\"",
    "command = [\"web\", \"--new\"]",
    "command = [\"web --new\"]",
    "description = \"the shop\"",
    "display_name = \"Shop\"",
    "directory = \"elsewhere\"",
    "environment = { A = \"1\" }",
    "environment = { A = \"1\", B = \"2\" }",
    "environment = { A = \"1 B=2\" }",
    "user = \"shop\"",
    "group = \"shop\"",
    "groups = [\"shop\"]",
    "groups = []",
    "umask = \"027\"",
    "nice = 5",
    "fd_store = 3",
    "essential = true",
    "start = \"delayed\"",
    "type = \"oneshot\"",
    "type = \"notify\"",
    "start_timeout = \"3s\"",
    "limits.files = 77",
    "limits.memory = \"1GiB\"",
    "limits.cpu = 0.5",
    "limits.tasks = 7",
    "limits.oom = \"stop\"",
    "probe.readiness.tcp = 80",
    "probe.readiness.notify = true",
    "probe.liveness = { notify = true, interval = \"3s\" }",
    "probe.liveness = { notify = true, interval = \"4s\" }",
    "restart.delay = \"7s\"",
    "restart.policy = \"never\"",
    "breaker.failures = 7",
    "breaker.fallback = [\"page\"]",
    "stop.timeout = \"7s\"",
    "stop.signal = \"SIGINT\"",
    "stop.command = [\"web\", \"quit\"]",
    "reload.signal = \"SIGHUP\"",
    "reload = { signal = \"SIGHUP\", files = [\"web.conf\"] }",
    "log.format = \"raw\"",
    "inherit = [\"A\"]",
];

#[test]
fn what_costs_a_restart_has_another_fingerprint_and_nothing_else_has() {
    let mut seen = BTreeMap::new();
    for old in KEYS {
        for new in KEYS {
            let (old_plan, new_plan) = (with(old, &[("A", "guard's")]), with(new, &[("A", "guard's")]));
            let changes = diff(&old_plan, &new_plan).services;
            let costs_restart = changes.iter().any(|change| change.cost >= Cost::Restart);
            let is_another = fingerprint(&old_plan) != fingerprint(&new_plan);
            assert_eq!(is_another, costs_restart, "{old} and {new}: {changes:?}");
            seen.insert(fingerprint(&new_plan), new);
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

/// What an earlier version noted of a definition that nobody has changed since. Where this fails, every program that runs would be
/// said to be outdated after an upgrade: leave out what is at its default.
#[test]
fn a_fingerprint_is_the_same_for_ever() {
    let all = "command = [\"web\", \"--port\", \"80\"]\nuser = \"shop\"\ngroup = \"shop\"\ngroups = [\"a\", \"b\"]\n\
        umask = \"027\"\nnice = 5\nfd_store = 3\ntype = \"notify\"\nlimits.files = 77\ninherit = [\"A\"]\n\
        environment = { B = \"2\" }\nprobe.liveness = { notify = true, interval = \"3s\" }";
    for (keys, expected) in
        [("", "f9fdbfa7045714e1"), (all, "190d66f4211b9b3f"), ("inherit = \"all\"", "c7419deaed36f857")]
    {
        assert_eq!(fingerprint(&with(keys, &[("PATH", "/bin")])), expected, "{keys}");
    }
}

#[test]
fn the_environment_of_the_guard_is_not_the_definition_s() {
    for keys in ["", "inherit = [\"A\"]", "inherit = \"all\"", "environment = { B = \"2\" }"] {
        let guards: [&[(&str, &str)]; 2] = [&[("PATH", "/bin"), ("A", "1")], &[("PATH", "/usr/bin"), ("C", "3")]];
        let [one, other] = guards.map(|environment| fingerprint(&with(keys, environment)));
        assert_eq!(one, other, "{keys}");
    }
    let of_a = |a| fingerprint(&with("command = [\"web\", \"${A}\"]", &[("A", a)]));
    assert_ne!(of_a("1"), of_a("2"), "the definition asks for it");
}

const OLD: &str = "[service.web]\ncommand = \"web\"\nrestart.delay = \"1s\"\n";
const NEW: &str = "[service.web]\ncommand = \"web --new\"\nrestart.delay = \"2s\"\n";

/// A guard that took over what was started by another definition.
fn outdated() -> Rig {
    let rig = successor(&Rig::new(OLD), NEW);
    assert!(rig.status("web").outdated);
    rig
}

fn reload(rig: &mut Rig, definition: &str) {
    rig.send(Event::Reload { plan: plan(definition), by: "alice".to_owned() });
}

/// What runs ends, whichever guard started it.
fn ends(rig: &mut Rig, code: i32) {
    let run = rig.core.main_run(rig.id("web")).unwrap();
    rig.send(Event::Exited { run, exit: Exit::Code(code), oom: false, tree: Tree::Empty });
}

/// The command of the last start.
fn started(rig: &Rig) -> Option<String> {
    rig.effects.iter().rev().find_map(|effect| match effect {
        Effect::Spawn { plan, .. } => Some(plan.command.to_string()),
        _ => None,
    })
}

#[test]
fn what_runs_by_an_earlier_definition_runs_on_and_is_said_to() {
    let rig = outdated();
    assert_eq!((rig.state("web"), started(&rig)), (State::Running, None));
    // What costs nothing holds already.
    let same = successor(&Rig::new(OLD), &OLD.replace("1s", "2s"));
    assert!(!same.status("web").outdated);
    // It is no less outdated for the guard after that.
    assert!(successor(&rig, NEW).status("web").outdated);
    assert!(!successor(&rig, OLD).status("web").outdated, "it was changed back");
}

#[test]
fn whatever_starts_it_anew_starts_it_as_it_is_defined_now() {
    let ways: [fn(&mut Rig); 3] =
        [|rig| ends(rig, 1), |rig| rig.command("web", Command::Restart).unwrap(), |rig| reload(rig, NEW)];
    for end in ways {
        let mut rig = outdated();
        end(&mut rig);
        if rig.state("web") == State::Stopping {
            ends(&mut rig, 0);
        }
        rig.wait_s(3);
        assert_eq!((rig.state("web"), started(&rig).as_deref()), (State::Running, Some("web --new")));
        assert!(!rig.status("web").outdated);
    }
}

#[test]
fn a_reload_starts_anew_what_runs_otherwise_than_it_is_defined_and_only_that() {
    let mut rig = outdated();
    let (changes, outcomes) = rig.core.foresee(&plan(NEW));
    let change = &changes.services[..];
    assert!(matches!(change, [change] if change.cost == Cost::Restart && change.changes.is_empty()), "{change:?}");
    assert_eq!(outcomes["web"], Outcome::Restart);
    // A change that would cost nothing by itself.
    let later = NEW.replace("2s", "3s");
    assert_eq!(rig.core.foresee(&plan(&later)).1["web"], Outcome::Restart);
    // Back to what it was started as.
    let (changes, outcomes) = rig.core.foresee(&plan(OLD));
    assert_eq!((changes.services[0].cost, outcomes["web"]), (Cost::Live, Outcome::Live));
    assert!(changes.services[0].changes.iter().all(|change| change.cost == Cost::Live), "{changes:?}");
    reload(&mut rig, OLD);
    assert_eq!((rig.state("web"), rig.status("web").outdated, started(&rig)), (State::Running, false, None));
    // Twice in a row is once.
    let mut rig = outdated();
    reload(&mut rig, NEW);
    assert_eq!(rig.state("web"), State::Stopping);
    assert!(rig.core.foresee(&plan(NEW)).0.is_empty());
    reload(&mut rig, NEW);
    ends(&mut rig, 0);
    assert_eq!((rig.state("web"), rig.starts("web")), (State::Running, 1));
    assert!(rig.core.foresee(&plan(NEW)).0.is_empty());
}

#[test]
fn of_what_was_found_and_not_noted_nothing_is_said() {
    let mut rig = Rig::idle(NEW);
    let id = rig.core.id("web").unwrap();
    rig.core.resume_found(id, menshen_core::Found { pid: Some(7), run: None, before: 0 });
    rig.send(Event::Begin);
    assert_eq!((rig.state("web"), rig.status("web").outdated), (State::Running, false));
    let same: Arc<Plan> = plan(NEW);
    assert!(rig.core.foresee(&same).0.is_empty());
}

#[test]
fn what_comes_to_the_same_is_left_alone_however_it_is_written() {
    let same = OLD.replace("restart", "inherit = [\"NOBODY_HAS_IT\"]\nrestart");
    assert_ne!(fingerprint(&plan(&same)), fingerprint(&plan(OLD)), "another guard may have it");
    let mut rig = Rig::new(OLD);
    assert!(rig.core.foresee(&plan(&same)).0.is_empty());
    reload(&mut rig, &same);
    assert_eq!((rig.state("web"), rig.starts("web"), rig.status("web").outdated), (State::Running, 1, false));
    assert!(!successor(&rig, &same).status("web").outdated);
    let spelt = |keys: &str| fingerprint(&with(keys, &[]));
    assert_eq!(spelt("inherit = [\"A\", \"B\"]"), spelt("inherit = [\"B\", \"A\", \"B\", \"PATH\"]"));
    assert_eq!(spelt("inherit = []"), spelt("inherit = [\"HOME\"]"));
    let [one, other] = ["log", "x/.././log/"].map(|folder| spelt(&format!("directory = \"{folder}\"")));
    assert_eq!(one, other);
}

#[test]
fn a_program_is_told_of_configuration_files_that_changed_while_no_guard_was_there() {
    let old = "[service.web]\ncommand = \"web\"\nreload = { signal = \"SIGHUP\", files = [\"a.conf\"] }\n";
    let new = old.replace("a.conf", "b.conf");
    let signals = |rig: &Rig| rig.effects.iter().filter(|effect| matches!(effect, Effect::Signal { .. })).count();
    let mut rig = successor(&Rig::new(old), &new);
    assert!(!rig.status("web").outdated);
    let (changes, outcomes) = rig.core.foresee(&plan(&new));
    assert_eq!((changes.services[0].cost, outcomes["web"]), (Cost::Signal, Outcome::Signal));
    reload(&mut rig, &new);
    assert_eq!((rig.state("web"), signals(&rig)), (State::Running, 1));
    reload(&mut rig, &new);
    assert_eq!(signals(&rig), 1, "once is enough");
    assert!(successor(&rig, &new).core.foresee(&plan(&new)).0.is_empty());
    // What was changed back is what it has read.
    let mut back = successor(&Rig::new(old), &new);
    reload(&mut back, old);
    assert_eq!((signals(&back), back.core.foresee(&plan(old)).0.is_empty()), (0, true));
    // An operator may have told it.
    let mut told = successor(&Rig::new(old), &new);
    told.command("web", Command::Reload).unwrap();
    assert!(told.core.foresee(&plan(&new)).0.is_empty());
}

#[test]
fn a_run_that_was_not_noted_is_not_taken_for_the_one_before_it() {
    let old = Rig::new(OLD);
    let mut rig = Rig::idle(NEW);
    let id = rig.core.id("web").unwrap();
    rig.core.resume(id, old.core.memory(old.id("web")).unwrap()).unwrap();
    rig.core.resume_found(id, menshen_core::Found { pid: Some(7), run: Some(2), before: 0 });
    rig.send(Event::Begin);
    assert_eq!((rig.state("web"), rig.status("web").outdated), (State::Running, false));
}

#[test]
fn a_wait_for_the_next_start_is_over_where_the_definition_was_changed_meanwhile() {
    let waits = [
        ("restart = { delay = \"1h\", max = \"1h\", jitter = 0.0 }", State::Backoff),
        (
            "restart.delay = \"0s\"\nbreaker = { failures = 1, within = \"1m\", open_for = \"1h\", max_open = \"2h\" }",
            State::Tripped,
        ),
    ];
    for (keys, state) in waits {
        let old = format!("[service.web]\ncommand = \"web\"\n{keys}\n");
        let new = old.replace("\"web\"", "\"web --new\"");
        let mut rig = Rig::new(&old);
        ends(&mut rig, 1);
        let mut same = successor(&rig, &old);
        let mut rig = successor(&rig, &new);
        assert_eq!((rig.state("web"), rig.status("web").outdated), (state, false), "nothing runs");
        assert_eq!(rig.core.foresee(&plan(&new)).1["web"], Outcome::Start);
        reload(&mut rig, &new);
        assert_eq!((rig.state("web"), started(&rig).as_deref()), (State::Running, Some("web --new")));
        reload(&mut same, &old);
        assert_eq!((same.state("web"), started(&same)), (state, None), "it waits on");
    }
}

#[test]
fn what_is_changed_back_of_its_files_alone_is_started_anew_all_the_same() {
    let old = "[service.web]\ncommand = \"web\"\nreload = { signal = \"SIGHUP\", files = [\"a.conf\"] }\n";
    let of_files = old.replace("\"web\"", "\"web --new\"");
    let both = of_files.replace("a.conf", "b.conf");
    let mut rig = successor(&Rig::new(old), &both);
    assert_eq!(rig.core.foresee(&plan(&of_files)).1["web"], Outcome::Restart);
    reload(&mut rig, &of_files);
    assert_eq!(rig.state("web"), State::Stopping);
}

#[test]
fn nothing_is_promised_to_a_program_that_cannot_be_told() {
    let old = "[service.web]\ncommand = \"web\"\nreload = { signal = \"SIGHUP\", files = [\"a.conf\"] }\n";
    let new = "[service.web]\ncommand = \"web\"\n";
    let rig = successor(&Rig::new(old), new);
    assert!(rig.core.foresee(&plan(new)).0.is_empty());
}

#[test]
fn the_newest_way_to_write_it_is_known_to_the_next_guard() {
    let same = NEW.replace("restart", "inherit = [\"NOBODY_HAS_IT\"]\nrestart");
    let mut rig = Rig::new(OLD);
    reload(&mut rig, NEW);
    assert_eq!(rig.state("web"), State::Stopping);
    reload(&mut rig, &same);
    ends(&mut rig, 0);
    assert_eq!((rig.state("web"), started(&rig).as_deref()), (State::Running, Some("web --new")));
    assert!(!successor(&rig, &same).status("web").outdated);
}
