//! How long a number of failures in a row takes, for a breaker that is to open at the last of them.

use std::time::Duration;

use crate::definition::{Breaker, Restart};

/// The shortest window worth having.
const WINDOW_MIN: Duration = Duration::from_secs(60);

/// A window wide enough for so many failures with these waits between them, and as long again for the programs to fail in.
pub(crate) fn window(failures: u16, restart: &Restart, each: Duration) -> Duration {
    let longest = restart.max.as_secs_f64();
    let mut wait = restart.delay.as_secs_f64();
    let mut total = 0.0;
    for _ in 1..failures {
        total += wait.min(longest) + each.as_secs_f64();
        wait = (wait * restart.factor).min(longest.max(wait));
    }
    let doubled = Duration::try_from_secs_f64((total * 2.0).ceil()).unwrap_or(crate::duration::DURATION_MAX);
    doubled.clamp(WINDOW_MIN, crate::duration::DURATION_MAX)
}

/// What a reader of the definition has to know of such a window; nothing where it is the usual one and not written.
pub(crate) fn comment(failures: u16, within: Duration) -> Option<String> {
    let within = Some(within).filter(|within| *within != Breaker::default().within).map(crate::duration::format)?;
    Some(format!(
        "breaker.within: {within} is twice as long as {failures} failures in a row take with their waits, since a breaker counts within a time."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_the_waits_twice() {
        let restart = Restart::default();
        assert_eq!(window(3, &restart, Duration::from_secs(1)), WINDOW_MIN);
        // 0.1 + 0.2 + … + 25.6 and twice 30 s, with a second of running after each.
        let expected = (51.1_f64 + 60.0 + 11.0) * 2.0;
        assert_eq!(window(12, &restart, Duration::from_secs(1)), Duration::from_secs_f64(expected.ceil()));
    }
}
