//! A registration for each option, which asks for it and for nothing else that can be refused.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use menshen::service::registration::{
    Account, Children, Dependency, FailureKind, HardeningLevel, Listen, Protocol, Registration, Reload, RestartPolicy,
    Secret, SidType, Socket, StartType, Trigger,
};
use menshen::service::{RegistrationOption, ServiceManager};

use crate::sample::Sample;

/// See the module. Some options come only with another.
#[must_use]
pub fn registration(sample: &Sample, option: RegistrationOption, manager: &dyn ServiceManager) -> Registration {
    let mut registration = Registration::new(sample.name.clone(), &sample.program);
    // Every registration asks for one of these; the rest is to be seen by itself.
    registration.restart.policy = manager.restarts_failed();
    ask(&mut registration, option, sample);
    let is_wait = matches!(
        option,
        RegistrationOption::RestartDelay | RegistrationOption::RestartBackoff | RegistrationOption::RestartReset
    );
    // What is never started again waits for nothing.
    if is_wait && registration.restart.policy == RestartPolicy::Never {
        registration.restart.policy = RestartPolicy::OnFailure;
    }
    registration
}

fn ask(registration: &mut Registration, option: RegistrationOption, sample: &Sample) {
    use RegistrationOption as O;
    let text = || Some("x".to_owned());
    let time = Some(Duration::from_secs(20));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7007));
    let socket = |listen: Listen| vec![Socket { name: "web".to_owned(), listen }];
    match option {
        O::DisplayName => registration.display_name = text(),
        O::Description => registration.description = text(),
        O::Directory => registration.directory = Some(sample.folder.clone()),
        O::Environment => registration.environment = BTreeMap::from([("A".to_owned(), "b".to_owned())]),
        O::AccountUser => registration.account = user(None, None),
        O::AccountGroup => registration.account = user(Some("nogroup".to_owned()), None),
        O::AccountPassword => registration.account = user(None, text()),
        O::AccountLocalService => registration.account = Account::LocalService,
        O::AccountNetworkService => registration.account = Account::NetworkService,
        O::AccountVirtual => registration.account = Account::Virtual,
        O::AccountGroupManaged => registration.account = Account::GroupManaged("DOMAIN\\web$".to_owned()),
        O::StartDelayed => registration.start = StartType::Delayed,
        O::StartManual => {
            registration.start = StartType::Manual;
            // launchd starts at boot whatever it starts again.
            registration.restart.policy = RestartPolicy::Never;
        }
        O::StartDisabled => registration.start = StartType::Disabled,
        O::DependsOnService => registration.depends_on = vec![Dependency::Service("other".to_owned())],
        O::DependsOnGroup => registration.depends_on = vec![Dependency::Group("TDI".to_owned())],
        O::DependsOnNetwork => registration.depends_on = vec![Dependency::Network],
        O::ProtocolNative => registration.protocol = Protocol::Native,
        O::StartTimeout => registration.start_timeout = time,
        O::StopTimeout => registration.stop_timeout = time,
        O::StopSignal => registration.stop_signal = Some("SIGINT".to_owned()),
        O::StopCommand => registration.stop_command = Some(vec!["/bin/true".to_owned()]),
        O::ReloadSignal => registration.reload = Some(Reload::Signal("SIGHUP".to_owned())),
        O::ReloadCommand => registration.reload = Some(Reload::Command(vec!["/bin/true".to_owned()])),
        O::ReloadNative => {
            registration.protocol = Protocol::Native;
            registration.reload = Some(Reload::Native);
        }
        O::RestartAlways => registration.restart.policy = RestartPolicy::Always,
        O::RestartOnFailure => registration.restart.policy = RestartPolicy::OnFailure,
        O::RestartNever => registration.restart.policy = RestartPolicy::Never,
        O::RestartDelay => registration.restart.delay = Duration::from_secs(3),
        O::RestartBackoff => {
            registration.restart.delay_max = time;
            registration.restart.steps = Some(4);
        }
        O::RestartReset => registration.restart.reset_after = time,
        O::Watchdog => {
            registration.protocol = Protocol::Native;
            registration.watchdog = time;
        }
        O::ChildrenKept => registration.children = Children::Kept,
        O::OpenFiles => registration.open_files = Some(1000),
        O::HardeningStandard => registration.hardening.level = HardeningLevel::Standard,
        O::HardeningStrict => registration.hardening.level = HardeningLevel::Strict,
        O::SocketTcp => registration.sockets = socket(Listen::Tcp(address)),
        O::SocketUdp => registration.sockets = socket(Listen::Udp(address)),
        O::SocketLocal => registration.sockets = socket(Listen::Local("/run/web.sock".into())),
        O::WindowsSid => registration.windows.sid = SidType::Unrestricted,
        O::WindowsRequiredPrivileges => {
            registration.windows.required_privileges = vec!["SeChangeNotifyPrivilege".to_owned()];
        }
        O::WindowsSecurityDescriptor => registration.windows.security_descriptor = Some("D:(A;;GA;;;SY)".to_owned()),
        O::WindowsTriggers => registration.windows.triggers = vec![Trigger::NetworkUp],
        O::WindowsPreshutdownTimeout => registration.windows.preshutdown_timeout = time,
        O::WindowsLoadOrderGroup => registration.windows.load_order_group = text(),
        O::WindowsFailures => registration.windows.failures = FailureKind::Crashes,
    }
}

fn user(group: Option<String>, password: Option<String>) -> Account {
    Account::User { name: "nobody".to_owned(), group, password: password.map(Secret) }
}
