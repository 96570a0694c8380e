//! When a file is closed, and where it is cut: a file that has reached its size or age goes on to the next end of a line, if
//! there is one soon.

use menshen_plan::definition::Rotate;

/// How far behind the limit an end of a line is looked for, in bytes (semantics.md, Logs).
pub(super) const CUT_WITHIN_BYTES: u64 = 64 * 1024;

/// When a file is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// At this size, in bytes.
    size: Option<u64>,
    /// At this age, in milliseconds.
    every_ms: Option<i64>,
    /// How far behind that an end of a line is looked for, in bytes.
    cut_within: u64,
}

/// How much may still be written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// So many bytes, at least one.
    Bytes(u64),
    /// Up to the next end of a line, but no more than so many bytes, at least one.
    ToLineEnd(u64),
    /// Nothing.
    None,
}

impl Limits {
    /// Of a file of bytes, in which there may be no line end at all.
    pub(super) fn of_bytes(rotate: &Rotate) -> Self {
        Self::new(rotate, CUT_WITHIN_BYTES)
    }

    /// Of a file of whole lines, none of which is ever cut.
    pub(super) fn of_lines(rotate: &Rotate) -> Self {
        Self::new(rotate, u64::MAX)
    }

    fn new(rotate: &Rotate, cut_within: u64) -> Self {
        let every_ms = i64::try_from(rotate.every.as_millis()).unwrap_or(i64::MAX);
        Self {
            size: Some(rotate.size.0).filter(|size| *size > 0),
            every_ms: Some(every_ms).filter(|every| *every > 0),
            cut_within,
        }
    }

    /// When a file that was begun then is old enough, in milliseconds since 1970.
    pub(super) fn due_ms(&self, started_ms: i64) -> Option<i64> {
        self.every_ms.map(|every| started_ms.saturating_add(every))
    }

    /// The room in a file of a length. `aged_at` is the length it had when it was old enough.
    pub(super) fn room(&self, length: u64, aged_at: Option<u64>) -> Room {
        let limit = [self.size, aged_at].into_iter().flatten().min();
        let Some(limit) = limit else { return Room::Bytes(u64::MAX) };
        if length < limit {
            return Room::Bytes(limit - length);
        }
        match limit.saturating_add(self.cut_within).saturating_sub(length) {
            0 => Room::None,
            left => Room::ToLineEnd(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use menshen_plan::size::Size;

    use super::*;

    fn rotate(size: u64, every_s: u64) -> Rotate {
        Rotate { size: Size(size), every: Duration::from_secs(every_s), ..Rotate::default() }
    }

    #[test]
    fn a_file_goes_on_to_a_line_end_behind_its_limit() {
        let limits = Limits::of_bytes(&rotate(1000, 0));
        assert_eq!(limits.room(0, None), Room::Bytes(1000));
        assert_eq!(limits.room(999, None), Room::Bytes(1));
        assert_eq!(limits.room(1000, None), Room::ToLineEnd(65_536));
        assert_eq!(limits.room(66_535, None), Room::ToLineEnd(1));
        assert_eq!(limits.room(66_536, None), Room::None);
        assert_eq!(limits.room(u64::MAX, None), Room::None);
        assert_eq!(Limits::of_lines(&rotate(1000, 0)).room(900_000, None), Room::ToLineEnd(u64::MAX - 900_000));
    }

    #[test]
    fn an_old_file_goes_on_to_a_line_end_behind_where_it_became_old() {
        let limits = Limits::of_bytes(&rotate(1000, 60));
        assert_eq!(limits.due_ms(5), Some(60_005));
        assert_eq!(limits.room(10, Some(10)), Room::ToLineEnd(65_536));
        assert_eq!(limits.room(40, Some(10)), Room::ToLineEnd(65_506));
        assert_eq!(limits.room(1000, Some(1200)), Room::ToLineEnd(65_536));
    }

    #[test]
    fn a_rule_of_zero_is_no_rule() {
        let limits = Limits::of_bytes(&rotate(0, 0));
        assert_eq!(limits.room(u64::MAX - 1, None), Room::Bytes(u64::MAX));
        assert_eq!(limits.due_ms(5), None);
    }
}
