//! Where a program's output goes.

use crate::definition::AlsoLog;
use crate::size::Size;

use super::super::settings::Setting;
use super::super::{Note, values};
use super::program::Process;

pub(super) fn translate(process: &mut Process<'_, '_>) {
    if let Some(setting) = process.settings.take("redirect_stderr")
        && values::boolean(&setting.value) == Some(true)
    {
        let message = "stderr went into the file of stdout; here each has a file of its own";
        process.note(
            Note::changed(&setting, message)
                .help("log.format = \"text\" puts both into one, with the time of each line"),
        );
    }
    for stream in ["stdout", "stderr"] {
        let target = translate_file(process, stream);
        translate_rotation(process, stream, target);
        translate_journal(process, stream);
        if let Some(setting) = process.settings.take(&format!("{stream}_events_enabled"))
            && values::boolean(&setting.value) == Some(true)
        {
            process.note(Note::lost(&setting, "tells event listeners of each line; a guard has none"));
        }
    }
}

/// What a program's output is written to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A file, which has a size.
    File,
    /// supervisord's own output, which has none.
    OwnOutput,
}

fn translate_file(process: &mut Process<'_, '_>, stream: &str) -> Target {
    let Some(setting) = process.settings.take(&format!("{stream}_logfile")) else { return Target::File };
    let value = setting.value.trim();
    if ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2"].contains(&value) {
        if !process.draft.service.log.also.contains(&AlsoLog::Stdout) {
            process.draft.service.log.also.push(AlsoLog::Stdout);
        }
        return Target::OwnOutput;
    }
    match value.to_ascii_uppercase().as_str() {
        "AUTO" | "" => {}
        "NONE" | "/DEV/NULL" => {
            process.note(Note::changed(&setting, "output is kept in files by the guard; it cannot be thrown away"));
        }
        "SYSLOG" => to_journal(process, &setting),
        _ => {
            let message = format!("output is kept in files by the guard, not in {value}; `menshen logs` shows it");
            process.note(Note::changed(&setting, message));
        }
    }
    Target::File
}

fn translate_rotation(process: &mut Process<'_, '_>, stream: &str, target: Target) {
    let size = process.settings.take(&format!("{stream}_logfile_maxbytes"));
    let backups = process.settings.take(&format!("{stream}_logfile_backups"));
    if target == Target::OwnOutput {
        return;
    }
    if let Some(setting) = size {
        match values::size(&setting.value) {
            Some(size) => keep_larger_size(process, size),
            None => process.note(Note::lost(&setting, "this is not a size")),
        }
    }
    let Some(setting) = backups else { return };
    match setting.value.parse::<u32>() {
        Ok(0) => process.note(Note::changed(&setting, "no closed file was kept; here the last 8 are")),
        Ok(count) => {
            let rotate = &mut process.draft.service.log.rotate;
            let said = rotate.keep != crate::definition::Rotate::default().keep;
            rotate.keep = if said { rotate.keep.max(count) } else { count };
        }
        Err(_) => process.note(Note::lost(&setting, "this is not a number of files")),
    }
}

/// Both streams have one size; the larger one loses nothing.
fn keep_larger_size(process: &mut Process<'_, '_>, size: Size) {
    let rotate = &mut process.draft.service.log.rotate;
    let said = rotate.size != crate::definition::Rotate::default().size;
    // 0 is without an end.
    let endless = size.0 == 0 || (said && rotate.size.0 == 0);
    rotate.size = if endless {
        Size(0)
    } else if said {
        rotate.size.max(size)
    } else {
        size
    };
}

fn translate_journal(process: &mut Process<'_, '_>, stream: &str) {
    if let Some(setting) = process.settings.take(&format!("{stream}_syslog"))
        && values::boolean(&setting.value) == Some(true)
    {
        to_journal(process, &setting);
    }
}

fn to_journal(process: &mut Process<'_, '_>, setting: &Setting) {
    if !process.drafts.facts.has_log(AlsoLog::Journald) {
        return process.note(Note::lost(setting, "this machine has no journal; output is kept in files by the guard"));
    }
    if !process.draft.service.log.also.contains(&AlsoLog::Journald) {
        process.draft.service.log.also.push(AlsoLog::Journald);
    }
    process.note(Note::changed(setting, "output goes to the journal, which hands it to a syslog that reads it"));
}
