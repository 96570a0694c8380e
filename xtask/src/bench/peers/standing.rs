//! Who is ahead in a row.

use std::cmp::Ordering;
use std::fmt;

use super::results::{Better, Cell, Results, Row};

/// Whose figures are held against all others'.
pub(super) const OURS: &str = "Menshen";

/// The medians of a row that are held against each other.
pub(super) struct Standing {
    pub ours: Option<f64>,
    /// Who else is best.
    pub best: Option<(String, f64)>,
}

/// Who is ahead in a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    Ours,
    Nobody,
    Other(String),
}

impl Standing {
    /// Of everybody but those named.
    pub(super) fn of(row: Row, results: &Results, but: &[&str]) -> Self {
        let cells: Vec<&Cell> = results.row(row).filter(|cell| cell.competes()).collect();
        let median = |cell: &&Cell| Some((cell.who().to_owned(), cell.spread()?.median()));
        let ours = cells.iter().filter(|cell| cell.who() == OURS).find_map(median).map(|(_, ours)| ours);
        let is_other = |cell: &&&Cell| !cell.who().starts_with(OURS) && !but.contains(&cell.who());
        let others = cells.iter().filter(is_other).filter_map(median);
        let best = match row.better() {
            Better::Less => others.min_by(|one, other| one.1.total_cmp(&other.1)),
            Better::More => others.max_by(|one, other| one.1.total_cmp(&other.1)),
        };
        Self { ours, best }
    }

    /// None where there is nobody to compare with.
    pub(super) fn ahead(&self, row: Row) -> Option<Ahead> {
        let (ours, (who, best)) = (self.ours?, self.best.as_ref()?);
        let order = match row.better() {
            Better::Less => ours.total_cmp(best),
            Better::More => best.total_cmp(&ours),
        };
        Some(match order {
            Ordering::Less => Ahead::Ours,
            Ordering::Equal => Ahead::Nobody,
            Ordering::Greater => Ahead::Other(who.clone()),
        })
    }
}

impl fmt::Display for Ahead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ours => OURS,
            Self::Nobody => "nobody",
            Self::Other(who) => who,
        })
    }
}
