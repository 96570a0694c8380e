//! Random definitions, as text: what is simulated went through the same road as what people write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use menshen_plan::definition::ProbeKind;
use menshen_plan::facts::{Look, System, User};
use menshen_plan::{Facts, Input, Layer, Plan, ServiceName, ServicePlan, Source, load};

use crate::random::Random;
use crate::theme::Theme;

/// The services there can be. Each may need only those before it, so that no circle comes about.
const NAMES: [&str; 7] = ["db", "cache", "migrate", "api", "web", "worker", "proxy"];

/// The most services one definition has.
pub const SERVICES_MAX: usize = NAMES.len();

/// A definition that can be written, and changed the way people change one.
#[derive(Debug, Clone)]
pub struct Definition {
    theme: Theme,
    entries: Vec<Entry>,
}

/// One service of it.
#[derive(Debug, Clone)]
struct Entry {
    name: &'static str,
    kind: &'static str,
    /// Whether it is in the definition now.
    present: bool,
    start: &'static str,
    /// Counts up with each change of the command.
    command: u32,
    /// Counts up with each change of the program's own configuration file.
    config: u64,
    needs: Vec<Need>,
    sections: BTreeMap<Section, String>,
}

/// What a service needs of one before it.
#[derive(Debug, Clone, Copy)]
struct Need {
    of: usize,
    condition: &'static str,
    on_loss: &'static str,
}

/// A part of a service's definition that is drawn, and drawn anew, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Basics,
    Startup,
    Liveness,
    Readiness,
    Restart,
    Breaker,
    Stop,
    Reload,
    Limits,
}

const SECTIONS: [Section; 9] = [
    Section::Basics,
    Section::Startup,
    Section::Liveness,
    Section::Readiness,
    Section::Restart,
    Section::Breaker,
    Section::Stop,
    Section::Reload,
    Section::Limits,
];

impl Definition {
    /// A definition of at most so many services.
    #[must_use]
    pub fn random(random: &mut Random, theme: Theme, services_max: usize) -> Self {
        let services = theme.services(random).min(services_max.max(1));
        let mut entries: Vec<Entry> = NAMES.iter().map(|name| Entry::random(random, theme, name)).collect();
        for index in 0..entries.len() {
            entries[index].needs = needs(random, theme, &entries, index);
            entries[index].present = index < services;
        }
        Self { theme, entries }
    }

    /// Changes something, as somebody who edits the file would.
    pub fn change(&mut self, random: &mut Random) {
        let index = random.index(self.entries.len());
        let present = self.entries[index].present;
        match random.between(0, 11) {
            0..=1 => self.entries[index].command += 1,
            2 => self.entries[index].config += 1,
            3 if present && self.present() > 1 => self.entries[index].present = false,
            3..=4 => self.entries[index].present = self.present() == 0 || random.percent(50) || present,
            5 => self.entries[index].start = start_type(random),
            6..=7 => self.entries[index].needs = needs(random, self.theme, &self.entries, index),
            _ => {
                let section = random.pick(&SECTIONS);
                let entry = &mut self.entries[index];
                let text = draw(random, self.theme, section, (entry.name, entry.kind));
                entry.sections.insert(section, text);
            }
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("[guard]\nname = \"sim\"\n\n[alert.ops]\nexec = [\"page-somebody\"]\n");
        for entry in self.entries.iter().filter(|entry| entry.present) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[service.{}]\n", entry.name);
            let _ = writeln!(text, "command = [\"{}\", \"--edition\", \"{}\"]", entry.name, entry.command);
            let _ = writeln!(text, "type = \"{}\"\nstart = \"{}\"", entry.kind, entry.start);
            text.push_str(&self.needs_text(entry));
            entry.sections.values().for_each(|section| text.push_str(section));
        }
        text
    }

