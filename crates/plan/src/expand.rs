//! Expands placeholders in the tree of a definition, and before that splits commands written as one text into words, so
//! that a value never becomes two words.

use std::collections::BTreeMap;
use std::path::Path;

use crate::check::Code;
use crate::command_line;
use crate::decode::nearest;
use crate::diagnostic::Diagnostic;
use crate::env_file;
use crate::facts::Facts;
use crate::load::Input;
use crate::placeholder::{self, PlaceholderError};
use crate::secret::{Secrets, looks_secret};
use crate::source::{Sources, Span};
use crate::value::{Entry, Expansion, ExpansionSource, Node, Table, Value};

/// Where the values of placeholders come from, for the whole definition.
pub(crate) struct Names<'a> {
    pub set: &'a BTreeMap<String, String>,
    pub environment: &'a BTreeMap<String, String>,
}

/// Expands the whole tree. Values that cannot be expanded are taken out; their paths are returned. The values of names that
/// look like those of secrets are kept in mind.
pub(crate) fn expand(
    root: &mut Node,
    names: &Names<'_>,
    input: &Input,
    facts: &dyn Facts,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Vec<String>>, Secrets) {
    let mut expander = Expander {
        names,
        env_file: BTreeMap::new(),
        sources,
        diagnostics,
        faulty: Vec::new(),
        secrets: Secrets::default(),
        path: Vec::new(),
    };
    let Value::Table(table) = &mut root.value else { return Default::default() };
    for (key, entry) in table {
        expander.path.push(key.clone());
        match (key.as_str(), &mut entry.node.value) {
            ("service", Value::Table(services)) => expander.services(services, input, facts),
            _ => {
                expander.node(&mut entry.node);
            }
        }
        expander.path.pop();
    }
    (expander.faulty, expander.secrets)
}

struct Expander<'a> {
    names: &'a Names<'a>,
    /// Of the service at hand.
    env_file: BTreeMap<String, String>,
    sources: &'a Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    faulty: Vec<Vec<String>>,
    secrets: Secrets,
    path: Vec<String>,
}

