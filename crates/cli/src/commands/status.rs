//! `menshen status`: the table, and the one screen an operator needs at three in the morning.

use std::collections::BTreeSet;

use anstyle::AnsiColor;
use jiff::Timestamp;
use menshen_api::client::Call;
use menshen_api::types::{BreakerState, LogLine, Probe, Service, ServiceDetail, State, Trouble, Wanted};
use menshen_api::{Endpoint, Time};
use menshen_plan::count::counted;
use serde::Serialize;
use serde_json::value::RawValue;

use super::events::sentence;
use super::native::{self, Native, Told};
use crate::args::{Arguments, Status};
use crate::failure::{Exit, Failure};
use crate::guards::{Aim, Guard, Guards, Left, told_left, wait_for};
use crate::output::{self, bold, dim, state_style, styled};
use crate::table::{Cell, Table};

pub(super) fn status(arguments: &Arguments, status: &Status) -> Result<Exit, Failure> {
    wait_for(async {
        let guards = Guards::find_with_services(arguments).await;
        let Some(name) = &status.name else { return all(arguments, &guards).await };
        match native::status(arguments, &guards, name).await? {
            Some(exit) => Ok(exit),
            None => one(arguments, &guards, name).await,
        }
    })
}

async fn all(arguments: &Arguments, guards: &Guards) -> Result<Exit, Failure> {
    let natives = Native::all(arguments)?;
    // Where managers run services themselves there need be no guard.
    let guarded = if natives.is_empty() || !guards.are_absent() {
        guards.some().inspect_err(|failure| show_left(arguments, guards, failure))?
    } else {
        &[]
    };
    let mut unknown = None;
    let mut note = |failure: Failure| {
        output::show_failure(arguments, &failure);
        unknown = Some(failure.code());
    };
    let native: Vec<Told> = natives.iter().filter_map(|native| native.told().map_err(&mut note).ok()).collect();
    let left = guards.left().unwrap_or_else(|failure| {
        output::pass_over(&failure);
        Vec::new()
    });
    let guarded_are_well =
        if arguments.json { pass_on(guarded, &native, &left).await? } else { show(guards, guarded, &native).await? };
    guards.note_missing();
    told(left.iter()).for_each(output::note);
    let well = guarded_are_well && native.iter().all(Told::is_well);
    Ok(unknown.unwrap_or(if well { Exit::Done } else { Exit::NotReady }))
}

/// What runs on where no guard is there.
fn show_left(arguments: &Arguments, guards: &Guards, failure: &Failure) {
    if failure.code() != Exit::NoGuard {
        return;
    }
    for why in guards.left_unknown() {
        output::note(format_args!("whether something of a service runs on is not known: {}", output::printable(&why)));
    }
    let left = match guards.left() {
        Ok(left) if left.is_empty() && !arguments.json => return,
        Ok(left) => left,
        Err(failure) => return output::pass_over(&failure),
    };
    if arguments.json {
        return output::json(&serde_json::json!({ "services": [], "troubles": [], "native": [], "left": left }));
    }
    let mut table = Table::with_heading(&["GUARD", "NAME", "PID", "DEFINITION"]);
    for Left { guard, name, pid, definition } in left {
        let definition = definition.unwrap_or_else(|| "(not known)".to_owned());
        table.add([guard, name, pid.to_string(), definition].map(Cell::new).into());
    }
    output::lines(&table.lines());
}

/// Shows all services to people; whether those of the guards are as they are wanted.
async fn show(guards: &Guards, guarded: &[Guard], native: &[Told]) -> Result<bool, Failure> {
    let (mut services, mut troubles) = (Vec::new(), Vec::new());
    for guard in guarded {
        let listed = guard.list().await?;
        services.extend(listed.services);
        troubles.extend(listed.troubles);
    }
    print_table(guards, &services, native);
    troubles.iter().for_each(print_trouble);
    Ok(services.iter().all(Service::is_as_wanted))
}

