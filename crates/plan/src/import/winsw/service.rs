//! What the service is.

use std::collections::BTreeMap;
use std::path::Path;

use crate::definition::{Account, Inherit, OnLoss, StartType};
use crate::signal::Signal;
use crate::source::Source;

use super::super::draft::{Draft, Drafts, Need, command};
use super::super::template::Template;
use super::super::{Note, NoteKind, Place, values, windows};
use super::element::{Element, Elements};
use super::{failures, note_of, output};

/// Elements that mean nothing to a guard.
const WITHOUT_MEANING: [&str; 8] = [
    "waithint",
    "sleeptime",
    "hidewindow",
    "beeponshutdown",
    "stopparentprocessfirst",
    "autorefresh",
    "securitydescriptor",
    "preshutdowntimeout",
];

/// One service on its way.
pub(super) struct Subject<'a, 'f> {
    pub elements: Elements,
    pub draft: Draft,
    pub drafts: &'a mut Drafts<'f>,
    /// What `%NAME%` stands for, by the name in capitals.
    known: BTreeMap<String, Template>,
}

impl Subject<'_, '_> {
    pub(super) fn note(&mut self, note: Note) {
        let service = Some(self.draft.id.clone());
        self.drafts.note(Note { service, ..note });
    }

    fn expanded(&self, text: &str) -> Template {
        windows::expand(text, &|name| self.known.get(&name.to_ascii_uppercase()).cloned())
    }

    /// Words of a command line with `%NAME%` put in: after splitting, so that no value becomes two words.
    fn words(&self, text: &str) -> Vec<Template> {
        windows::split(text).iter().map(|word| self.expanded(word)).collect()
    }

    /// The text of an element, expanded.
    fn take(&mut self, name: &str) -> Option<Template> {
        let element = self.elements.take(name).filter(|element| !element.setting.value.is_empty())?;
        Some(self.expanded(&element.setting.value))
    }

    /// Elements that are one word each.
    fn take_words(&mut self, name: &str) -> Vec<Template> {
        self.elements.take_all(name).iter().map(|element| self.expanded(&element.setting.value)).collect()
    }
}

/// The folder of the file.
struct Base {
    /// Where it does not lie beside the definition.
    folder: Option<String>,
    /// What `%BASE%` stands for: the whole path where that is one of Windows, and `.` beside a definition on another system.
    text: String,
}

impl Base {
    fn of(source: &Source, beside: &Path) -> Self {
        let folder = source.name.rsplit_once(['/', '\\']).map(|(folder, _)| folder.to_owned());
        let beside = beside.to_string_lossy().into_owned();
        let here = if is_of_windows(&beside) { beside } else { ".".to_owned() };
        Self { text: folder.clone().unwrap_or(here), folder }
    }

    /// On another system nobody knows where the file will be on Windows.
    fn note(&self, source: &Source, subject: &mut Subject<'_, '_>) {
        let text = source.text.to_ascii_uppercase();
        let used = ["%BASE%", "%WINSW_EXECUTABLE%"].into_iter().find(|name| text.contains(name));
        let Some(used) = used.filter(|_| !is_of_windows(&self.text)) else { return };
        let message = format!(
            "stands for the folder of the file on Windows, which is not known on this machine: '{}' is put in",
            self.text
        );
        let note = Note::new(NoteKind::Changed, &Place::whole(&source.name), used, message);
        subject.note(note.help("import it on Windows where the file is, or write the folder out"));
    }
}

/// `C:\…`, or a share.
fn is_of_windows(path: &str) -> bool {
    path.starts_with("\\\\") || matches!(path.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())
}

