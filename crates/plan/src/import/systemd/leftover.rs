//! Why the rest of a unit stays behind.

use super::super::Note;
use super::super::settings::Setting;
use super::Subject;

/// Keys that mean nothing to a guard, or nothing else than what it does anyway.
const WITHOUT_MEANING: [&str; 17] = [
    "[Unit] DefaultDependencies",
    "[Unit] IgnoreOnIsolate",
    "[Unit] CollectMode",
    "[Unit] SourcePath",
    "[Unit] AllowIsolate",
    "[Service] RemainAfterExit",
    "[Service] GuessMainPID",
    "[Service] CPUAccounting",
    "[Service] MemoryAccounting",
    "[Service] TasksAccounting",
    "[Service] IOAccounting",
    "[Service] BlockIOAccounting",
    "[Service] IPAccounting",
    "[Install] WantedBy",
    "[Install] RequiredBy",
    "[Install] UpheldBy",
    "[Install] DefaultInstance",
];

/// What the sandboxing keys begin with (systemd.exec(5), "Sandboxing" and after).
const SANDBOX: [&str; 27] = [
    "Protect",
    "Private",
    "Restrict",
    "ReadOnly",
    "ReadWrite",
    "Inaccessible",
    "Exec",
    "NoExec",
    "Temporary",
    "BindPaths",
    "BindReadOnly",
    "Root",
    "Mount",
    "SystemCall",
    "Capability",
    "Ambient",
    "NoNewPrivileges",
    "MemoryDeny",
    "LockPersonality",
    "Secure",
    "RemoveIPC",
    "Device",
    "Network",
    "IPAddress",
    "Socket",
    "AppArmor",
    "SELinux",
];

/// Keys with the reason each stays behind, and what to do.
const REASONS: [(&str, &str, &str); 33] = [
    ("ExecStopPost", "runs a command after each end; a guard runs none", "an [alert.NAME] with exec hears of failures"),
    ("ExecCondition", "decides at each start whether to start at all; a guard always starts what is wanted", ""),
    (
        "SendSIGKILL",
        "leaves what does not end alone; here it is killed at the end of `stop.timeout`",
        "make stop.timeout longer",
    ),
    ("RestartKillSignal", "another signal for a restart than for a stop; here both send stop.signal", ""),
    ("Delegate", "gives the service its cgroup to divide; here the guard has it", ""),
    ("StandardInput", "stdin is always empty here", "have a shell read it: [\"sh\", \"-c\", \"… < FILE\"]"),
    ("PIDFile", "a guard knows the main process because it started it", "keep the program in the foreground"),
    ("BusName", "a guard does not know D-Bus", "give it a probe.startup with exec"),
    (
        "DynamicUser",
        "makes an account for each run; a guard takes accounts that are there",
        "create a user, and write user = \"…\"",
    ),
    ("Sockets", "a guard opens no sockets for a service", "have the program listen itself"),
    (
        "OnFailure",
        "starts another unit when this one fails",
        "an [alert.NAME] with exec does something when a service fails",
    ),
    (
        "OnSuccess",
        "starts another unit when this one has ended well",
        "a one-shot with depends_on = { … = \"completed\" }",
    ),
    (
        "RuntimeDirectory",
        "makes a folder below /run for the service",
        "have it made: a one-shot the service depends on, or systemd-tmpfiles",
    ),
    ("StateDirectory", "makes a folder below /var/lib for the service", "make it once, owned by the service's user"),
    ("CacheDirectory", "makes a folder below /var/cache for the service", "make it once, owned by the service's user"),
    ("LogsDirectory", "makes a folder below /var/log for the service", "make it once, owned by the service's user"),
    ("ConfigurationDirectory", "makes a folder below /etc for the service", "make it once"),
    (
        "LoadCredential",
        "hands the service a secret in a file",
        "environment = { NAME = { credential = \"file:PATH\" } }",
    ),
    (
        "SetCredential",
        "hands the service a secret in a file",
        "environment = { NAME = { credential = \"file:PATH\" } }",
    ),
    ("UnsetEnvironment", "takes variables away", "leave them out of `environment`, `inherit` and the env file"),
    ("MemoryHigh", "slows a service down before its limit; a guard has the limit alone", "limits.memory"),
    ("MemoryMin", "keeps memory for a service", ""),
    ("MemoryLow", "keeps memory for a service", ""),
    ("MemorySwapMax", "limits swap; a guard limits memory", "limits.memory"),
    ("CPUWeight", "shares the processors out by weight", "nice, or limits.cpu"),
    ("CPUShares", "shares the processors out by weight", "nice, or limits.cpu"),
    ("CPUAffinity", "binds the service to processors", "have the command begin with taskset -c"),
    ("IOSchedulingClass", "orders what the disk does", "have the command begin with ionice"),
    ("CPUSchedulingPolicy", "chooses a real-time scheduler", "have the command begin with chrt"),
    ("OOMScoreAdjust", "says whom the kernel kills first", "have the command begin with choom -n"),
    ("SyslogIdentifier", "names the service in the journal; the guard takes the service's name", ""),
    ("NotifyAccess", "says which processes may tell that the service is up; here all of the service may", ""),
    ("Slice", "puts the service into a slice; the guard's services are below its own cgroup", ""),
];