    /// The plan of the text, after `spoil` has had its hands on it.
    ///
    /// # Errors
    /// When the text is refused, with every finding: the definitions here are meant to be sound.
    pub fn load(&self, spoil: fn(&mut String)) -> Result<Arc<Plan>, String> {
        let mut text = self.text();
        spoil(&mut text);
        let files = vec![Source { name: "menshen.toml".to_owned(), text }];
        let input = Input { layers: vec![Layer { files }], folder: PathBuf::from("/srv/sim"), ..Input::default() };
        let loaded = load(&input, &Machine { entries: &self.entries });
        loaded.plan.map(Arc::new).ok_or_else(|| format!("{:?}", loaded.diagnostics))
    }

    fn present(&self) -> usize {
        self.entries.iter().filter(|entry| entry.present).count()
    }

    fn needs_text(&self, entry: &Entry) -> String {
        let disabled = entry.start == "disabled";
        let needs: Vec<String> = entry
            .needs
            .iter()
            .filter(|need| self.entries[need.of].present)
            .filter(|need| disabled || self.entries[need.of].start != "disabled")
            .map(|Need { of, condition, on_loss }| {
                format!("{} = {{ condition = \"{condition}\", on_loss = \"{on_loss}\" }}", self.entries[*of].name)
            })
            .collect();
        if needs.is_empty() { String::new() } else { format!("depends_on = {{ {} }}\n", needs.join(", ")) }
    }
}

impl Entry {
    fn random(random: &mut Random, theme: Theme, name: &'static str) -> Self {
        let kind = match name {
            "migrate" => random.weighted(&[(80, "oneshot"), (20, "daemon")]),
            _ => random.weighted(&[(60, "daemon"), (15, "oneshot"), (25, "notify")]),
        };
        let sections =
            SECTIONS.into_iter().map(|section| (section, draw(random, theme, section, (name, kind)))).collect();
        let start = start_type(random);
        Self { name, kind, present: true, start, command: 1, config: 1, needs: Vec::new(), sections }
    }
}

fn start_type(random: &mut Random) -> &'static str {
    random.weighted(&[(75, "auto"), (8, "delayed"), (12, "manual"), (5, "disabled")])
}

fn needs(random: &mut Random, theme: Theme, entries: &[Entry], index: usize) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let none = if theme == Theme::Depending { 5 } else { 40 };
    for _ in 0..random.weighted(&[(none, 0), (45, 1), (15, 2)]) {
        if index == 0 {
            break;
        }
        let of = random.index(index);
        let condition = match entries[of].kind {
            "oneshot" => random.weighted(&[(70, "completed"), (20, "ready"), (10, "started")]),
            _ => random.weighted(&[(60, "ready"), (40, "started")]),
        };
        let on_loss = random.weighted(&[(50, "ignore"), (25, "stop"), (25, "restart")]);
        if needs.iter().all(|need| need.of != of) {
            needs.push(Need { of, condition, on_loss });
        }
    }
    needs
}

fn draw(random: &mut Random, theme: Theme, section: Section, (name, kind): (&str, &str)) -> String {
    match section {
        Section::Basics => basics(random, kind),
        Section::Startup if kind != "oneshot" && random.percent(25) => probe(random, ProbeKind::Startup, name),
        Section::Liveness if random.percent(50) => probe(random, ProbeKind::Liveness, name),
        Section::Readiness if kind != "oneshot" && random.percent(55) => probe(random, ProbeKind::Readiness, name),
        Section::Startup | Section::Liveness | Section::Readiness => String::new(),
        Section::Restart => restart(random, kind),
        Section::Breaker => breaker(random, theme, name),
        Section::Stop => stop(random, name),
        Section::Reload => reload(random, name),
        Section::Limits => limits(random),
    }
}

fn basics(random: &mut Random, kind: &str) -> String {
    let mut text = String::new();
    if random.percent(4) {
        text.push_str("essential = true\n");
    }
    if random.percent(if kind == "notify" { 80 } else { 25 }) {
        let _ = writeln!(text, "start_timeout = \"{}s\"", random.between(8, 15));
    }
    if random.percent(20) {
        let _ = writeln!(text, "environment = {{ PORT = \"${{PORT:{}}}\" }}", random.between(1000, 9000));
    }
    text
}