pub(super) fn translate(mut elements: Elements, source: &Source, drafts: &mut Drafts<'_>) {
    let place = Place::whole(&source.name);
    let stem = source.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem).to_owned();
    let id = elements.take("id").map_or_else(|| stem.clone(), |element| element.setting.value);
    let base = Base::of(source, drafts.folder);
    let known = [
        ("BASE", base.text.clone()),
        ("SERVICE_ID", id.clone()),
        ("WINSW_SERVICE_ID", id.clone()),
        ("WINSW_EXECUTABLE", format!("{}\\{stem}.exe", base.text)),
    ];
    let known = known.map(|(name, value)| (name.to_owned(), Template::literal(&value))).into();
    let draft = Draft::new(id.to_ascii_lowercase(), id, place);
    let mut subject = Subject { elements, draft, drafts, known };
    subject.draft.service.inherit = Inherit::All;
    // Without a folder of its own, it works where the file is.
    subject.draft.service.directory = base.folder.clone().map(|folder| Template::literal(&folder).into_text());
    base.note(source, &mut subject);
    translate_environment(&mut subject);
    translate_texts(&mut subject);
    translate_command(&mut subject);
    translate_account(&mut subject);
    translate_start(&mut subject);
    failures::translate(&mut subject);
    translate_stop(&mut subject);
    output::translate(&mut subject);
    note_rest(&mut subject);
    subject.drafts.services.push(subject.draft);
}

fn translate_texts(subject: &mut Subject<'_, '_>) {
    if let Some(name) = subject.take("name") {
        subject.draft.service.display_name = Some(name.into_text());
    }
    if let Some(description) = subject.take("description") {
        subject.draft.service.description = Some(description.into_text());
    }
    if let Some(folder) = subject.take("workingdirectory") {
        subject.draft.service.directory = Some(folder.into_text()).filter(|folder| folder != ".");
    }
}

fn translate_environment(subject: &mut Subject<'_, '_>) {
    for element in subject.elements.take_all("env") {
        let Some(name) = element.get("name").filter(|name| !name.is_empty()).map(str::to_owned) else {
            subject.note(note_of(NoteKind::Lost, &element, "names no variable"));
            continue;
        };
        let value = subject.expanded(element.get("value").unwrap_or_default());
        subject.known.insert(name.to_ascii_uppercase(), value.clone());
        subject.draft.set_environment(&name, value);
    }
}

fn translate_command(subject: &mut Subject<'_, '_>) {
    let program = subject.take("executable");
    let starts = subject.elements.take("startarguments");
    let arguments = subject.elements.take("arguments");
    let singles = [subject.take_words("startargument"), subject.take_words("argument")].concat();
    let Some(program) = program else { return };
    // Arguments for the start take the place of the others.
    let text = starts.or(arguments).map(|element| element.setting.value).unwrap_or_default();
    subject.draft.service.command = Some(command([vec![program], subject.words(&text), singles].concat()));
}

fn translate_account(subject: &mut Subject<'_, '_>) {
    let Some(element) = subject.elements.take("serviceaccount") else { return };
    let user = element.get("username").or_else(|| element.get("user")).unwrap_or_default().trim().to_owned();
    let domain = element.get("domain").unwrap_or_default().trim().to_owned();
    if element.get("password").is_some_and(|password| !password.is_empty()) {
        let message = "the account's password is not copied";
        subject.note(
            note_of(NoteKind::Advice, &element, message)
                .help("keep it in a file that only the guard can read: password = { credential = \"file:…\" }"),
        );
    }
    let built_in = user.rsplit('\\').next().unwrap_or_default();
    if user.is_empty() || built_in.eq_ignore_ascii_case("LocalSystem") || built_in.eq_ignore_ascii_case("SYSTEM") {
        return;
    }
    let account = if domain.is_empty() || user.contains('\\') { user } else { format!("{domain}\\{user}") };
    subject.draft.service.user = Some(Account(Template::literal(&account).into_text()));
}

