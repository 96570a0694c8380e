//! From drafts to a definition that loads: names that can be names, dependencies that lead somewhere, and values within the
//! bounds of a definition's rules. Whatever has to give way for that is noted.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{
    Account, Condition, Dependency, NAME_LENGTH_MAX, OnLoss, RestartPolicy, ServiceName, ServiceType, StartType,
};
use crate::duration::DURATION_MAX;
use crate::order;
use crate::placeholder;
use crate::size::Size;

use super::draft::{Draft, Drafts, Need};
use super::write;
use super::{ImportError, Imported, Kind, Note, NoteKind};

/// Finishes what was drafted.
pub(crate) fn finish(drafts: Drafts<'_>, kind: Kind, sources: &[&str]) -> Result<Imported, ImportError> {
    let Drafts { mut services, mut notes, facts: _, folder: _ } = drafts;
    services.retain(|draft| has_command(draft, &mut notes));
    if services.is_empty() {
        return Err(ImportError::Nothing { sources: sources.join(", "), notes });
    }
    tell_apart(&mut services);
    let names = name_all(&services, &mut notes);
    for note in &mut notes {
        if let Some(name) = note.service.as_ref().and_then(|id| names.get(id)) {
            note.service = Some(name.to_string());
        }
    }
    for draft in &mut services {
        let before = notes.len();
        bound(draft, &mut notes);
        tag(&mut notes[before..], &names[&draft.id]);
    }
    resolve_needs(&mut services, &names, &mut notes);
    break_cycles(&mut services, &names, &mut notes);
    in_order(&mut notes, sources);
    let header = format!("Imported by `menshen import` from {} ({}).", kind.noun(), sources.join(", "));
    let written = services.iter().map(|draft| (&names[&draft.id], draft));
    Ok(Imported { definition: write::definition(&header, written), notes })
}

/// In the order of the sources; what is said of several services alike is said once.
fn in_order(notes: &mut Vec<Note>, sources: &[&str]) {
    notes.sort_by_key(|note| {
        let source = sources.iter().position(|source| *source == &*note.place.source);
        (source, note.place.line)
    });
    let mut said = BTreeSet::new();
    notes.retain(|note| {
        let place = (note.place.source.to_string(), note.place.line);
        said.insert((place, note.key.clone(), note.message.clone()))
    });
}

fn tag(notes: &mut [Note], name: &ServiceName) {
    for note in notes {
        note.service.get_or_insert_with(|| name.to_string());
    }
}

fn has_command(draft: &Draft, notes: &mut Vec<Note>) -> bool {
    let command = draft.service.command.as_ref();
    let names_program = command.and_then(|command| command.program()).is_some_and(|program| {
        // Where nothing is set. What has to be set is told of by the one who asks for it.
        let segments = placeholder::parse(&program.replace('\0', "")).unwrap_or_default();
        let expanded = placeholder::expand(&segments, &mut |_| None, &mut |_| ());
        expanded.map_or(true, |program| !program.trim().is_empty())
    });
    if !names_program {
        let message = "says of no program that it is to run: left out";
        notes.push(Note::new(NoteKind::Lost, &draft.place, &draft.name, message));
    }
    names_program
}

/// Two that the sources call the same are two; what needs one of them needs the first.
fn tell_apart(services: &mut [Draft]) {
    let mut taken = BTreeSet::new();
    for (number, draft) in services.iter_mut().enumerate() {
        if !taken.insert(draft.id.clone()) {
            draft.id = format!("{}\0{number}", draft.id);
            taken.insert(draft.id.clone());
        }
    }
}

/// A name for each draft: as near to its own as names allow, and no two alike.
fn name_all(services: &[Draft], notes: &mut Vec<Note>) -> BTreeMap<String, ServiceName> {
    let mut names = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for draft in services {
        let mended = mend(&draft.name);
        let free = |name: &ServiceName| !taken.contains(name.as_str());
        let name = (1_usize..)
            .filter_map(|number| numbered(&mended, number))
            .find(free)
            .expect("there are more numbers than services");
        if name.as_str() != draft.name {
            let message =
                format!("is called '{name}': letters, digits, '.', '_' and '-' can be in a name, and no two are alike");
            let note = Note::new(NoteKind::Changed, &draft.place, &draft.name, message);
            notes.push(Note { service: Some(name.to_string()), ..note });
        }
        taken.insert(name.to_string());
        names.insert(draft.id.clone(), name);
    }
    names
}

/// The nearest text that is a name.
fn mend(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let mended: String = name.trim().chars().map(allowed).collect();
    let trimmed = mended.trim_matches(['.', '_', '-']);
    if trimmed.is_empty() { "service".to_owned() } else { trimmed.chars().take(NAME_LENGTH_MAX).collect() }
}

