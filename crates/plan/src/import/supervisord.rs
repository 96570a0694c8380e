//! `supervisord.conf`.
//!
//! [`ini`] reads the syntax, [`expand`] its `%(name)s`, [`program`] translates `[program:NAME]`; what other sections mean is
//! here.

mod expand;
mod ini;
mod output;
mod program;

use crate::source::Source;

use super::draft::Drafts;
use super::settings::Settings;
use super::{Note, NoteKind, Place};
use ini::Section;

/// What `[supervisord]` says of every program.
#[derive(Debug, Clone, Default)]
struct Common {
    settings: Settings,
}

/// Keys of `[supervisord]` that are about supervisord itself.
const OF_SUPERVISORD: [&str; 14] = [
    "logfile",
    "logfile_maxbytes",
    "logfile_backups",
    "loglevel",
    "pidfile",
    "nodaemon",
    "silent",
    "minprocs",
    "nocleanup",
    "childlogdir",
    "identifier",
    "strip_ansi",
    "supervisorctl",
    "minfds",
];

/// Reads the files together: one of them may be what another includes.
pub(crate) fn read(sources: &[Source], drafts: &mut Drafts<'_>) {
    let mut sections: Vec<Section> = Vec::new();
    for source in sources {
        for section in ini::sections(source, drafts) {
            // Of two sections of one name, the second adds to the first.
            match sections.iter_mut().find(|known| known.name == section.name) {
                Some(known) => known.settings.extend(section.settings),
                None => sections.push(section),
            }
        }
    }
    let mut common = Common::default();
    if let Some(place) = sections.iter().position(|section| section.name == "supervisord") {
        common = common_of(sections.remove(place), drafts);
    }
    let programs: Vec<(i64, Vec<super::draft::Draft>)> =
        sections.into_iter().filter_map(|section| read_section(section, &common, drafts)).collect();
    let mut programs = programs;
    programs.sort_by_key(|(priority, _)| *priority);
    drafts.services.extend(programs.into_iter().flat_map(|(_, services)| services));
}

fn common_of(section: Section, drafts: &mut Drafts<'_>) -> Common {
    let mut common = Common::default();
    for setting in section.settings.rest() {
        match setting.key.as_str() {
            "environment" | "user" | "directory" | "umask" => common.settings.push(setting),
            known if OF_SUPERVISORD.contains(&known) => {}
            _ => drafts.note(Note::lost(&setting, "has no equivalent")),
        }
    }
    common
}

fn read_section(section: Section, common: &Common, drafts: &mut Drafts<'_>) -> Option<(i64, Vec<super::draft::Draft>)> {
    let (kind, name) = section.name.split_once(':').unwrap_or((&section.name, ""));
    let note = |message: &str, help: &str| {
        let note = Note::new(NoteKind::Lost, &section.place, format!("[{}]", section.name), message);
        Some(if help.is_empty() { note } else { note.help(help) })
    };
    let note = match kind {
        "program" => {
            let name = name.trim().to_owned();
            return Some(program::translate(&name, section, common, drafts));
        }
        "group" => return note_group(section, drafts),
        "include" => {
            let files = section.settings.peek("files").unwrap_or_default().to_owned();
            note(
                &format!("{files} are not read by themselves"),
                &format!("name them, too: menshen import supervisord.conf {files}"),
            )
        }
        "eventlistener" => note("hears of events over its stdin", "an [alert.NAME] with exec is told of what happens"),
        "fcgi-program" => note(
            "shares a FastCGI socket that supervisord opens; a guard opens none",
            "have the program open the socket, or a spawn-fcgi in its command",
        ),
        "inet_http_server" => note(
            "a control server on TCP; a guard listens on a local socket only, and the kernel says who calls",
            "guard.access says who may do what",
        ),
        "unix_http_server" | "supervisorctl" => None,
        "rpcinterface" if name == "supervisor" => None,
        "rpcinterface" => note("a plugin of supervisord", ""),
        _ => note("a section of nobody that is known", ""),
    };
    note.into_iter().for_each(|note| drafts.note(note));
    None
}

fn note_group(mut section: Section, drafts: &mut Drafts<'_>) -> Option<(i64, Vec<super::draft::Draft>)> {
    let programs = section.settings.take("programs").map(|setting| setting.value).unwrap_or_default();
    let message = format!("a guard has no groups: {programs} are services of their own");
    let note = Note::new(NoteKind::Lost, &section.place, format!("[{}]", section.name), message);
    drafts.note(note.help(format!("menshen restart {}", programs.replace(',', " "))));
    for setting in section.settings.rest() {
        drafts.note(Note::lost(&setting, "says when the group starts; here services start in the order of depends_on"));
    }
    None
}

/// The place of a source as a whole.
fn place_of(source: &Source) -> Place {
    Place::whole(&source.name)
}
