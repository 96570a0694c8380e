//! How often something is complained of: whoever can cause a complaint again and again must not fill the journal with it.

use std::time::Duration;

use menshen_core::Instant;

/// So many complaints are told in each window.
const TOLD_MAX: u32 = 10;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(60);

/// The complaints about one service, or about those who call.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    begun: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Complaints {
    /// The complaint as it is to be told, if it is: with how many before it were not.
    pub(super) fn admit(&mut self, text: String, now: Instant) -> Option<String> {
        if self.begun.is_none_or(|begun| now.since(begun) >= WINDOW) {
            self.begun = Some(now);
            self.told = 0;
        }
        if self.told >= TOLD_MAX {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        match std::mem::take(&mut self.untold) {
            0 => Some(text),
            untold => Some(format!("{text}; {untold} like it before were not written down")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_of_in_a_few_complaints_and_counted() {
        let mut complaints = Complaints::default();
        let mut at = |second: u64| complaints.admit("x".to_owned(), Instant(second * 1_000_000_000));
        assert_eq!((0..1000).filter_map(|_| at(1)).count(), TOLD_MAX as usize);
        assert_eq!(at(60), None);
        assert_eq!(at(61).as_deref(), Some("x; 991 like it before were not written down"));
        assert_eq!(at(61).as_deref(), Some("x"));
    }
}
