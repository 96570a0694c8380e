//! `menshen logs`.

mod files;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::AnsiColor;
use base64::Engine as _;
use menshen_api::client::{self, Call};
use menshen_api::types::{LogLine, LogQuery, Service, Stream};
use menshen_api::{Client, ClientError, Endpoint, Problem, ProblemCode, Time};
use menshen_guard::logs::read::EARLY_MS_MAX;
use tokio::sync::mpsc::{Sender, channel};

use self::files::Files;
use super::native;
use super::status::local;
use crate::args::{Arguments, Lines, Logs};
use crate::failure::{Exit, Failure};
use crate::guards::{Aim, Guard, Guards, ended_in_order, is_held, wait_for};
use crate::output::{self, dim, styled};

/// How many lines are shown where nobody says which.
const LINES_SHOWN: u32 = 100;
/// How often a guard that goes on in the place of the last one is looked for.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often it is looked whether there will be one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long one is waited for by somebody who may not look.
const UNKNOWN_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn logs(arguments: &Arguments, logs: &Logs) -> Result<Exit, Failure> {
    let query = query(logs);
    native::hold_guarded(arguments, &logs.names, "a log of its own")?;
    wait_for(async {
        let guards = Guards::find(arguments).await;
        match guards.some() {
            Ok(_) => from_guards(arguments, &guards, logs, &query).await,
            Err(failure) if failure.code() == Exit::NoGuard && !guards.has_silent() => {
                files::show(arguments, logs, &query, failure)
            }
            Err(failure) => Err(failure),
        }
    })
}

fn query(logs: &Logs) -> LogQuery {
    let tail = match logs.lines {
        Some(Lines::All) => None,
        Some(Lines::Last(lines)) => Some(lines),
        None => (logs.since.is_none() && logs.grep.is_none()).then_some(LINES_SHOWN),
    };
    let stream = if logs.stderr { Some(Stream::Stderr) } else { logs.stdout.then_some(Stream::Stdout) };
    let (since, grep) = (logs.since.clone(), logs.grep.clone());
    LogQuery { follow: logs.follow, since, grep, stream, tail, ..LogQuery::default() }
}

async fn from_guards(arguments: &Arguments, guards: &Guards, logs: &Logs, query: &LogQuery) -> Result<Exit, Failure> {
    let services = if logs.names.is_empty() {
        guards.services().await?
    } else {
        match guards.find_services(&logs.names, Aim::Look).await {
            // The definition has it no more; what it wrote stays until it is old.
            Err(failure)
                if failure.code() == Exit::NoSuchService
                    && !query.follow
                    && Files::are_there(arguments, &logs.names) =>
            {
                return files::show(arguments, logs, query, failure);
            }
            services => services?,
        }
    };
    let names: Vec<&str> = services.iter().map(|(_, service)| service.name.as_str()).collect();
    let printer = Printer::of(arguments, logs, &names);
    if query.follow {
        follow(past_first(&services, query, &printer).await?, &printer).await?;
    } else {
        merge(&mut open_all(&services, query).await?, query, &printer).await?;
    }
    Ok(Exit::Done)
}

