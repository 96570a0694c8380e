//! Durations as a definition writes them: `"500ms"`, `"10s"`, `"1m30s"`, `"1.5h"`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserializer, Serializer};
use thiserror::Error;

use crate::decode::TextKind;

/// The longest duration a definition may name; long enough to mean "never", short enough that sums cannot overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("the duration is empty")]
    Empty,
    /// A number without a unit: too easy to read as something else.
    #[error("'{0}' has no unit; did you mean \"{0}s\" or \"{0}ms\"?")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("'{0}' is not a unit of time; the units are ns, us, ms, s, m, h, d, w")]
    UnknownUnit(String),
    /// Something that is not a number where one must stand.
    #[error("'{0}' does not start with a number")]
    NotANumber(String),
    /// Longer than [`DURATION_MAX`].
    #[error("'{0}' is longer than 100 years")]
    TooLong(String),
}

/// Reads a duration.
///
/// # Errors
/// When the text is not a sum of numbers with units, or is too long.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(menshen_plan::duration::parse("1m30s"), Ok(Duration::from_secs(90)));
/// assert!(menshen_plan::duration::parse("10").is_err());
/// ```
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (nanoseconds, after) = one_part(text.trim(), rest)?;
        total += nanoseconds;
        if total > DURATION_MAX.as_nanos() {
            return Err(DurationError::TooLong(text.trim().to_owned()));
        }
        rest = after.trim_start();
    }
    Ok(Duration::from_nanos(u64::try_from(total).unwrap_or(u64::MAX)))
}

fn one_part<'a>(whole: &str, text: &'a str) -> Result<(u128, &'a str), DurationError> {
    let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, after) = text.split_at(number_end);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if integer.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(DurationError::NotANumber(text.to_owned()));
    }
    let after = after.trim_start();
    let unit_end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
    let (unit, rest) = after.split_at(unit_end);
    if unit.is_empty() {
        return Err(DurationError::NoUnit(whole.to_owned()));
    }
    let Some(&(_, unit_ns)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(DurationError::UnknownUnit(unit.to_owned()));
    };
    let too_long = || DurationError::TooLong(whole.to_owned());
    let integer: u64 = integer.parse().map_err(|_| too_long())?;
    let fraction = &fraction[..fraction.len().min(18)];
    let numerator: u128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| too_long())? };
    let part = numerator * u128::from(unit_ns) / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(18));
    let nanoseconds = u128::from(integer) * u128::from(unit_ns) + part;
    Ok((nanoseconds, rest))
}

/// Writes a duration the way [`parse`] reads it, with as few parts as are exact.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, unit_ns) in UNITS.iter().rev().filter(|(unit, _)| *unit != "w") {
        let count = rest / u128::from(*unit_ns);
        if count > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{count}{unit}");
            rest %= u128::from(*unit_ns);
        }
    }
    text
}

/// For `#[serde(with = "duration")]`.
///
/// # Errors
/// When the value is not text or not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    crate::decode::parsed_text(deserializer, &TextKind::DURATION, parse)
}

/// For `#[serde(with = "duration")]`.
///
/// # Errors
/// When the serializer fails.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// The same for a duration that may be absent.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    /// For `#[serde(with = "duration::optional")]`.
    ///
    /// # Errors
    /// When the value is not text or not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        super::deserialize(deserializer).map(Some)
    }

    /// For `#[serde(with = "duration::optional")]`.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// The schema of a duration, for `#[schemars(with = "DurationText")]`.
pub struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration: numbers with the units ns, us, ms, s, m, h, d, w.",
            "examples": ["500ms", "10s", "1m30s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("1d 2h", 93_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_the_reason() {
        assert_eq!(parse(""), Err(DurationError::Empty));
        assert_eq!(parse("10"), Err(DurationError::NoUnit("10".into())));
        assert_eq!(parse("10 parsecs"), Err(DurationError::UnknownUnit("parsecs".into())));
        assert_eq!(parse("s"), Err(DurationError::NotANumber("s".into())));
        assert_eq!(parse("-5s"), Err(DurationError::NotANumber("-5s".into())));
        assert_eq!(parse("1..5s"), Err(DurationError::NotANumber("1..5s".into())));
        assert!(matches!(parse("99999999999999999999s"), Err(DurationError::TooLong(_))));
        assert!(matches!(parse("101w 5200w"), Err(DurationError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_read_back(nanoseconds in 0..u64::try_from(DURATION_MAX.as_nanos()).unwrap()) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
