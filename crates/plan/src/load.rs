//! From layers of text to a plan.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::build;
use crate::check::{self, Code};
use crate::decode::decode;
use crate::definition::Definition;
use crate::diagnostic::{Diagnostic, Severity};
use crate::expand;
use crate::facts::Facts;
use crate::layers::{self, Setting};
use crate::parse::parse;
use crate::plan::Plan;
use crate::secret::Secrets;
use crate::source::{Source, Sources, Span};
use crate::value::Node;

/// Everything a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The files: `menshen.toml` (or a folder of files), then those of the profile. Later layers win.
    pub layers: Vec<Layer>,
    /// The `--set` arguments, in order.
    pub settings: Vec<String>,
    /// The environment placeholders are looked up in and programs inherit from.
    pub environment: BTreeMap<String, String>,
    /// The definition's folder, where relative directories start.
    pub folder: PathBuf,
}

/// Files that count alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// The files, in order.
    pub files: Vec<Source>,
}

/// What came of it.
#[derive(Debug)]
pub struct Loaded {
    /// The texts, for showing places in them.
    pub sources: Sources,
    /// Everything found, the worst first in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The plan, unless a diagnostic refuses it.
    pub plan: Option<Plan>,
    /// The definition, merged and expanded, with every default.
    pub definition: Definition,
    /// The merged and expanded tree, which knows where everything was written.
    pub tree: Node,
    /// The values of placeholders whose names look like those of secrets.
    pub(crate) secrets: Secrets,
}

impl Loaded {
    /// Whether the definition cannot be used at all.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.plan.is_none()
    }

    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}

/// Loads a definition. Nothing is refused without a diagnostic that says why.
#[must_use]
pub fn load(input: &Input, facts: &dyn Facts) -> Loaded {
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let (mut tree, placeholders) = read_layers(input, &mut sources, &mut diagnostics);

    let (mut faulty, secrets) = expand::expand(
        &mut tree,
        &expand::Names { set: &placeholders, environment: &input.environment },
        input,
        facts,
        &sources,
        &mut diagnostics,
    );
    let (definition, mistakes, undecoded) = decode(tree.clone());
    diagnostics.extend(mistakes);
    faulty.extend(undecoded);

    let places = build::Places { tree: &tree, faulty: &faulty };
    let mut built = build::build(&definition, input, &places, facts, &mut diagnostics);
    check::run(
        &check::Context { definition: &definition, built: &built, places: &places, sources: &sources, facts },
        &mut diagnostics,
    );
    check::apply_allowances(&definition.check, &places, &mut diagnostics);

    diagnostics.iter_mut().for_each(|diagnostic| diagnostic.mask(&secrets));
    sort(&mut diagnostics);
    built.texts = input.layers.clone().into();
    let refused = diagnostics.iter().any(Diagnostic::refuses);
    let plan = (!refused).then_some(built);
    Loaded { sources, diagnostics, plan, definition, tree, secrets }
}

fn read_layers(
    input: &Input,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Node, BTreeMap<String, String>) {
    let mut trees = Vec::new();
    for layer in &input.layers {
        let files = layer
            .files
            .iter()
            .map(|file| {
                let id = sources.add(file.clone());
                let (tree, errors) = parse(id, &file.text);
                diagnostics.extend(errors);
                tree
            })
            .collect();
        trees.extend(layers::join_files(files, diagnostics));
    }
    let mut placeholders = BTreeMap::new();
    for argument in &input.settings {
        match layers::read_setting(argument, sources) {
            Ok(Setting::Placeholder { name, value }) => {
                placeholders.insert(name, value);
            }
            Ok(Setting::Value(tree)) => trees.push(tree),
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    let first = sources.iter().next().map(|(id, _)| id);
    let start = first.unwrap_or_else(|| sources.add(Source { name: "definition".to_owned(), text: String::new() }));
    let tree = layers::merge(trees, Span::start_of(start));
    if tree.at(["service"]).and_then(Node::as_table).is_none_or(indexmap::IndexMap::is_empty) && diagnostics.is_empty()
    {
        let nothing = Diagnostic::new(Code::NoServices, "the definition names no service").at(Span::start_of(start));
        diagnostics.push(nothing.help("add one: [service.web] with command = \"…\""));
    }
    (tree, placeholders)
}

/// In the order of the text, and there the worst first; the same finding twice is one.
fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|left, right| {
        let place = |diagnostic: &Diagnostic| diagnostic.span.map(|span| (span.source, span.start));
        (place(left), std::cmp::Reverse(left.severity), left.code, &left.message).cmp(&(
            place(right),
            std::cmp::Reverse(right.severity),
            right.code,
            &right.message,
        ))
    });
    diagnostics.dedup();
}