/// The same for programs, a line for each service: what the guards say, word for word. To read it all and write it anew would take
/// longer than everything else the command does.
async fn pass_on(guarded: &[Guard], native: &[Told], left: &[Left]) -> Result<bool, Failure> {
    let (mut services, mut troubles) = (Vec::new(), Vec::new());
    let mut all_are_well = true;
    for guard in guarded {
        let said = guard.list_as_said().await?;
        all_are_well &= said.are_as_wanted;
        services.push(said.services);
        troubles.extend(said.troubles);
    }
    output::raw(overview(&services, &Rest { troubles: &troubles, native, left }).as_bytes());
    Ok(all_are_well)
}

/// What `--json` prints, besides the services.
#[derive(Serialize)]
struct Rest<'a> {
    troubles: &'a [Box<RawValue>],
    native: &'a [Told],
    left: &'a [Left],
}

/// All of it: the services' lines, indented as what is around them.
fn overview(services: &[String], rest: &Rest<'_>) -> String {
    let rest = serde_json::to_string_pretty(rest).unwrap_or_default();
    let mut text = String::with_capacity(rest.len() + services.iter().map(|lines| lines.len() * 9 / 8).sum::<usize>());
    text.push_str("{\n  \"services\": [");
    for lines in services.iter().filter(|lines| !lines.is_empty()) {
        if !text.ends_with('[') {
            text.push(',');
        }
        for line in lines.split('\n') {
            text.push_str("\n    ");
            text.push_str(line);
        }
    }
    text.push_str(if text.ends_with('[') { "]," } else { "\n  ]," });
    // The rest is an object of its own; its members follow.
    text.push_str(rest.strip_prefix('{').unwrap_or(&rest));
    text.push('\n');
    text
}

fn print_table(guards: &Guards, services: &[Service], native: &[Told]) {
    let several_guards = guards.all.len() > 1;
    if services.is_empty() && native.is_empty() {
        return output::line("no services");
    }
    let mut heading = vec!["NAME", "STATE", "PID", "RESTARTS", "SINCE", "WHY"];
    if several_guards {
        heading.insert(0, "GUARD");
    }
    let mut table = Table::with_heading(&heading);
    for service in services {
        let outdated = if service.outdated { ", outdated" } else { "" };
        let mut row = vec![
            Cell::new(&service.name),
            Cell::styled(state_word(service) + outdated, state_style(service.state)),
            Cell::new(service.pid.map(|pid| pid.to_string()).unwrap_or_default()),
            Cell::new(service.restarts_total.to_string()),
            Cell::new(ago(service.since)),
            Cell::new(why(service)),
        ];
        if several_guards {
            row.insert(0, Cell::new(&service.instance));
        }
        table.add(row);
    }
    for told in native {
        let pid = told.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let why = told.text.as_ref().map_or_else(|| told.whose(), |text| format!("{}: {text}", told.whose()));
        let cells = [told.name.as_str(), told.state, &pid, "", "", &output::printable(&why)].map(Cell::new);
        table.add(several_guards.then(|| Cell::new("")).into_iter().chain(cells).collect());
    }
    output::lines(&table.lines());
}

fn print_trouble(trouble: &Trouble) {
    let of = trouble.service.as_ref().map_or_else(
        || format!("the guard '{}'", trouble.instance),
        |service| format!("{}/{service}", trouble.instance),
    );
    let text = output::printable(&trouble.text);
    output::line(format_args!("{} {of}: {text} (for {})", trouble_word(), ago(trouble.since)));
}

fn trouble_word() -> String {
    styled("trouble", AnsiColor::Red.on_default())
}

/// The state, with what it does not say by itself.
pub(super) fn state_word(service: &Service) -> String {
    let word = service.state.as_str();
    let more = match (service.state, service.ready, service.healthy) {
        (State::Running, _, Some(false)) => ", unhealthy",
        (State::Running, false, _) => ", not ready",
        (State::Tripped, ..) if service.fallback_pid.is_some() => ", fallback",
        _ => "",
    };
    format!("{word}{more}")
}

fn why(service: &Service) -> String {
    let next = service.next_start.map(|at| format!(" (next in {})", until(at))).unwrap_or_default();
    let said = service.status_text.as_deref().filter(|_| service.state == State::Running);
    let text = service.failing_probe.as_deref().or(said).unwrap_or(&service.reason);
    format!("{}{next}", output::printable(text))
}

