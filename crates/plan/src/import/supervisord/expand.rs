//! `%(name)s`: Python's formatting with what supervisord knows of a process.

use super::super::template::Template;

/// What a process may be asked for.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub program: String,
    pub group: String,
    pub process: String,
    pub number: i64,
    pub count: i64,
    /// The folder of the file.
    pub here: String,
}

/// A text with its names put in.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub template: Template,
    /// Variables of the environment that must be there.
    pub environment: Vec<String>,
    /// What nobody knows.
    pub unknown: Vec<String>,
    /// Whether the machine's name stands in it.
    pub host: Host,
}

/// Whether a text names the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Host {
    #[default]
    Unnamed,
    Named,
}

/// Expands a text. What cannot be is left as it is written.
pub(super) fn expand(text: &str, names: &Names) -> Expanded {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.template.push_literal(before);
        rest = match directive(after) {
            Some(Directive::Percent { rest }) => {
                expanded.template.push_literal("%");
                rest
            }
            Some(Directive::Name { name, format, rest }) => {
                put(name, format, names, &mut expanded);
                rest
            }
            None => {
                expanded.template.push_literal("%");
                expanded.unknown.push(after.chars().take(20).collect());
                after
            }
        };
    }
    expanded.template.push_literal(rest);
    expanded
}

enum Directive<'a> {
    Percent { rest: &'a str },
    Name { name: &'a str, format: &'a str, rest: &'a str },
}

fn directive(after: &str) -> Option<Directive<'_>> {
    if let Some(rest) = after.strip_prefix('%') {
        return Some(Directive::Percent { rest });
    }
    let (name, rest) = after.strip_prefix('(')?.split_once(')')?;
    let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
    let (format, rest) = rest.split_at(end + 1);
    Some(Directive::Name { name, format, rest })
}

fn put(name: &str, format: &str, names: &Names, expanded: &mut Expanded) {
    if let Some(variable) = name.strip_prefix("ENV_") {
        expanded.environment.push(variable.to_owned());
        return expanded.template.push_required(variable);
    }
    match name {
        "program_name" => expanded.template.push_literal(&names.program),
        "group_name" => expanded.template.push_literal(&names.group),
        "process_name" => expanded.template.push_literal(&names.process),
        "process_num" => expanded.template.push_literal(&number(names.number, format)),
        "numprocs" => expanded.template.push_literal(&number(names.count, format)),
        "here" => expanded.template.push_literal(&names.here),
        "host_node_name" => {
            expanded.host = Host::Named;
            expanded.template.push_placeholder("HOSTNAME", "localhost");
        }
        other => {
            expanded.unknown.push(other.to_owned());
            expanded.template.push_literal(&format!("%({other}){format}"));
        }
    }
}

/// `02d` of Python: the width, filled with zeros or blanks.
fn number(number: i64, format: &str) -> String {
    let digits: String = format.chars().filter(char::is_ascii_digit).collect();
    let width = digits.parse::<usize>().unwrap_or(0).min(32);
    if digits.starts_with('0') { format!("{number:0width$}") } else { format!("{number:width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in_as_python_formats_them() {
        let names = Names {
            program: "web".to_owned(),
            group: "web".to_owned(),
            process: "web_03".to_owned(),
            number: 3,
            count: 12,
            here: "/etc".to_owned(),
        };
        for (text, written) in [
            ("%(program_name)s_%(process_num)02d", "web_03"),
            ("%(process_num)d of %(numprocs)3d", "3 of  12"),
            ("100%% $%(ENV_X)s", "100% $$${X}"),
            ("%(here)s/x", "/etc/x"),
        ] {
            let expanded = expand(text, &names);
            assert_eq!((expanded.template.into_text().as_str(), expanded.unknown.len()), (written, 0), "{text}");
        }
        assert_eq!(expand("%(nope)s %d", &names).unknown, ["nope", "d"]);
    }
}
