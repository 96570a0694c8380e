//! `docs/definition.md`: every key of the definition, from the schema that editors use.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value as Json;

const INTRODUCTION: &str = r#"# The definition

One TOML file (`menshen.toml`), or a folder of them (`/etc/menshen/*.toml`). An unknown key is an error, with a suggestion.
`menshen check` says what is wrong with a definition, `menshen config` what it comes to and where each value came from.

- **Placeholders**: `${NAME}` in a value must be set; `${NAME:default}` and `${NAME:-default}` take the default when NAME is
  unset or empty, and defaults nest. `$$` is a dollar sign. What counts, first to last: `--set NAME=value`, the environment,
  `env_file`, the default.
- **Layers**: `menshen.toml`, then `menshen.PROFILE.toml` with `--profile PROFILE` (or `MENSHEN_PROFILE`), then
  `--set key.path=value`. Tables merge, arrays replace.
- **Durations** are numbers with a unit, one after the other: `"500ms"`, `"10s"`, `"1m30s"`; the units are `ns`, `us`, `ms`,
  `s`, `m`, `h`, `d`, `w`. **Sizes** are a number with a unit: `"64KiB"`, `"10MiB"`, `"1.5GB"`; the units are `B`, `KiB`, `MiB`,
  `GiB`, `TiB`, and `KB`, `MB`, `GB`, `TB` for powers of 1000. A number alone is refused.
- **Times of the day** are not in it: a guard has no schedules. What is to be done now and then is a one-shot with
  `start = "manual"`, and cron or a systemd timer runs `menshen start NAME`.
- **Secrets**: a value given as `{ credential = "file:PATH" }` is read when the definition is loaded, reaches the program, and is
  masked wherever it could be shown; so are values whose key looks like a secret.
- **Reload**: `menshen reload` follows a changed definition. It says for each changed key what it costs: nothing (*live*), a
  *signal* to the program, or a *restart*; `--dry-run` stops there. Where no program runs that a change could be for, it says
  *next start*; where the change ends a wait, *start*. A service is *new*, or *gone*: stopped and forgotten.
"#;

/// The page.
pub(super) fn page(schema: &Json) -> String {
    let mut page = Page { schema, text: INTRODUCTION.to_owned(), tables: Vec::new(), choices: BTreeSet::new() };
    for (key, value) in entries(&schema["properties"]) {
        let named = &value["patternProperties"];
        match named.as_object().and_then(|named| named.values().next()) {
            Some(each) => page.tables.push((format!("{key}.NAME"), each.clone(), describe(value))),
            None => page.tables.push((key.clone(), value.clone(), describe(value))),
        }
    }
    // Tables found in a table come right after it.
    while !page.tables.is_empty() {
        let (path, value, what) = page.tables.remove(0);
        page.table(&path, &value, &what);
    }
    page.choices();
    page.text
}

struct Page<'a> {
    schema: &'a Json,
    text: String,
    /// Tables still to be told: their path, schema, and what they are for.
    tables: Vec<(String, Json, String)>,
    /// Types with a fixed choice of words that came up.
    choices: BTreeSet<String>,
}

