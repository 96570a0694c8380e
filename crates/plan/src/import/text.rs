//! From a file's bytes to text, whatever wrote them.

use thiserror::Error;

/// Why bytes are not a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnreadableText {
    /// Neither UTF-8 nor marked as UTF-16.
    #[error("it is neither UTF-8 nor UTF-16 with a byte order mark (byte {0} fits neither)")]
    NotUtf8(usize),
    /// Marked as UTF-16, and is not.
    #[error("it begins as UTF-16 and does not go on as such")]
    NotUtf16,
}

/// Reads UTF-8, or UTF-16 with a byte order mark, which is what Windows' own tools write. The mark does not count.
///
/// # Errors
/// When the bytes are neither.
pub fn decode(bytes: &[u8]) -> Result<String, UnreadableText> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        all => utf8(all),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, UnreadableText> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|error| UnreadableText::NotUtf8(error.valid_up_to()))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, UnreadableText> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return Err(UnreadableText::NotUtf16) };
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16(&units).map_err(|_| UnreadableText::NotUtf16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_windows_are_read() {
        let little: Vec<u8> =
            [0xfeff, u16::from(b'a'), 0xe4].iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let big: Vec<u8> = [0xfeff, u16::from(b'a'), 0xe4].iter().flat_map(|unit: &u16| unit.to_be_bytes()).collect();
        for bytes in [&little[..], &big, "\u{feff}aä".as_bytes(), "aä".as_bytes()] {
            assert_eq!(decode(bytes).as_deref(), Ok("aä"));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert_eq!(decode(b"ab\xff"), Err(UnreadableText::NotUtf8(2)));
        assert_eq!(decode(b"\xff\xfea"), Err(UnreadableText::NotUtf16));
        assert_eq!(decode(b"\xff\xfe\x00\xd8"), Err(UnreadableText::NotUtf16));
    }
}