fn probe(random: &mut Random, kind: ProbeKind, name: &str) -> String {
    let check = match random.between(0, 8) {
        0 => format!("http = \"http://{name}.example:8080/healthz\""),
        1..=2 => format!("tcp = \"{name}.example:5000\""),
        3 => format!("exec = [\"check-{name}\", \"{kind}\"]"),
        4 => format!("grpc = \"{name}.example:5001\""),
        5 => format!("file = \"/run/{name}.{kind}\", younger_than = \"1m\""),
        6..=7 => "notify = true".to_owned(),
        _ => format!("log = \"{kind} of {name}\""),
    };
    let interval = random.pick(&[500_u64, 1000, 1000, 2000, 5000]);
    let timeout = random.pick(&[interval / 5, interval / 2, interval, interval * 2]);
    let failure = if kind == ProbeKind::Startup { random.between(3, 10) } else { random.between(1, 4) };
    let success = if kind == ProbeKind::Readiness { random.between(1, 3) } else { 1 };
    let delay = random.pick(&[0, 0, 0, 250, 2000]);
    format!(
        "probe.{kind} = {{ {check}, interval = \"{interval}ms\", timeout = \"{timeout}ms\", failure = {failure}, \
         success = {success}, delay = \"{delay}ms\" }}\n"
    )
}

fn restart(random: &mut Random, kind: &str) -> String {
    let mut text = String::new();
    let policy = match kind {
        "oneshot" => random.weighted(&[(70, ""), (15, "on-failure"), (15, "never")]),
        _ => random.weighted(&[(60, ""), (10, "always"), (20, "on-failure"), (10, "never")]),
    };
    if !policy.is_empty() {
        let _ = writeln!(text, "restart.policy = \"{policy}\"");
    }
    let delay = random.pick(&[0, 100, 100, 500, 1000, 5000]);
    let max = random.pick(&[delay, delay * 2, delay + 10_000, 30_000]).max(delay);
    let _ = writeln!(text, "restart.delay = \"{delay}ms\"\nrestart.max = \"{max}ms\"");
    let _ = writeln!(text, "restart.factor = {:.1}", random.pick(&[1.0, 1.5, 2.0, 2.0, 10.0]));
    let _ = writeln!(text, "restart.jitter = {:.2}", random.pick(&[0.0, 0.1, 0.1, 0.5, 1.0]));
    let _ = writeln!(text, "restart.reset_after = \"{}ms\"", random.pick(&[0, 1000, 10_000, 30_000, 60_000]));
    if random.percent(40) {
        let rules: Vec<String> = ["1", "2", "64", "SIGKILL", "SIGSEGV"]
            .into_iter()
            .filter_map(|exit| {
                let action = random.pick(&["restart", "stop", "fail"]);
                random.percent(35).then(|| format!("{exit} = \"{action}\""))
            })
            .collect();
        let _ = writeln!(text, "restart.on_exit = {{ {} }}", rules.join(", "));
    }
    text
}

fn breaker(random: &mut Random, theme: Theme, name: &str) -> String {
    let breaks = matches!(theme, Theme::Breaking | Theme::Freezing);
    if !breaks && random.percent(25) {
        return String::new();
    }
    let open_for = random.pick(&[1_u64, 5, 10, 20]);
    let mut text = format!(
        "breaker.failures = {}\nbreaker.within = \"{}s\"\nbreaker.open_for = \"{open_for}s\"\nbreaker.max_open = \"{}s\"\n\
         breaker.close_after = \"{}s\"\n",
        if breaks { random.pick(&[0, 1, 1, 2]) } else { random.pick(&[0, 1, 2, 2, 3, 3, 5]) },
        random.pick(&[10, 30, 60]),
        random.pick(&[open_for, open_for * 2, 60]),
        random.pick(&[0, 1, 5, 10]),
    );
    if random.percent(35) {
        let _ = writeln!(text, "breaker.give_up_after = {}", random.between(1, 4));
    }
    if random.percent(if theme == Theme::Breaking { 90 } else { 45 }) {
        let until = random.pick(&["ready", "trial"]);
        let _ = writeln!(text, "breaker.fallback = {{ command = [\"{name}-fallback\"], until = \"{until}\" }}");
    }
    text
}

