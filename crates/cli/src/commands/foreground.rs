//! A guard in this very process, with somebody watching: `menshen up` and `menshen run`.

use std::collections::HashMap;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use menshen_api::Time;
use menshen_api::types::{Event, LogLine, Stream};
use menshen_guard::definition::DefinitionSource;
use menshen_guard::handover::{Question, Takeover, TakeoverError, WILLING};
use menshen_guard::logs::{TapLine, TapReceiver, TapScope};
use menshen_guard::{EndWhen, Ending, GuardError, Options, Overseer, Watcher};
use menshen_os::TreeMode;
use menshen_plan::Plan;
use menshen_plan::count::counted;

use super::events::sentence;
use super::logs::as_json;
use crate::args::Arguments;
use crate::definition::{MachineErrors, load_plan, paths};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, client, holder, note_not_taken_over, runs_already, wait_for};
use crate::output::{self, dim, styled};

/// How many lines may wait for the terminal; a terminal that takes no more must not hold up the guard.
const LINES_MAX: usize = 4096;
/// How long the end waits for the terminal to take what is left.
const SCREEN_AT_END_MAX: Duration = Duration::from_secs(2);
/// Services' names are told apart by these colours, in turn.
const COLORS: [AnsiColor; 6] =
    [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Blue, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::BrightCyan];
/// The name under which the guard itself speaks.
const GUARD: &str = "menshen";

/// Who reads what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Somebody, while it happens: all of it.
    Watching,
    /// A program, while it happens: all of it that is read in time, as JSON.
    Programs,
    /// Nobody yet: what concerns the guard itself is kept, each line with its time.
    Later,
}

impl Audience {
    /// Whoever started this command, and waits for it.
    pub(super) const fn of(arguments: &Arguments) -> Self {
        if arguments.json { Self::Programs } else { Self::Watching }
    }

    const fn scope(self) -> TapScope {
        match self {
            Self::Watching | Self::Programs => TapScope::All,
            Self::Later => TapScope::AlsoStdout,
        }
    }
}

/// Something to show.
enum Shown {
    Event(Box<Event>),
    Line(TapLine),
}

/// Guards what a definition says, in this process.
pub(super) fn guard_here(
    source: &DefinitionSource,
    machine_errors: MachineErrors,
    end: EndWhen,
    audience: Audience,
) -> Result<Exit, Failure> {
    let takeover = Takeover::from_environment().map_err(|error| unable(&error))?;
    let loaded = load_plan(source, machine_errors);
    let followed = match &takeover {
        Some(Takeover::Begin(handover)) => handover.followed(source),
        Some(Takeover::Question(_)) | None => None,
    };
    let plan = match followed {
        Some(followed) => or_followed(loaded, Arc::new(followed)),
        None => loaded?,
    };
    guard(source, plan, takeover, end, audience, None)
}

/// Guards until it ends, and shows what happens and what services write, as far as it is for whoever reads it. Asked by an earlier
/// version whether this one could go on in its place, only says so.
pub(super) fn guard(
    source: &DefinitionSource,
    mut plan: Arc<Plan>,
    takeover: Option<Takeover>,
    end: EndWhen,
    audience: Audience,
    mut overseer: Option<Overseer>,
) -> Result<Exit, Failure> {
    menshen_os::system::hold_signals();
    let trees = trees()?;
    let mut takeover = match takeover {
        Some(Takeover::Question(question)) => return answer(&question, &plan),
        Some(Takeover::Begin(handover)) => Some(handover),
        None => None,
    };
    if takeover.is_none() {
        note_not_taken_over(&plan, source);
    }
    loop {
        menshen_os::system::make_room(plan.services.len());
        let options = Options {
            source: source.clone(),
            plan: Arc::clone(&plan),
            paths: paths(),
            trees,
            end,
            watcher: Some(screen(&plan, audience)?),
            takeover: takeover.take(),
            overseer: overseer.take(),
        };
        match menshen_guard::run(options).map_err(|error| failure(&error, source))? {
            Ending::Code(code) => return Ok(Exit::Guard(code)),
            Ending::Succeeded(next) => return attend(next, audience),
            Ending::Returned { handover, plan: followed } => {
                takeover = Some(handover);
                plan = or_followed(load_plan(source, MachineErrors::Shown), followed);
            }
        }
    }
}

