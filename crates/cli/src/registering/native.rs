//! The manager runs the program itself, where the definition needs nothing that only a guard does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen::service::options::Unsupported;
use menshen::service::registration::{
    Account, Protocol, Registration, Reload, Restart, RestartPolicy, Secret, StartType,
};
use menshen::service::{ManagerKind, RegistrationOption, ServiceManager, ServiceName};
use menshen_plan::config::{Setting, settings};
use menshen_plan::definition::{Condition, OnLoss, RestartPolicy as PlanPolicy, ServiceType, StartType as PlanStart};
use menshen_plan::plan::ProbeCheck;
use menshen_plan::{Facts, Loaded, Plan, ServicePlan};
use serde_json::Value as Json;

use super::guarded;
use super::record::Record;
use crate::failure::{Exit, Failure};

/// What the definition says that no service manager would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The key.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// What a service manager can be told itself, or what says nothing of the program. A key that is not here would be lost.
const TOLD: [&str; 23] = [
    "command",
    "depends_on",
    "description",
    "directory",
    "display_name",
    "environment",
    "group",
    "limits.files",
    "name",
    "probes.liveness",
    "probes.readiness",
    "reload.signal",
    "reload.files",
    "restart.delay",
    "restart.max",
    "restart.policy",
    "restart.reset_after",
    "start",
    "start_timeout",
    "stop.signal",
    "stop.timeout",
    "type",
    "user",
];

/// What somebody wrote of a service, and what is known of the machine.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    /// The keys that are in the definition, or were set; the others are defaults.
    pub keys: &'a [String],
    /// The machine.
    pub facts: &'a dyn Facts,
}

impl Written<'_> {
    fn has(self, key: &str) -> bool {
        self.keys.iter().any(|written| written == key)
    }
}

/// The keys of a service that somebody wrote.
pub(crate) fn keys(loaded: &Loaded, service: &str) -> Vec<String> {
    let own = settings(loaded).into_iter().filter(|setting| setting.origin != "default");
    let key = |setting: Setting| match setting.path.as_slice() {
        [first, name, key @ ..] if first == "service" && name == service => Some(key.join(".")),
        _ => None,
    };
    own.filter_map(key).collect()
}

/// What a definition has of itself and the manager does not, in the words of a definition: told, for nobody asked for it.
pub(crate) fn defaults_left_out(registration: &Registration, manager: &dyn ServiceManager) -> Vec<String> {
    let has = |option: RegistrationOption| manager.honours(option).is_ok();
    let is_endless = registration.stop_timeout.is_none();
    let is_usual = registration.restart.policy == manager.restarts_failed();
    let is_left = !has(RegistrationOption::RestartAlways) && is_usual;
    let said = [(is_endless, "stop.timeout = \"10s\""), (is_left, "restart.policy = \"always\"")];
    said.into_iter().filter(|(is_so, _)| *is_so).map(|(_, key)| key.to_owned()).collect()
}

/// What a manager cannot do, by the keys that people write.
pub(crate) fn refused(manager: ManagerKind, options: &[Unsupported]) -> Failure {
    let each = options.iter().map(|unsupported| {
        let why = unsupported
            .why
            .replace("restart = ", "restart.policy = ")
            .replace("protocol = native", "type = \"notify\"");
        format!("  {}: {why}", key_of(unsupported.option))
    });
    let each: Vec<String> = each.collect();
    Failure::new(Exit::Usage, format!("{manager} cannot do this itself:\n{}", each.join("\n")))
        .help("leave --native out, or take it out of the definition")
}

/// The keys that ask for options. What has none is asked for by an argument, or only a registration has it.
const KEYS: [(RegistrationOption, &str); 16] = [
    (RegistrationOption::StopTimeout, "stop.timeout"),
    (RegistrationOption::StopSignal, "stop.signal"),
    (RegistrationOption::ReloadSignal, "reload.signal"),
    (RegistrationOption::RestartAlways, "restart.policy = \"always\""),
    (RegistrationOption::RestartOnFailure, "restart.policy = \"on-failure\""),
    (RegistrationOption::RestartNever, "restart.policy = \"never\""),
    (RegistrationOption::RestartDelay, "restart.delay"),
    (RegistrationOption::RestartBackoff, "restart.max"),
    (RegistrationOption::RestartReset, "restart.reset_after"),
    (RegistrationOption::OpenFiles, "limits.files"),
    (RegistrationOption::ProtocolNative, "type = \"notify\""),
    (RegistrationOption::Watchdog, "probe.liveness"),
    (RegistrationOption::AccountUser, "user"),
    (RegistrationOption::AccountGroup, "group"),
    (RegistrationOption::AccountPassword, "password"),
    (RegistrationOption::DependsOnService, "depends_on"),
];