fn numbered(name: &str, number: usize) -> Option<ServiceName> {
    if number == 1 {
        return name.parse().ok();
    }
    let suffix = format!("-{number}");
    let start: String = name.chars().take(NAME_LENGTH_MAX - suffix.len()).collect();
    format!("{start}{suffix}").parse().ok()
}

/// Brings values within what a definition may say.
fn bound(draft: &mut Draft, notes: &mut Vec<Note>) {
    drop_nul(draft, notes);
    drop_bad_accounts(draft, notes);
    drop_bad_variables(draft, notes);
    bound_restarts(draft);
    let mut odd = |key: &str, wanted: String, bounded: String| {
        let message = format!("{wanted} is out of bounds: {bounded} is taken");
        notes.push(Note::new(NoteKind::Changed, &draft.place, key, message));
    };
    let service = &mut draft.service;
    if let Some(cores) = service.limits.cpu
        && !(0.01..=4096.0).contains(&cores)
    {
        let bounded = if cores.is_nan() { 1.0 } else { cores.clamp(0.01, 4096.0) };
        odd("limits.cpu", cores.to_string(), bounded.to_string());
        service.limits.cpu = Some(bounded);
    }
    if let Some(memory) = service.limits.memory.filter(|memory| memory.0 < 4096) {
        odd("limits.memory", memory.to_string(), Size(4096).to_string());
        service.limits.memory = Some(Size(4096));
    }
    if service.limits.tasks == Some(0) {
        odd("limits.tasks", "0".to_owned(), "1".to_owned());
        service.limits.tasks = Some(1);
    }
    if let Some(files) = service.limits.files.filter(|files| *files < 3) {
        odd("limits.files", files.to_string(), "3".to_owned());
        service.limits.files = Some(3);
    }
    // TOML's numbers end there.
    service.limits.files = service.limits.files.map(|files| files.min(1 << 62));
    if let Some(nice) = service.nice.filter(|nice| !(-20..=19).contains(nice)) {
        odd("nice", nice.to_string(), nice.clamp(-20, 19).to_string());
        service.nice = Some(nice.clamp(-20, 19));
    }
    let size = service.log.rotate.size;
    if size.0 != 0 && size.0 < 4096 {
        odd("log.rotate.size", size.to_string(), Size(4096).to_string());
        service.log.rotate.size = Size(4096);
    }
}

fn drop_nul(draft: &mut Draft, notes: &mut Vec<Note>) {
    let service = &mut draft.service;
    let words = service.command.iter_mut().chain(service.stop.command.iter_mut()).flat_map(|command| &mut command.0);
    let texts = words.chain(service.directory.iter_mut()).chain(service.env_file.iter_mut());
    for text in texts.filter(|text| text.contains('\0')) {
        *text = text.replace('\0', "");
        let message = "a NUL byte, which no argument and no path can have, is left out";
        notes.push(Note::new(NoteKind::Changed, &draft.place, &draft.name, message));
    }
}

fn drop_bad_accounts(draft: &mut Draft, notes: &mut Vec<Note>) {
    let mut check = |account: &mut Option<Account>, key: &str| {
        if let Some(bad) = account.take_if(|account| !is_account(&account.0)) {
            let message = format!("'{}' cannot be the name of an account: left out", bad.0.escape_default());
            notes.push(Note::new(NoteKind::Lost, &draft.place, key, message));
        }
    };
    check(&mut draft.service.user, "user");
    check(&mut draft.service.group, "group");
    for group in draft.service.groups.take().into_iter().flatten() {
        let mut group = Some(group);
        check(&mut group, "groups");
        draft.service.groups.get_or_insert_default().extend(group);
    }
}

/// Whether a text, with its placeholders set or not, can be the name of an account.
fn is_account(text: &str) -> bool {
    let can_be = |name: &str| {
        let name = name.trim();
        !name.is_empty() && (name.contains('\\') || !name.contains(['\0', ':', '/', '\n']))
    };
    let segments = placeholder::parse(text).unwrap_or_default();
    // One that has to be set, and is not, is told of by itself.
    [Some("name"), None].into_iter().all(|value| {
        let mut lookup = |_: &str| value.map(str::to_owned);
        placeholder::expand(&segments, &mut lookup, &mut |_| ()).map_or(true, |name| can_be(&name))
    })
}

fn drop_bad_variables(draft: &mut Draft, notes: &mut Vec<Note>) {
    draft.service.environment.retain(|name, value| {
        let is_name = !name.is_empty() && !name.contains(['=', '\0', ' ', '\n']);
        let has_nul = matches!(&value.0, crate::definition::SecretText::Plain(text) if text.contains('\0'));
        let sound = is_name && !has_nul;
        if !sound {
            let what = if has_nul { "a value with a NUL byte" } else { "a name no variable can have" };
            let message = format!("'{}' has {what}: left out", name.escape_default());
            notes.push(Note::new(NoteKind::Lost, &draft.place, "environment", message));
        }
        sound
    });
}

