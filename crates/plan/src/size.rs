//! Sizes as a definition writes them: `"64KiB"`, `"10MiB"`, `"1.5GB"`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::decode::TextKind;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// The largest size a definition may name: 1 EiB.
pub const SIZE_MAX: Size = Size(1 << 60);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SizeError {
    /// Nothing was written.
    #[error("the size is empty")]
    Empty,
    /// A number without a unit.
    #[error("'{0}' has no unit; did you mean \"{0}MiB\" or \"{0}B\"?")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("'{0}' is not a unit of size; the units are B, KiB, MiB, GiB, TiB (and KB, MB, GB, TB for powers of 1000)")]
    UnknownUnit(String),
    /// Something that is not a number where one must stand.
    #[error("'{0}' does not start with a number")]
    NotANumber(String),
    /// Larger than [`SIZE_MAX`].
    #[error("'{0}' is larger than 1048576TiB")]
    TooLarge(String),
}

/// Reads a size.
///
/// # Errors
/// When the text is not a number with a unit, or is too large.
///
/// ```
/// use menshen_plan::size::{Size, parse};
/// assert_eq!(parse("64KiB"), Ok(Size(65_536)));
/// ```
pub fn parse(text: &str) -> Result<Size, SizeError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SizeError::Empty);
    }
    let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if integer.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(SizeError::NotANumber(text.to_owned()));
    }
    let unit = unit.trim();
    if unit.is_empty() {
        return Err(SizeError::NoUnit(text.to_owned()));
    }
    let Some(&(_, unit_bytes)) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(SizeError::UnknownUnit(unit.to_owned()));
    };
    let too_large = || SizeError::TooLarge(text.to_owned());
    let integer: u64 = integer.parse().map_err(|_| too_large())?;
    let fraction = &fraction[..fraction.len().min(18)];
    let numerator: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| too_large())? };
    let part = numerator * u128::from(unit_bytes) / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(18));
    let bytes = u128::from(integer) * u128::from(unit_bytes) + part;
    u64::try_from(bytes).ok().map(Size).filter(|size| *size <= SIZE_MAX).ok_or_else(too_large)
}

impl std::fmt::Display for Size {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let binary = &UNITS[..4];
        let exact = binary.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        match exact {
            Some((name, unit)) => write!(formatter, "{}{name}", self.0 / unit),
            None => write!(formatter, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::decode::parsed_text(deserializer, &TextKind::SIZE, parse)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A size: a number with the unit B, KiB, MiB, GiB or TiB (KB, MB, GB and TB are powers of 1000).",
            "examples": ["64KiB", "10MiB"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_numbers_with_units() {
        for (text, bytes) in
            [("64KiB", 65_536), ("10MiB", 10 << 20), ("1GB", 1_000_000_000), ("1.5KiB", 1536), ("0B", 0), ("7 b", 7)]
        {
            assert_eq!(parse(text), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused_with_the_reason() {
        assert_eq!(parse(" "), Err(SizeError::Empty));
        assert_eq!(parse("10"), Err(SizeError::NoUnit("10".into())));
        assert_eq!(parse("10 apples"), Err(SizeError::UnknownUnit("apples".into())));
        assert_eq!(parse("MiB"), Err(SizeError::NotANumber("MiB".into())));
        assert!(matches!(parse("9999999999TiB"), Err(SizeError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_read_back(bytes in 0..=SIZE_MAX.0) {
            prop_assert_eq!(parse(&Size(bytes).to_string()), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
