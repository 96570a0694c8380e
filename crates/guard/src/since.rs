//! Since when: what `--since` and the contract's `since` mean.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use menshen_api::Time;
use menshen_plan::duration;
use thiserror::Error;

/// It is neither a duration nor a time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is neither a duration such as 10m nor a time such as 2026-01-31 12:00:00")]
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
    let wrong = || SinceError(text.to_owned());
    text.parse().ok().or_else(|| local(text, now, &TimeZone::system())).ok_or_else(wrong)
}

/// A time as `menshen` shows it to people: a date and a time of this machine's zone, or one of the two.
fn local(text: &str, now: Time, zone: &TimeZone) -> Option<Time> {
    let today = || now.timestamp().to_zoned(zone.clone()).date();
    // An hour alone would be anybody's guess.
    let time = || text.contains(':').then(|| text.parse().ok()).flatten();
    let written = text.parse::<DateTime>().ok().or_else(|| Some(today().to_datetime(time()?)))?;
    Some(Time::from_ms(written.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now = Time::from_ms(3_600_000);
        assert_eq!(parse("10m", now).unwrap().as_ms(), 3_000_000);
        assert_eq!(parse("1970-01-01T00:00:01Z", now).unwrap().as_ms(), 1000);
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, hours) in
            [("1970-01-02 03:00:00", 25), ("1970-01-02T03:00", 25), ("1970-01-02", 22), ("02:00:00", 0)]
        {
            assert_eq!(local(text, now, &zone).map(Time::as_ms), Some(hours * 3_600_000), "{text}");
        }
        for wrong in ["yesterday", "", "10", "-10m", "2026-13-01T00:00:00Z"] {
            assert!(parse(wrong, now).unwrap_err().to_string().contains(&format!("'{wrong}' is neither")));
        }
    }
}
