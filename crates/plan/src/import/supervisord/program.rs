//! `[program:NAME]`: a service, or several where `numprocs` says so.

use std::time::Duration;

use crate::definition::{Account, ExitAction, ExitMatch, Inherit, RestartPolicy, ServiceType, StartType, Umask};

use super::super::draft::{Draft, Drafts, command};
use super::super::retries::{self, window};
use super::super::settings::{Setting, Settings};
use super::super::template::Template;
use super::super::{Note, NoteKind, values, words};
use super::expand::{self, Host, Names};
use super::ini::Section;
use super::{Common, output};

/// Keys that mean nothing to a guard.
const WITHOUT_MEANING: [&str; 2] = ["stdout_capture_maxbytes", "stderr_capture_maxbytes"];
/// Where programs stand whose priority nobody says.
const PRIORITY: i64 = 999;
/// How many processes of one program are taken.
const PROCESSES_MAX: i64 = 1000;

/// One process of a program, on its way to a service.
pub(super) struct Process<'a, 'f> {
    pub settings: Settings,
    pub names: Names,
    pub draft: Draft,
    pub drafts: &'a mut Drafts<'f>,
    /// Whether this is the first process of the program: what all have in common is noted once.
    first: First,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Yes,
    No,
}

impl Process<'_, '_> {
    pub(super) fn note(&mut self, mut note: Note) {
        if self.first == First::Yes {
            note.service = Some(self.draft.id.clone());
            self.drafts.note(note);
        }
    }

    /// A value with its names put in, as it stands in a definition.
    pub(super) fn expanded(&mut self, setting: &Setting, value: &str) -> Template {
        let expanded = expand::expand(value, &self.names);
        for name in expanded.environment {
            let message = format!(
                "{name} has to be set in the guard's environment, as in supervisord's: without it the definition is refused"
            );
            self.note(
                Note::advice(setting, message)
                    .help(format!("export it, give --set {name}=…, or write ${{{name}:default}}")),
            );
        }
        for unknown in expanded.unknown {
            let message = format!("'%{unknown}' is nothing that can be put in: left as it is written");
            self.note(Note::changed(setting, message).help("a percent sign itself is %% there, and % here"));
        }
        if expanded.host == Host::Named {
            let message = "the machine's name is ${HOSTNAME} here, and 'localhost' without it";
            self.note(Note::advice(setting, message).help("give HOSTNAME to the guard's environment, or to --set"));
        }
        expanded.template
    }
}

/// Translates a program: the services, and where it stands in the order of starts.
pub(super) fn translate(name: &str, section: Section, common: &Common, drafts: &mut Drafts<'_>) -> (i64, Vec<Draft>) {
    let Section { place, mut settings, .. } = section;
    let priority = settings.take("priority");
    let count = number(&mut settings, "numprocs", drafts).unwrap_or(1);
    let start = number(&mut settings, "numprocs_start", drafts).unwrap_or(0);
    let process_name = settings.take("process_name").map(|setting| setting.value);
    if count > PROCESSES_MAX {
        let message = format!("{count} processes are more than are taken: {PROCESSES_MAX} are");
        drafts.note(Note::new(NoteKind::Changed, &place, "numprocs", message));
    }
    // A service may have a folder of its own, from where no relative path would lead here.
    let beside = drafts.folder.to_string_lossy();
    let folder = place.source.rsplit_once('/').map_or(&*beside, |(folder, _)| folder).to_owned();
    let mut services = Vec::new();
    for number in (start..).take(usize::try_from(count.clamp(1, PROCESSES_MAX)).unwrap_or(1)) {
        let mut names = Names {
            program: name.to_owned(),
            group: name.to_owned(),
            process: name.to_owned(),
            number,
            count,
            here: folder.clone(),
        };
        let pattern = process_name.as_deref().unwrap_or("%(program_name)s");
        names.process = expand::expand(pattern, &names).template.into_text().replace("$$", "$");
        let first = if services.is_empty() { First::Yes } else { First::No };
        let draft = Draft::new(format!("{name}:{number}"), names.process.clone(), place.clone());
        let process = Process { settings: settings.clone(), names, draft, drafts, first };
        services.push(translate_process(process, common));
    }
    let rank = priority.as_ref().and_then(|setting| setting.value.parse().ok()).unwrap_or(PRIORITY);
    if let Some(setting) = priority.filter(|_| rank != PRIORITY) {
        let message =
            "says who starts before whom; here that is the order of the file, and what does not wait starts at once";
        let note = Note::changed(&setting, message).help("write what it waits for: depends_on = { db = \"ready\" }");
        drafts.note(Note { service: services.first().map(|draft| draft.id.clone()), ..note });
    }
    (rank, services)
}