async fn one(arguments: &Arguments, guards: &Guards, name: &str) -> Result<Exit, Failure> {
    let (guard, service) = match guards.find_service(name, Aim::Look).await {
        Ok(found) => found,
        Err(failure) => {
            let failure = or_left(guards, name, failure);
            output::show_failure(arguments, &failure);
            let exit = if failure.code() == Exit::NoSuchService { Exit::Unknown } else { failure.code() };
            return Err(Failure::silent(exit));
        }
    };
    let detail: ServiceDetail = guard.client.call(&Call::about(Endpoint::GetService, &service.name)).await?;
    if arguments.json {
        output::json(&detail);
    } else {
        print_detail(&detail);
    }
    // The Linux Standard Base's exit codes of `status`.
    let up = matches!(
        detail.service.state,
        State::Running | State::Starting | State::Pausing | State::Paused | State::Continuing
    );
    Ok(if up { Exit::Done } else { Exit::NotRunning })
}

/// What was left, in words, a sentence for each guard that is gone.
fn told<'a>(left: impl Iterator<Item = &'a Left>) -> impl Iterator<Item = String> {
    let guards: BTreeSet<&str> = left.map(|left| left.guard.as_str()).collect();
    guards.into_iter().filter_map(told_left)
}

/// What no guard has may run without one.
fn or_left(guards: &Guards, name: &str, failure: Failure) -> Failure {
    if failure.code() != Exit::NoSuchService {
        return failure;
    }
    let is_it = |left: &&Left| left.name == name || format!("{}/{}", left.guard, left.name) == name;
    let left = guards.left().unwrap_or_default();
    told(left.iter().filter(is_it)).fold(failure, Failure::also_help)
}

fn print_detail(detail: &ServiceDetail) {
    let service = &detail.service;
    let title = service.description.as_ref().map(|text| format!(" – {text}")).unwrap_or_default();
    output::line(format_args!(
        "{}{}",
        bold(format_args!("{}/{}", service.instance, service.name)),
        output::printable(&title)
    ));
    let state = styled(state_word(service), state_style(service.state).bold());
    output::line(format_args!("  state     {state} since {} ({} ago)", local(service.since), ago(service.since)));
    field("why", &service.reason);
    for trouble in &detail.troubles {
        output::line(format_args!("  {}   {}", trouble_word(), output::printable(&trouble.text)));
    }
    if let Some(at) = service.next_start {
        field("next", &format!("in {} ({})", until(at), local(at)));
    }
    if let Some(failure) = service.last_failure.as_ref().filter(|failure| !service.reason.contains(failure.as_str())) {
        field("last fail", failure);
    }
    field("wanted", &format!("{}, start {}, type {}", wanted(service.wanted), detail.start, detail.kind));
    print_process(detail);
    print_probes(detail);
    for dependency in &detail.depends_on {
        let holds = if dependency.holds {
            styled("holds", AnsiColor::Green.on_default())
        } else {
            styled("does not hold", AnsiColor::Red.on_default())
        };
        output::line(format_args!("  needs     {} {}: {holds}", dependency.name, dependency.condition));
    }
    if !detail.history.is_empty() {
        output::line(format_args!("\n{}", bold("What happened last")));
        for event in &detail.history {
            output::line(format_args!("  {} {}", dim(local(event.time)), sentence(event)));
        }
    }
    print_log(detail);
}

fn field(name: &str, text: &str) {
    output::line(format_args!("  {name:<9} {}", output::printable(text)));
}

fn print_process(detail: &ServiceDetail) {
    let service = &detail.service;
    if let Some(pid) = service.pid {
        let usage = detail.usage.map(|usage| {
            let memory = usage.memory_bytes / (1 << 20);
            let (tasks, files) = (counted(usage.tasks, "task", "tasks"), counted(usage.files, "file", "files"));
            format!(", {memory} MiB, {:.1} s CPU, {tasks}, {files}", usage.cpu_seconds)
        });
        field("process", &format!("{pid}{}", usage.unwrap_or_default()));
    }
    if let Some(pid) = service.fallback_pid {
        field("fallback", &format!("process {pid}"));
    }
    if service.outdated {
        field("outdated", "it runs as it was defined earlier; `menshen reload` starts all such services anew");
    }
    field("command", &detail.command.join(" "));
    field("directory", &detail.directory);
    if let Some(user) = &detail.user {
        field("user", user);
    }
    field("restarts", &format!("{}, of which {} are not forgotten yet", service.restarts_total, service.restarts));
    if service.breaker.state != BreakerState::Closed {
        let word = if service.breaker.state == BreakerState::Open { "open" } else { "half-open" };
        let times = counted(service.breaker.trips, "time", "times in a row");
        field("breaker", &format!("{word}, opened {times}"));
    }
    if let Some(exit) = &service.last_exit {
        field("last exit", exit);
    }
    if let Some(text) = &service.status_text {
        field("says", text);
    }
}

