//! The only place that prints.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use menshen_api::types::State;
use serde::Serialize;

use crate::args::{Arguments, Color};
use crate::failure::Failure;

/// Decides about colour for the whole command.
pub(crate) fn set_color(color: Color) {
    match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Whether what is printed is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    Colors,
    None,
}

/// How what is printed will be coloured.
pub(crate) fn palette() -> Palette {
    let choice = match anstream::ColorChoice::global() {
        anstream::ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()),
        chosen @ (anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi | anstream::ColorChoice::Never) => {
            chosen
        }
    };
    if choice == anstream::ColorChoice::Never { Palette::None } else { Palette::Colors }
}

/// Whether somebody watches.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether somebody watches what is not the result.
pub(crate) fn is_error_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A line of the result. When nobody reads any more (`menshen logs | head`), the command ends quietly.
pub(crate) fn line(text: impl std::fmt::Display) {
    ended_if_broken(&writeln!(anstream::stdout().lock(), "{text}"));
}

/// Lines of the result, in one go: a write for each would take longer than to make them.
pub(crate) fn lines(lines: &[String]) {
    let mut text = lines.join("\n");
    if lines.is_empty() {
        return;
    }
    text.push('\n');
    if palette() == Palette::None {
        text = anstream::adapter::strip_str(&text).to_string();
    }
    ended_if_broken(&anstream::stdout().lock().write_all(text.as_bytes()));
}

/// A line for whoever reads along, of a command that has more to do than to print. Nobody to tell, or no room to write it
/// down, is no reason to end.
pub(crate) fn tell(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

/// The same as JSON in one line.
pub(crate) fn tell_json(value: &impl Serialize) {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&text).and_then(|()| stdout.flush());
}

/// A part of the result as it is.
pub(crate) fn raw(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    ended_if_broken(&stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// A value as JSON, on one line for each call.
pub(crate) fn json(value: &impl Serialize) {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    raw(&text);
}

/// A value as JSON in one line.
pub(crate) fn json_line(value: &impl Serialize) {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    raw(&text);
}

/// Something to know besides the result.
pub(crate) fn note(text: impl std::fmt::Display) {
    let line = format!("{text}\n");
    // In one go, for stderr has no buffer. Nobody to tell is nobody to tell.
    let _ = anstream::stderr().lock().write_all(line.as_bytes());
}

/// What cannot be known, and keeps nobody from the rest.
pub(crate) fn pass_over(failure: &Failure) {
    note(format_args!("passed over: {}", failure.message));
}

/// Why the command did not do what it was asked.
pub(crate) fn show_failure(arguments: &Arguments, failure: &Failure) {
    if arguments.json && !failure.message.is_empty() {
        note(failure_as_json(failure));
        return;
    }
    if !failure.message.is_empty() {
        note(format_args!("{} {}", styled("error:", AnsiColor::Red.on_default().bold()), failure.message));
    }
    if let Some(help) = &failure.help {
        note(format_args!("  {} {help}", styled("help:", AnsiColor::Cyan.on_default())));
    }
}

/// A failure for programs: where a guard refuses, with its problem's fields.
fn failure_as_json(failure: &Failure) -> serde_json::Value {
    let mut json = serde_json::to_value(&failure.problem).unwrap_or_default();
    json["error"] = failure.message.as_str().into();
    json["help"] = failure.help.as_deref().into();
    json
}

/// A text in a style.
pub(crate) fn styled(text: impl std::fmt::Display, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// The colour of a state: green is well, yellow is on its way, red wants somebody.
pub(crate) fn state_style(state: State) -> Style {
    match state {
        State::Running => AnsiColor::Green.on_default(),
        State::Completed => AnsiColor::Green.on_default().dimmed(),
        State::Waiting | State::Starting | State::Stopping | State::Continuing | State::Pausing => {
            AnsiColor::Yellow.on_default()
        }
        State::Paused => AnsiColor::Blue.on_default(),
        State::Backoff | State::Tripped | State::Failed => AnsiColor::Red.on_default(),
        State::Stopped => Style::new().dimmed(),
    }
}

/// What is less important.
pub(crate) fn dim(text: impl std::fmt::Display) -> String {
    styled(text, Style::new().dimmed())
}

pub(crate) fn bold(text: impl std::fmt::Display) -> String {
    styled(text, Style::new().bold())
}

/// Text of others without what could do things to a terminal.
pub(crate) fn printable(text: &str) -> String {
    // Programs for Windows end their lines with it.
    let text = text.strip_suffix('\r').unwrap_or(text);
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[expect(clippy::exit, reason = "a pipe nobody reads ends a command in the middle of its work, as SIGPIPE would")]
fn ended_if_broken(written: &io::Result<()>) {
    if written.is_err() {
        std::process::exit(0);
    }
}

#[cfg(test)]
mod tests {
    use menshen_api::{ClientError, Problem, ProblemCode};

    use super::*;
    use crate::failure::Exit;

    #[test]
    fn every_failure_has_the_same_fields_for_programs() {
        let own = failure_as_json(&Failure::new(Exit::Failed, "it failed"));
        assert_eq!(own, serde_json::json!({ "error": "it failed", "help": null }));
        let problem = Problem::new(ProblemCode::Disabled, "off: it is disabled");
        let refused = Failure::from(ClientError::Problem(problem.clone())).help("enable it");
        let mut expected = serde_json::to_value(problem).unwrap();
        expected["error"] = "off: it is disabled".into();
        expected["help"] = "enable it".into();
        assert_eq!(failure_as_json(&refused), expected);
        assert_eq!(expected["code"], "disabled");
    }
}
