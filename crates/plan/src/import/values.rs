//! Values that many sources write alike.

use std::time::Duration;

use crate::duration::DURATION_MAX;
use crate::signal::Signal;
use crate::size::{SIZE_MAX, Size};

/// Seconds, with a fraction or not; none where it is no such number. Longer than any duration of a definition is the
/// longest.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    duration(text.trim().parse().ok()?)
}

/// Milliseconds.
pub(crate) fn milliseconds(text: &str) -> Option<Duration> {
    duration(text.trim().parse::<f64>().ok()? / 1000.0)
}

/// Seconds as a duration of a definition; a negative number is none.
pub(crate) fn duration(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).map_or(DURATION_MAX, |duration| duration.min(DURATION_MAX)))
}

/// A yes or no in the words of most sources.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// A number with a unit of powers of 1024, in letters that count for themselves or before `B`: `50MB`, `2G`, `512`.
pub(crate) fn size(text: &str) -> Option<Size> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().trim_end_matches('b').trim_end_matches('i');
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        "p" => 1 << 50,
        _ => return None,
    };
    let bytes = if number.contains('.') {
        fraction(number, factor)?
    } else {
        number.parse::<u64>().ok()?.saturating_mul(factor)
    };
    Some(Size(bytes.min(SIZE_MAX.0)))
}

/// `1.5` times a power of 1024, without rounding through a float.
fn fraction(number: &str, factor: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.')?;
    let part = &part[..part.len().min(9)];
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let numerator: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let bytes = whole.saturating_mul(u128::from(factor)) + numerator * u128::from(factor) / scale;
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// A signal by its name, with or without SIG, or by its number on Linux.
pub(crate) fn signal(text: &str) -> Option<Signal> {
    let text = text.trim();
    if let Ok(number) = text.parse::<usize>() {
        return match number {
            1..=31 => NUMBERED.get(number - 1).copied(),
            34..=64 => u8::try_from(number - 34).ok().map(Signal::Realtime),
            _ => None,
        };
    }
    text.parse().ok().or_else(|| {
        let upper = text.to_ascii_uppercase();
        let below: u8 = upper.strip_prefix("SIG").unwrap_or(&upper).strip_prefix("RTMAX-")?.parse().ok()?;
        crate::signal::REALTIME_MAX.checked_sub(below).map(Signal::Realtime)
    })
}

/// The signals of Linux in the order of their numbers, from 1 (`signal(7)`).
const NUMBERED: [Signal; 31] = [
    Signal::Hup,
    Signal::Int,
    Signal::Quit,
    Signal::Ill,
    Signal::Trap,
    Signal::Abrt,
    Signal::Bus,
    Signal::Fpe,
    Signal::Kill,
    Signal::Usr1,
    Signal::Segv,
    Signal::Usr2,
    Signal::Pipe,
    Signal::Alrm,
    Signal::Term,
    Signal::Stkflt,
    Signal::Chld,
    Signal::Cont,
    Signal::Stop,
    Signal::Tstp,
    Signal::Ttin,
    Signal::Ttou,
    Signal::Urg,
    Signal::Xcpu,
    Signal::Xfsz,
    Signal::Vtalrm,
    Signal::Prof,
    Signal::Winch,
    Signal::Io,
    Signal::Pwr,
    Signal::Sys,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("50MB", 50 << 20), ("2G", 2 << 30), ("512", 512), ("1.5K", 1536), ("1KiB", 1024)] {
            assert_eq!(size(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "MB", "x", "-1", "1 apple", "50%"] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(size("99999999999999P"), Some(SIZE_MAX));
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, signal_meant) in [
            ("15", Signal::Term),
            ("9", Signal::Kill),
            ("SIGQUIT", Signal::Quit),
            ("usr1", Signal::Usr1),
            ("37", Signal::Realtime(3)),
            ("SIGRTMAX-1", Signal::Realtime(29)),
        ] {
            assert_eq!(signal(text), Some(signal_meant), "{text}");
        }
        assert_eq!(signal("0"), None);
        assert_eq!(signal("32"), None);
        assert_eq!(signal("SIGNOPE"), None);
    }

    #[test]
    fn negative_and_endless_times_are_none_and_the_longest() {
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("NaN"), None);
        assert_eq!(seconds("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(milliseconds("1600"), Some(Duration::from_millis(1600)));
        assert_eq!(seconds("1e300"), Some(DURATION_MAX));
    }
}
