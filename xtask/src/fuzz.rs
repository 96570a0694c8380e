//! The fuzz targets, one after the other, each for a bounded time.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use menshen_plan::Code;
use serde_json::Value as Json;

use crate::shell::{cargo, command, is_there, root, run, say};

/// The longest input tried, in bytes: the example shop fits, and short inputs are tried more often.
const INPUT_BYTES_MAX: usize = 4096;
/// An input that takes longer than this many seconds is a finding.
const INPUT_SECONDS_MAX: u32 = 10;
/// How many of the last lines of a target that failed are shown.
const LINES_SHOWN: usize = 120;

/// What to fuzz, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; without it, all of them.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
}

/// Runs the targets and says how far each came.
pub(crate) fn fuzz(arguments: &Arguments) -> Result<(), String> {
    let targets = chosen(targets()?, arguments.target.as_deref())?;
    prepare()?;
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for target in &targets {
        say(&format!("{target}: {} min", arguments.minutes));
        let (outcome, reached) = run_target(target, arguments.minutes)?;
        if let Err(error) = outcome {
            say(&error);
            failed.push(target.as_str());
        }
        lines.push(reached.line(target));
    }
    say(&format!("\n{}", lines.join("\n")));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("{} found something; the inputs are in fuzz/artifacts", failed.join(", ")))
    }
}

fn chosen(all: Vec<String>, wanted: Option<&str>) -> Result<Vec<String>, String> {
    let Some(wanted) = wanted else { return Ok(all) };
    if all.iter().any(|target| target == wanted) {
        return Ok(vec![wanted.to_owned()]);
    }
    Err(format!("there is no target '{wanted}'; there are {}", all.join(", ")))
}

/// Every target has a file of its name.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()));
    Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
}

/// Builds everything, so that the time of a target is its own.
fn prepare() -> Result<(), String> {
    if !is_there("cargo-fuzz", "--version") {
        run(cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    write_examples()?;
    run(&mut cargo_fuzz("build"))
}

/// What counts edges takes the nightly compiler. A sanitizer would find nothing in code that is safe, and takes its time.
fn cargo_fuzz(verb: &str) -> Command {
    let mut fuzz = command("rustup");
    fuzz.args(["run", "nightly", "cargo", "fuzz", verb, "--sanitizer", "none"]).current_dir(root().join("fuzz"));
    fuzz
}

fn examples() -> PathBuf {
    root().join("target/fuzz/definition")
}

/// The example shop and the examples of the rules' pages are where the search for definitions begins.
fn write_examples() -> Result<(), String> {
    let folder = examples();
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::copy(root().join("examples/shop/menshen.toml"), folder.join("shop.toml")).map_err(failed)?;
    for code in Code::ALL {
        let texts = code.rule().page.split("```toml ").skip(1).filter_map(|rest| rest.split("```").next());
        for (kind, text) in texts.filter_map(|text| text.split_once('\n')) {
            fs::write(folder.join(format!("{code}-{kind}.toml")), text).map_err(failed)?;
        }
    }
    Ok(())
}

/// How far a target came.
#[derive(Debug, Default)]
struct Reached {
    executions: u64,
    per_second: u64,
    /// Edges, features and inputs, as libFuzzer counts them.
    edges: u64,
    features: u64,
    inputs: u64,
}

fn run_target(target: &str, minutes: u32) -> Result<(Result<(), String>, Reached), String> {
    let corpus = root().join("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut fuzz = cargo_fuzz("run");
    fuzz.arg(target).arg(&corpus);
    let more = [root().join("fuzz/seeds").join(target), examples()];
    fuzz.args(more.iter().filter(|folder| folder.file_name().is_some_and(|name| name == target) && folder.exists()));
    fuzz.arg("--").args(flags(minutes));
    fuzz.args(dictionary_of(target).map(|path| format!("-dict={}", path.display())));
    let mut child =
        fuzz.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|error| format!("cargo fuzz: {error}"))?;
    let mut reached = Reached::default();
    let mut last = VecDeque::new();
    for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).split(b'\n')) {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line).into_owned();
        reached.hear(&line);
        last.push_back(line);
        if last.len() > LINES_SHOWN {
            last.pop_front();
        }
    }
    let status = child.wait().map_err(|error| format!("cargo fuzz: {error}"))?;
    let outcome = if status.success() {
        Ok(())
    } else {
        Err(format!("{}\n{target} ended with {status}", Vec::from(last).join("\n")))
    };
    Ok((outcome, reached))
}

fn flags(minutes: u32) -> [String; 5] {
    [
        format!("-max_total_time={}", u64::from(minutes) * 60),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        "-len_control=10".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]
}

fn dictionary_of(target: &str) -> Option<PathBuf> {
    Some(root().join("fuzz/dictionaries").join(format!("{target}.dict"))).filter(|path| Path::exists(path))
}

impl Reached {
    /// Reads a line of libFuzzer: `#123 NEW cov: 45 ft: 67 corp: 8/9b …`, `stat::number_of_executed_units: 123`.
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let number = pair[1].split('/').next().and_then(|number| number.parse().ok());
            match (pair[0], number) {
                ("cov:", Some(number)) => self.edges = number,
                ("ft:", Some(number)) => self.features = number,
                ("corp:", Some(number)) => self.inputs = number,
                ("stat::number_of_executed_units:", Some(number)) => self.executions = number,
                ("stat::average_exec_per_sec:", Some(number)) => self.per_second = number,
                _ => {}
            }
        }
    }

    fn line(&self, target: &str) -> String {
        let Self { executions, per_second, edges, features, inputs } = self;
        format!(
            "{target:20} {executions:>12} executions ({per_second}/s), {edges} edges, {features} features, {inputs} inputs kept"
        )
    }
}

/// Every key and every choice of a definition, as libFuzzer's dictionary for the targets that read one.
pub(crate) fn dictionary() -> String {
    let mut words = BTreeSet::new();
    collect(&menshen_plan::schema::schema(), &mut words);
    words.extend(Code::ALL.iter().map(|code| code.as_str().to_owned()));
    let marks = ["${", "$$", ":-", "\\x1e", "[service.", "[alert.", "'''", "{ credential = \\\"file:", "SIGRTMIN+"];
    let words = words.iter().map(String::as_str).chain(marks);
    let lines: Vec<String> = words.map(|word| format!("\"{word}\"\n")).collect();
    format!("# Made by `cargo xtask codegen`; do not edit.\n{}", lines.concat())
}

fn collect(schema: &Json, words: &mut BTreeSet<String>) {
    let is_word = |text: &str| !text.is_empty() && !text.contains(['"', '\\', '{', ' ']);
    let mut take = |value: &Json| words.extend(value.as_str().filter(|text| is_word(text)).map(str::to_owned));
    match schema {
        Json::Object(object) => {
            for key in ["enum", "examples"] {
                object.get(key).and_then(Json::as_array).into_iter().flatten().for_each(&mut take);
            }
            object.get("const").into_iter().for_each(take);
            let keys = object.get("properties").and_then(Json::as_object).into_iter().flat_map(|keys| keys.keys());
            words.extend(keys.cloned());
            object.values().for_each(|value| collect(value, words));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
