//! The syntax of units (systemd.syntax(7)): sections, continued lines, comments, and drop-ins laid over them.

use crate::source::Source;

use super::super::draft::Drafts;
use super::super::settings::{Setting, Settings};
use super::super::{Note, NoteKind, Place};
use super::place_of;

/// One unit with its drop-ins.
#[derive(Debug)]
pub(crate) struct Unit {
    /// The file's name: `web.service`.
    pub name: String,
    /// Where the file is, as it was named.
    pub path: String,
    pub place: Place,
    settings: Settings,
}

impl Unit {
    /// The last value of a key; an empty one takes it back.
    pub(crate) fn take(&mut self, section: &str, key: &str) -> Option<Setting> {
        self.settings.take(&name(section, key)).filter(|setting| !setting.value.is_empty())
    }

    /// Every value of a key since the last empty one.
    pub(crate) fn take_list(&mut self, section: &str, key: &str) -> Vec<Setting> {
        let all = self.settings.take_all(&name(section, key));
        let from = all.iter().rposition(|setting| setting.value.is_empty()).map_or(0, |reset| reset + 1);
        all.into_iter().skip(from).collect()
    }

    pub(crate) fn peek(&self, section: &str, key: &str) -> Option<&str> {
        self.settings.peek(&name(section, key)).filter(|value| !value.is_empty())
    }

    /// What nobody took.
    pub(crate) fn take_rest(&mut self) -> Vec<Setting> {
        std::mem::take(&mut self.settings).rest()
    }
}

fn name(section: &str, key: &str) -> String {
    format!("[{section}] {key}")
}

/// The units among the sources, each with its drop-ins in the order of their names.
pub(super) fn units(sources: &[Source], drafts: &mut Drafts<'_>) -> Vec<Unit> {
    let (mut drop_ins, files): (Vec<&Source>, Vec<&Source>) =
        sources.iter().partition(|source| drop_in_of(&source.name).is_some());
    drop_ins.sort_by_key(|source| file_name(&source.name).to_owned());
    let mut units: Vec<Unit> = files.into_iter().map(|source| unit(source, drafts)).collect();
    for drop_in in drop_ins {
        let of = drop_in_of(&drop_in.name).unwrap_or_default();
        let settings = read(drop_in, drafts);
        match units.iter_mut().find(|unit| unit.name == of || template_of(&unit.name).as_deref() == Some(of)) {
            Some(unit) => unit.settings.extend(settings),
            None => {
                let message = format!("a drop-in of {of}, which is not among what is imported");
                drafts.note(Note::new(NoteKind::Lost, &place_of(drop_in), of, message).help("name the unit, too"));
            }
        }
    }
    units
}

fn unit(source: &Source, drafts: &mut Drafts<'_>) -> Unit {
    let file = file_name(&source.name);
    // What comes from a pipe, or was saved under another name, is a service all the same.
    let has_suffix = file.rsplit_once('.').is_some_and(|(_, suffix)| UNIT_KINDS.contains(&suffix));
    let stem = file.trim_matches('-').trim_end_matches(".txt").trim_end_matches(".unit");
    let stem = if stem.is_empty() { "service" } else { stem };
    let name = if has_suffix { file.to_owned() } else { format!("{stem}.service") };
    Unit { name, path: source.name.clone(), place: place_of(source), settings: read(source, drafts) }
}

const UNIT_KINDS: [&str; 11] =
    ["service", "socket", "timer", "target", "path", "mount", "automount", "swap", "slice", "scope", "device"];

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The unit a drop-in belongs to: `a/web.service.d/b.conf` to `web.service`.
fn drop_in_of(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/')?;
    file.ends_with(".conf").then(|| file_name(folder).strip_suffix(".d")).flatten()
}

/// `web@.service` for `web@blue.service`.
fn template_of(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (_, suffix) = rest.rsplit_once('.')?;
    Some(format!("{prefix}@.{suffix}"))
}

fn read(source: &Source, drafts: &mut Drafts<'_>) -> Settings {
    let place = place_of(source);
    let mut settings = Settings::default();
    let mut section = String::new();
    for (line, text) in logical_lines(&source.text) {
        if let Some(header) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            header.clone_into(&mut section);
            continue;
        }
        let Some((key, value)) = text.split_once('=') else {
            let message = "neither a section nor KEY=VALUE; systemd passes over it, too";
            drafts.note(Note::new(NoteKind::Lost, &place.line(line), text, message));
            continue;
        };
        let key = name(&section, key.trim_end());
        let value = value.trim().to_owned();
        settings.push(Setting { shown: key.clone(), key, value, place: place.line(line) });
    }
    settings
}

/// Lines with those that continue them, each with the number of its first. Comments among them do not end them.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with(['#', ';']) || (line.is_empty() && begun.is_none()) {
            continue;
        }
        let (first, mut whole) = begun.take().unwrap_or_else(|| (number, String::new()));
        match line.strip_suffix('\\') {
            Some(head) => {
                whole.push_str(head);
                whole.push(' ');
                begun = Some((first, whole));
            }
            None => {
                whole.push_str(line);
                lines.push((first, whole));
            }
        }
    }
    lines.extend(begun.map(|(first, whole)| (first, whole.trim_end().to_owned())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_on_after_a_backslash_and_comments_do_not_end_it() {
        let text = "[Service]\n# no\nExecStart=a \\\n  b \\\n; not this\n  c\n\nUser=x\\\n";
        assert_eq!(
            logical_lines(text),
            [(1, "[Service]".to_owned()), (3, "ExecStart=a  b  c".to_owned()), (8, "User=x".to_owned())]
        );
    }

    #[test]
    fn drop_ins_are_known_by_their_folder() {
        assert_eq!(drop_in_of("/etc/systemd/system/web.service.d/10-more.conf"), Some("web.service"));
        assert_eq!(drop_in_of("/etc/systemd/system/web.service"), None);
        assert_eq!(drop_in_of("web.service.d/readme"), None);
        assert_eq!(template_of("web@blue.service").as_deref(), Some("web@.service"));
    }
}
