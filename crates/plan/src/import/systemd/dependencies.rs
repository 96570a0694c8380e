//! What a unit waits for, as far as it is imported together with it.

use crate::definition::OnLoss;

use super::super::Note;
use super::super::draft::{Draft, Drafts, Need};
use super::super::settings::Setting;
use super::Subject;

/// Targets every guard is started after, or that only say when the unit is wanted.
const TARGETS_PASSED: [&str; 16] = [
    "network.target",
    "basic.target",
    "sysinit.target",
    "local-fs.target",
    "multi-user.target",
    "default.target",
    "shutdown.target",
    "syslog.target",
    "systemd-tmpfiles-setup.service",
    "systemd-journald.service",
    "systemd-journald.socket",
    "time-sync.target",
    "nss-lookup.target",
    "nss-user-lookup.target",
    "graphical.target",
    "dbus.socket",
];

pub(super) fn translate(subject: &mut Subject<'_, '_>, draft: &mut Draft) {
    let bound = names(subject, &["BindsTo", "Requisite", "PartOf"]);
    let required = names(subject, &["Requires", "Wants", "Upholds"]);
    let after = names(subject, &["After"]);
    for (name, setting) in &after {
        let is_bound = bound.iter().any(|(other, bound)| other == name && !bound.key.ends_with("PartOf"));
        let on_loss = if is_bound { OnLoss::Stop } else { OnLoss::Ignore };
        draft.needs.push(Need { on: name.clone(), on_loss, setting: setting.clone() });
    }
    let ordered = |name: &String| after.iter().any(|(other, _)| other == name);
    for (name, setting) in bound.iter().chain(&required) {
        if ordered(name) {
            note_strength(subject, setting, name);
        } else if is_here(name) {
            let message = format!("{name} is wanted, too, in no order; here nothing ties the two together");
            subject.note(Note::changed(setting, message).help("import both together; depends_on waits for it"));
        } else {
            let message = format!("{name} is wanted, too; a guard knows services alone");
            subject.note(Note::lost(setting, message).help("put it into the guard's own unit"));
        }
    }
    for (name, setting) in names(subject, &["Before"]) {
        draft.needs.push(Need { on: name, on_loss: OnLoss::Ignore, setting });
    }
    for (name, setting) in names(subject, &["Conflicts"]) {
        if name != "shutdown.target" {
            let message = format!("cannot run beside {name}; a guard knows no such rule");
            subject.note(Note::lost(&setting, message));
        }
    }
}

/// Whether a name may be one of those imported; targets never are.
fn is_here(name: &str) -> bool {
    name.ends_with(".service")
}

fn note_strength(subject: &mut Subject<'_, '_>, setting: &Setting, name: &str) {
    let message = match setting.key.trim_start_matches("[Unit] ") {
        "Requires" if is_here(name) => format!("was stopped when somebody stopped {name}; here it runs on"),
        "Requisite" if is_here(name) => format!("failed at once when {name} did not run; here it waits"),
        "PartOf" if is_here(name) => format!("was stopped and started again with {name}; here it runs on"),
        "Upholds" if is_here(name) => format!("kept {name} running; here each service has a policy of its own"),
        _ => return,
    };
    let on_loss = "depends_on can say what happens: { condition = \"started\", on_loss = \"stop\" }";
    subject.note(Note::changed(setting, message).help(on_loss));
}

/// Names of units, without those that every guard has before it.
fn names(subject: &mut Subject<'_, '_>, keys: &[&str]) -> Vec<(String, Setting)> {
    let mut found = Vec::new();
    for key in keys {
        for setting in subject.unit.take_list("Unit", key) {
            for word in setting.value.split_whitespace() {
                let name = subject.specifiers.resolve(word).plain;
                if !TARGETS_PASSED.contains(&name.as_str()) {
                    found.push((name, setting.clone()));
                }
            }
        }
    }
    found
}

/// Resolves what needs to know all units: `Before=`, and what a unit of another kind or another machine is.
pub(super) fn turn_around(drafts: &mut Drafts<'_>) {
    let ids: Vec<String> = drafts.services.iter().map(|draft| draft.id.clone()).collect();
    let mut turned: Vec<(String, Need)> = Vec::new();
    let mut notes = Vec::new();
    for draft in &mut drafts.services {
        let own = draft.id.clone();
        let (known, unknown): (Vec<Need>, Vec<Need>) =
            std::mem::take(&mut draft.needs).into_iter().partition(|need| ids.contains(&need.on));
        let (turn, keep): (Vec<Need>, Vec<Need>) = known.into_iter().partition(Need::is_turned);
        draft.needs = keep;
        turned.extend(turn.into_iter().map(|need| (need.on.clone(), Need { on: own.clone(), ..need })));
        // What runs before a unit waits for the same as the unit, which tells of it.
        let is_unit = !own.contains('/');
        if is_unit {
            notes.extend(unknown.chunk_by(|one, other| one.setting == other.setting).map(|needs| outside(needs, &own)));
        }
    }
    for (id, need) in turned {
        if let Some(draft) = drafts.services.iter_mut().find(|draft| draft.id == id) {
            draft.needs.push(need);
        }
    }
    drafts.notes.extend(notes);
}

/// What one setting says of units that are not imported.
fn outside(needs: &[Need], own: &str) -> Note {
    let names: Vec<&str> = needs.iter().map(|need| need.on.as_str()).collect();
    let names = names.join(", ");
    let setting = &needs[0].setting;
    let (message, help) = if needs[0].is_turned() {
        (format!("starts before {names}, not imported"), "import them together")
    } else if needs.iter().any(|need| need.on.ends_with(".service")) {
        let help = "import them together, or put the same After= into the guard's own unit";
        (format!("starts after {names}, not imported"), help)
    } else {
        (format!("starts after {names}"), "put the same After= and Wants= into the guard's own unit")
    };
    Note { service: Some(own.to_owned()), ..Note::lost(setting, message).help(help) }
}
