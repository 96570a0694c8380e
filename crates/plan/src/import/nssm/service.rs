//! What the values of a service mean.

use std::time::Duration;

use crate::definition::{Account, ExitAction, ExitMatch, Inherit, LogFormat, OnLoss, RestartPolicy, StartType};
use crate::size::{SIZE_MAX, Size};

use super::super::draft::{Draft, Drafts, Need, command};
use super::super::settings::Setting;
use super::super::template::Template;
use super::super::{Note, windows};
use super::{Data, ServiceKey, ServiceValue, plain};

/// Values that mean nothing to a guard, or are about nssm itself.
const WITHOUT_MEANING: [&str; 22] = [
    "ImagePath",
    "Type",
    "ErrorControl",
    "WOW64",
    "Name",
    "FailureActions",
    "FailureActionsOnNonCrashFailures",
    "RequiredPrivileges",
    "ServiceSidType",
    "AppStdoutShareMode",
    "AppStdoutCreationDisposition",
    "AppStdoutFlagsAndAttributes",
    "AppStdoutCopyAndTruncate",
    "AppStderrShareMode",
    "AppStderrCreationDisposition",
    "AppStderrFlagsAndAttributes",
    "AppStderrCopyAndTruncate",
    "AppNoConsole",
    "AppRedirectHook",
    "AppRotateOnline",
    "AppRotateDelay",
    "Security",
];

/// How long nssm waits after each way of asking a program to end, where nobody says.
const STOP_WAIT: Duration = Duration::from_millis(1500);
/// The ways, with the bits of `AppStopMethodSkip` that leave them out.
const STOP_METHODS: [(&str, u64); 3] =
    [("AppStopMethodConsole", 1), ("AppStopMethodWindow", 2), ("AppStopMethodThreads", 4)];

/// One service on its way.
pub(super) struct Subject<'a, 'f> {
    values: Vec<ServiceValue>,
    pub(super) draft: Draft,
    drafts: &'a mut Drafts<'f>,
}

impl Subject<'_, '_> {
    /// Whether nssm runs its program: it has one of its own, or only nssm's settings.
    fn is_of_nssm(&self) -> bool {
        let has = |name: &str| self.values.iter().any(|value| value.name.eq_ignore_ascii_case(name));
        has("Application") || !has("ImagePath")
    }

    /// Takes a value of the service's own key or of its parameters.
    pub(super) fn take(&mut self, name: &str) -> Option<ServiceValue> {
        let is_it = |value: &mut ServiceValue| {
            value.name.eq_ignore_ascii_case(name)
                && (value.subkey.is_empty() || value.subkey.eq_ignore_ascii_case("Parameters"))
        };
        self.values.extract_if(.., is_it).last()
    }

    pub(super) fn take_text(&mut self, name: &str) -> Option<(ServiceValue, String)> {
        let value = self.take(name)?;
        let text = text(&value.data).trim().to_owned();
        (!text.is_empty()).then_some((value, text))
    }

