//! The manager runs the program itself, where the definition needs nothing that only a guard does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use menshen::service::registration::{
    Account, Protocol, Registration, Reload, Restart, RestartPolicy, Secret, StartType,
};
use menshen::service::{RegistrationOption, ServiceManager, ServiceName};
use menshen_plan::definition::{Condition, OnLoss, RestartPolicy as PlanPolicy, ServiceType, StartType as PlanStart};
use menshen_plan::plan::ProbeCheck;
use menshen_plan::{Facts, Plan, ServicePlan};
use serde_json::Value as Json;

use super::guarded;
use super::record::Record;

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

/// A program of a definition as the manager's own, but for what it depends on; or everything that would be lost.
pub(crate) fn registration(
    name: &ServiceName,
    record: &Record,
    (plan, service): (&Plan, &ServicePlan),
    plain: &ServicePlan,
    manager: &dyn ServiceManager,
    facts: &dyn Facts,
) -> Result<Registration, Vec<Lost>> {
    let lost = lost(plan, service, plain);
    if !lost.is_empty() {
        return Err(lost);
    }
    let mut registration = Registration::new(name.clone(), program(service, facts));
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
        let is_told = manager.honours(RegistrationOption::StartTimeout).is_ok() || !service.has_usual_start_timeout();
        registration.start_timeout = service.start_timeout.filter(|_| is_told);
    }
    registration.watchdog = service.probes.liveness.as_ref().map(menshen_plan::plan::ProbePlan::window);
    registration.stop_timeout = Some(service.stop.timeout);
    registration.stop_signal = (service.stop.signal != plain.stop.signal).then(|| service.stop.signal.to_string());
    registration.reload = service.reload.signal.map(|signal| Reload::Signal(signal.to_string()));
    registration.open_files = service.limits.files;
    registration.restart = restart(service, plain, manager);
    guarded::apply(record, manager.kind(), &mut registration);
    Ok(registration)
}

/// What differs from a plain definition and cannot be told.
fn lost(plan: &Plan, service: &ServicePlan, plain: &ServicePlan) -> Vec<Lost> {
    let (service_json, plain_json) = (json(service), json(plain));
    let mut lost = Vec::new();
    differences("", &service_json, &plain_json, &mut lost);
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
fn restart(service: &ServicePlan, plain: &ServicePlan, manager: &dyn ServiceManager) -> Restart {
    let has = |option: RegistrationOption| manager.honours(option).is_ok();
    let (rules, usual) = (&service.restart.rules, &plain.restart.rules);
    let policy = match service.restart.policy {
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

    fn plan(keys: &str) -> Plan {
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
        loaded.plan.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
    }

    fn native_with(keys: &str, manager: &dyn ServiceManager) -> Result<Registration, Vec<String>> {
        let (plan, plain) = (plan(keys), plan(""));
        let name = "web".parse().unwrap();
        let services = (&plan, &*plan.services["web"]);
        let made = registration(&name, &record(), services, &plain.services["web"], manager, &ThisMachine::default());
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
        let scm = menshen::service::managers::assumed(menshen::service::ManagerKind::Scm);
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
