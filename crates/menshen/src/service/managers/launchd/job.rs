//! The property list of a job. A comment at its beginning says who made it; others have what launchd has no key for.

use std::path::Path;

use plist::{Dictionary, Value};

use super::super::shell::{directory, program, text, whole_seconds, with_environment, without};
use crate::service::plan::MARK;
use crate::service::registration::{Account, Children, Listen, Registration, Reload, RestartPolicy, Socket, StartType};

/// A comment of ours: the signal that has the program read its configuration again.
const RELOAD: &str = "reload by ";

/// All of it; what the job writes goes into a file.
pub(super) fn job(registration: &Registration, log: &Path) -> String {
    let mut comments = vec![format!("{MARK} {}", registration.name)];
    comments.extend([&registration.display_name, &registration.description].into_iter().flatten().cloned());
    if let Some(Reload::Signal(name)) = &registration.reload {
        comments.push(format!("{RELOAD}{name}"));
    }
    let mut written = Vec::new();
    // Nothing that is not XML is in it, and writing into memory cannot fail.
    let _ = Value::Dictionary(keys(registration, log)).to_writer_xml(&mut written);
    let written = String::from_utf8_lossy(&written).into_owned();
    let (head, rest) = written.split_once("<plist").unwrap_or(("", &written));
    let comments: String = comments.iter().map(|text| format!("<!-- {} -->\n", comment(text))).collect();
    format!("{head}{comments}<plist{rest}\n")
}

/// The signal that has a job's program read its configuration again.
pub(super) fn reload_signal(file: &str) -> Option<&str> {
    file.lines().find_map(|line| line.strip_prefix("<!-- ")?.strip_prefix(RELOAD)?.strip_suffix(" -->"))
}

/// Whether a job is started when it is loaded.
pub(super) fn runs_at_load(file: &str) -> bool {
    is_set(file, "RunAtLoad")
}

/// Whether a job is started again.
pub(super) fn is_kept_alive(file: &str) -> bool {
    is_set(file, "KeepAlive")
}

fn is_set(file: &str, key: &str) -> bool {
    let value = Value::from_reader_xml(file.as_bytes()).ok().and_then(|value| value.into_dictionary()?.remove(key));
    value.is_some_and(|value| value.as_boolean() != Some(false))
}

/// Two dashes end a comment, and it has no characters that XML has not.
fn comment(text: &str) -> String {
    text.replace('-', "\u{2010}").replace(is_impossible, " ")
}

/// What XML cannot have, or does not give back as it was.
pub(super) fn is_impossible(character: char) -> bool {
    let is_control = character < ' ' && character != '\t' && character != '\n';
    is_control || matches!(character, '\u{fffe}' | '\u{ffff}')
}

fn keys(registration: &Registration, log: &Path) -> Dictionary {
    let mut keys = Dictionary::new();
    let mut set = |key: &str, value: Value| drop(keys.insert(key.to_owned(), value));
    set("Label", registration.name.as_str().into());
    let words = program(registration);
    // A shell, where one has to put words together, would keep some variables to itself.
    let is_plain = words.iter().chain(registration.environment.values()).all(|text| !text.contains(is_impossible));
    let words = if is_plain {
        let variables =
            registration.environment.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let variables: Dictionary = variables.collect();
        if !variables.is_empty() {
            set("EnvironmentVariables", variables.into());
        }
        words
    } else {
        with_environment(registration, &words)
    };
    let mut words = without(&words, is_impossible);
    if let Some(program) = words.first_mut().filter(|program| *program == "env") {
        ENV.clone_into(program);
    }
    set("ProgramArguments", Value::Array(words.into_iter().map(Value::from).collect()));
    set("WorkingDirectory", directory(registration).into());
    for key in ["StandardOutPath", "StandardErrorPath"] {
        set(key, text(log).into());
    }
    if let Account::User { name, group, password: _ } = &registration.account {
        set("UserName", name.as_str().into());
        if let Some(group) = group {
            set("GroupName", group.as_str().into());
        }
    }
    set("RunAtLoad", matches!(registration.start, StartType::Auto | StartType::Delayed | StartType::Disabled).into());
    match registration.restart.policy {
        RestartPolicy::Always => set("KeepAlive", true.into()),
        RestartPolicy::OnFailure => {
            let unless = [("SuccessfulExit".to_owned(), Value::from(false))];
            set("KeepAlive", unless.into_iter().collect::<Dictionary>().into());
        }
        RestartPolicy::Never => {}
    }
    if registration.restart.policy != RestartPolicy::Never {
        set("ThrottleInterval", whole_seconds(registration.restart.delay).into());
    }
    if let Some(timeout) = registration.stop_timeout {
        set("ExitTimeOut", whole_seconds(timeout).into());
    }
    if registration.children == Children::Kept {
        set("AbandonProcessGroup", true.into());
    }
    if let Some(files) = registration.open_files {
        for key in ["SoftResourceLimits", "HardResourceLimits"] {
            set(key, [("NumberOfFiles".to_owned(), Value::from(files))].into_iter().collect::<Dictionary>().into());
        }
    }
    if !registration.sockets.is_empty() {
        set("Sockets", registration.sockets.iter().map(socket).collect::<Dictionary>().into());
    }
    keys
}

const ENV: &str = "/usr/bin/env";

fn socket(socket: &Socket) -> (String, Value) {
    let network = |address: &std::net::SocketAddr, kind: &str| {
        vec![
            ("SockNodeName", Value::from(address.ip().to_string())),
            ("SockServiceName", address.port().to_string().into()),
            ("SockType", kind.into()),
        ]
    };
    let keys = match &socket.listen {
        Listen::Tcp(address) => network(address, "stream"),
        Listen::Udp(address) => network(address, "dgram"),
        Listen::Local(path) => vec![("SockPathName", Value::from(text(Path::new(path))))],
    };
    let keys: Dictionary = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    (socket.name.clone(), keys.into())
}