fn bound_restarts(draft: &mut Draft) {
    let service = &mut draft.service;
    let restart = &mut service.restart;
    restart.delay = restart.delay.min(DURATION_MAX);
    restart.max = restart.max.max(restart.delay);
    restart.factor = if restart.factor.is_nan() { 1.0 } else { restart.factor.clamp(1.0, 1000.0) };
    if service.kind == ServiceType::Oneshot && restart.policy == Some(RestartPolicy::Always) {
        restart.policy = None;
    }
    let breaker = &mut service.breaker;
    breaker.max_open = breaker.max_open.max(breaker.open_for);
}

/// Turns what drafts need into dependencies on services of the definition.
fn resolve_needs(services: &mut [Draft], names: &BTreeMap<String, ServiceName>, notes: &mut Vec<Note>) {
    let kinds: BTreeMap<String, (ServiceType, StartType)> =
        services.iter().map(|draft| (draft.id.clone(), (draft.service.kind, draft.service.start))).collect();
    for draft in services {
        for Need { on, on_loss, setting } in std::mem::take(&mut draft.needs) {
            let (Some(name), Some((kind, start))) = (names.get(&on), kinds.get(&on)) else {
                let message = format!("'{on}' is not among what is imported: nothing waits for it");
                let help = "import both together, or give the service a start-up probe and let it retry";
                notes.push(tagged(Note::lost(&setting, message).help(help), &names[&draft.id]));
                continue;
            };
            if on == draft.id {
                continue;
            }
            if *start == StartType::Disabled && draft.service.start != StartType::Disabled {
                let message = format!("'{name}' is disabled, so that nothing can wait for it");
                notes.push(tagged(Note::lost(&setting, message), &names[&draft.id]));
                continue;
            }
            let condition = match kind {
                ServiceType::Daemon => Condition::Started,
                ServiceType::Notify => Condition::Ready,
                ServiceType::Oneshot => Condition::Completed,
            };
            let dependency = Dependency { condition, on_loss };
            let known = draft.service.depends_on.0.entry(name.clone()).or_insert(dependency);
            if known.on_loss == OnLoss::Ignore {
                known.on_loss = on_loss;
            }
        }
    }
}

fn tagged(note: Note, name: &ServiceName) -> Note {
    Note { service: Some(name.to_string()), ..note }
}

/// Takes a dependency out of each circle, which nothing in it could ever leave.
fn break_cycles(services: &mut [Draft], names: &BTreeMap<String, ServiceName>, notes: &mut Vec<Note>) {
    loop {
        let graph: order::Graph<'_> = services
            .iter()
            .map(|draft| {
                let needs = draft.service.depends_on.0.keys().map(ServiceName::as_str).collect();
                (names[&draft.id].as_str(), needs)
            })
            .collect();
        let Some(cycle) = order::cycles(&graph).first().map(|cycle| cycle.join(" → ")) else { return };
        let mut ends = cycle.split(" → ");
        let (Some(from), Some(to)) = (ends.next().map(str::to_owned), ends.next().map(str::to_owned)) else { return };
        let Some(draft) = services.iter_mut().find(|draft| names[&draft.id].as_str() == from) else { return };
        draft.service.depends_on.0.shift_remove(to.as_str());
        let message = format!("these wait for each other: {cycle}; '{from}' does not wait for '{to}' here");
        let note = Note::new(NoteKind::Changed, &draft.place, &draft.name, message);
        notes.push(tagged(note, &names[&draft.id]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_account_is_one_whether_placeholders_are_set_or_not() {
        for account in ["shop", "1000", r"SHOP\svc", "${USER}", "${USER:shop}", "a-${B:c}"] {
            assert!(is_account(account), "{account}");
        }
        for account in ["", " ", "a:b", "a/b", "${USER:}", "${USER:a/b}", "a/${USER}"] {
            assert!(!is_account(account), "{account}");
        }
    }

    #[test]
    fn names_are_mended_and_told_apart() {
        assert_eq!(mend("my app (1)"), "my-app--1");
        assert_eq!(mend("-x"), "x");
        assert_eq!(mend("ä"), "service");
        assert_eq!(numbered(&"x".repeat(64), 12).unwrap().as_str().len(), 64);
    }

    proptest! {
        #[test]
        fn whatever_it_is_called_there_is_a_name(name in any::<String>(), number in 1_usize..2000) {
            prop_assert!(numbered(&mend(&name), number).is_some());
        }
    }
}
