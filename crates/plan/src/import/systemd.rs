//! systemd units.
//!
//! [`unit`] reads the syntax, [`specifier`] and [`exec`] what command lines and values are made of, [`service`] translates
//! what a service is, [`hooks`] what runs before, after and at the end of it, [`dependencies`] what it waits for, and
//! [`leftover`] says of everything else why it stays behind.

mod dependencies;
mod environment;
mod exec;
mod hooks;
mod leftover;
mod resources;
mod service;
mod specifier;
mod timing;
mod unit;

use std::time::Duration;

use crate::source::Source;

use super::draft::{Draft, Drafts};
use super::settings::Setting;
use super::{Note, NoteKind, Place};
use exec::{Exec, Variables};
use specifier::Specifiers;
use unit::Unit;

/// What the translation of one unit is about.
struct Subject<'a, 'f> {
    unit: Unit,
    specifiers: Specifiers,
    drafts: &'a mut Drafts<'f>,
    /// What its commands may ask for.
    variables: Variables,
    /// Commands of `ExecStart=` before the last one.
    before_main: Vec<(Setting, Exec)>,
    /// How long what runs before the service may take.
    start_timeout: Option<Duration>,
    /// Where notes of this unit begin.
    notes_from: usize,
}

impl Subject<'_, '_> {
    fn note(&mut self, note: Note) {
        self.drafts.note(note);
    }

    /// Says of every note since the unit was begun that it is about this service.
    fn tag(&mut self, id: &str) {
        for note in &mut self.drafts.notes[self.notes_from..] {
            note.service.get_or_insert_with(|| id.to_owned());
        }
    }
}

/// Reads units and their drop-ins.
pub(crate) fn read(sources: &[Source], drafts: &mut Drafts<'_>) {
    let units = unit::units(sources, drafts);
    for unit in units {
        read_unit(unit, drafts);
    }
    dependencies::turn_around(drafts);
}

fn read_unit(unit: Unit, drafts: &mut Drafts<'_>) {
    let Some(stem) = unit.name.strip_suffix(".service").map(str::to_owned) else {
        let what = unit.name.rsplit_once('.').map_or("file", |(_, suffix)| suffix).to_owned();
        let message = format!("a {what} unit: a guard looks after services");
        let note = Note::new(NoteKind::Lost, &unit.place, &unit.name, message);
        return drafts.note(note.help("keep it in systemd, or see to it in another way"));
    };
    let notes_from = drafts.notes.len();
    let mut unit = unit;
    let specifiers = Specifiers::of(&mut unit);
    let mut draft = Draft::new(&unit.name, name_of(&stem, &specifiers), unit.place.clone());
    let mut subject = Subject {
        unit,
        specifiers,
        drafts,
        variables: Variables::default(),
        before_main: Vec::new(),
        start_timeout: None,
        notes_from,
    };
    service::translate(&mut subject, &mut draft);
    dependencies::translate(&mut subject, &mut draft);
    let id = draft.id.clone();
    let mut around = hooks::translate(&mut subject, &mut draft);
    // What runs before a service runs when that does, and not because the guard has begun.
    for hook in &mut around.before {
        hook.service.start = draft.service.start;
    }
    leftover::note(&mut subject);
    subject.tag(&id);
    subject.drafts.services.extend(around.before);
    subject.drafts.services.push(draft);
    subject.drafts.services.extend(around.after);
}

/// `web@blue` is called `web-blue`; a template without an instance by its own name.
fn name_of(stem: &str, specifiers: &Specifiers) -> String {
    match stem.split_once('@') {
        Some((prefix, "")) if specifiers.instance.is_empty() => prefix.to_owned(),
        Some((prefix, "")) => format!("{prefix}-{}", specifiers.instance),
        Some((prefix, instance)) => format!("{prefix}-{instance}"),
        None => stem.to_owned(),
    }
}

/// The place of a source as a whole.
fn place_of(source: &Source) -> Place {
    Place::whole(&source.name)
}