impl Page<'_> {
    fn table(&mut self, path: &str, value: &Json, what: &str) {
        let definition = self.resolved(value);
        let what = if what.is_empty() { describe(&definition) } else { what.to_owned() };
        // Writing to a String cannot fail.
        let _ = write!(
            self.text,
            "\n## [{path}]\n\n{what}\n\n| key | what it takes | without it | what it is for |\n|---|---|---|---|\n"
        );
        let mut inner: Vec<(String, Json, String)> = Vec::new();
        for (key, value) in entries(&definition["properties"]) {
            let target = self.resolved(value);
            if target["properties"].is_object() {
                // Tables of the same keys are told once.
                match inner.iter_mut().find(|(_, other, _)| other["$ref"] == value["$ref"]) {
                    Some((paths, _, what)) => {
                        let _ = write!(paths, "], [{path}.{key}");
                        what.clear();
                    }
                    None => inner.push((format!("{path}.{key}"), value.clone(), describe(value))),
                }
                let _ = writeln!(self.text, "| `{key}` | a table, below | | {} |", cell(&describe(value)));
                continue;
            }
            let default = value.get("default").filter(|default| !is_empty(default));
            let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
            let takes = self.takes(value);
            let _ =
                writeln!(self.text, "| `{key}` | {} | {} | {} |", cell(&takes), cell(&default), cell(&describe(value)));
        }
        self.tables.splice(0..0, inner);
    }

    /// What a key takes, in words.
    fn takes(&mut self, value: &Json) -> String {
        if let Some(name) = value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            let target = self.resolved(value);
            if target["oneOf"].is_array() {
                self.choices.insert(name.to_owned());
                let words = words(&target).map(|(word, _)| format!("`\"{word}\"`"));
                return format!("{} ([{name}](#{}))", words.collect::<Vec<_>>().join(", "), name.to_lowercase());
            }
            return match target["description"].as_str() {
                Some(what) => lower_first(what.split(['.', ':']).next().unwrap_or(what)),
                None => self.takes(&target),
            };
        }
        if let Some(any) = value["anyOf"].as_array() {
            // That a placeholder may stand for a number goes without saying.
            let real = any.iter().filter(|one| one["pattern"] != "\\$\\{.+\\}");
            let mut all: Vec<String> = real.map(|one| self.takes(one)).collect();
            all.dedup();
            return all.join(", or ");
        }
        if let Some(words) = value["enum"].as_array() {
            return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        }
        match &value["type"] {
            Json::Array(types) => types.iter().filter_map(Json::as_str).map(kind).collect::<Vec<_>>().join(", or "),
            Json::String(kind_name) if kind_name == "array" => format!("a list: {}", self.takes(&value["items"])),
            Json::String(kind_name) if kind_name == "object" && value["additionalProperties"].is_object() => {
                format!("a table, each: {}", self.takes(&value["additionalProperties"]))
            }
            Json::String(kind_name) if kind_name == "object" => self.takes_small_table(value),
            Json::String(kind_name) => kind(kind_name).to_owned(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => String::new(),
        }
    }

    /// A table that stands in one line, with where the words are told that its keys can be.
    fn takes_small_table(&mut self, value: &Json) -> String {
        let keys: Vec<String> = entries(&value["properties"]).map(|(key, _)| format!("`{key} = …`")).collect();
        let references = entries(&value["properties"]).filter_map(|(_, value)| choice_of(value));
        let names: Vec<&str> = references.filter(|name| self.schema["$defs"][*name]["oneOf"].is_array()).collect();
        self.choices.extend(names.iter().map(|name| (*name).to_owned()));
        let links: Vec<String> = names.iter().map(|name| format!("[{name}](#{})", name.to_lowercase())).collect();
        let told = if links.is_empty() { String::new() } else { format!(" ({})", links.join(", ")) };
        format!("{{ {} }}{told}", keys.join(", "))
    }

    /// The words of each fixed choice.
    fn choices(&mut self) {
        self.text.push_str("\n## Words\n");
        for name in std::mem::take(&mut self.choices) {
            let target = &self.schema["$defs"][&name];
            let _ = write!(self.text, "\n### {name}\n\n{}\n\n", describe(target));
            for (word, what) in words(target) {
                let _ = writeln!(self.text, "- `\"{word}\"`: {what}");
            }
        }
    }

    fn resolved(&self, value: &Json) -> Json {
        match value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => self.schema["$defs"][name].clone(),
            None => value.clone(),
        }
    }
}

fn entries(object: &Json) -> impl Iterator<Item = (&String, &Json)> {
    object.as_object().into_iter().flatten()
}

/// The type that a value refers to, be it one that need not be there.
fn choice_of(value: &Json) -> Option<&str> {
    let any = value["anyOf"].as_array().into_iter().flatten();
    let references = std::iter::once(value).chain(any).filter_map(|one| one["$ref"].as_str());
    references.filter_map(|path| path.strip_prefix("#/$defs/")).next()
}

fn words(choice: &Json) -> impl Iterator<Item = (&str, &str)> {
    let each = |one| -> Option<(&str, &str)> {
        let one: &Json = one;
        Some((one["const"].as_str()?, one["description"].as_str().unwrap_or_default()))
    };
    choice["oneOf"].as_array().into_iter().flatten().filter_map(each)
}

fn describe(value: &Json) -> String {
    value["description"].as_str().unwrap_or_default().to_owned()
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(array) => array.is_empty(),
        Json::Object(object) => object.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn kind(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        other => other,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
