//! A program that does what it is told, to be guarded in tests where no other programs are: `puppet WORD [ARGUMENT…]`.

#[cfg(unix)]
#[path = "puppet/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "puppet/windows.rs"]
mod platform;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use menshen_os::event::Ask;
use menshen_os::{OsEvent, System, SystemConfig, TreeMode};

/// How often something is written that shows that it runs.
const TICK: Duration = Duration::from_millis(20);

fn main() -> io::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // Runs until it is ended.
        ["wait"] => {
            say("ready")?;
            sleep()
        }
        // The same, once it has said every word it was given after this one.
        ["words", ref words @ ..] => {
            words.iter().try_for_each(|word| say(&format!("<{word}>")))?;
            sleep()
        }
        // And cannot be asked to: it hears nothing, and has left the console where it would be asked.
        ["stubborn"] => {
            menshen_os::system::hold_signals();
            menshen_os::system::leave_terminal();
            say("ready")?;
            sleep()
        }
        // Ends when it is asked to, and says so.
        ["polite"] => polite(),
        // Has a child that has a child; none can be asked to end but itself.
        ["tree"] => {
            child(&["twig"])?;
            say("ready")?;
            sleep()
        }
        ["twig"] => {
            child(&["stubborn"])?;
            menshen_os::system::hold_signals();
            menshen_os::system::leave_terminal();
            sleep()
        }
        // Ends at once.
        ["exit", code] => {
            say("going")?;
            std::thread::sleep(TICK);
            Ok(ExitCode::from(code.parse::<u8>().map_err(io::Error::other)?))
        }
        // Writes numbered lines of this length, as fast as they are taken, and runs on.
        ["count", lines, length] => {
            count(lines.parse().map_err(io::Error::other)?, length.parse().map_err(io::Error::other)?)?;
            sleep()
        }
        // The same, with a pause after each; then ends.
        ["drip", lines, length] => {
            drip(lines.parse().map_err(io::Error::other)?, length.parse().map_err(io::Error::other)?)?;
            Ok(ExitCode::from(7))
        }
        // The same, but it does not end before there is this file.
        ["drip", lines, length, file] => {
            drip(lines.parse().map_err(io::Error::other)?, length.parse().map_err(io::Error::other)?)?;
            while !std::path::Path::new(file).exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(ExitCode::from(7))
        }
        // Adds to a file again and again.
        ["tick", file] => tick(&PathBuf::from(file)),
        // Says what it was given.
        ["echo", ref given @ ..] => {
            given.iter().try_for_each(|word| say(&format!("[{word}]")))?;
            sleep()
        }
        // Has this much memory (MiB).
        ["hold", mebibytes] => hold(mebibytes.parse().map_err(io::Error::other)?),
        // Says how many bytes it could read, and runs on.
        ["read"] => {
            let bytes = io::copy(&mut io::stdin(), &mut io::sink())?;
            say(&format!("{bytes} bytes, and the end"))?;
            sleep()
        }
        _ => platform::act(&words).unwrap_or(Ok(ExitCode::from(2))),
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn sleep() -> ! {
    loop {
        std::thread::park();
    }
}

fn child(words: &[&str]) -> io::Result<()> {
    Command::new(std::env::current_exe()?).args(words).stdin(Stdio::null()).spawn().map(drop)
}

fn polite() -> io::Result<ExitCode> {
    let run_folder = std::env::temp_dir();
    let name = || "puppet".to_owned();
    let mut system = System::new(&SystemConfig { instance: name(), mark: name(), run_folder, trees: TreeMode::Auto })?;
    say("ready")?;
    let mut events = Vec::new();
    loop {
        system.wait(None, &mut events)?;
        if events.drain(..).any(|event| matches!(event, OsEvent::Asked(Ask::Terminate))) {
            say("asked to end")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// `0000001 xxxx…`, of this length with its end.
fn line(number: u64, length: usize) -> String {
    let mut line = format!("{number:07} ");
    line.extend(std::iter::repeat_n('x', length.saturating_sub(line.len() + 1)));
    line.push('\n');
    line
}

fn count(lines: u64, length: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    (1..=lines).try_for_each(|number| out.write_all(line(number, length).as_bytes()))?;
    out.flush()
}

fn drip(lines: u64, length: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    (1..=lines).try_for_each(|number| {
        out.write_all(line(number, length).as_bytes())?;
        std::thread::sleep(Duration::from_millis(1));
        out.flush()
    })
}

fn hold(mebibytes: usize) -> io::Result<ExitCode> {
    let memory = vec![1_u8; mebibytes << 20];
    say(&format!("held {} bytes", std::hint::black_box(&memory).len()))?;
    sleep()
}

fn tick(file: &PathBuf) -> io::Result<ExitCode> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    say("ready")?;
    loop {
        file.write_all(b".")?;
        std::thread::sleep(TICK);
    }
}
