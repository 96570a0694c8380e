//! Lines as the `text` and `json` logs hold them: written and read back.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use menshen_api::Time;
use menshen_api::types::{LogLine, Stream};
use serde::Serialize;

use super::lines::{Ends, LINE_BYTES_MAX, Piece};

/// The longest line in a file: every byte escaped (`\\u001b`) and again as base64, and what stands around it.
pub(super) const FORMATTED_BYTES_MAX: usize = 8 * LINE_BYTES_MAX;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// The time and the stream before each line.
    Text,
    /// One JSON object per line.
    Json,
}

/// A line, or a piece of one, as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) time_ms: Option<i64>,
    pub(super) stream: Stream,
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Ends,
}

/// The point in time that lines are written with, in words once for all of them.
#[derive(Debug, Clone)]
pub(super) struct Stamp(String);

impl Stamp {
    pub(super) fn new(wall_ms: i64) -> Self {
        Self(Time::from_ms(wall_ms).to_string())
    }
}

/// What a line of JSON holds; [`LogLine`] reads it.
#[derive(Serialize)]
struct Record<'a> {
    time: &'a str,
    stream: Stream,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
}

impl LineFormat {
    /// Writes a line, with its newline, after what is in the buffer.
    pub(super) fn write(self, stamp: &Stamp, stream: Stream, piece: Piece<'_>, into: &mut Vec<u8>) {
        match self {
            Self::Text => {
                into.extend_from_slice(stamp.0.as_bytes());
                into.push(b' ');
                into.extend_from_slice(stream.as_str().as_bytes());
                into.extend_from_slice(match piece.ends {
                    Ends::Here => b" ",
                    Ends::Later => b"+ ",
                });
                into.extend_from_slice(piece.bytes);
            }
            Self::Json if is_plain(piece.bytes) => write_plain(stamp, stream, piece, into),
            Self::Json => {
                let text = String::from_utf8_lossy(piece.bytes);
                let base64 = is_replaced(&text, piece.bytes).then(|| BASE64.encode(piece.bytes));
                let continues = piece.ends == Ends::Later;
                let record = Record { time: &stamp.0, stream, text, base64, continues };
                serde_json::to_writer(&mut *into, &record).expect("text in memory can be written as JSON into memory");
            }
        }
        into.push(b'\n');
    }

    /// Whether a file that begins so is of this format.
    pub(super) fn begins(self, first: u8) -> bool {
        (first == b'{') == (self == Self::Json)
    }
}

/// Whether bytes stand in JSON as they are. Nearly all lines do, and this look at one takes a fraction of the time that
/// decoding and escaping it would.
fn is_plain(bytes: &[u8]) -> bool {
    // Without an early end, so that the compiler looks at many bytes at once.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\'))
}

/// A plain line as [`Record`] would be.
fn write_plain(stamp: &Stamp, stream: Stream, piece: Piece<'_>, into: &mut Vec<u8>) {
    let ends: &[u8] = match piece.ends {
        Ends::Here => b"\"}",
        Ends::Later => b"\",\"continues\":true}",
    };
    let parts: [&[u8]; 7] = [
        b"{\"time\":\"",
        stamp.0.as_bytes(),
        b"\",\"stream\":\"",
        stream.as_str().as_bytes(),
        b"\",\"text\":\"",
        piece.bytes,
        ends,
    ];
    parts.into_iter().for_each(|part| into.extend_from_slice(part));
}

/// Whether bytes became this text by replacing what is not UTF-8.
fn is_replaced(text: &str, bytes: &[u8]) -> bool {
    text.as_bytes() != bytes
}

impl Line {
    /// Reads a line of either format. What is damaged is a line without a time.
    pub(super) fn parse(line: &[u8]) -> Self {
        let parsed = if line.first() == Some(&b'{') { Self::parse_json(line) } else { Self::parse_text(line) };
        parsed.unwrap_or_else(|| Self { time_ms: None, stream: Stream::Stdout, bytes: line.to_vec(), ends: Ends::Here })
    }

    fn parse_text(line: &[u8]) -> Option<Self> {
        let (time, rest) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
        let time = std::str::from_utf8(time).ok()?.parse::<Time>().ok()?;
        let rest = &rest[1..];
        let (stream, rest) = Stream::ALL
            .into_iter()
            .find_map(|stream| Some((stream, rest.strip_prefix(stream.as_str().as_bytes())?)))?;
        let (ends, bytes) = match rest.strip_prefix(b"+ ") {
            Some(bytes) => (Ends::Later, bytes),
            None => (Ends::Here, rest.strip_prefix(b" ")?),
        };
        Some(Self { time_ms: Some(time.as_ms()), stream, bytes: bytes.to_vec(), ends })
    }