fn print_probes(detail: &ServiceDetail) {
    for probe in &detail.probes {
        let result = match &probe.last_error {
            Some(error) => {
                let times = counted(probe.failures, "time", "times");
                styled(format!("failed {times}: {}", output::printable(error)), AnsiColor::Red.on_default())
            }
            None if passes(&detail.service, probe) => styled("ok", AnsiColor::Green.on_default()),
            None => dim("no answer yet"),
        };
        output::line(format_args!("  {:<9} {}: {result}", probe.kind, output::printable(&probe.check)));
    }
}

/// Whether a probe is known to succeed. One that only listens, for a notification or a line, counts no successes.
fn passes(service: &Service, probe: &Probe) -> bool {
    let heard = match probe.kind.as_str() {
        "readiness" => service.ready,
        "liveness" => service.healthy == Some(true),
        _ => service.state == State::Running,
    };
    service.pid.is_some() && (heard || probe.successes > 0)
}

fn print_log(detail: &ServiceDetail) {
    output::line(format_args!("\n{} {}", bold("Last lines of its log"), dim(&detail.log_folder)));
    if detail.log.is_empty() {
        output::line(dim("  (it has written nothing)"));
    }
    for line in &detail.log {
        output::line(format_args!("  {}", log_line(line)));
    }
}

fn log_line(line: &LogLine) -> String {
    let time = line.time.map(|time| format!("{} ", dim(local(time)))).unwrap_or_default();
    let text = output::printable(&line.text);
    match line.stream {
        menshen_api::types::Stream::Stdout => format!("{time}{text}"),
        menshen_api::types::Stream::Stderr => format!("{time}{}", styled(text, AnsiColor::Red.on_default())),
    }
}

const fn wanted(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Up => "up",
        Wanted::Down => "down",
        Wanted::Paused => "paused",
    }
}

/// A time in the reader's own zone.
pub(super) fn local(time: Time) -> String {
    let zoned = time.timestamp().to_zoned(jiff::tz::TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// How long ago.
fn ago(time: Time) -> String {
    rough(Timestamp::now().as_millisecond().saturating_sub(time.as_ms()))
}

/// How long until.
fn until(time: Time) -> String {
    rough(time.as_ms().saturating_sub(Timestamp::now().as_millisecond()))
}

/// A stretch of time in its two largest units.
fn rough(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overview_is_of_all_guards_and_word_for_word() {
        let lines = |services: &[&str]| services.join(",\n");
        let (shop, none) = (lines(&[r#"{"name":"web","new":1}"#, r#"{"name":"db"}"#]), String::new());
        let rest = Rest {
            troubles: &[RawValue::from_string(r#"{"text":"full"}"#.to_owned()).unwrap()],
            native: &[],
            left: &[],
        };
        let all = overview(&[none.clone(), shop, none.clone(), lines(&[r#"{"name":"mail"}"#])], &rest);
        assert_eq!(
            all,
            r#"{
  "services": [
    {"name":"web","new":1},
    {"name":"db"},
    {"name":"mail"}
  ],
  "troubles": [
    {"text":"full"}
  ],
  "native": [],
  "left": []
}
"#
        );
        let nothing = overview(&[none], &Rest { troubles: &[], native: &[], left: &[] });
        assert_eq!(nothing, "{\n  \"services\": [],\n  \"troubles\": [],\n  \"native\": [],\n  \"left\": []\n}\n");
    }

    #[test]
    fn a_stretch_of_time_is_told_in_its_two_largest_units() {
        for (seconds, expected) in
            [(-5, "0s"), (0, "0s"), (59, "59s"), (61, "1m01s"), (3600, "1h00m"), (90_061, "1d1h")]
        {
            assert_eq!(rough(seconds * 1000), expected);
        }
    }
}
