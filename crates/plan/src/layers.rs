//! Layers: `menshen.toml` < `menshen.<profile>.toml` < `--set`. Tables merge, everything else replaces.

use indexmap::map::Entry as Slot;

use crate::check::Code;
use crate::decode::empty_table;
use crate::diagnostic::Diagnostic;
use crate::parse::parse;
use crate::source::{Source, Sources, Span};
use crate::value::{Entry, Node, Table, Value};

/// The keys that say what a probe does. A layer that names one takes the others, and what belongs to them, away.
const PROBE_METHODS: [&str; 14] = [
    "http",
    "tcp",
    "exec",
    "grpc",
    "notify",
    "file",
    "log",
    "method",
    "headers",
    "status",
    "body",
    "grpc_service",
    "younger_than",
    "url",
];
const ALERT_METHODS: [&str; 3] = ["webhook", "exec", "headers"];

/// Lays one tree over another.
pub(crate) fn overlay(base: &mut Node, over: Node) {
    let mut path = Vec::new();
    overlay_at(base, over, &mut path);
}

fn overlay_at(base: &mut Node, over: Node, path: &mut Vec<String>) {
    let Node { value, span, expansions } = over;
    match (&mut base.value, value) {
        (Value::Table(table), Value::Table(over)) => {
            drop_replaced_methods(table, &over, path);
            for (key, entry) in over {
                path.push(key.clone());
                match table.entry(key) {
                    Slot::Occupied(mut slot) => {
                        let below = slot.get_mut();
                        // A table is where it began, whatever is laid over some of it.
                        if below.node.as_table().is_none() || entry.node.as_table().is_none() {
                            below.key = entry.key;
                        }
                        overlay_at(&mut below.node, entry.node, path);
                    }
                    Slot::Vacant(slot) => {
                        slot.insert(entry);
                    }
                }
                path.pop();
            }
        }
        (_, value) => *base = Node { value, span, expansions },
    }
}

fn drop_replaced_methods(base: &mut Table, over: &Table, path: &[String]) {
    let methods: &[&str] = match path {
        [service, _, probe, _] if service == "service" && probe == "probe" => &PROBE_METHODS,
        [alert, _] if alert == "alert" => &ALERT_METHODS,
        _ => return,
    };
    let names_method = |key: &String| methods[..methods.len().min(7)].contains(&key.as_str()) && key != "headers";
    if over.keys().any(names_method) {
        base.retain(|key, _| !methods.contains(&key.as_str()));
    }
}

/// Puts the files of one folder together; each service and alert may be in one of them only, and they name one guard.
pub(crate) fn join_files(files: Vec<Node>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    files.into_iter().reduce(|mut base, over| {
        report_duplicates(&base, &over, diagnostics);
        overlay(&mut base, over);
        base
    })
}

fn report_duplicates(base: &Node, over: &Node, diagnostics: &mut Vec<Diagnostic>) {
    for section in ["service", "alert"] {
        let tables = (base.at([section]).and_then(Node::as_table), over.at([section]).and_then(Node::as_table));
        let (Some(first), Some(second)) = tables else { continue };
        for (name, entry) in second {
            if let Some(earlier) = first.get(name) {
                let message = format!("{section} '{name}' is defined in two files");
                let diagnostic = Diagnostic::new(Code::DefinedTwice, message).at(entry.key).label("defined again here");
                let help = "keep one of them, or put the differences into a profile (menshen.PROFILE.toml)";
                diagnostics.push(diagnostic.related(Some(earlier.key), "first defined here").help(help));
            }
        }
    }
    report_two_names(base, over, diagnostics);
}

/// Files that name different guards are definitions of their own: put together, each guard would run what is the other's.
fn report_two_names(base: &Node, over: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let (Some(first), Some(second)) = (base.at(["guard", "name"]), over.at(["guard", "name"])) else { return };
    let (Value::String(name), Value::String(other)) = (&first.value, &second.value) else { return };
    if name != other {
        let message = format!("files of one folder name two guards, '{name}' and '{other}'");
        let diagnostic = Diagnostic::new(Code::DefinedTwice, message).at(second.span).label("named otherwise here");
        let help = "name one file with --file: each is a definition of its own; or have one of them name the guard";
        diagnostics.push(diagnostic.related(Some(first.span), "first named here").help(help));
    }
}

/// What one `--set` argument asks for.
pub(crate) enum Setting {
    /// `--set NAME=value`: the value of a placeholder.
    Placeholder { name: String, value: String },
    /// `--set key.path=value`: a layer of its own.
    Value(Node),
}