fn key_of(option: RegistrationOption) -> &'static str {
    KEYS.iter().find(|(of, _)| *of == option).map_or(option.name(), |(_, key)| key)
}

/// A program of a definition as the manager's own, but for what it depends on; or everything that would be lost.
pub(crate) fn registration(
    name: &ServiceName,
    record: &Record,
    (plan, service): (&Plan, &ServicePlan),
    plain: &ServicePlan,
    manager: &dyn ServiceManager,
    written: Written<'_>,
) -> Result<Registration, Vec<Lost>> {
    let lost = lost(plan, service, plain);
    if !lost.is_empty() {
        return Err(lost);
    }
    let has = |option: RegistrationOption| manager.honours(option).is_ok();
    let mut registration = Registration::new(name.clone(), program(service, written.facts));
    registration.arguments = service.command.0[1..].to_vec();
    registration.description = service.description.clone();
    registration.display_name = (service.display_name != plain.display_name).then(|| service.display_name.clone());
    registration.directory = Some(service.directory.clone());
    let is_own = |(name, value): &(&String, &String)| plain.environment.get(*name) != Some(*value);
    let own = service.environment.iter().filter(is_own);
    registration.environment = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(user) = &service.user {
        registration.account = Account::named(&user.0, name, manager.kind());
        if let Account::User { group, password, .. } = &mut registration.account {
            *group = service.group.as_ref().map(|group| group.0.clone());
            *password = service.password.as_ref().map(|password| Secret(password.0.clone()));
        }
    }
    registration.start = match service.start {
        PlanStart::Auto => StartType::Auto,
        PlanStart::Delayed => StartType::Delayed,
        PlanStart::Manual => StartType::Manual,
        PlanStart::Disabled => StartType::Disabled,
    };
    if service.uses_notify() {
        registration.protocol = Protocol::Native;
        let is_told = has(RegistrationOption::StartTimeout) || !service.has_usual_start_timeout();
        registration.start_timeout = service.start_timeout.filter(|_| is_told);
    }
    registration.watchdog = service.probes.liveness.as_ref().map(menshen_plan::plan::ProbePlan::window);
    let is_bounded = has(RegistrationOption::StopTimeout) || written.has("stop.timeout");
    registration.stop_timeout = is_bounded.then_some(service.stop.timeout);
    registration.stop_signal = (service.stop.signal != plain.stop.signal).then(|| service.stop.signal.to_string());
    registration.reload = service.reload.signal.map(|signal| Reload::Signal(signal.to_string()));
    registration.open_files = service.limits.files;
    registration.restart = restart(service, plain, manager, written);
    guarded::apply(record, manager.kind(), &mut registration);
    Ok(registration)
}

/// What differs from a plain definition and cannot be told.
fn lost(plan: &Plan, service: &ServicePlan, plain: &ServicePlan) -> Vec<Lost> {
    let (service_json, plain_json) = (json(service), json(plain));
    let mut lost = Vec::new();
    differences("", &service_json, &plain_json, &mut lost);
    // A manager has no breaker, which is what a definition says that turns it off.
    lost.retain(|lost| service.breaker.failures != 0 || !lost.key.starts_with("breaker."));
    lost.extend(lost_by_value(service));
    for alert in plan.alerts.keys() {
        lost.push(Lost { key: format!("alert.{alert}"), value: "nobody would be told".to_owned() });
    }
    lost
}

/// What cannot be told although its key can.
fn lost_by_value(service: &ServicePlan) -> Vec<Lost> {
    let mut lost = Vec::new();
    let mut lose = |key: &str, value: String| lost.push(Lost { key: key.to_owned(), value });
    for (name, dependency) in &service.depends_on {
        if dependency.condition == Condition::Completed || dependency.on_loss != OnLoss::default() {
            lose(&format!("depends_on.{name}"), dependency.condition.as_str().to_owned());
        }
    }
    match service.kind {
        ServiceType::Daemon | ServiceType::Notify => {}
        ServiceType::Oneshot => lose("type", "oneshot".to_owned()),
    }
    let probes = [("liveness", &service.probes.liveness), ("readiness", &service.probes.readiness)];
    for (kind, probe) in probes {
        if probe.as_ref().is_some_and(|probe| probe.check != ProbeCheck::Notify) {
            lose(&format!("probe.{kind}"), "what is not said by the program itself has to be asked".to_owned());
        }
    }
    for (name, value) in &service.environment {
        if service.secrets.is_in(value) {
            lose(&format!("environment.{name}"), "it would be readable in the manager's files".to_owned());
        }
    }
    if service.command.0.iter().any(|word| service.secrets.is_in(word)) {
        lose("command", "a secret in it would be readable in the manager's files".to_owned());
    }
    if !service.reload.files.is_empty() {
        lose("reload.files", "nobody would look at them".to_owned());
    }
    lost
}

