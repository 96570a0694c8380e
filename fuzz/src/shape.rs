//! Definitions made from the schema: most of their values are right, so that what lies behind the reading is reached.

use std::fmt::Write as _;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use serde_json::Value as Json;

static SCHEMA: LazyLock<Json> = LazyLock::new(menshen_plan::schema::schema);

const NAMES: [&str; 8] = ["web", "db", "cache", "migrate", "worker", "a.b", "9", "credential"];
const KEYS: [&str; 12] = [
    "web",
    "db",
    "cache",
    "migrate",
    "RUST_LOG",
    "DB_PASSWORD",
    "credential",
    "Authorization",
    "0",
    "SIGKILL",
    "9",
    "a b",
];
const TEXTS: [&str; 36] = [
    "",
    "web",
    "cache",
    "./web --port ${PORT:80}",
    "--key=${API_TOKEN}",
    "${API_TOKEN}",
    "file:/run/db",
    "file:${API_TOKEN}",
    "${WORDS}",
    "${A:${B:x y}}",
    "$$HOME",
    "10s",
    "0s",
    "1m30s",
    "64KiB",
    "0B",
    "${TEN}",
    "127.0.0.1:80",
    ":8080",
    "[::1]:80",
    "http://127.0.0.1:8080/healthz",
    "https://example.org/${API_TOKEN}",
    "GET",
    "200-299",
    ".env",
    "SIGTERM",
    "SIGRTMIN+3",
    "027",
    "shop",
    "root",
    "M028",
    "no-health-probe",
    "all",
    "^ready$",
    "--port",
    "ä\"\\\u{7f}\n",
];

/// A definition that the schema admits, unless `deviates`.
#[derive(Debug)]
pub struct Shaped {
    /// The definition.
    pub text: String,
    /// Whether something was put in that the schema does not know.
    pub deviates: bool,
}

impl<'a> Arbitrary<'a> for Shaped {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut writer = Writer { text: String::new(), deviates: false };
        writer.root(u)?;
        Ok(Self { text: writer.text, deviates: writer.deviates })
    }
}

struct Writer {
    text: String,
    deviates: bool,
}

impl Writer {
    fn root(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        for name in subset(u, &NAMES)? {
            self.section(u, &format!("service.{}", quoted(name)), &SCHEMA["$defs"]["Service"])?;
        }
        if one_in(u, 4)? {
            self.section(u, "alert.ops", &SCHEMA["$defs"]["Alert"])?;
        }
        if one_in(u, 4)? {
            self.section(u, "guard", &SCHEMA["$defs"]["Guard"])?;
        }
        if one_in(u, 8)? {
            self.section(u, "check", &SCHEMA["$defs"]["Check"])?;
        }
        Ok(())
    }

    /// A table with a line for each key.
    fn section(&mut self, u: &mut Unstructured<'_>, name: &str, schema: &Json) -> Result<()> {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "[{name}]");
        let mut properties: Vec<(&str, &Json)> = properties(schema);
        if name.starts_with("service.") && !one_in(u, 16)? {
            // A service without a command is refused, and nothing behind that is reached.
            properties.retain(|(key, _)| *key != "command");
            let _ = writeln!(self.text, "command = {}", quoted(u.choose(&["./web", "./web --port 80", "nginx"])?));
        }
        for (key, schema) in subset(u, &properties)? {
            let _ = write!(self.text, "{key} = ");
            self.value(u, schema)?;
            self.text.push('\n');
        }
        Ok(())
    }