    fn parse_json(line: &[u8]) -> Option<Self> {
        let line: LogLine = serde_json::from_slice(line).ok()?;
        let whole = line.base64.and_then(|base64| BASE64.decode(base64).ok());
        Some(Self {
            time_ms: line.time.map(Time::as_ms),
            stream: line.stream,
            bytes: whole.unwrap_or_else(|| line.text.into_bytes()),
            ends: if line.continues { Ends::Later } else { Ends::Here },
        })
    }

    /// As the contract has it.
    pub(super) fn into_log_line(self) -> LogLine {
        let (text, base64) = match String::from_utf8(self.bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(BASE64.encode(error.as_bytes())))
            }
        };
        LogLine {
            time: self.time_ms.map(Time::from_ms),
            stream: self.stream,
            text,
            base64,
            continues: self.ends == Ends::Later,
            position: None,
        }
    }
}

/// The bytes of a line that a pattern is held against: without the carriage return that programs of other systems end lines
/// with, so that `$` means what people mean.
pub(super) fn matchable(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON_MS: i64 = 1_769_860_800_123;

    fn written(format: LineFormat, stream: Stream, bytes: &[u8], ends: Ends) -> Vec<u8> {
        let mut line = Vec::new();
        format.write(&Stamp::new(NOON_MS), stream, Piece { bytes, ends, next: 0 }, &mut line);
        line
    }

    #[test]
    fn text_has_the_time_and_the_stream_before_each_line() {
        assert_eq!(
            written(LineFormat::Text, Stream::Stdout, b"the line", Ends::Here),
            b"2026-01-31T12:00:00.123Z stdout the line\n"
        );
        assert_eq!(
            written(LineFormat::Text, Stream::Stderr, b"\x1b\xff", Ends::Later),
            b"2026-01-31T12:00:00.123Z stderr+ \x1b\xff\n"
        );
    }

    #[test]
    fn json_is_one_object_for_each_line() {
        assert_eq!(
            String::from_utf8(written(LineFormat::Json, Stream::Stdout, b"a \"line\"", Ends::Here)).unwrap(),
            "{\"time\":\"2026-01-31T12:00:00.123Z\",\"stream\":\"stdout\",\"text\":\"a \\\"line\\\"\"}\n"
        );
        assert_eq!(
            String::from_utf8(written(LineFormat::Json, Stream::Stderr, b"\xffx", Ends::Later)).unwrap(),
            "{\"time\":\"2026-01-31T12:00:00.123Z\",\"stream\":\"stderr\",\"text\":\"\u{fffd}x\",\"base64\":\"/3g=\",\"continues\":true}\n"
        );
    }

    #[test]
    fn a_plain_line_is_written_as_any_other_would_be() {
        for byte in 0..=u8::MAX {
            for ends in [Ends::Here, Ends::Later] {
                let bytes = [b'a', byte, b'z'];
                let line = written(LineFormat::Json, Stream::Stderr, &bytes, ends);
                let text = String::from_utf8_lossy(&bytes);
                let base64 = is_replaced(&text, &bytes).then(|| BASE64.encode(bytes));
                let time = Time::from_ms(NOON_MS).to_string();
                let record =
                    Record { time: &time, stream: Stream::Stderr, text, base64, continues: ends == Ends::Later };
                assert_eq!(line, [serde_json::to_vec(&record).unwrap(), b"\n".to_vec()].concat(), "{byte}");
            }
        }
    }

    #[test]
    fn a_damaged_line_is_a_line_without_a_time() {
        for damaged in
            ["", "half a li", "{\"time\":\"2026-01", "2026-01-31T12:00:00.123Z stdou", "2026-01-31T12:00:00.123Z"]
        {
            let line = Line::parse(damaged.as_bytes());
            assert_eq!((line.time_ms, line.bytes.as_slice()), (None, damaged.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>().prop_filter("a newline ends the line", |byte| *byte != b'\n'), 0..80),
                "[^\n]{0,40}".prop_map(String::into_bytes),
            ],
            format in prop_oneof![Just(LineFormat::Text), Just(LineFormat::Json)],
            stream in prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)],
            ends in prop_oneof![Just(Ends::Here), Just(Ends::Later)],
        ) {
            let line = written(format, stream, &bytes, ends);
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert!(format.begins(line[0]));
            let line = Line::parse(&line[..line.len() - 1]);
            prop_assert_eq!(&line, &Line { time_ms: Some(NOON_MS), stream, bytes: bytes.clone(), ends });
            let line = line.into_log_line();
            prop_assert_eq!(line.base64.is_some(), std::str::from_utf8(&bytes).is_err());
        }
    }
}