fn number(settings: &mut Settings, key: &str, drafts: &mut Drafts<'_>) -> Option<i64> {
    let setting = settings.take(key)?;
    let number = setting.value.parse().ok();
    if number.is_none() {
        drafts.note(Note::lost(&setting, "this is not a number"));
    }
    number
}

fn translate_process(mut process: Process<'_, '_>, common: &Common) -> Draft {
    process.draft.service.inherit = Inherit::All;
    translate_command(&mut process);
    translate_surroundings(&mut process, common);
    translate_restart(&mut process);
    translate_retries(&mut process);
    translate_stop(&mut process);
    output::translate(&mut process);
    for setting in std::mem::take(&mut process.settings).rest() {
        if !WITHOUT_MEANING.contains(&setting.key.as_str()) {
            process.note(Note::lost(&setting, "has no equivalent"));
        }
    }
    process.draft
}

fn translate_command(process: &mut Process<'_, '_>) {
    let Some(setting) = process.settings.take("command") else { return };
    match words::posix(&setting.value) {
        Ok(words) => {
            let words = words.iter().map(|word| process.expanded(&setting, word)).collect();
            process.draft.service.command = Some(command(words));
        }
        Err(error) => process.note(Note::lost(&setting, format!("cannot be split into words: {error}"))),
    }
}

fn translate_surroundings(process: &mut Process<'_, '_>, common: &Common) {
    let mut shared = common.settings.clone();
    for setting in shared.take_all("environment").into_iter().chain(process.settings.take_all("environment")) {
        translate_environment(process, &setting);
    }
    let mut either = |process: &mut Process<'_, '_>, key: &str| {
        let own = process.settings.take(key);
        own.or_else(|| shared.take(key)).filter(|setting| !setting.value.is_empty())
    };
    if let Some(setting) = either(process, "directory") {
        process.draft.service.directory = Some(process.expanded(&setting, &setting.value).into_text());
    }
    if let Some(setting) = either(process, "user") {
        process.draft.service.user = Some(Account(process.expanded(&setting, &setting.value).into_text()));
    }
    if let Some(setting) = either(process, "umask") {
        match u32::from_str_radix(&setting.value, 8).ok().filter(|mask| *mask <= 0o777) {
            Some(mask) => process.draft.service.umask = Some(Umask(mask)),
            None => process.note(Note::lost(&setting, "this is not a mask")),
        }
    }
}

fn translate_environment(process: &mut Process<'_, '_>, setting: &Setting) {
    let mut rest = setting.value.trim();
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return process.note(Note::lost(setting, format!("'{rest}' is no NAME=\"value\"")));
        };
        let (value, beyond) = pair_value(after.trim_start());
        let template = process.expanded(setting, value);
        process.draft.set_environment(name.trim().trim_matches(['"', '\'']), template);
        rest = beyond.trim_start_matches([',', ' ', '\t', '\n']);
    }
}

/// A value, in quotes without any escapes or up to the comma, and what follows.
fn pair_value(text: &str) -> (&str, &str) {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    if let Some(quote) = quote
        && let Some((value, rest)) = text[1..].split_once(quote)
    {
        return (value, rest);
    }
    let (value, rest) = text.split_once(',').unwrap_or((text, ""));
    (value.trim(), rest)
}