fn translate_start(subject: &mut Subject<'_, '_>) {
    let mode = subject.elements.take("startmode");
    let delayed = subject.elements.take("delayedautostart");
    let is_delayed = delayed.is_some_and(|element| values::boolean(&element.setting.value) != Some(false));
    subject.draft.service.start = if is_delayed { StartType::Delayed } else { StartType::Auto };
    if let Some(element) = mode {
        match element.setting.value.to_ascii_lowercase().as_str() {
            "automatic" | "auto" | "" => {}
            "manual" => subject.draft.service.start = StartType::Manual,
            "disabled" => subject.draft.service.start = StartType::Disabled,
            other => {
                let message = format!("'{other}' is no way to start a program; it starts with the guard");
                subject.note(note_of(NoteKind::Changed, &element, message));
            }
        }
    }
    for element in subject.elements.take_all("depend") {
        let on = element.setting.value.to_ascii_lowercase();
        subject.draft.needs.push(Need { on, on_loss: OnLoss::Ignore, setting: element.setting });
    }
}

fn translate_stop(subject: &mut Subject<'_, '_>) {
    subject.draft.service.stop.timeout = failures::STOP_TIMEOUT;
    if let Some(element) = subject.elements.take("stoptimeout") {
        match failures::time_span(&element.setting.value) {
            Some(span) => subject.draft.service.stop.timeout = span,
            None => subject.note(note_of(NoteKind::Lost, &element, "this is not a time span; 15 s are taken")),
        }
    }
    let program = subject.take("stopexecutable");
    let arguments = subject.elements.take("stoparguments");
    let singles = subject.take_words("stopargument");
    if program.is_none() && arguments.is_none() && singles.is_empty() {
        return;
    }
    // Without a program of its own it is the service's, with other arguments.
    let own = subject.draft.service.command.as_ref().and_then(|command| command.program()).map(Template::written);
    let Some(program) = program.or(own) else { return };
    let text = arguments.map(|element| element.setting.value).unwrap_or_default();
    subject.draft.service.stop.command = Some(command([vec![program], subject.words(&text), singles].concat()));
    // What only asks must not have the program ended while it finishes its work.
    subject.draft.service.stop.signal = Signal::Cont;
    let line = "WinSW waits for the end of a program after its stop command: SIGCONT, which ends nothing, follows the command.";
    subject.draft.comments.push(line.to_owned());
}

fn note_rest(subject: &mut Subject<'_, '_>) {
    for element in std::mem::take(&mut subject.elements).rest() {
        let name = element.setting.key.clone();
        if WITHOUT_MEANING.contains(&name.as_str()) {
            continue;
        }
        if name == "priority" {
            translate_priority(subject, &element);
            continue;
        }
        let (message, help) = reason(&name, &element);
        let note = note_of(NoteKind::Lost, &element, message);
        subject.note(if help.is_empty() { note } else { note.help(help) });
    }
}

fn translate_priority(subject: &mut Subject<'_, '_>, element: &Element) {
    let nice = match element.setting.value.to_ascii_lowercase().as_str() {
        "normal" | "" => return,
        "idle" => 19,
        "belownormal" => 10,
        "abovenormal" => -5,
        "high" => -10,
        "realtime" => -20,
        _ => return subject.note(note_of(NoteKind::Lost, element, "there is no such priority")),
    };
    subject.draft.service.nice = Some(nice);
    let message = format!("Windows' classes of priority have no numbers; nice = {nice} is near");
    subject.note(note_of(NoteKind::Changed, element, message));
}

fn reason(name: &str, element: &Element) -> (String, &'static str) {
    let (message, help) = match name {
        "download" => {
            let from = element.get("from").unwrap_or_default();
            let message = format!("downloads {from} before each start; a guard downloads nothing");
            return (message, "a one-shot with depends_on = { … = \"completed\" }");
        }
        "prestart" | "poststart" | "prestop" | "poststop" => {
            ("runs a command beside the service; a guard runs none", "a one-shot with depends_on, or stop.command")
        }
        "interactive" => ("shows windows on the desktop; Windows itself lets no service do so any more", ""),
        "shareddirectorymapping" | "extensions" => ("an extension of WinSW", ""),
        "preshutdown" => ("is told of a shutdown early; the guard itself is", ""),
        _ => ("has no equivalent", ""),
    };
    (message.to_owned(), help)
}