impl Expander<'_> {
    fn services(&mut self, services: &mut Table, input: &Input, facts: &dyn Facts) {
        for (name, Entry { node, .. }) in services {
            self.path.push(name.clone());
            if let Value::Table(service) = &mut node.value {
                self.env_file = self.read_env_file(service, input, facts);
                self.table(service);
                self.env_file.clear();
            }
            self.path.pop();
        }
    }

    /// The directory and the path of the env file are expanded first, without the env file.
    fn read_env_file(&mut self, service: &mut Table, input: &Input, facts: &dyn Facts) -> BTreeMap<String, String> {
        for key in ["directory", "env_file"] {
            if let Some(entry) = service.get_mut(key) {
                self.path.push(key.to_owned());
                let sound = self.node(&mut entry.node);
                self.path.pop();
                if !sound {
                    service.shift_remove(key);
                }
            }
        }
        let Some(entry) = service.get("env_file") else { return BTreeMap::new() };
        let Some(path) = entry.node.as_str() else { return BTreeMap::new() };
        let directory = service.get("directory").and_then(|entry| entry.node.as_str()).unwrap_or_default();
        let path = input.folder.join(directory).join(path);
        self.load_env_file(&path, entry.node.span, facts)
    }

    fn load_env_file(&mut self, path: &Path, span: Span, facts: &dyn Facts) -> BTreeMap<String, String> {
        let text = match facts.read(path) {
            Ok(text) => text,
            Err(why) => {
                let message = format!("the env file {} cannot be read: {why}", path.display());
                self.diagnostics.push(
                    Diagnostic::new(Code::EnvFile, message)
                        .at(span)
                        .help("create it, or correct the path; relative paths start at the service's directory"),
                );
                return BTreeMap::new();
            }
        };
        let (variables, bad_lines) = env_file::parse(&text);
        for bad in bad_lines {
            let message = format!("line {} of the env file {} cannot be read: {}", bad.line, path.display(), bad.why);
            self.diagnostics
                .push(Diagnostic::new(Code::EnvFileLine, message).at(span).help("write NAME=value, one to a line"));
        }
        variables.into_iter().collect()
    }

    fn table(&mut self, table: &mut Table) {
        table.retain(|key, entry| {
            self.path.push(key.clone());
            let sound = self.node(&mut entry.node);
            self.path.pop();
            sound
        });
    }

    /// Whether the value is sound; if not, its path is noted.
    fn node(&mut self, node: &mut Node) -> bool {
        if is_command(&self.path) && !self.split_command(node) {
            self.faulty.push(self.path.clone());
            return false;
        }
        match &mut node.value {
            Value::String(_) => {
                let sound = self.text(node);
                if !sound {
                    self.faulty.push(self.path.clone());
                }
                sound
            }
            Value::Array(items) => {
                let mut all_sound = true;
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push(index.to_string());
                    all_sound &= self.node(item);
                    self.path.pop();
                }
                all_sound
            }
            Value::Table(table) => {
                self.table(table);
                true
            }
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => true,
        }
    }

    fn split_command(&mut self, node: &mut Node) -> bool {
        let Some(text) = node.as_str() else { return true };
        match command_line::split(text) {
            Ok(words) => {
                let span = node.span;
                node.value = Value::Array(words.into_iter().map(|word| Node::new(Value::String(word), span)).collect());
                true
            }
            Err(command_line::SplitError::Placeholder(error)) => {
                let diagnostic = self.malformed(&error, text, node.span);
                self.diagnostics.push(diagnostic);
                false
            }
            Err(error) => {
                let help = "close the quote, or write the command as an array of words";
                self.diagnostics.push(Diagnostic::new(Code::BadCommand, error.to_string()).at(node.span).help(help));
                false
            }
        }
    }

    fn text(&mut self, node: &mut Node) -> bool {
        let Some(text) = node.as_str().filter(|text| text.contains('$')) else { return true };
        let segments = match placeholder::parse(text) {
            Ok(segments) => segments,
            Err(error) => {
                let diagnostic = self.malformed(&error, text, node.span);
                self.diagnostics.push(diagnostic);
                return false;
            }
        };
        let mut expansions = Vec::new();
        let mut defaulted = Vec::new();
        let mut secrets = Vec::new();
        let expanded = placeholder::expand(
            &segments,
            &mut |name| {
                let (value, from) = self.lookup(name)?;
                if looks_secret(name) {
                    secrets.push(value.clone());
                }
                if !value.is_empty() {
                    expansions.push(Expansion { name: name.to_owned(), from });
                }
                Some(value)
            },
            &mut |name| defaulted.push(Expansion { name: name.to_owned(), from: ExpansionSource::Default }),
        );
        secrets.iter().for_each(|secret| self.secrets.add(secret));
        match expanded {
            Ok(value) => {
                expansions.extend(defaulted);
                node.value = Value::String(value);
                node.expansions = expansions;
                true
            }
            Err(unset) => {
                let span = self.inside(text, node.span, unset.start, unset.end);
                let known = self.names.set.keys().chain(self.env_file.keys()).chain(self.names.environment.keys());
                let similar =
                    nearest(&unset.name, known.map(String::as_str)).map(|near| format!("; did you mean {near}?"));
                let help = format!(
                    "set it in the environment, in env_file or with --set {0}=…, or give a default: ${{{0}:value}}{1}",
                    unset.name,
                    similar.unwrap_or_default()
                );
                self.diagnostics.push(
                    Diagnostic::new(Code::UnsetPlaceholder, unset.to_string())
                        .at(span)
                        .label("has no value and no default")
                        .help(help),
                );
                false
            }
        }
    }

    fn lookup(&self, name: &str) -> Option<(String, ExpansionSource)> {
        let places = [
            (self.names.set, ExpansionSource::CommandLine),
            (self.names.environment, ExpansionSource::Environment),
            (&self.env_file, ExpansionSource::EnvFile),
        ];
        places.into_iter().find_map(|(values, from)| {
            values.get(name).filter(|value| !value.is_empty()).map(|value| (value.clone(), from))
        })
    }

    fn malformed(&self, error: &PlaceholderError, text: &str, span: Span) -> Diagnostic {
        let (start, end) = match error {
            PlaceholderError::Unclosed { start } | PlaceholderError::TooDeep { start } => (*start, text.len()),
            PlaceholderError::BadName { start, end, .. } => (*start, *end),
        };
        let help = "write ${NAME} or ${NAME:default}; a dollar sign itself is $$";
        Diagnostic::new(Code::BadPlaceholder, error.to_string()).at(self.inside(text, span, start, end)).help(help)
    }

    /// The place of a part of a text, where the source writes the text without escapes; else the whole.
    fn inside(&self, text: &str, span: Span, from: usize, to: usize) -> Span {
        let source = self.sources.get(span.source).map_or("", |source| source.text.as_str());
        let written = source.get(span.start..span.end).unwrap_or_default();
        [0, 1, 3]
            .into_iter()
            .find(|quotes| {
                written.len() == text.len() + 2 * quotes && written.get(*quotes..*quotes + text.len()) == Some(text)
            })
            .map_or(span, |quotes| span.part(quotes + from, quotes + to))
    }
}

/// Whether the value at a path is a command, which may be written as one text.
fn is_command(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path.as_slice(),
        ["service", _, "command"]
            | ["service", _, "stop", "command"]
            | ["service", _, "breaker", "fallback"]
            | ["service", _, "breaker", "fallback", "command"]
            | ["service", _, "probe", _, "exec"]
            | ["alert", _, "exec"]
    )
}
