//! `menshen config`: the merged, expanded definition with every default, and where each value came from.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value as Json;

use crate::diff::map_texts;
use crate::load::Loaded;
use crate::plan::Plan;
use crate::secret::{MASK, looks_secret};
use crate::value::{Expansion, ExpansionSource, Node, Value};

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The keys that lead to it.
    pub path: Vec<String>,
    /// The value, masked if it is a secret.
    pub value: Json,
    /// Where it came from, for people: `menshen.toml:3:11`, `default`.
    pub origin: String,
}

/// Every value of a definition, in the order of the format. Nothing secret is in it.
#[must_use]
pub fn settings(loaded: &Loaded) -> Vec<Setting> {
    let mut settings = Vec::new();
    let json = serde_json::to_value(&loaded.definition).unwrap_or(Json::Null);
    collect(&json, &mut Vec::new(), loaded, &mut settings);
    settings
}

fn collect(json: &Json, path: &mut Vec<String>, loaded: &Loaded, settings: &mut Vec<Setting>) {
    match json {
        Json::Null => {}
        Json::Object(table) if !is_secret_text(path) => {
            for (key, value) in table {
                path.push(key.clone());
                collect(value, path, loaded, settings);
                path.pop();
            }
        }
        leaf @ (Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_)) => {
            let node = written(&loaded.tree, path);
            let mask = |text: &str| loaded.secrets.mask(text);
            settings.push(Setting {
                // A name may come from a placeholder, too: `depends_on = ["${NAME}"]`.
                path: path.iter().map(|key| mask(key)).collect(),
                value: map_texts(&masked(leaf, path, node), &mask),
                origin: origin(loaded, node),
            });
        }
    }
}

/// The value as it is written. One that may be written shorter (`fallback = "./page"` for `fallback.command`) is then that
/// shorter form; what stands in a table and is not written has no place of its own.
fn written<'a>(tree: &'a Node, path: &[String]) -> Option<&'a Node> {
    let mut node = tree;
    for key in path {
        match &node.value {
            Value::Table(table) => node = &table.get(key)?.node,
            Value::Array(_)
            | Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => break,
        }
    }
    Some(node)
}

/// Whether a text or a credential stands here: a credential is one value, not a table.
fn is_secret_text(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    is_named_text(&path) || matches!(path.as_slice(), ["alert", _, "webhook"] | ["service", _, "password"])
}

/// Whether the last key is one of the user's own: the name of a variable or of a header.
fn is_named_text(path: &[&str]) -> bool {
    matches!(
        path,
        ["service", _, "environment", _] | ["service", _, "probe", _, "headers", _] | ["alert", _, "headers", _]
    )
}

fn origin(loaded: &Loaded, node: Option<&Node>) -> String {
    let Some(node) = node else { return "default".to_owned() };
    let mut origin = loaded.sources.describe(node.span);
    let mut expansions: Vec<&Expansion> = Vec::new();
    collect_expansions(node, &mut expansions);
    for Expansion { name, from } in expansions {
        let verb = if *from == ExpansionSource::Default { "is" } else { "from" };
        // Writing to a String cannot fail.
        let _ = write!(origin, ", {name} {verb} {}", from.describe());
    }
    origin
}

fn collect_expansions<'a>(node: &'a Node, found: &mut Vec<&'a Expansion>) {
    found.extend(&node.expansions);
    match &node.value {
        Value::Array(items) => items.iter().for_each(|item| collect_expansions(item, found)),
        Value::Table(table) => table.values().for_each(|entry| collect_expansions(&entry.node, found)),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn masked(leaf: &Json, path: &[String], node: Option<&Node>) -> Json {
    let is_text = !matches!(leaf, Json::Object(_));
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    if is_text && is_named_text(&names) && path.last().is_some_and(|key| looks_secret(key)) {
        return Json::String(MASK.to_owned());
    }
    match (leaf, node) {
        // Where some of what is written could not be read, which is which is not known any more.
        (Json::Array(items), Some(Node { value: Value::Array(nodes), .. })) if items.len() == nodes.len() => {
            Json::Array(items.iter().enumerate().map(|(index, item)| mask_expanded(item, nodes.get(index))).collect())
        }
        (leaf, node) => mask_expanded(leaf, node),
    }
}

fn mask_expanded(leaf: &Json, node: Option<&Node>) -> Json {
    let mut expansions = Vec::new();
    if let Some(node) = node {
        collect_expansions(node, &mut expansions);
    }
    let is_secret = expansions.iter().any(|expansion| looks_secret(&expansion.name));
    if is_secret { Json::String(MASK.to_owned()) } else { leaf.clone() }
}

/// A plan as JSON with every secret masked.
#[must_use]
pub fn masked_plan(plan: &Plan) -> Json {
    let services = plan.services.iter().map(|(name, service)| {
        let json = serde_json::to_value(&**service).unwrap_or(Json::Null);
        (name.to_string(), mask_environment(map_texts(&json, &|text| service.secrets.mask(text))))
    });
    let alerts = plan.alerts.iter().map(|(name, alert)| {
        let json = serde_json::to_value(&**alert).unwrap_or(Json::Null);
        (name.to_string(), map_texts(&json, &|text| alert.secrets.mask(text)))
    });
    serde_json::json!({
        "name": plan.name,
        "folder": plan.folder,
        "access": plan.access,
        "journal": plan.journal,
        "services": services.collect::<serde_json::Map<String, Json>>(),
        "alerts": alerts.collect::<serde_json::Map<String, Json>>(),
    })
}

/// Variables whose name looks like that of a secret, however short their value is.
fn mask_environment(mut service: Json) -> Json {
    if let Some(Json::Object(environment)) = service.get_mut("environment") {
        for (_, value) in environment.iter_mut().filter(|(key, _)| looks_secret(key)) {
            *value = Json::String(MASK.to_owned());
        }
    }
    service
}

/// The settings as a definition that could be loaded again, each line with its origin as a comment.
#[must_use]
pub fn to_toml(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut section: &[String] = &[];
    let lines: Vec<(&[String], String, &str)> = settings.iter().map(line).collect();
    let width = lines.iter().map(|(_, line, _)| line.chars().count()).filter(|width| *width <= 72).max().unwrap_or(0);
    for (table, line, origin) in &lines {
        if *table != section || text.is_empty() {
            let separator = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(
                text,
                "{separator}[{}]",
                table.iter().map(|key| quoted_key(key)).collect::<Vec<_>>().join(".")
            );
            section = table;
        }
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    text
}

/// The table a setting is printed under, its line, and its origin.
fn line(setting: &Setting) -> (&[String], String, &str) {
    let depth = match setting.path.first().map(String::as_str) {
        Some("service" | "alert") => 2,
        _ => 1,
    };
    let (table, keys) = setting.path.split_at(depth.min(setting.path.len().saturating_sub(1)));
    let key = keys.iter().map(|key| quoted_key(key)).collect::<Vec<_>>().join(".");
    (table, format!("{key} = {}", toml_value(&setting.value)), &setting.origin)
}

pub(crate) fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { toml_text(key) }
}

fn toml_value(value: &Json) -> String {
    match value {
        Json::String(text) => toml_text(&text.replace('$', "$$")),
        Json::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        Json::Object(table) => {
            let entries = table.iter().map(|(key, value)| format!("{} = {}", quoted_key(key), toml_value(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.to_string(),
    }
}

/// A basic string; JSON's escapes are a subset of TOML's but for DEL.
pub(crate) fn toml_text(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}