/// Notes what nobody took.
pub(super) fn note(subject: &mut Subject<'_, '_>) {
    for setting in subject.unit.take_rest() {
        if setting.value.is_empty() || WITHOUT_MEANING.contains(&setting.key.as_str()) || is_default(&setting) {
            continue;
        }
        let (message, help) = reason(&setting);
        let note = Note::lost(&setting, message);
        subject.note(if help.is_empty() { note } else { note.help(help) });
    }
}

/// Whether the setting says what a guard does anyway.
fn is_default(setting: &Setting) -> bool {
    let key = setting.key.as_str();
    let boolean = super::super::values::boolean(&setting.value);
    is_off(setting)
        || (key == "[Service] NotifyAccess" && matches!(setting.value.as_str(), "main" | "all" | "exec"))
        || (key == "[Service] StandardInput" && setting.value == "null")
        || (key == "[Service] SendSIGKILL" && boolean == Some(true))
}

/// Whether the setting is a switch that is off, as nearly all of them are by themselves.
fn is_off(setting: &Setting) -> bool {
    let key = setting.key.as_str();
    let name = key.split_once("] ").map_or(key, |(_, name)| name);
    // A 0 may be a number, and a limit.
    let is_switch = |name: &str| {
        SANDBOX.iter().any(|start| name.starts_with(start)) || matches!(name, "DynamicUser" | "Delegate" | "SendSIGHUP")
    };
    let is_on_by_itself = matches!(key, "[Service] SendSIGKILL" | "[Service] MemoryZSwapWriteback");
    super::super::values::boolean(&setting.value) == Some(false)
        && !is_on_by_itself
        && (is_switch(name) || setting.value.parse::<u64>().is_err())
}

fn reason(setting: &Setting) -> (String, String) {
    let (section, key) = setting.key.trim_start_matches('[').split_once("] ").unwrap_or(("", &setting.key));
    if let Some((_, message, help)) = REASONS.iter().find(|(name, ..)| key.starts_with(name)) {
        return ((*message).to_owned(), (*help).to_owned());
    }
    let of = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    if key.starts_with("Condition") || key.starts_with("Assert") {
        let help = "a one-shot that fails where it does not hold, with depends_on = { … = \"completed\" }";
        return of("starts only where this holds; a guard always starts what is wanted", help);
    }
    if key.starts_with("Limit") {
        return of(
            "of the limits of each process a guard sets the one of files",
            "have the command begin with prlimit",
        );
    }
    if SANDBOX.iter().any(|start| key.starts_with(start)) || key.ends_with("Paths") {
        let help = "run the guard itself under a unit with this setting, if every service is to have it";
        return of("shuts the service in; a guard gives it an account and limits, and no walls", help);
    }
    match section {
        "Install" => of("says how systemd enables the unit", "`menshen install` enables the guard"),
        "Unit" | "Service" => of("has no equivalent", ""),
        _ => of("a section that is not a service's", ""),
    }
}