fn translate_restart(process: &mut Process<'_, '_>) {
    if let Some(setting) = process.settings.take("autostart") {
        match values::boolean(&setting.value) {
            Some(true) => {}
            Some(false) => process.draft.service.start = StartType::Manual,
            None => process.note(Note::lost(&setting, "this is neither true nor false")),
        }
    }
    let codes = process.settings.take("exitcodes");
    let wanted = process.settings.take("autorestart");
    let value = wanted.as_ref().map_or("unexpected", |setting| setting.value.trim());
    let restart = &mut process.draft.service.restart;
    match values::boolean(value) {
        Some(true) => restart.policy = Some(RestartPolicy::Always),
        Some(false) => restart.policy = Some(RestartPolicy::Never),
        None => {
            if let Some(setting) = wanted.filter(|setting| !setting.value.eq_ignore_ascii_case("unexpected")) {
                process
                    .note(Note::changed(&setting, "this is neither true, false nor unexpected; unexpected is taken"));
            }
            expect(process, codes.as_ref());
        }
    }
}

/// Started again unless it ends with one of these codes.
fn expect(process: &mut Process<'_, '_>, codes: Option<&Setting>) {
    let listed = codes.map_or("0", |setting| setting.value.as_str());
    let codes: Vec<i32> = listed.split(',').filter_map(|code| code.trim().parse().ok()).collect();
    let restart = &mut process.draft.service.restart;
    // Death by a signal is never expected.
    restart.policy = Some(if codes.contains(&0) { RestartPolicy::OnFailure } else { RestartPolicy::Always });
    let rules = codes.into_iter().filter(|code| *code != 0);
    restart.on_exit.extend(rules.map(|code| (ExitMatch::Code(code), ExitAction::Stop)));
}

fn translate_retries(process: &mut Process<'_, '_>) {
    let stays = process.settings.take("startsecs");
    let seconds = stays.as_ref().and_then(|setting| values::seconds(&setting.value)).unwrap_or(Duration::from_secs(1));
    let runs_once = seconds.is_zero() && process.draft.service.restart.policy == Some(RestartPolicy::Never);
    if runs_once {
        // It may end at once, and is not started again: it does one thing.
        process.draft.service.kind = ServiceType::Oneshot;
    }
    if let Some(setting) = stays.filter(|_| !runs_once) {
        let message = "counts as started when it has run for so long; here it does at once";
        process.note(
            Note::changed(&setting, message).help("a probe.readiness or probe.startup tells when it can be used"),
        );
    }
    let Some(setting) = process.settings.take("startretries") else { return };
    if process.draft.service.restart.policy == Some(RestartPolicy::Never) {
        return process
            .note(Note::lost(&setting, "a start that fails is not tried again: restart.policy is \"never\""));
    }
    let Ok(retries) = setting.value.parse::<u32>() else {
        return process.note(Note::lost(&setting, "this is not a number of tries"));
    };
    let failures = u16::try_from(retries.saturating_add(1)).unwrap_or(u16::MAX);
    let service = &mut process.draft.service;
    service.breaker.failures = failures;
    service.breaker.within = window(failures, &service.restart, seconds);
    service.breaker.give_up_after = 1;
    let within = service.breaker.within;
    process.draft.comments.extend(retries::comment(failures, within));
}

fn translate_stop(process: &mut Process<'_, '_>) {
    if let Some(setting) = process.settings.take("stopsignal") {
        match values::signal(&setting.value) {
            Some(signal) => process.draft.service.stop.signal = signal,
            None => process.note(Note::lost(&setting, "this is not a signal; SIGTERM is sent")),
        }
    }
    if let Some(setting) = process.settings.take("stopwaitsecs") {
        match values::seconds(&setting.value) {
            Some(seconds) => process.draft.service.stop.timeout = seconds,
            None => process.note(Note::lost(&setting, "this is not a number of seconds")),
        }
    }
    for key in ["stopasgroup", "killasgroup"] {
        let Some(setting) = process.settings.take(key) else { continue };
        if values::boolean(&setting.value) == Some(false) {
            let message = "what the program started was left running; here all of its tree ends with it";
            process.note(Note::changed(&setting, message).help("stop.tree = false leaves it running"));
        }
    }
}
