//! Loading a definition, and what must hold of whatever comes of it.

use menshen_plan::value::{Node, Value};
use menshen_plan::{Diagnostic, Input, Layer, Loaded, MASK, Source, Span, config, diff, load};

use crate::machine::{self, FOLDER, Machine, SECRET};
use crate::output::Palette;
use crate::shown;

/// What stands between the parts of an input: the definition, its profile, the env file, and `--set` arguments.
pub const SEPARATOR: char = '\u{1e}';

/// How many findings of one definition are shown.
const SHOWN_MAX: usize = 4;

/// Loads an input made of parts.
#[must_use]
pub fn load_parts(text: &str) -> (Loaded, Machine) {
    let mut parts = text.split(SEPARATOR);
    let definition = parts.next().unwrap_or_default();
    let profile = parts.next();
    let machine = Machine { env_file: parts.next().unwrap_or_default().to_owned() };
    let file = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let mut files = vec![file("menshen.toml", definition)];
    files.extend(profile.map(|text| file("menshen.test.toml", text)));
    let layers = files.into_iter().map(|file| Layer { files: vec![file] }).collect();
    let input = Input {
        layers,
        settings: parts.map(str::to_owned).collect(),
        environment: machine::environment(),
        folder: FOLDER.into(),
    };
    (load(&input, &machine), machine)
}

/// Holds what was loaded against everything that is always true.
pub fn assert_sound(loaded: &Loaded, machine: &Machine) {
    loaded.diagnostics.iter().for_each(|diagnostic| assert_places(diagnostic, loaded));
    assert_node(&loaded.tree, loaded);
    assert_eq!(loaded.is_refused(), loaded.diagnostics.iter().any(Diagnostic::refuses), "{:#?}", loaded.diagnostics);
    let settings = config::settings(loaded);
    let text = config::to_toml(&settings);
    assert_no_secret(loaded, &text);
    let Some(plan) = &loaded.plan else { return };
    let mut masked = config::masked_plan(plan);
    // The guard's own name is the name of its socket; whoever makes a secret of it has none any more.
    masked["name"] = serde_json::Value::Null;
    assert_no_secret(loaded, &masked.to_string());
    assert!(diff(plan, plan).is_empty(), "a plan differs from itself: {:#?}", diff(plan, plan));
    let placed: usize = plan.start_order().iter().map(Vec::len).sum();
    assert_eq!(placed, plan.services.len(), "an accepted plan has services that can never start");
    // A secret is shown as stars, and stars are another definition.
    if !text.contains(MASK) {
        assert_reads_back(loaded, &text, machine);
    }
}

/// What `menshen config` prints is a definition, and the same one.
fn assert_reads_back(loaded: &Loaded, text: &str, machine: &Machine) {
    let file = Source { name: "menshen.toml".to_owned(), text: text.to_owned() };
    let input = Input {
        layers: vec![Layer { files: vec![file] }],
        settings: Vec::new(),
        environment: machine::environment(),
        folder: FOLDER.into(),
    };
    let again = load(&input, machine);
    let (Some(plan), Some(same)) = (&loaded.plan, &again.plan) else {
        panic!("what config prints is refused:\n{text}\n{:#?}", again.diagnostics);
    };
    assert_eq!(loaded.definition, again.definition, "config prints another definition:\n{text}");
    assert!(diff(plan, same).is_empty(), "config prints another plan: {:#?}\n{text}", diff(plan, same));
}

/// Every place is a piece of a text that is there.
fn assert_places(diagnostic: &Diagnostic, loaded: &Loaded) {
    assert!(!diagnostic.message.is_empty());
    assert_no_secret(loaded, &format!("{diagnostic:?}"));
    for span in diagnostic.span.iter().chain(diagnostic.related.iter().map(|related| &related.span)) {
        assert_span(*span, loaded, diagnostic);
    }
}

fn assert_span(span: Span, loaded: &Loaded, of: &dyn std::fmt::Debug) {
    let source = loaded.sources.get(span.source).unwrap_or_else(|| panic!("no source for {span:?} of {of:#?}"));
    assert!(source.text.get(span.start..span.end).is_some(), "{span:?} is no piece of {:?}: {of:#?}", source.text);
}

fn assert_node(node: &Node, loaded: &Loaded) {
    assert_span(node.span, loaded, node);
    match &node.value {
        Value::Array(items) => items.iter().for_each(|item| assert_node(item, loaded)),
        Value::Table(table) => {
            for (key, entry) in table {
                assert_span(entry.key, loaded, key);
                assert_node(&entry.node, loaded);
            }
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// Every finding can be shown, in every format. Showing takes far longer than finding, so that few are looked at.
pub fn assert_shown(loaded: &Loaded) {
    if loaded.diagnostics.len() > SHOWN_MAX {
        return;
    }
    let text = shown::text::render(loaded, Palette::None);
    let json = shown::json::render(loaded);
    let sarif = shown::sarif::render(loaded);
    assert_eq!(json["diagnostics"].as_array().map(Vec::len), Some(loaded.diagnostics.len()));
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(loaded.diagnostics.len()));
    for diagnostic in &loaded.diagnostics {
        assert!(text.contains(diagnostic.code.as_str()), "{diagnostic:#?} is not shown in\n{text}");
    }
}

/// A secret that is not written in the definition itself is never shown.
pub fn assert_no_secret(loaded: &Loaded, shown: &str) {
    let is_written = loaded.sources.iter().any(|(_, source)| source.text.contains(SECRET));
    assert!(is_written || !shown.contains(SECRET), "a secret is shown in\n{shown}");
}