/// What is followed by whoever goes on, be it another version or the same: what the definition says by now, or else what was
/// followed at last. Nobody guards meanwhile, so no mistake in it may end this process.
fn or_followed(loaded: Result<Arc<Plan>, Failure>, followed: Arc<Plan>) -> Arc<Plan> {
    let why = match loaded {
        Ok(plan) if plan.name == followed.name => return plan,
        Ok(plan) => format!("that on disk is of a guard named '{}'", plan.name),
        Err(failure) => failure.message,
    };
    output::note(format_args!("the guard goes on with the definition it had: {why}"));
    followed
}

/// What an earlier version is told that asks whether this one could go on in its place.
pub(super) fn answer(question: &Question, plan: &Plan) -> Result<Exit, Failure> {
    question.answer(plan, &paths()).map_err(|error| unable(&error))?;
    output::line(WILLING);
    Ok(Exit::Done)
}

pub(super) fn unable(error: &TakeoverError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// What becomes of a process whose guard is another one by now. Somebody at a terminal, or whoever waits for this process, waits
/// for that one; in the background nobody does.
fn attend(mut next: Child, audience: Audience) -> Result<Exit, Failure> {
    match audience {
        Audience::Later => Ok(Exit::Done),
        Audience::Watching | Audience::Programs => {
            let ended = next.wait().map_err(|error| Failure::new(Exit::Failed, menshen_os::error::describe(&error)))?;
            Ok(Exit::Guard(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
        }
    }
}

/// Where it is shown what a guard of this plan does.
fn screen(plan: &Plan, audience: Audience) -> Result<Watcher, Failure> {
    let width = plan.services.keys().map(|name| name.as_str().len()).chain([GUARD.len()]).max().unwrap_or(0);
    let (sender, receiver) = sync_channel(LINES_MAX);
    let (shows, shown) = sync_channel::<()>(0);
    let show = move || {
        Screen::new(width, audience).show_all(&receiver);
        drop(shows);
    };
    let screen = std::thread::Builder::new().name("screen".to_owned()).spawn(show);
    screen.map_err(|error| Failure::new(Exit::Failed, menshen_os::error::describe(&error)))?;
    Ok(watcher(sender, audience, shown))
}

/// `MENSHEN_TREES` decides how process trees are told apart; `auto` without it.
fn trees() -> Result<TreeMode, Failure> {
    match std::env::var("MENSHEN_TREES").as_deref() {
        Err(_) | Ok("" | "auto") => Ok(TreeMode::Auto),
        Ok("cgroup") => Ok(TreeMode::Cgroup),
        Ok("walk") => Ok(TreeMode::Walk),
        Ok(other) => {
            Err(Failure::new(Exit::Usage, format!("MENSHEN_TREES is '{other}'; it can be auto, cgroup or walk")))
        }
    }
}

fn watcher(sender: SyncSender<Shown>, audience: Audience, shown: Receiver<()>) -> Watcher {
    let events = sender.clone();
    Watcher {
        event: Box::new(move |event| {
            if is_told(event, audience) {
                // What does not fit the screen is in the journal.
                let _ = events.try_send(Shown::Event(Box::new(event.clone())));
            }
        }),
        scope: audience.scope(),
        lines: Box::new(move |tap| pass_on(tap, sender)),
        // The sender goes with the guard, so the screen ends when it has shown what was left, if anybody reads it.
        shown: Box::new(move || _ = shown.recv_timeout(SCREEN_AT_END_MAX)),
    }
}

/// Passes lines on in a thread of its own, which ends with the guard.
fn pass_on(mut tap: TapReceiver, sender: SyncSender<Shown>) {
    let pass = move || {
        while let Some(line) = tap.wait() {
            if sender.send(Shown::Line(line)).is_err() {
                return;
            }
        }
    };
    // Without this thread nothing is shown of what services write; their logs have it.
    let _ = std::thread::Builder::new().name("lines".to_owned()).spawn(pass);
}

/// What a person at the terminal wants to hear; the rest is in the journal. Nobody reads along in the background, where only
/// what concerns the guard itself is told.
fn is_told(event: &Event, audience: Audience) -> bool {
    match audience {
        Audience::Watching => event.kind != "forgotten",
        Audience::Programs => true,
        Audience::Later => event.service.is_none(),
    }
}

struct Screen {
    width: usize,
    audience: Audience,
    colors: HashMap<Arc<str>, Style>,
}

impl Screen {
    fn new(width: usize, audience: Audience) -> Self {
        Self { width, audience, colors: HashMap::new() }
    }

    fn show_all(mut self, receiver: &Receiver<Shown>) {
        for shown in receiver {
            match (shown, self.audience) {
                (Shown::Event(event), Audience::Programs) => output::tell_json(&event),
                (Shown::Line(line), Audience::Programs) => tell_line(line),
                (Shown::Event(event), Audience::Watching | Audience::Later) => {
                    self.show(event.time, GUARD, Style::new().bold(), &sentence(&event));
                }
                (Shown::Line(line), Audience::Watching | Audience::Later) => self.show_line(&line),
            }
        }
    }

    fn show_line(&mut self, line: &TapLine) {
        if line.dropped > 0 {
            self.show(line.time, GUARD, Style::new().bold(), &dim(dropped(line)));
        }
        let count = self.colors.len();
        let style =
            *self.colors.entry(Arc::clone(&line.service)).or_insert_with(|| COLORS[count % COLORS.len()].on_default());
        let text = output::printable(&String::from_utf8_lossy(&line.bytes));
        let text = if line.stream == Stream::Stderr { styled(text, AnsiColor::Red.on_default()) } else { text };
        self.show(line.time, &line.service, style, &text);
    }

    fn show(&self, time: Time, who: &str, style: Style, text: &str) {
        let who = styled(format_args!("{who:>width$}", width = self.width), style);
        let bar = dim("|");
        match self.audience {
            Audience::Watching | Audience::Programs => output::tell(format_args!("{who} {bar} {text}")),
            Audience::Later => output::tell(format_args!("{time} {who} {bar} {text}")),
        }
    }
}

/// A line for programs, as `menshen logs` gives it to them.
fn tell_line(line: TapLine) {
    if line.dropped > 0 {
        output::note(dropped(&line));
    }
    let service = Arc::clone(&line.service);
    output::tell_json(&as_json(&service, &LogLine::from(line)));
}

/// That lines before this one are not shown.
fn dropped(line: &TapLine) -> String {
    let (one, several) = ("line was too many to show", "lines were too many to show");
    format!("{}; `menshen logs` has all", counted(line.dropped, one, several))
}

fn failure(error: &GuardError, source: &DefinitionSource) -> Failure {
    let failure = Failure::new(Exit::Failed, error.to_string());
    match error {
        GuardError::AlreadyRunning { instance } => match holder(instance) {
            Some(pid) => {
                let guard = Guard::new(instance.clone(), client(instance, paths().control(instance)));
                wait_for(async { Ok(runs_already(&guard, pid, source).await) }).unwrap_or_else(|failure| failure)
            }
            None => failure.help("it is just ending, or just beginning"),
        },
        GuardError::CutOff { .. } => failure.help(
            "its run folder was removed, or it was given another one; kill it, and the next guard takes over what runs",
        ),
        GuardError::NewerState { .. } => {
            failure.help("use the version that wrote it, or a later one; nothing was changed")
        }
        GuardError::NobodyGoesOn { .. } => failure.help("start a guard: it takes over what runs"),
        GuardError::System { .. } | GuardError::Journal(_) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> DefinitionSource {
        DefinitionSource {
            path: std::env::temp_dir(),
            text: Some(text.to_owned()),
            profile: None,
            settings: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            only: Vec::new(),
        }
    }

    #[test]
    fn a_definition_that_is_refused_by_now_does_not_end_a_guard_that_guards_again() {
        let of = |services: &str| format!("guard.name = \"shop\"\n{services}");
        let web = "[service.web]\ncommand = \"sleep 1\"\n";
        let followed = load_plan(&source(&of(web)), MachineErrors::Shown).unwrap();
        let read =
            |source: &DefinitionSource| or_followed(load_plan(source, MachineErrors::Shown), Arc::clone(&followed));
        let after = |text: &str| read(&source(text));
        for refused in [of("[service.web]\ncommand = 7\n"), format!("guard.name = \"other\"\n{web}")] {
            assert!(Arc::ptr_eq(&after(&refused), &followed), "{refused}");
        }
        let nowhere =
            DefinitionSource { path: std::env::temp_dir().join("nowhere/menshen.toml"), text: None, ..source("") };
        assert!(Arc::ptr_eq(&read(&nowhere), &followed));
        let changed = after(&of(&web.replace("web", "api")));
        assert_eq!(changed.services.keys().map(ToString::to_string).collect::<Vec<_>>(), ["api"]);
    }
}