fn differences(path: &str, one: &Json, plain: &Json, lost: &mut Vec<Lost>) {
    if one == plain || TOLD.contains(&path) {
        return;
    }
    match (one, plain) {
        (Json::Object(one), Json::Object(plain)) => {
            for (key, value) in one {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differences(&path, value, plain.get(key).unwrap_or(&Json::Null), lost);
            }
        }
        (one, _) => lost.push(Lost { key: path.to_owned(), value: one.to_string() }),
    }
}

fn json(service: &ServicePlan) -> Json {
    serde_json::to_value(service).unwrap_or_default()
}

/// What is asked for is told; the defaults of a definition only where the manager has them.
fn restart(service: &ServicePlan, plain: &ServicePlan, manager: &dyn ServiceManager, written: Written<'_>) -> Restart {
    let has = |option: RegistrationOption| manager.honours(option).is_ok();
    let (rules, usual) = (&service.restart.rules, &plain.restart.rules);
    let is_usual = !has(RegistrationOption::RestartAlways) && !written.has("restart.policy");
    let policy = match service.restart.policy {
        PlanPolicy::Always if is_usual => manager.restarts_failed(),
        PlanPolicy::Always => RestartPolicy::Always,
        PlanPolicy::OnFailure => RestartPolicy::OnFailure,
        PlanPolicy::Never => RestartPolicy::Never,
    };
    let is_told = |(asked, usual): (Duration, Duration), option| {
        policy != RestartPolicy::Never && (asked != usual || has(option))
    };
    let delay = is_told((rules.delay, usual.delay), RegistrationOption::RestartDelay);
    let backoff = is_told((rules.max, usual.max), RegistrationOption::RestartBackoff);
    let reset = is_told((rules.reset_after, usual.reset_after), RegistrationOption::RestartReset);
    Restart {
        policy,
        delay: if delay { rules.delay } else { Restart::default().delay },
        delay_max: backoff.then_some(rules.max),
        steps: None,
        reset_after: reset.then_some(rules.reset_after),
    }
}

/// The program as an absolute path, as the guard would find it.
fn program(service: &ServicePlan, facts: &dyn Facts) -> PathBuf {
    let name = &service.command.0[0];
    if name.contains(std::path::MAIN_SEPARATOR) || name.contains('/') {
        return service.directory.join(name);
    }
    let path = service.environment.get("PATH").map_or("", String::as_str);
    facts.find_program(name, path).unwrap_or_else(|| Path::new(name).to_owned())
}

#[cfg(test)]
mod tests {
    use menshen::service::Scope;
    use menshen::service::managers::runit::{Places, Runit};
    use menshen::service::managers::systemd::Systemd;
    use menshen_guard::definition::DefinitionSource;
    use menshen_guard::facts::ThisMachine;

    use super::*;
    use crate::registering::record::{Asked, DefinitionOrigin, Form, RecordedScope};

    fn record() -> Record {
        Record {
            format: Record::FORMAT,
            name: "web".to_owned(),
            manager: "systemd".to_owned(),
            scope: RecordedScope::System,
            form: Form::Native,
            definition: "/srv/menshen.toml".into(),
            origin: DefinitionOrigin::Given,
            profile: None,
            settings: Vec::new(),
            only: Vec::new(),
            guard: "web".to_owned(),
            asked: Asked::default(),
            switched: None,
        }
    }

    fn loaded(keys: &str) -> Loaded {
        let source = DefinitionSource {
            path: "/srv".into(),
            text: Some(format!(
                "[service.db]\ncommand = \"true\"\ntype = \"oneshot\"\n[service.web]\ncommand = \"sleep 1\"\n{keys}"
            )),
            profile: None,
            settings: Vec::new(),
            environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            only: Vec::new(),
        };
        let loaded = source.load().unwrap();
        assert!(loaded.plan.is_some(), "{:#?}", loaded.diagnostics);
        loaded
    }

    fn native_with(keys: &str, manager: &dyn ServiceManager) -> Result<Registration, Vec<String>> {
        let (loaded, plain) = (loaded(keys), loaded("").plan.unwrap());
        let plan = loaded.plan.as_ref().unwrap();
        let services = (plan, &*plan.services["web"]);
        let written = Written { keys: &super::keys(&loaded, "web"), facts: &ThisMachine::default() };
        let name = "web".parse().unwrap();
        let made = registration(&name, &record(), services, &plain.services["web"], manager, written);
        made.map_err(|lost| lost.into_iter().map(|lost| lost.key).collect())
    }

