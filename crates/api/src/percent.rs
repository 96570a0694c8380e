//! Percent-encoding (RFC 3986).

use thiserror::Error;

/// Why a text cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum DecodeError {
    /// A `%` that two hexadecimal digits do not follow.
    #[error("has a % without two digits")]
    Digits,
    /// What the bytes are is not text.
    #[error("is not UTF-8")]
    NotText,
}

/// Everything but the unreserved characters as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `%XX` as the byte it stands for.
pub(crate) fn decode(text: &str) -> Result<String, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(first) = rest.next() {
        let byte = match first {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            other => other,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| DecodeError::NotText)
}

fn digit(byte: Option<u8>) -> Result<u8, DecodeError> {
    let value = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(DecodeError::Digits)?;
    u8::try_from(value).map_err(|_| DecodeError::Digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_decoded_back() {
        for text in ["", "web", "a b&c=ä", "%", "../x?y", "\0\u{7f}€"] {
            assert_eq!(decode(&encode(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_percent_takes_two_hexadecimal_digits_and_nothing_else() {
        assert_eq!(decode("%C3%a4").as_deref(), Ok("ä"));
        for text in ["%", "%4", "%zz", "%+5", "%-1", "% 5", "%ä0"] {
            assert_eq!(decode(text), Err(DecodeError::Digits), "{text}");
        }
        assert_eq!(decode("%ff"), Err(DecodeError::NotText));
    }
}
