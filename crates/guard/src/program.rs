//! From a service's plan to the program the system starts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use menshen_core::Role;
use menshen_os::account::{self, AccountError, Password, Wanted};
use menshen_os::output::Descriptor;
use menshen_os::usage::Limits;
use menshen_os::{Identity, Input, Output, Program};
use menshen_plan::ServicePlan;
use menshen_plan::command_line::CommandLine;
use menshen_plan::definition::Account;
use menshen_plan::plan::ProbeCheck;

/// Accounts as the kernel knows them. They are looked up once for each plan: a directory service may take its time.
#[derive(Debug, Default)]
pub(crate) struct Identities(BTreeMap<Key, Option<Identity>>);

type Key = (Option<Account>, Option<Password>, Option<Account>, Option<Vec<Account>>);

impl Identities {
    /// The identity a service runs under; `None` for the guard's own.
    pub(crate) fn of<'a>(&mut self, plan: &'a ServicePlan) -> Result<Option<Identity>, AccountError> {
        let password = plan.password.as_ref().map(|password| Password(password.0.clone()));
        let key = (plan.user.clone(), password, plan.group.clone(), plan.groups.clone());
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let text = |account: &'a Option<Account>| account.as_ref().map(|account| account.0.as_str());
        let groups: Option<Vec<String>> =
            plan.groups.as_ref().map(|groups| groups.iter().map(|group| group.0.clone()).collect());
        let identity = account::identity(Wanted {
            user: text(&plan.user),
            password: key.1.as_ref(),
            group: text(&plan.group),
            groups: groups.as_deref(),
        })?;
        self.0.insert(key, identity.clone());
        Ok(identity)
    }

    /// Forgets what was looked up; the accounts may have changed.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

/// What a program needs besides its plan.
pub(crate) struct Around<'a> {
    pub instance: &'a str,
    pub identity: Option<Identity>,
    pub output: Output,
    /// The socket over which it may speak of itself.
    pub notify_socket: Option<&'a Path>,
    pub main_pid: Option<u32>,
    pub passed: Vec<(String, Arc<Descriptor>)>,
}

/// The program of a role: the service's own, its fallback, or its stop command.
pub(crate) fn of_role(plan: &ServicePlan, role: Role, around: Around<'_>) -> Program {
    let none = CommandLine::default();
    let command = match role {
        Role::Main => &plan.command,
        Role::Fallback => plan.breaker.fallback.as_ref().map_or(&none, |fallback| &fallback.command),
        Role::Stop => plan.stop.command.as_ref().unwrap_or(&none),
    };
    build(plan, command, around)
}

/// A probe's command, run as the service itself would be.
pub(crate) fn of_probe(plan: &ServicePlan, command: &CommandLine, around: Around<'_>) -> Program {
    build(plan, command, around)
}

/// An alert's command, run as the guard, with the alert on its stdin.
pub(crate) fn of_alert(
    command: &CommandLine,
    folder: &Path,
    variables: Vec<(String, String)>,
    json: Vec<u8>,
) -> Program {
    let environment = crate::handover::own_environment()
        .chain(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
    Program {
        command: command.0.iter().map(OsString::from).collect(),
        environment: environment.collect(),
        directory: folder.to_owned(),
        input: Input::Bytes(json),
        output: Output::Tail,
        ..Program::default()
    }
}

fn build(plan: &ServicePlan, command: &CommandLine, around: Around<'_>) -> Program {
    let mut environment: Vec<(OsString, OsString)> =
        plan.environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut own_pid = Vec::new();
    let mut tell = |name: &str, value: OsString| environment.push((name.into(), value));
    tell("MENSHEN_SERVICE", plan.name.as_str().into());
    tell("MENSHEN_INSTANCE", around.instance.into());
    if let Some(socket) = around.notify_socket {
        tell("NOTIFY_SOCKET", socket.into());
        let watchdog = plan.probes.liveness.as_ref().filter(|probe| probe.check == ProbeCheck::Notify);
        if let Some(probe) = watchdog {
            tell("WATCHDOG_USEC", probe.window().as_micros().to_string().into());
            own_pid.push("WATCHDOG_PID".into());
        }
    }
    if let Some(pid) = around.main_pid {
        tell("MAINPID", pid.to_string().into());
    }
    Program {
        command: command.0.iter().map(OsString::from).collect(),
        environment,
        own_pid,
        directory: plan.directory.clone(),
        identity: around.identity,
        umask: plan.umask.map(|umask| umask.0),
        nice: plan.nice.map(i32::from),
        files: plan.limits.files,
        input: Input::Null,
        output: around.output,
        passed: around.passed,
    }
}

/// The limits of a service as the system takes them.
pub(crate) fn limits(plan: &ServicePlan) -> Limits {
    Limits {
        memory_bytes: plan.limits.memory.map(|memory| memory.0),
        cpu_cores: plan.limits.cpu,
        tasks: plan.limits.tasks,
    }
}
