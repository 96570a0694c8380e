//! Which parts of a registration were asked for.
//!
//! Every manager says of every option whether it honours it (`ServiceManager::honours`), by a `match` without a wildcard: so
//! an option that is new has to be thought of everywhere, and what a manager cannot do is refused by name.

use super::registration::{
    Account, Children, Dependency, FailureKind, HardeningLevel, Listen, Protocol, Registration, Reload, RestartPolicy,
    SidType, StartType,
};

/// Declares the options and what people call them.
macro_rules! options {
    ($($(#[$doc:meta])* $option:ident = $name:literal,)+) => {
        /// Something a registration may ask for that not every manager can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RegistrationOption {
            $($(#[$doc])* $option,)+
        }

        impl RegistrationOption {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$option,)+];

            /// What people call it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$option => $name,)+
                }
            }
        }
    };
}

options! {
    /// A display name that is not the name.
    DisplayName = "display_name",
    /// A description.
    Description = "description",
    /// A working directory that is not the program's folder.
    Directory = "directory",
    /// Variables of the environment.
    Environment = "environment",
    /// A user to run as.
    AccountUser = "account user",
    /// A group that is not the user's own.
    AccountGroup = "account group",
    /// The password of a user.
    AccountPassword = "account password",
    /// Windows' LocalService.
    AccountLocalService = "account LocalService",
    /// Windows' NetworkService.
    AccountNetworkService = "account NetworkService",
    /// Windows' account of the service's own.
    AccountVirtual = "account NT SERVICE",
    /// A group managed service account.
    AccountGroupManaged = "group managed service account",
    /// A start some time after boot.
    StartDelayed = "start = delayed",
    /// No start at boot.
    StartManual = "start = manual",
    /// No start at all.
    StartDisabled = "start = disabled",
    /// Services that must have been started before.
    DependsOnService = "depends_on service",
    /// Groups of which one must have been started before.
    DependsOnGroup = "depends_on group",
    /// The network must be up before.
    DependsOnNetwork = "depends_on network",
    /// The service says itself when it is ready.
    ProtocolNative = "protocol = native",
    /// How long a start may take.
    StartTimeout = "start_timeout",
    /// How long a stop may take.
    StopTimeout = "stop_timeout",
    /// Another signal than SIGTERM.
    StopSignal = "stop_signal",
    /// A program that stops it.
    StopCommand = "stop_command",
    /// A signal that has it read its configuration again.
    ReloadSignal = "reload signal",
    /// A program that has it read its configuration again.
    ReloadCommand = "reload command",
    /// The service says itself when it has read its configuration again.
    ReloadNative = "reload = native",
    /// It is started again whenever it ends.
    RestartAlways = "restart = always",
    /// It is started again when it fails.
    RestartOnFailure = "restart = on-failure",
    /// It is never started again.
    RestartNever = "restart = never",
    /// Another wait before it is started again than the default of [`Restart`](super::registration::Restart).
    RestartDelay = "restart delay",
    /// A wait that grows.
    RestartBackoff = "restart delay_max and steps",
    /// When failures are forgotten.
    RestartReset = "restart reset_after",
    /// It has to say that it is well.
    Watchdog = "watchdog",
    /// Its other processes are left alone.
    ChildrenKept = "children = kept",
    /// How many files it may have open.
    OpenFiles = "open_files",
    /// Hardening that hardly any service minds.
    HardeningStandard = "hardening = standard",
    /// Hardening that some services mind.
    HardeningStrict = "hardening = strict",
    /// TCP sockets that are opened for it.
    SocketTcp = "sockets (TCP)",
    /// UDP sockets that are opened for it.
    SocketUdp = "sockets (UDP)",
    /// Local sockets that are opened for it.
    SocketLocal = "sockets (local)",
    /// A security identifier of its own.
    WindowsSid = "windows.sid",
    /// Only some of its account's privileges.
    WindowsRequiredPrivileges = "windows.required_privileges",
    /// Who may do what with it.
    WindowsSecurityDescriptor = "windows.security_descriptor",
    /// What else starts it.
    WindowsTriggers = "windows.triggers",
    /// How long it may take before the machine goes down.
    WindowsPreshutdownTimeout = "windows.preshutdown_timeout",
    /// The load order group it belongs to.
    WindowsLoadOrderGroup = "windows.load_order_group",
    /// Only crashes are failures.
    WindowsFailures = "windows.failures",
}

/// An option that a manager cannot honour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Which.
    pub option: RegistrationOption,
    /// Why, and what to do instead, as a lower-case fragment.
    pub why: &'static str,
}