/// What is followed. Of several services, what has been written is shown before, so that it is in its order.
async fn past_first(
    services: &[(&Guard, Service)],
    query: &LogQuery,
    printer: &Printer,
) -> Result<Vec<Source>, Failure> {
    if services.len() < 2 || query.tail == Some(0) {
        return Ok(open_all(services, query).await?);
    }
    let so_far = LogQuery { follow: false, so_far: true, ..query.clone() };
    match open_all(services, &so_far).await {
        Ok(mut sources) => {
            merge(&mut sources, query, printer).await?;
            Ok(sources)
        }
        // An older guard does not know what this asks for. Whatever else is wrong with it is so without that, too.
        Err(ClientError::Problem(Problem { code: ProblemCode::BadRequest, .. })) => {
            Ok(open_all(services, query).await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn open_all(services: &[(&Guard, Service)], query: &LogQuery) -> Result<Vec<Source>, ClientError> {
    let mut sources = Vec::new();
    for (guard, service) in services {
        sources.push(Source::open(guard, service.name.clone(), query).await?);
    }
    Ok(sources)
}

/// The lines of one service, one of them in hand.
struct Source {
    name: String,
    instance: String,
    client: Arc<Client>,
    /// What comes after the last line that was given.
    query: LogQuery,
    /// When the first line was asked for, in milliseconds since 1970.
    begun_ms: i64,
    lines: client::Lines,
    next: Option<LogLine>,
}

impl Source {
    async fn open(guard: &Guard, name: String, query: &LogQuery) -> Result<Self, ClientError> {
        let begun_ms = menshen_os::clock::wall_ms();
        let lines = open(&guard.client, &name, query).await?;
        let query = LogQuery { follow: query.follow || query.so_far, so_far: false, ..query.clone() };
        let (instance, client) = (guard.instance.clone(), Arc::clone(&guard.client));
        let mut source = Self { name, instance, client, query, begun_ms, lines, next: None };
        if source.query.tail == Some(0) {
            source.begin_at(begun_ms);
        }
        Ok(source)
    }

    /// What to ask for where nothing was given: all that was written since.
    fn begin_at(&mut self, ms: i64) {
        self.query.since = Some(Time::from_ms(ms).to_string());
        self.query.tail = None;
    }

    /// What to ask for once this line was given.
    fn begin_after(&mut self, line: &LogLine) {
        self.query.after.clone_from(&line.position);
        self.query.since = None;
        self.query.tail = None;
    }

    /// Takes the next line of what has been written in hand.
    async fn advance(&mut self) -> Result<(), ClientError> {
        self.next = None;
        let next = match self.lines.next_as::<LogLine>().await {
            // Whoever follows hears the rest from the next guard.
            Err(ClientError::Broken(_)) if self.query.follow => return Ok(()),
            next => next?,
        };
        match &next {
            Some(line) => self.begin_after(line),
            // What is there by then and was not before has come meanwhile, whatever its time.
            None if self.query.after.is_none() => self.begin_at(self.begun_ms - EARLY_MS_MAX),
            None => {}
        }
        self.next = next;
        Ok(())
    }

    /// Passes lines on as they come, until nobody writes or wants them any more.
    async fn pass_on(mut self, sender: Sender<(String, Result<LogLine, Failure>)>) {
        while let Some(next) = self.next_of_any_guard().await.transpose() {
            let failed = next.is_err();
            if sender.send((self.name.clone(), next)).await.is_err() || failed {
                return;
            }
        }
    }

    /// The next line, from this guard or from one that comes after it; `None` when none does.
    async fn next_of_any_guard(&mut self) -> Result<Option<LogLine>, Failure> {
        loop {
            match self.lines.next_as::<LogLine>().await {
                Ok(Some(line)) => {
                    self.begin_after(&line);
                    return Ok(Some(line));
                }
                // The guard ends, or another version takes its place.
                Ok(None) | Err(ClientError::Broken(_)) => {}
                Err(error) => return Err(error.into()),
            }
            match self.reopen().await? {
                Some(lines) => self.lines = lines,
                None => return Ok(None),
            }
        }
    }

    /// The lines that come after those that were given, as soon as a guard answers; `None` when there will be none.
    async fn reopen(&self) -> Result<Option<client::Lines>, Failure> {
        let (mut told, mut looked) = (false, None::<Instant>);
        let lost = Instant::now();
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            match open(&self.client, &self.name, &self.query).await {
                Ok(lines) => return Ok(Some(lines)),
                Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NoSuchService => return Ok(None),
                // It is about to be another, or to end, or has too many callers just now.
                Err(ClientError::Problem(Problem { code: ProblemCode::ShuttingDown | ProblemCode::Busy, .. })) => {}
                Err(error @ (ClientError::Problem(_) | ClientError::Unreadable(_))) => return Err(error.into()),
                Err(ClientError::Silent { .. } | ClientError::Unreachable(_) | ClientError::Broken(_)) => {}
            }
            if is_held(&self.instance) || looked.is_some_and(|looked| looked.elapsed() < LOOK_AGAIN) {
                continue;
            }
            looked = Some(Instant::now());
            match ended_in_order(&self.instance) {
                Some(true) => return Ok(None),
                Some(false) => {}
                None if lost.elapsed() < UNKNOWN_WITHIN => continue,
                None => return Ok(None),
            }
            if !std::mem::replace(&mut told, true) {
                output::note(dim(format_args!("{}: the guard has ended; waiting for the next one", self.name)));
            }
        }
    }
}

async fn open(client: &Client, name: &str, query: &LogQuery) -> Result<client::Lines, ClientError> {
    client.lines(&Call::about(Endpoint::GetLogs, name).query(query)?).await
}

/// All lines in the order of their times; those of unknown time come where they stand in their own log.
async fn merge(sources: &mut [Source], query: &LogQuery, printer: &Printer) -> Result<(), ClientError> {
    for source in &mut *sources {
        source.advance().await?;
    }
    let mut last = std::collections::VecDeque::new();
    loop {
        let earliest = sources
            .iter_mut()
            .filter(|source| source.next.is_some())
            .min_by_key(|source| source.next.as_ref().and_then(|line| line.time));
        let Some(source) = earliest else { break };
        if let Some(line) = source.next.take() {
            last.push_back((source.name.clone(), line));
        }
        source.advance().await?;
        // Of several services, the last so many lines of all together.
        if let Some(tail) = query.tail {
            let surplus = last.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
            last.drain(..surplus);
        } else {
            last.drain(..).for_each(|(name, line)| printer.print(&name, &line));
        }
    }
    last.iter().for_each(|(name, line)| printer.print(name, line));
    Ok(())
}

/// Each service's lines as they come, from one guard after the other.
async fn follow(sources: Vec<Source>, printer: &Printer) -> Result<(), Failure> {
    /// A terminal takes one line after the other; more than these need not wait for it.
    const LINES_MAX: usize = 256;
    let (sender, mut lines) = channel(LINES_MAX);
    for source in sources {
        tokio::spawn(source.pass_on(sender.clone()));
    }
    drop(sender);
    while let Some((name, line)) = lines.recv().await {
        printer.print(&name, &line?);
    }
    Ok(())
}

/// How lines are shown.
struct Printer {
    json: bool,
    several: bool,
    /// What is piped into another program is what was written, byte for byte.
    as_written: bool,
    width: usize,
}

impl Printer {
    fn of(arguments: &Arguments, logs: &Logs, names: &[&str]) -> Self {
        let several = names.len() > 1;
        let as_written = !several && !logs.times && !output::is_terminal();
        Self {
            json: arguments.json,
            several,
            as_written,
            width: names.iter().map(|name| name.len()).max().unwrap_or(0),
        }
    }

    fn print(&self, name: &str, line: &LogLine) {
        if self.json {
            return output::json_line(&as_json(name, line));
        }
        if self.as_written {
            return output::raw(&bytes(line));
        }
        let mut text = output::printable(&line.text);
        if line.stream == Stream::Stderr {
            text = styled(text, AnsiColor::Red.on_default());
        }
        let time = line.time.map(|time| format!("{} ", dim(local(time)))).unwrap_or_default();
        let name =
            if self.several { format!("{:>width$} {} ", name, dim("|"), width = self.width) } else { String::new() };
        output::line(format_args!("{name}{time}{text}"));
    }
}

/// A line with the service that wrote it, for programs.
pub(super) fn as_json(name: &str, line: &LogLine) -> serde_json::Value {
    let mut json = serde_json::to_value(line).unwrap_or_default();
    json["service"] = name.into();
    json
}

/// A line's bytes, with its end unless it goes on.
fn bytes(line: &LogLine) -> Vec<u8> {
    let decoded = line.base64.as_ref().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let mut bytes = decoded.unwrap_or_else(|| line.text.clone().into_bytes());
    if !line.continues {
        bytes.push(b'\n');
    }
    bytes
}