    fn native(keys: &str) -> Result<Registration, Vec<String>> {
        native_with(keys, &Systemd::found(Scope::System).unwrap())
    }

    #[test]
    fn a_plain_program_loses_nothing() {
        let keys = "stop.timeout = \"3s\"\nrestart.policy = \"never\"\nenvironment = { A = \"b\" }";
        let registration = native(keys).unwrap();
        assert!(registration.program.is_absolute(), "{registration:?}");
        assert_eq!(registration.arguments, ["1"]);
        assert_eq!(registration.stop_timeout, Some(Duration::from_secs(3)));
        assert_eq!(registration.restart.policy, RestartPolicy::Never);
        assert_eq!(registration.environment.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_the_program_says_itself_the_manager_can_be_told() {
        let keys = "type = \"notify\"\nprobe.liveness = { notify = true, interval = \"5s\" }";
        let registration = native(keys).unwrap();
        assert_eq!(registration.protocol, Protocol::Native);
        assert_eq!(registration.watchdog, Some(Duration::from_secs(15)));
    }

    #[test]
    fn windows_takes_a_program_that_answers_it() {
        let scm = menshen::service::managers::assumed(ManagerKind::Scm);
        let answers = "type = \"notify\"\nrestart.policy = \"on-failure\"\n";
        let usual = native_with(answers, scm.as_ref()).unwrap();
        assert_eq!((usual.protocol, usual.start_timeout), (Protocol::Native, None));
        let asked = native_with(&format!("{answers}start_timeout = \"7s\""), scm.as_ref()).unwrap();
        let refused = scm.plan(&asked).unwrap_err().to_string();
        assert!(refused.contains("start_timeout"), "{refused}");
    }

    #[test]
    fn a_default_that_a_manager_does_not_have_is_no_reason_to_refuse() {
        let runit = Runit::new(Places::usual());
        let usual = native_with("", &runit).unwrap();
        assert!(runit.plan(&usual).is_ok());
        let asked = native_with("restart.max = \"7s\"", &runit).unwrap();
        let refused = runit.plan(&asked).unwrap_err().to_string();
        assert!(refused.contains("restart delay_max"), "{refused}");
    }

    #[test]
    fn what_nobody_wrote_is_told_and_what_somebody_wrote_is_refused_by_its_key() {
        let defaults =
            [(ManagerKind::SysV, "restart.policy = \"always\""), (ManagerKind::FreeBsdRc, "stop.timeout = \"10s\"")];
        for (kind, default) in defaults {
            let manager = menshen::service::managers::assumed(kind);
            let usual = native_with("", manager.as_ref()).unwrap();
            assert!(manager.plan(&usual).is_ok(), "{kind}: {:?}", manager.plan(&usual));
            assert_eq!(defaults_left_out(&usual, manager.as_ref()), [default], "{kind}");
            let written = native_with(default, manager.as_ref()).unwrap();
            let Err(menshen::service::ManagerError::Unsupported { options, .. }) = manager.plan(&written) else {
                panic!("{kind} cannot do that")
            };
            let (message, key) = (refused(kind, &options).message, default.split_once(" =").unwrap().0);
            assert!(message.contains(&format!("\n  {key}")), "{message}");
        }
        assert!(defaults_left_out(&native("").unwrap(), &Systemd::found(Scope::System).unwrap()).is_empty());
    }

    #[test]
    fn a_breaker_that_is_off_is_what_a_manager_has() {
        assert!(native("breaker.failures = 0").is_ok());
    }

    #[test]
    fn everything_that_needs_a_guard_is_named() {
        for (keys, lost) in [
            ("probe.liveness.tcp = \"80\"", "probe.liveness"),
            ("probe.startup.tcp = \"80\"", "probes.startup"),
            ("breaker.failures = 9", "breaker.failures"),
            ("log.format = \"json\"", "log.format"),
            ("limits.memory = \"1GiB\"", "limits.memory"),
            ("type = \"oneshot\"", "type"),
            ("depends_on = { db = \"completed\" }", "depends_on.db"),
            ("restart.on_exit = { 3 = \"stop\" }", "restart.on_exit"),
            ("essential = true", "essential"),
            ("[alert.ops]\nexec = [\"true\"]\non = [\"failed\"]", "alert.ops"),
        ] {
            let found = native(keys).expect_err(keys);
            assert!(found.iter().any(|key| key.starts_with(lost)), "{keys}: {found:?}");
        }
    }
}
