//! Durations, sizes and what else a definition writes as a text with a syntax of its own: what is read is written and read
//! back the same, and sums are what they say.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use menshen_plan::definition::{ExitMatch, ServiceName};
use menshen_plan::duration::{self, DURATION_MAX};
use menshen_plan::signal::Signal;
use menshen_plan::size::{self, SIZE_MAX, Size};

const TIMES: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];
const SIZES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1000)];

#[derive(Debug, Arbitrary)]
struct Parts {
    times: Vec<(u32, u8, bool)>,
    bytes: u64,
    count: u32,
    unit: u8,
}

// A first byte of zero is followed by numbers, anything else is text.
fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((0, rest)) => {
        if let Ok(parts) = Parts::arbitrary(&mut Unstructured::new(rest)) {
            numbers(&parts);
        }
    }
    _ => {
        if let Ok(text) = std::str::from_utf8(data) {
            any_text(text);
        }
    }
});

fn any_text(text: &str) {
    if let Ok(read) = duration::parse(text) {
        assert!(read <= DURATION_MAX);
        assert_eq!(duration::parse(&duration::format(read)), Ok(read), "{text:?}");
        assert_eq!(duration::parse(&format!(" {text}\t")), Ok(read), "blanks around count for nothing");
    }
    if let Ok(read) = size::parse(text) {
        assert!(read <= SIZE_MAX);
        assert_eq!(size::parse(&read.to_string()), Ok(read), "{text:?}");
    }
    if duration::parse(text).is_ok() && size::parse(text).is_ok() {
        panic!("{text:?} is a duration and a size");
    }
    reads_back::<Signal>(text);
    reads_back::<ExitMatch>(text);
    reads_back::<ServiceName>(text);
}

fn reads_back<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let written = read.to_string();
        assert_eq!(written.parse().ok(), Some(read), "{text:?} is written as {written:?}");
    }
}

fn numbers(parts: &Parts) {
    let mut text = String::new();
    let mut nanoseconds = 0_u128;
    for (count, unit, blank) in parts.times.iter().take(12) {
        let (unit, length) = TIMES[usize::from(*unit) % TIMES.len()];
        text.push_str(&format!("{count}{unit}{}", if *blank { " " } else { "" }));
        nanoseconds += u128::from(*count) * u128::from(length);
    }
    let expected = u64::try_from(nanoseconds).ok().map(Duration::from_nanos);
    let expected = expected.filter(|duration| *duration <= DURATION_MAX && !text.is_empty());
    assert_eq!(duration::parse(&text).ok(), expected, "{text:?}");
    let any = Duration::from_nanos(parts.bytes);
    assert_eq!(duration::parse(&duration::format(any)).ok(), Some(any).filter(|any| *any <= DURATION_MAX));

    let any = Size(parts.bytes);
    assert_eq!(size::parse(&any.to_string()).ok(), Some(any).filter(|any| *any <= SIZE_MAX));
    let (unit, length) = SIZES[usize::from(parts.unit) % SIZES.len()];
    let expected = Size(u64::from(parts.count) * length);
    assert_eq!(size::parse(&format!("{}{unit}", parts.count)).ok(), Some(expected).filter(|size| *size <= SIZE_MAX));
}
