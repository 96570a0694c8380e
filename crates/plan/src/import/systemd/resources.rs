//! Limits, output and descriptors.

use crate::definition::{AlsoLog, OnOom};

use super::super::Note;
use super::super::draft::Draft;
use super::super::settings::Setting;
use super::super::values;
use super::Subject;

pub(super) fn translate(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    translate_memory(subject, draft);
    if let Some(setting) = subject.unit.take("Service", "CPUQuota") {
        let percent = setting.value.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent {
            Some(percent) => draft.service.limits.cpu = Some(percent / 100.0),
            None => subject.note(Note::lost(&setting, "this is not a percentage")),
        }
    }
    if let Some(setting) = subject.unit.take("Service", "TasksMax").filter(|setting| setting.value != "infinity") {
        match setting.value.parse() {
            Ok(tasks) => draft.service.limits.tasks = Some(tasks),
            Err(_) => subject.note(no_share(&setting, "limits.tasks = 512")),
        }
    }
    if let Some(setting) = subject.unit.take("Service", "LimitNOFILE") {
        translate_files(subject, draft, &setting);
    }
    if let Some(setting) = subject.unit.take("Service", "FileDescriptorStoreMax") {
        match setting.value.parse() {
            Ok(count) => draft.service.fd_store = count,
            Err(_) => subject.note(Note::lost(&setting, "this is not a number of descriptors")),
        }
    }
    for key in ["StandardOutput", "StandardError"] {
        if let Some(setting) = subject.unit.take("Service", key) {
            translate_output(subject, draft, &setting);
        }
    }
}

fn no_share(setting: &Setting, example: &str) -> Note {
    let message = format!("{} is no plain number; a limit here is one", setting.value);
    Note::lost(setting, message).help(format!("write {example}"))
}

fn translate_memory(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let old = subject.unit.take("Service", "MemoryLimit");
    let new = subject.unit.take("Service", "MemoryMax");
    if let Some(setting) = new.or(old).filter(|setting| setting.value != "infinity") {
        match values::size(&setting.value) {
            Some(size) => draft.service.limits.memory = Some(size),
            None => subject.note(no_share(&setting, "limits.memory = \"512MiB\"")),
        }
    }
    let Some(setting) = subject.unit.take("Service", "OOMPolicy") else { return };
    match setting.value.as_str() {
        "stop" | "kill" => draft.service.limits.oom = OnOom::Restart,
        "continue" => {
            let message = "the rest of the service ran on when the kernel killed one process of it; here the service is \
                           started again if its main process is gone";
            subject.note(Note::changed(&setting, message));
        }
        _ => subject.note(Note::lost(&setting, "there is no such policy")),
    }
}

/// The limit counts when it is hit; the one it may be raised to is the guard's own.
fn translate_files(subject: &mut Subject<'_, '_>, draft: &mut Draft, setting: &Setting) {
    let (soft, hard) = setting.value.split_once(':').unwrap_or((&setting.value, &setting.value));
    match soft.trim() {
        "infinity" => {
            draft.service.limits.files = Some(1 << 20);
            subject.note(Note::changed(setting, "a limit of files is a number: 1048576 is taken"));
        }
        number => match number.parse() {
            Ok(files) => draft.service.limits.files = Some(files),
            Err(_) => return subject.note(Note::lost(setting, "this is not a number of files")),
        },
    }
    if hard != soft {
        let message = format!("the limit is {soft}; that the program may raise it to {hard} cannot be said");
        subject.note(Note::changed(setting, message));
    }
}

fn translate_output(subject: &mut Subject<'_, '_>, draft: &mut Draft, setting: &Setting) {
    let (kind, path) = setting.value.split_once(':').unwrap_or((&setting.value, ""));
    let message = match kind {
        "inherit" => return,
        "journal" | "journal+console" if subject.drafts.facts.has_log(AlsoLog::Journald) => {
            if !draft.service.log.also.contains(&AlsoLog::Journald) {
                draft.service.log.also.push(AlsoLog::Journald);
            }
            return;
        }
        "journal" | "journal+console" => "this machine has no journal; output is kept in files by the guard".to_owned(),
        "null" => "output is kept in files by the guard; it cannot be thrown away".to_owned(),
        "file" | "append" | "truncate" => {
            format!("output is kept in files by the guard, not in {path}; `menshen logs` shows it")
        }
        other => format!("'{other}': output is kept in files by the guard"),
    };
    subject.note(Note::changed(setting, message));
}