    fn value(&mut self, u: &mut Unstructured<'_>, schema: &Json) -> Result<()> {
        if one_in(u, 64)? {
            self.deviates = true;
            self.text.push_str(u.choose(&[
                "1",
                "-1",
                "1.5",
                "true",
                "\"x\"",
                "[]",
                "{}",
                "{ x = 1 }",
                "1979-05-27",
            ])?);
            return Ok(());
        }
        let schema = resolved(schema);
        for choices in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choices].as_array().filter(|choices| !choices.is_empty()) {
                let choice = u.choose(choices)?;
                return self.value(u, choice);
            }
        }
        if let Some(choices) = schema["enum"].as_array() {
            let choice = u.choose(choices)?;
            self.text.push_str(&choice.to_string());
            return Ok(());
        }
        if let Some(constant) = schema.get("const") {
            self.text.push_str(&constant.to_string());
            return Ok(());
        }
        let kind = match schema["type"].as_array() {
            Some(kinds) => u.choose(kinds)?.as_str(),
            None => schema["type"].as_str(),
        };
        match kind.unwrap_or_default() {
            "object" => self.table(u, schema),
            "array" => self.array(u, &schema["items"]),
            "integer" => self.integer(u, schema),
            "number" => self.number(u),
            "boolean" => {
                self.text.push_str(u.choose(&["true", "false"])?);
                Ok(())
            }
            _ => self.text(u, schema),
        }
    }

    fn table(&mut self, u: &mut Unstructured<'_>, schema: &Json) -> Result<()> {
        let mut separator = "{ ";
        let known = properties(schema);
        let others: &[&str] = if schema["additionalProperties"].is_object() || schema["patternProperties"].is_object() {
            &KEYS
        } else {
            &[]
        };
        let other = schema["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
        let other = other.unwrap_or(&schema["additionalProperties"]);
        let mut entries = subset(u, &known)?;
        entries.extend(subset(u, others)?.into_iter().map(|key| (key, other)));
        for (key, schema) in entries {
            let _ = write!(self.text, "{separator}{} = ", quoted(key));
            self.value(u, schema)?;
            separator = ", ";
        }
        self.text.push_str(if separator == "{ " { "{}" } else { " }" });
        Ok(())
    }

    fn array(&mut self, u: &mut Unstructured<'_>, items: &Json) -> Result<()> {
        self.text.push('[');
        for _ in 0..u.int_in_range(0..=3)? {
            self.value(u, items)?;
            self.text.push(',');
        }
        self.text.push(']');
        Ok(())
    }

    fn integer(&mut self, u: &mut Unstructured<'_>, schema: &Json) -> Result<()> {
        let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
        let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
        let number = if !one_in(u, 4)? { u.int_in_range(0..=20)? } else { u.int_in_range(least..=most)? };
        let _ = write!(self.text, "{}", number.clamp(least, most));
        Ok(())
    }

    fn number(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let number: f64 = if !one_in(u, 4)? { f64::from(u.int_in_range(0..=40)?) / 8.0 } else { u.arbitrary()? };
        // TOML writes a fraction or an exponent where Rust leaves it out.
        let text = format!("{number:?}").to_lowercase();
        self.text.push_str(&text);
        Ok(())
    }

    fn text(&mut self, u: &mut Unstructured<'_>, schema: &Json) -> Result<()> {
        // The schema cannot say what a placeholder stands for.
        if schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("\\$")) {
            self.deviates = true;
            self.text.push_str(u.choose(&["\"${PORT:5}\"", "\"${A:true}\"", "\"${A:0.5}\"", "\"${A:x}\""])?);
            return Ok(());
        }
        let examples: Vec<&str> =
            schema["examples"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let text = match u.int_in_range(0..=7)? {
            0 => u.arbitrary::<&str>()?,
            1..=4 if !examples.is_empty() => u.choose(&examples)?,
            _ => u.choose(&TEXTS)?,
        };
        self.text.push_str(&quoted(text));
        Ok(())
    }
}

fn properties(schema: &Json) -> Vec<(&str, &Json)> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, schema)| (key.as_str(), schema)).collect()
}

fn resolved(schema: &Json) -> &Json {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.map_or(schema, |name| resolved(&SCHEMA["$defs"][name]))
}

/// Whether something rare is so; never when there is nothing left to decide by, or everything would be there at once.
fn one_in(u: &mut Unstructured<'_>, many: u8) -> Result<bool> {
    Ok(u.int_in_range(1..=many)? == many)
}

/// A few of them, in their order.
fn subset<T: Copy>(u: &mut Unstructured<'_>, of: &[T]) -> Result<Vec<T>> {
    let mut picked = Vec::new();
    for item in of {
        if one_in(u, 4)? {
            picked.push(*item);
        }
    }
    Ok(picked)
}

/// A basic string; JSON's escapes are a subset of TOML's but for DEL.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}
