//! Placeholders: what is built from pieces is read as those pieces and expanded as a model says; and any text is read or
//! refused at a place that is in it.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use menshen_plan::command_line::{self, CommandLine};
use menshen_plan::placeholder::{NESTING_MAX, PlaceholderError, Segment, expand, is_name, parse};

const NAMES: [&str; 6] = ["A", "B", "PORT", "_x9", "EMPTY", "SET"];

// A first byte of zero is followed by pieces, anything else is text.
fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((0, rest)) => {
        let mut u = Unstructured::new(rest);
        if let Ok(pieces) = pieces(&mut u, 0) {
            built(&pieces);
        }
    }
    _ => {
        if let Ok(text) = std::str::from_utf8(data) {
            any_text(text);
            any_command(text);
        }
    }
});

fn lookup(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "SET" => Some("${A} '\"$$".to_owned()),
        "PORT" => Some("8080".to_owned()),
        _ => None,
    }
}

/// A piece of a text with placeholders, and what it stands for.
#[derive(Debug)]
enum Piece {
    Text(String),
    Dollar,
    Placeholder { name: &'static str, default: Option<Vec<Piece>>, dash: bool },
}

fn pieces(u: &mut Unstructured<'_>, depth: usize) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        pieces.push(match u.int_in_range(0..=3)? {
            0 => Piece::Dollar,
            1 => Piece::Text(String::arbitrary(u)?.replace(['$', '}'], "{")),
            _ => Piece::Placeholder {
                name: u.choose(&NAMES)?,
                default: if depth < NESTING_MAX - 1 && u.arbitrary()? {
                    Some(self::pieces(u, depth + 1)?)
                } else {
                    None
                },
                dash: u.arbitrary()?,
            },
        });
    }
    Ok(pieces)
}

fn written(pieces: &[Piece]) -> String {
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Dollar => "$$".to_owned(),
        Piece::Placeholder { name, default: None, .. } => format!("${{{name}}}"),
        Piece::Placeholder { name, default: Some(default), dash } => {
            let default = written(default);
            // A default that begins with a dash needs the dash before it.
            let dash = if *dash || default.starts_with('-') { "-" } else { "" };
            format!("${{{name}:{dash}{default}}}")
        }
    };
    pieces.iter().map(one).collect()
}

/// What the pieces stand for; the first name that is not set otherwise.
fn meant(pieces: &[Piece]) -> std::result::Result<String, &'static str> {
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => Ok(text.clone()),
        Piece::Dollar => Ok("$".to_owned()),
        Piece::Placeholder { name, default, .. } => match lookup(name).filter(|value| !value.is_empty()) {
            Some(value) => Ok(value),
            None => default.as_ref().map_or(Err(*name), |default| meant(default)),
        },
    };
    pieces.iter().map(one).collect()
}

fn built(pieces: &[Piece]) {
    let text = written(pieces);
    let segments = parse(&text).unwrap_or_else(|error| panic!("{text:?} is refused: {error}"));
    assert_segments(&text, &segments);
    let expanded = expand(&segments, &mut lookup, &mut |_| ());
    let expanded = expanded.map_err(|unset| {
        assert!(text[unset.start..unset.end].starts_with(&format!("${{{}", unset.name)), "{text:?}: {unset:?}");
        unset.name
    });
    assert_eq!(expanded, meant(pieces).map_err(str::to_owned), "{text:?}");
}

fn any_text(text: &str) {
    match parse(text) {
        Ok(segments) => {
            assert_segments(text, &segments);
            let expanded = expand(&segments, &mut |_| Some("x".to_owned()), &mut |_| ());
            let expanded = expanded.unwrap_or_else(|unset| panic!("{text:?}: {unset} though everything is set"));
            assert!(expanded.len() <= text.len());
        }
        Err(error) => {
            let (start, end) = match &error {
                PlaceholderError::Unclosed { start } | PlaceholderError::TooDeep { start } => (*start, text.len()),
                PlaceholderError::BadName { start, end, .. } => (*start, *end),
            };
            let at = text.get(start..end).unwrap_or_else(|| panic!("{start}..{end} is no piece of {text:?}"));
            assert!(at.starts_with("${"), "{text:?}: {error:?}");
        }
    }
}

/// Everything between the placeholders is there, and the placeholders are where they say.
fn assert_segments(text: &str, segments: &[Segment]) {
    let mut at = 0;
    for segment in segments {
        match segment {
            Segment::Literal(literal) => {
                assert!(!literal.is_empty());
                let dollars = literal.matches('$').count();
                assert!(dollars == 0 || text[at..].contains('$'), "{text:?}: {literal:?}");
            }
            Segment::Placeholder(placeholder) => {
                let written = &text[placeholder.start..placeholder.end];
                assert!(placeholder.start >= at, "{text:?}: placeholders overlap");
                at = placeholder.end;
                assert!(is_name(&placeholder.name));
                assert!(
                    written.starts_with(&format!("${{{}", placeholder.name)) && written.ends_with('}'),
                    "{written:?}"
                );
                if let Some(default) = &placeholder.default {
                    assert_segments(text, default);
                }
            }
        }
    }
}

/// A placeholder stays in one word, whole, and words that are quoted are split back.
fn any_command(text: &str) {
    let Ok(words) = command_line::split(text) else { return };
    for word in &words {
        assert!(!word.contains('\0'));
        assert!(
            parse(word).is_ok() || text.contains('\\') || text.contains(['\'', '"']),
            "{text:?} is split to {word:?}"
        );
    }
    let plain = !text.contains('$');
    if plain {
        assert_eq!(command_line::split(&CommandLine(words.clone()).to_string()), Ok(words), "{text:?}");
    }
}
