//! `nssm dump NAME`: the commands that would make the service anew.

use crate::source::Source;

use super::super::draft::Drafts;
use super::super::{Note, NoteKind, Place, windows};
use super::{Data, ServiceKey, ServiceValue};

/// Values that are kept in the service's own key, not in its parameters.
const OWN: [&str; 10] = [
    "DependOnGroup",
    "DependOnService",
    "Description",
    "DisplayName",
    "ImagePath",
    "Name",
    "ObjectName",
    "Start",
    "Type",
    "Environment",
];

/// Whether a line is a command of nssm.
pub(crate) fn is_dump_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default().trim_matches(['"', '^']).to_ascii_lowercase();
    let program = program.rsplit(['\\', '/']).next().unwrap_or_default();
    matches!(program, "nssm" | "nssm.exe") && matches!(words.next(), Some("install" | "set" | "reset"))
}

/// The services of a dump.
pub(super) fn read(source: &Source, drafts: &mut Drafts<'_>) -> Vec<ServiceKey> {
    let whole = Place::whole(&source.name);
    let mut keys: Vec<ServiceKey> = Vec::new();
    for (line, text) in (1..).zip(source.text.lines()) {
        let place = whole.line(line);
        if text.trim().is_empty() {
            continue;
        }
        let words = windows::split(&without_carets(text));
        let [_, verb, name, arguments @ ..] = words.as_slice() else {
            drafts.note(Note::new(NoteKind::Lost, &place, text, "is no command of nssm"));
            continue;
        };
        let found = keys.iter().position(|key| key.name.eq_ignore_ascii_case(name));
        let index = found.unwrap_or_else(|| {
            keys.push(ServiceKey { name: name.clone(), values: Vec::new(), place: place.clone() });
            keys.len() - 1
        });
        match (verb.as_str(), arguments) {
            ("install", [program, arguments @ ..]) => {
                let values = &mut keys[index].values;
                values.push(parameter("Application", Data::Text(program.clone()), &place));
                if !arguments.is_empty() {
                    values.push(parameter("AppParameters", Data::Text(arguments.join(" ")), &place));
                }
            }
            ("set", [key, data @ ..]) => set(&mut keys[index].values, key, data, &place),
            ("reset", [..]) => {}
            _ => drafts.note(Note::new(NoteKind::Lost, &place, text, "is no command of nssm that makes a service")),
        }
    }
    keys
}

fn parameter(name: &str, data: Data, place: &Place) -> ServiceValue {
    ServiceValue { subkey: "Parameters".to_owned(), name: name.to_owned(), data, place: place.clone() }
}

fn set(values: &mut Vec<ServiceValue>, key: &str, data: &[String], place: &Place) {
    let own = OWN.iter().any(|own| own.eq_ignore_ascii_case(key));
    let is_key = |name: &str| key.eq_ignore_ascii_case(name);
    let value = if is_key("AppExit") {
        let (code, action) = data
            .split_first()
            .map_or(("", ""), |(code, rest)| (code.as_str(), rest.first().map_or("", String::as_str)));
        let name = if code.eq_ignore_ascii_case("Default") { "" } else { code };
        let data = Data::Text(action.to_owned());
        ServiceValue { subkey: r"Parameters\AppExit".to_owned(), ..parameter(name, data, place) }
    } else if is_key("AppEvents") {
        let (event, command) =
            data.split_first().map_or(("", String::new()), |(event, rest)| (event.as_str(), rest.join(" ")));
        ServiceValue { subkey: r"Parameters\AppEvents".to_owned(), ..parameter(event, Data::Text(command), place) }
    } else if is_key("AppEnvironment") || is_key("AppEnvironmentExtra") {
        return add_variables(values, key, data, place);
    } else if is_key("DependOnService") || is_key("DependOnGroup") {
        ServiceValue { subkey: String::new(), ..parameter(key, Data::Texts(data.to_vec()), place) }
    } else {
        let value = parameter(key, Data::Text(data.join(" ")), place);
        if own { ServiceValue { subkey: String::new(), ..value } } else { value }
    };
    values.push(value);
}

/// `:NAME=value` begins the list, `+NAME=value` adds to it.
fn add_variables(values: &mut Vec<ServiceValue>, key: &str, data: &[String], place: &Place) {
    let pairs = data.iter().map(|pair| pair.strip_prefix([':', '+']).unwrap_or(pair).to_owned());
    let known = values.iter_mut().find(|value| value.name.eq_ignore_ascii_case(key));
    match known.map(|value| &mut value.data) {
        Some(Data::Texts(texts)) => texts.extend(pairs),
        Some(Data::Text(_) | Data::Number(_) | Data::Bytes(_)) | None => {
            values.push(parameter(key, Data::Texts(pairs.collect()), place));
        }
    }
}

/// What cmd.exe makes of a line: outside quotes, a caret takes the meaning of what follows it away.
fn without_carets(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    let mut in_quotes = false;
    while let Some(character) = characters.next() {
        match character {
            '^' if !in_quotes => text.extend(characters.next()),
            '"' => {
                in_quotes = !in_quotes;
                text.push('"');
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_are_taken_away_as_cmd_does() {
        assert_eq!(
            windows::split(&without_carets(r#"nssm.exe set web AppParameters ^"--x=^\^"a b^\^" ^& c^""#))[4],
            r#"--x="a b" & c"#
        );
        assert_eq!(without_carets(r#""a^b" ^^"#), r#""a^b" ^"#);
    }

    #[test]
    fn commands_of_nssm_are_known() {
        assert!(is_dump_line("nssm.exe set web Start SERVICE_AUTO_START"));
        assert!(is_dump_line(r"C:\nssm\nssm.exe install web C:\x.exe"));
        assert!(!is_dump_line("web: nssm set"));
    }
}
