//! Writes services as somebody would: only what differs from the defaults, in the order of the format.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use crate::config::{quoted_key, toml_text};
use crate::definition::{Service, ServiceName};

use super::draft::Draft;

/// A line is broken before it is longer than this.
const LINE_LENGTH_MAX: usize = 110;
/// So many variables stand in one line; more have a table of their own.
const INLINE_VARIABLES_MAX: usize = 2;
/// The tables of a service whose keys stand behind a dot.
const TABLES: [&str; 7] = ["probe", "restart", "breaker", "stop", "reload", "log", "limits"];

/// The whole definition.
pub(crate) fn definition<'a>(header: &str, services: impl Iterator<Item = (&'a ServiceName, &'a Draft)>) -> String {
    let mut text = comment(header);
    for (name, draft) in services {
        text.push('\n');
        draft.comments.iter().for_each(|line| text.push_str(&comment(line)));
        service(&mut text, name, &draft.service);
    }
    text
}

/// A comment that stays one, whatever is in it.
fn comment(line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# {line}\n")
}

fn service(text: &mut String, name: &ServiceName, service: &Service) {
    let header = format!("service.{}", quoted_key(name.as_str()));
    let written = changed(&to_json(service), &to_json(&Service::default()));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "[{header}]");
    let mut environment = None;
    for (key, value) in &written {
        match value {
            Json::Object(variables) if key == "environment" && !fits(key, variables) => environment = Some(variables),
            Json::Object(table) if TABLES.contains(&key.as_str()) => {
                for (inner, value) in table {
                    line(text, &format!("{key}.{}", quoted_key(inner)), value);
                }
            }
            Json::Object(_) | Json::Array(_) | Json::String(_) | Json::Number(_) | Json::Bool(_) | Json::Null => {
                line(text, key, value);
            }
        }
    }
    if let Some(variables) = environment {
        let _ = writeln!(text, "\n[{header}.environment]");
        for (name, value) in variables {
            line(text, &quoted_key(name), value);
        }
    }
}

fn fits(key: &str, variables: &Map<String, Json>) -> bool {
    let line = format!("{key} = {}", inline(&Json::Object(variables.clone())));
    variables.len() <= INLINE_VARIABLES_MAX && line.chars().count() <= LINE_LENGTH_MAX
}

fn to_json(service: &Service) -> Map<String, Json> {
    let Ok(Json::Object(mut table)) = serde_json::to_value(service) else { return Map::new() };
    for (_, dependency) in table.get_mut("depends_on").and_then(Json::as_object_mut).into_iter().flatten() {
        // What does nothing on loss is written as its condition alone.
        if dependency["on_loss"] == "ignore" {
            *dependency = dependency["condition"].take();
        }
    }
    table
}

/// What a service says besides what it would say by itself.
fn changed(service: &Map<String, Json>, default: &Map<String, Json>) -> Map<String, Json> {
    let mut written = Map::new();
    for (key, value) in service {
        match (value, default.get(key)) {
            (value, Some(usual)) if value == usual => {}
            (Json::Null, _) => {}
            (Json::Object(table), Some(Json::Object(usual))) => {
                written.insert(key.clone(), Json::Object(changed(table, usual)));
            }
            (Json::Object(table), _) => {
                // A probe has no default of its own; what is empty or null in it is not said.
                let probe = serde_json::to_value(crate::definition::Probe::default()).unwrap_or_default();
                let usual = probe.as_object().filter(|usual| usual.keys().eq(table.keys())).cloned();
                written.insert(key.clone(), Json::Object(changed(table, &usual.unwrap_or_default())));
            }
            (value, _) => {
                written.insert(key.clone(), value.clone());
            }
        }
    }
    written
}

fn line(text: &mut String, key: &str, value: &Json) {
    let short = inline(value);
    let _ = match value {
        Json::Array(items) if key.len() + 3 + short.chars().count() > LINE_LENGTH_MAX => {
            let items: String = items.iter().map(|item| format!("    {},\n", inline(item))).collect();
            writeln!(text, "{key} = [\n{items}]")
        }
        Json::Array(_) | Json::Object(_) | Json::String(_) | Json::Number(_) | Json::Bool(_) | Json::Null => {
            writeln!(text, "{key} = {short}")
        }
    };
}

fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => string(text),
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(table) if table.is_empty() => "{}".to_owned(),
        Json::Object(table) => {
            let entries = table.iter().map(|(key, value)| format!("{} = {}", quoted_key(key), inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string(),
    }
}

/// A literal string where that spares backslashes, as in paths of Windows and regular expressions.
fn string(text: &str) -> String {
    let spares = text.contains(['\\', '"']) && !text.contains('\'') && !text.chars().any(char::is_control);
    if spares { format!("'{text}'") } else { toml_text(text) }
}
