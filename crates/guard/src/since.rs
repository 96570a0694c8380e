//! Since when: what `--since` and the contract's `since` mean.

use menshen_api::Time;
use menshen_plan::duration;
use thiserror::Error;

/// It is neither a duration nor a time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is neither a duration such as 10m nor a time such as 2026-01-31T12:00:00Z")]
pub struct SinceError(String);

/// The point in time meant by a duration before now (`10m`), or by a time.
///
/// # Errors
/// When it is neither.
pub(crate) fn parse(text: &str, now: Time) -> Result<Time, SinceError> {
    if let Ok(ago) = duration::parse(text) {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(Time::from_ms(now.as_ms().saturating_sub(ago)));
    }
    text.parse().map_err(|_| SinceError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now = Time::from_ms(3_600_000);
        assert_eq!(parse("10m", now).unwrap().as_ms(), 3_000_000);
        assert_eq!(parse("1970-01-01T00:00:01Z", now).unwrap().as_ms(), 1000);
        for wrong in ["yesterday", "", "10", "-10m", "2026-13-01T00:00:00Z"] {
            assert!(parse(wrong, now).unwrap_err().to_string().contains(&format!("'{wrong}' is neither")));
        }
    }
}