    pub(super) fn take_number(&mut self, name: &str) -> Option<(ServiceValue, u64)> {
        let value = self.take(name)?;
        let number = match &value.data {
            Data::Number(number) => Some(*number),
            Data::Text(text) => number_of(text),
            Data::Texts(_) | Data::Bytes(_) => None,
        };
        match number {
            Some(number) => Some((value, number)),
            None => {
                let setting = setting(&value);
                self.note(Note::lost(&setting, "this is not a number"));
                None
            }
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        let service = Some(self.draft.id.clone());
        self.drafts.note(Note { service, ..note });
    }
}

fn number_of(text: &str) -> Option<u64> {
    let text = text.trim();
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

fn text(data: &Data) -> String {
    match data {
        Data::Text(text) => text.clone(),
        Data::Texts(texts) => texts.join(" "),
        Data::Number(number) => number.to_string(),
        Data::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

pub(super) fn setting(value: &ServiceValue) -> Setting {
    let subkey = if value.subkey.is_empty() { String::new() } else { format!("{}\\", value.subkey) };
    let name = if value.name.is_empty() { "(default)" } else { &value.name };
    Setting {
        key: value.name.clone(),
        shown: format!("{subkey}{name}"),
        value: text(&value.data),
        place: value.place.clone(),
    }
}

/// What `%NAME%` stands for is known when the definition is loaded.
pub(super) fn expanded(text: &str) -> Template {
    windows::expand(text, &|_| None)
}

pub(super) fn translate(key: &ServiceKey, drafts: &mut Drafts<'_>) {
    let draft = Draft::new(key.name.to_ascii_lowercase(), &key.name, key.place.clone());
    let mut subject = Subject { values: key.values.clone(), draft, drafts };
    subject.draft.service.inherit = Inherit::All;
    translate_texts(&mut subject, &key.name);
    translate_start(&mut subject);
    if subject.is_of_nssm() {
        translate_command(&mut subject);
        translate_environment(&mut subject);
        translate_exits(&mut subject);
        translate_restarts(&mut subject);
        translate_stop(&mut subject);
        translate_output(&mut subject);
    } else {
        plain::translate(&mut subject);
    }
    note_rest(&mut subject);
    subject.drafts.services.push(subject.draft);
}

fn translate_texts(subject: &mut Subject<'_, '_>, name: &str) {
    if let Some((_, text)) = subject.take_text("DisplayName").filter(|(_, text)| text != name) {
        subject.draft.service.display_name = Some(Template::literal(&text).into_text());
    }
    if let Some((_, text)) = subject.take_text("Description") {
        subject.draft.service.description = Some(Template::literal(&text).into_text());
    }
    let Some((value, account)) = subject.take_text("ObjectName") else { return };
    // In a dump the password, or stars, may follow.
    let account = account.split_whitespace().next().unwrap_or_default().to_owned();
    let system = ["LocalSystem", "SYSTEM"].iter().any(|name| account.rsplit('\\').next() == Some(name));
    if system {
        return;
    }
    let is_service = account.to_ascii_uppercase().starts_with("NT ");
    subject.draft.service.user = Some(Account(Template::literal(&account).into_text()));
    if !is_service {
        let note = Note::advice(&setting(&value), "the account's password is not copied");
        subject
            .note(note.help("keep it in a file that only the guard can read: password = { credential = \"file:…\" }"));
    }
}

fn translate_command(subject: &mut Subject<'_, '_>) {
    let program = subject.take_text("Application");
    let parameters = subject.take_text("AppParameters").map(|(_, text)| text).unwrap_or_default();
    let folder = subject.take_text("AppDirectory").map(|(_, text)| text);
    let Some((_, program)) = program else { return };
    let program = program.trim_matches('"');
    // Without a folder nssm works where the program is.
    let folder = folder.or_else(|| program.rsplit_once(['\\', '/']).map(|(folder, _)| folder.to_owned()));
    subject.draft.service.directory = folder.map(|folder| expanded(folder.trim_matches('"')).into_text());
    let words = windows::split(&parameters);
    let words = std::iter::once(expanded(program)).chain(words.iter().map(|word| expanded(word)));
    subject.draft.service.command = Some(command(words.collect()));
}

fn translate_environment(subject: &mut Subject<'_, '_>) {
    for key in ["AppEnvironment", "AppEnvironmentExtra"] {
        let Some(value) = subject.take(key) else { continue };
        let pairs = match &value.data {
            Data::Texts(pairs) => pairs.clone(),
            Data::Text(text) => text.lines().map(str::to_owned).collect(),
            Data::Number(_) | Data::Bytes(_) => Vec::new(),
        };
        if key == "AppEnvironment" && !pairs.is_empty() {
            subject.draft.service.inherit = Inherit::Standard;
            let message = "takes the place of the whole environment; here a few standard variables stay: PATH, HOME, …";
            subject.note(Note::changed(&setting(&value), message).help("inherit says which"));
        }
        for pair in pairs {
            match pair.split_once('=').filter(|(name, _)| !name.is_empty()) {
                Some((name, text)) => subject.draft.set_environment(name, expanded(text)),
                None => subject.note(Note::lost(&setting(&value), format!("'{pair}' is no NAME=value"))),
            }
        }
    }
}

fn translate_start(subject: &mut Subject<'_, '_>) {
    let delayed = subject.take_number("DelayedAutostart").is_some_and(|(_, number)| number != 0);
    if let Some((value, text)) = subject.take_text("Start") {
        subject.draft.service.start = match text.to_ascii_uppercase().as_str() {
            "0" | "1" | "2" | "SERVICE_AUTO_START" if delayed => StartType::Delayed,
            "0" | "1" | "2" | "SERVICE_AUTO_START" => StartType::Auto,
            "SERVICE_DELAYED_AUTO_START" => StartType::Delayed,
            "3" | "SERVICE_DEMAND_START" => StartType::Manual,
            "4" | "SERVICE_DISABLED" => StartType::Disabled,
            _ => {
                subject.note(Note::lost(&setting(&value), "there is no such start type; it starts with the guard"));
                StartType::Auto
            }
        };
    }
    if let Some(value) = subject.take("DependOnService") {
        let names = match &value.data {
            Data::Texts(names) => names.clone(),
            Data::Text(text) => vec![text.clone()],
            Data::Number(_) | Data::Bytes(_) => Vec::new(),
        };
        for name in names.iter().filter(|name| !name.is_empty()) {
            let need = Need { on: name.to_ascii_lowercase(), on_loss: OnLoss::Ignore, setting: setting(&value) };
            subject.draft.needs.push(need);
        }
    }
}

/// What is done when the program ends, in general and for single exit codes.
fn translate_exits(subject: &mut Subject<'_, '_>) {
    let is_exit = |value: &mut ServiceValue| value.subkey.eq_ignore_ascii_case(r"Parameters\AppExit");
    let exits: Vec<ServiceValue> = subject.values.extract_if(.., is_exit).collect();
    subject.draft.service.restart.policy = Some(RestartPolicy::Always);
    for value in exits {
        let action = text(&value.data);
        let (rule, message) = match action.to_ascii_lowercase().as_str() {
            "restart" => (ExitAction::Restart, ""),
            "ignore" => (ExitAction::Stop, "the service was shown as running though nothing ran; here it is stopped"),
            "exit" => (ExitAction::Stop, ""),
            "suicide" => (ExitAction::Fail, "the service ended as if it had crashed; here it has failed"),
            _ => {
                subject.note(Note::lost(&setting(&value), format!("'{action}' is nothing nssm does")));
                continue;
            }
        };
        if value.name.is_empty() {
            let policy = if rule == ExitAction::Restart { RestartPolicy::Always } else { RestartPolicy::Never };
            subject.draft.service.restart.policy = Some(policy);
        } else if let Ok(exit) = value.name.parse::<ExitMatch>() {
            subject.draft.service.restart.on_exit.insert(exit, rule);
        } else {
            subject.note(Note::lost(&setting(&value), "this is not an exit code"));
            continue;
        }
        if !message.is_empty() {
            subject.note(Note::changed(&setting(&value), message));
        }
    }
}

fn translate_restarts(subject: &mut Subject<'_, '_>) {
    let throttle = subject.take_number("AppThrottle");
    let delay = subject.take_number("AppRestartDelay");
    let never = subject.draft.service.restart.policy == Some(RestartPolicy::Never);
    let restart = &mut subject.draft.service.restart;
    // Whoever has run for so long has begun well: the waits before it are forgotten.
    if let Some((_, milliseconds)) = throttle.filter(|(_, milliseconds)| *milliseconds > 0) {
        restart.reset_after = Duration::from_millis(milliseconds).min(crate::duration::DURATION_MAX);
    }
    if let Some((_, milliseconds)) = delay.filter(|(_, milliseconds)| *milliseconds > 0 && !never) {
        restart.delay = Duration::from_millis(milliseconds).min(crate::duration::DURATION_MAX);
        restart.max = restart.max.max(restart.delay);
    }
    if let Some((value, class)) = subject.take_text("AppPriority") {
        translate_priority(subject, &value, &class);
    }
}

fn translate_priority(subject: &mut Subject<'_, '_>, value: &ServiceValue, class: &str) {
    let nice = match (class.to_ascii_uppercase().as_str(), number_of(class)) {
        ("NORMAL_PRIORITY_CLASS", _) | (_, Some(0x20)) => return,
        ("IDLE_PRIORITY_CLASS", _) | (_, Some(0x40)) => 19,
        ("BELOW_NORMAL_PRIORITY_CLASS", _) | (_, Some(0x4000)) => 10,
        ("ABOVE_NORMAL_PRIORITY_CLASS", _) | (_, Some(0x8000)) => -5,
        ("HIGH_PRIORITY_CLASS", _) | (_, Some(0x80)) => -10,
        ("REALTIME_PRIORITY_CLASS", _) | (_, Some(0x100)) => -20,
        _ => return subject.note(Note::lost(&setting(value), "there is no such class of priority")),
    };
    subject.draft.service.nice = Some(nice);
    let message = format!("Windows' classes of priority have no numbers; nice = {nice} is near");
    subject.note(Note::changed(&setting(value), message));
}

fn translate_stop(subject: &mut Subject<'_, '_>) {
    let skip = subject.take_number("AppStopMethodSkip");
    let skipped = skip.as_ref().map_or(0, |(_, bits)| *bits);
    let mut is_said = skip.is_some();
    let mut total = Duration::ZERO;
    for (name, bit) in STOP_METHODS {
        let wait = subject.take_number(name);
        is_said |= wait.is_some();
        if skipped & bit == 0 {
            total += wait.map_or(STOP_WAIT, |(_, milliseconds)| Duration::from_millis(milliseconds));
        }
    }
    if is_said {
        subject.draft.service.stop.timeout = total.min(crate::duration::DURATION_MAX);
    }
    if let Some((value, bits)) = skip.filter(|(_, bits)| *bits != 0) {
        let message = format!(
            "leaves ways of asking the program to end out ({bits}); here it is asked in each, for the time of the others"
        );
        subject.note(Note::changed(&setting(&value), message));
    }
    if subject.take_number("AppKillProcessTree").is_some_and(|(_, number)| number == 0) {
        subject.draft.service.stop.tree = false;
    }
}

fn translate_output(subject: &mut Subject<'_, '_>) {
    for name in ["AppStdout", "AppStderr"] {
        if let Some((value, path)) = subject.take_text(name) {
            let message = format!("output is kept in files by the guard, not in {path}; `menshen logs` shows it");
            subject.note(Note::changed(&setting(&value), message));
        }
    }
    if subject.take_number("AppTimestampLog").is_some_and(|(_, number)| number != 0) {
        subject.draft.service.log.format = LogFormat::Text;
    }
    let rotates = subject.take_number("AppRotateFiles").is_some_and(|(_, number)| number != 0);
    let seconds = subject.take_number("AppRotateSeconds").map(|(_, seconds)| seconds);
    let low = subject.take_number("AppRotateBytes").map(|(_, bytes)| bytes);
    let high = subject.take_number("AppRotateBytesHigh").map_or(0, |(_, bytes)| bytes);
    if !rotates {
        return;
    }
    let rotate = &mut subject.draft.service.log.rotate;
    if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
        rotate.every = Duration::from_secs(seconds).min(crate::duration::DURATION_MAX);
    }
    if let Some(low) = low.filter(|low| *low > 0 || high > 0) {
        rotate.size = Size(high.saturating_mul(1 << 32).saturating_add(low).clamp(4096, SIZE_MAX.0));
    }
}

fn note_rest(subject: &mut Subject<'_, '_>) {
    for value in std::mem::take(&mut subject.values) {
        let known = WITHOUT_MEANING.iter().any(|name| name.eq_ignore_ascii_case(&value.name));
        let below = value.subkey.split('\\').next().unwrap_or_default();
        let of_windows = ["Security", "Enum", "TriggerInfo"].iter().any(|name| name.eq_ignore_ascii_case(below));
        if known || of_windows {
            continue;
        }
        let (message, help) = reason(&value);
        let note = Note::lost(&setting(&value), message);
        subject.note(if help.is_empty() { note } else { note.help(help) });
    }
}

fn reason(value: &ServiceValue) -> (&'static str, &'static str) {
    if value.subkey.to_ascii_lowercase().contains("appevents") {
        return (
            "runs a command when something happens; a guard runs none",
            "an [alert.NAME] with exec hears of failures",
        );
    }
    match value.name.to_ascii_lowercase().as_str() {
        "appaffinity" => ("binds the program to processors", "limits.cpu says how much of them it may use"),
        "appstdin" => ("stdin is always empty here", "have a shell read the file: [\"cmd\", \"/c\", \"… < FILE\"]"),
        "dependongroup" => {
            ("waits for a group of services; nothing waits for it here", "depends_on names services of the definition")
        }
        _ => ("has no equivalent", ""),
    }
}