/// Reads `--set` arguments. One without a dot before its `=` sets a placeholder; the value of the others is read as TOML
/// and, where it is none, as text.
pub(crate) fn read_setting(argument: &str, sources: &mut Sources) -> Result<Setting, Box<Diagnostic>> {
    let source = sources.add(Source { name: "--set".to_owned(), text: argument.to_owned() });
    let whole = Span { source, start: 0, end: argument.len() };
    let refuse = |message: String| {
        let help = "write --set NAME=value or --set key.path=value";
        Box::new(Diagnostic::new(Code::BadSet, message).at(whole).help(help))
    };
    let (key, value) = argument.split_once('=').ok_or_else(|| refuse(format!("'{argument}' has no '='")))?;
    if crate::placeholder::is_name(key.trim()) {
        return Ok(Setting::Placeholder { name: key.trim().to_owned(), value: value.to_owned() });
    }
    let (tree, errors) = parse(source, argument);
    if errors.is_empty() {
        return Ok(Setting::Value(tree));
    }
    // The key as it is written, so that its parts are where they are found.
    let (mut tree, errors) = parse(source, &format!("{key}=\"\""));
    if !errors.is_empty() {
        return Err(refuse(format!("'{}' is not a key", key.trim())));
    }
    let at = argument.len() - value.len();
    set_text(&mut tree, &Node::new(Value::String(value.to_owned()), Span { source, start: at, end: argument.len() }));
    Ok(Setting::Value(tree))
}

/// Puts `text` in the place of the one leaf there is. Nothing ends behind it.
fn set_text(node: &mut Node, text: &Node) {
    match &mut node.value {
        Value::Table(table) => {
            node.span.end = node.span.end.min(text.span.end);
            table.values_mut().for_each(|Entry { node, .. }| set_text(node, text));
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_) => *node = text.clone(),
    }
}

/// Lays everything together, in order of precedence.
pub(crate) fn merge(layers: Vec<Node>, fallback: Span) -> Node {
    layers.into_iter().fold(empty_table(fallback), |mut base, over| {
        overlay(&mut base, over);
        base
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        let mut sources = Sources::default();
        let id = sources.add(Source { name: "t".into(), text: text.into() });
        let (tree, errors) = parse(id, text);
        assert_eq!(errors, []);
        tree
    }

    fn overlaid(base: &str, over: &str) -> Node {
        let mut base = tree(base);
        overlay(&mut base, tree(over));
        base
    }

    #[test]
    fn tables_merge_and_arrays_replace() {
        let merged = overlaid("a = { x = 1, y = [1, 2] }", "a = { y = [3], z = 4 }");
        assert_eq!(merged.at(["a", "x"]).unwrap().value, Value::Integer(1));
        assert_eq!(merged.at(["a", "y", "0"]).unwrap().value, Value::Integer(3));
        assert!(merged.at(["a", "y", "1"]).is_none());
        assert_eq!(merged.at(["a", "z"]).unwrap().value, Value::Integer(4));
    }

    #[test]
    fn a_probe_of_another_kind_takes_the_place_of_the_first_and_keeps_its_timing() {
        let merged = overlaid(
            "[service.a.probe.readiness]\nhttp = 'x'\nstatus = [200]\ninterval = '1s'",
            "[service.a.probe.readiness]\ntcp = ':1'",
        );
        let probe = merged.at(["service", "a", "probe", "readiness"]).unwrap().as_table().unwrap();
        assert_eq!(probe.keys().collect::<Vec<_>>(), ["interval", "tcp"]);
    }

    #[test]
    fn a_setting_is_toml_or_else_text() {
        let mut sources = Sources::default();
        let mut value = |argument: &str| match read_setting(argument, &mut sources) {
            Ok(Setting::Value(node)) => node.at(["service", "web", "x"]).unwrap().value.clone(),
            Ok(Setting::Placeholder { value, .. }) => Value::String(value),
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(value("service.web.x=5"), Value::Integer(5));
        assert_eq!(value("service.web.x=5s"), Value::String("5s".into()));
        assert_eq!(value("service.web.x = \"a b\""), Value::String("a b".into()));
        assert_eq!(value("PORT=80=81"), Value::String("80=81".into()));
        assert!(read_setting("nothing", &mut sources).is_err());
        assert!(read_setting("a b.c=1", &mut sources).is_err());
    }
}