fn stop(random: &mut Random, name: &str) -> String {
    let mut text = format!("stop.timeout = \"{}ms\"\n", random.pick(&[0, 500, 1000, 2000, 5000, 10_000]));
    let signal = random.weighted(&[(75, ""), (8, "SIGINT"), (8, "SIGQUIT"), (8, "SIGUSR1"), (1, "SIGKILL")]);
    if !signal.is_empty() {
        let _ = writeln!(text, "stop.signal = \"{signal}\"");
    }
    if random.percent(20) {
        let _ = writeln!(text, "stop.command = [\"{name}-stop\", \"$$MAINPID\"]");
    }
    if random.percent(12) {
        text.push_str("stop.tree = false\n");
    }
    text
}

fn reload(random: &mut Random, name: &str) -> String {
    let signal = if random.percent(40) { "reload.signal = \"SIGHUP\"\n" } else { "" };
    let files = if random.percent(40) { format!("reload.files = [\"{name}.conf\"]\n") } else { String::new() };
    format!("{signal}{files}")
}

fn limits(random: &mut Random) -> String {
    if random.percent(60) {
        return String::new();
    }
    format!("limits.memory = \"64MiB\"\nlimits.oom = \"{}\"\n", random.pick(&["restart", "restart", "stop", "fail"]))
}

/// The plan by which a guard ends a service whose own definition is gone.
///
/// # Errors
/// When the plan crate refuses it, with every finding.
pub fn plan_of_stranger(name: &ServiceName) -> Result<Arc<ServicePlan>, String> {
    let text = format!("[service.{name}]\ncommand = [\"gone\"]\n");
    let files = vec![Source { name: "gone.toml".to_owned(), text }];
    let input = Input { layers: vec![Layer { files }], ..Input::default() };
    let loaded = load(&input, &Machine { entries: &[] });
    let plan = loaded.plan.and_then(|plan| plan.services.get(name).cloned());
    plan.ok_or_else(|| format!("{:?}", loaded.diagnostics))
}

/// A machine on which everything the definition names exists.
struct Machine<'a> {
    entries: &'a [Entry],
}

impl Facts for Machine<'_> {
    fn read(&self, _: &Path) -> Result<String, String> {
        Ok(String::new())
    }

    fn look(&self, _: &Path) -> Look {
        Look::Directory
    }

    fn find_program(&self, name: &str, _: &str) -> Option<PathBuf> {
        Some(Path::new("/usr/bin").join(name))
    }

    fn user(&self, _: &str) -> Option<User> {
        None
    }

    fn has_group(&self, _: &str) -> bool {
        true
    }

    fn system(&self) -> System {
        System::Unix
    }

    fn is_root(&self) -> bool {
        false
    }

    fn has_log(&self, _: menshen_plan::definition::AlsoLog) -> bool {
        true
    }

    fn digest(&self, path: &Path) -> Option<u64> {
        let stem = path.file_stem()?.to_str()?;
        self.entries.iter().find(|entry| entry.name == stem).map(|entry| entry.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_loads_and_so_does_every_change_of_it() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let theme = Theme::random(&mut random);
            let mut definition = Definition::random(&mut random, theme, SERVICES_MAX);
            for _ in 0..10 {
                if let Err(findings) = definition.load(|_| {}) {
                    panic!("seed {seed}: {findings}\n{}", definition.text());
                }
                definition.change(&mut random);
            }
        }
    }

    #[test]
    fn no_more_services_than_asked_for() {
        for seed in 0..50 {
            let plan = Definition::random(&mut Random::new(seed), Theme::Depending, 2).load(|_| {});
            assert!(plan.is_ok_and(|plan| (1..=2).contains(&plan.services.len())), "seed {seed}");
        }
    }
}