impl Registration {
    /// What it asks for.
    #[must_use]
    pub fn options(&self) -> Vec<RegistrationOption> {
        use RegistrationOption as O;
        let mut options = Vec::new();
        let mut ask = |option: O, asked: bool| options.extend(asked.then_some(option));
        ask(O::DisplayName, self.display_name.is_some());
        ask(O::Description, self.description.is_some());
        ask(O::Directory, self.directory.is_some());
        ask(O::Environment, !self.environment.is_empty());
        ask(O::StartTimeout, self.start_timeout.is_some());
        ask(O::StopTimeout, self.stop_timeout.is_some());
        ask(O::StopSignal, self.stop_signal.is_some());
        ask(O::StopCommand, self.stop_command.is_some());
        ask(O::ProtocolNative, self.protocol == Protocol::Native);
        ask(O::Watchdog, self.watchdog.is_some());
        ask(O::ChildrenKept, self.children == Children::Kept);
        ask(O::OpenFiles, self.open_files.is_some());
        options.extend(self.options_of_account());
        options.extend(self.options_of_start());
        options.extend(self.options_of_restart());
        options.extend(self.options_of_sockets());
        options.extend(self.options_of_windows());
        options.sort_unstable();
        options.dedup();
        options
    }

    fn options_of_account(&self) -> Vec<RegistrationOption> {
        use RegistrationOption as O;
        match &self.account {
            Account::Manager => Vec::new(),
            Account::User { name: _, group, password } => {
                let group = group.is_some().then_some(O::AccountGroup);
                let password = password.is_some().then_some(O::AccountPassword);
                [Some(O::AccountUser), group, password].into_iter().flatten().collect()
            }
            Account::LocalService => vec![O::AccountLocalService],
            Account::NetworkService => vec![O::AccountNetworkService],
            Account::Virtual => vec![O::AccountVirtual],
            Account::GroupManaged(_) => vec![O::AccountGroupManaged],
        }
    }

    fn options_of_start(&self) -> Vec<RegistrationOption> {
        use RegistrationOption as O;
        let start = match self.start {
            StartType::Auto => None,
            StartType::Delayed => Some(O::StartDelayed),
            StartType::Manual => Some(O::StartManual),
            StartType::Disabled => Some(O::StartDisabled),
        };
        let dependencies = self.depends_on.iter().map(|dependency| match dependency {
            Dependency::Service(_) => O::DependsOnService,
            Dependency::Group(_) => O::DependsOnGroup,
            Dependency::Network => O::DependsOnNetwork,
        });
        start.into_iter().chain(dependencies).collect()
    }

    fn options_of_restart(&self) -> Vec<RegistrationOption> {
        use RegistrationOption as O;
        let restart = &self.restart;
        let policy = match restart.policy {
            RestartPolicy::Always => O::RestartAlways,
            RestartPolicy::OnFailure => O::RestartOnFailure,
            RestartPolicy::Never => O::RestartNever,
        };
        let is_restarted = restart.policy != RestartPolicy::Never;
        let delay = is_restarted && restart.delay != super::registration::Restart::default().delay;
        let reload = self.reload.as_ref().map(|reload| match reload {
            Reload::Signal(_) => O::ReloadSignal,
            Reload::Command(_) => O::ReloadCommand,
            Reload::Native => O::ReloadNative,
        });
        let backoff = restart.delay_max.is_some() || restart.steps.is_some();
        let further = [
            delay.then_some(O::RestartDelay),
            backoff.then_some(O::RestartBackoff),
            restart.reset_after.map(|_| O::RestartReset),
            reload,
        ];
        std::iter::once(policy).chain(further.into_iter().flatten()).collect()
    }

    fn options_of_sockets(&self) -> Vec<RegistrationOption> {
        use RegistrationOption as O;
        let hardening = match self.hardening.level {
            HardeningLevel::None => None,
            HardeningLevel::Standard => Some(O::HardeningStandard),
            HardeningLevel::Strict => Some(O::HardeningStrict),
        };
        let sockets = self.sockets.iter().map(|socket| match socket.listen {
            Listen::Tcp(_) => O::SocketTcp,
            Listen::Udp(_) => O::SocketUdp,
            Listen::Local(_) => O::SocketLocal,
        });
        hardening.into_iter().chain(sockets).collect()
    }

    fn options_of_windows(&self) -> Vec<RegistrationOption> {
        use RegistrationOption as O;
        let windows = &self.windows;
        let asked = [
            (O::WindowsSid, windows.sid != SidType::None),
            (O::WindowsRequiredPrivileges, !windows.required_privileges.is_empty()),
            (O::WindowsSecurityDescriptor, windows.security_descriptor.is_some()),
            (O::WindowsTriggers, !windows.triggers.is_empty()),
            (O::WindowsPreshutdownTimeout, windows.preshutdown_timeout.is_some()),
            (O::WindowsLoadOrderGroup, windows.load_order_group.is_some()),
            (O::WindowsFailures, windows.failures != FailureKind::CrashesAndErrors),
        ];
        asked.into_iter().filter_map(|(option, is_asked)| is_asked.then_some(option)).collect()
    }
}
