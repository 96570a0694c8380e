//! Files that are made from the code, checked in, and held against it.

mod definition;
mod managers;

use std::fmt::Write as _;
use std::fs;

use menshen_plan::{Code, Severity};
use serde_json::Value as Json;

use crate::shell::{building, command, read, root, run, say};

/// Writes every generated file.
pub(crate) fn write() -> Result<(), String> {
    for (path, content) in generated()? {
        let path = root().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        if fs::read_to_string(&path).is_ok_and(|current| current == content) {
            continue;
        }
        fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Says which files are not up to date.
pub(crate) fn check() -> Result<(), String> {
    let stale: Vec<&str> = generated()?
        .into_iter()
        .filter(|(path, content)| fs::read_to_string(root().join(path)).ok().as_ref() != Some(content))
        .map(|(path, _)| path)
        .collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(format!("not up to date: {}; run `cargo xtask codegen`", stale.join(", ")))
    }
}

/// Every generated file with what has to be in it.
fn generated() -> Result<Vec<(&'static str, String)>, String> {
    Ok(vec![
        ("schema/menshen.schema.json", pretty(&menshen_plan::schema::schema())),
        ("openapi/menshen.json", pretty(&menshen_api::openapi::document())),
        ("fuzz/dictionaries/definition.dict", crate::fuzz::dictionary()),
        ("docs/definition.md", format!("{MADE}{}", definition::page(&menshen_plan::schema::schema()))),
        ("docs/states.md", states()),
        ("docs/checks.md", checks()),
        ("docs/managers.md", format!("{MADE}{}", managers::page())),
        ("docs/cli.md", cli()?),
    ])
}

fn pretty(json: &Json) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default() + "\n"
}

const MADE: &str = "<!-- Made by `cargo xtask codegen`; do not edit. -->\n\n";

fn states() -> String {
    let diagram = menshen_core::diagram::mermaid();
    format!(
        "{MADE}# The states of a service\n\nEvery change of state there is, from the table in `crates/core/src/transition.rs`. What each state means is told \
         in `crates/core/src/state.rs`.\n\n```mermaid\n{diagram}```\n"
    )
}

fn checks() -> String {
    let mut text = format!(
        "{MADE}# The rules of `menshen check`\n\n`menshen check --explain CODE` prints a rule's page.\n\n| code | severity | name | what it finds |\n|---|---|---|---|\n"
    );
    for rule in Code::ALL.iter().map(|code| code.rule()) {
        let severity = match rule.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "hint",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [{0}](../crates/plan/src/check/explain/{0}.md) | {severity} | {1} | {2} |",
            rule.code, rule.name, rule.summary
        );
    }
    text
}

/// The help of every command, as the command itself prints it.
fn cli() -> Result<String, String> {
    // Of the workspace, whose features are those of every other build.
    run(building().args(["build", "--quiet", "--workspace", "--bin", "menshen"]))?;
    let menshen = root().join("target/debug/menshen");
    let help = |words: &[&str]| {
        read(command(&menshen).args(words).arg("--help").env("COLUMNS", "100").env_remove("MENSHEN_INSTANCE"))
    };
    let overview = help(&[])?;
    let mut text = format!("{MADE}# The command line\n\n```text\n{}```\n", untrailed(&overview));
    // What `help` prints is the help of the others.
    for name in commands(&overview).into_iter().filter(|name| *name != "help") {
        let _ = write!(text, "\n## menshen {name}\n\n```text\n{}```\n", untrailed(&help(&[name])?));
    }
    Ok(text)
}

/// The names under `Commands:`.
fn commands(overview: &str) -> Vec<&str> {
    let list = overview.split_once("Commands:\n").map_or("", |(_, list)| list);
    let lines = list.lines().take_while(|line| line.starts_with(' '));
    lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// Without blanks at the ends of lines.
fn untrailed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
