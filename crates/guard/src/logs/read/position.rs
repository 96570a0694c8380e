//! How far somebody has read a service's logs, in a word that another guard understands, too.

use std::fmt;
use std::str::FromStr;

use super::super::names::Stem;
use super::lane::{Lane, Place};

/// A place for each stem, in the order of [`Stem::ALL`]: `7.120-1.0-1.4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position([Place; Stem::ALL.len()]);

/// It is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPosition;

impl Position {
    /// After the last line of each lane. A stem that nobody reads is at its beginning.
    pub(super) fn of_all(lanes: &[Lane]) -> Self {
        let place = |stem| lanes.iter().find(|lane| lane.stem() == stem).map_or(Place::BEGIN, Lane::place);
        Self(Stem::ALL.map(place))
    }

    pub(super) const fn of(&self, stem: Stem) -> Place {
        self.0[stem as usize]
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Place { sequence, offset }) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "-" };
            write!(formatter, "{separator}{sequence}.{offset}")?;
        }
        Ok(())
    }
}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let place = |text: &str| {
            let (sequence, offset) = text.split_once('.')?;
            Some(Place { sequence: sequence.parse().ok()?, offset: offset.parse().ok()? })
        };
        let places: Option<Vec<Place>> = text.split('-').map(place).collect();
        places.and_then(|places| places.try_into().ok()).map(Self).ok_or(NoPosition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back() {
        let position = Position([Place::BEGIN, Place { sequence: 7, offset: u64::MAX }, Place::BEGIN]);
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!(position.of(Stem::Stderr), Place { sequence: 7, offset: u64::MAX });
        for wrong in ["", "1", "1.2", "1.2-3.4", "1.2-3.4-5.6-7.8", "1.2-3.4-5.x", "1.2-3.4--5.6"] {
            assert_eq!(wrong.parse::<Position>(), Err(NoPosition), "{wrong}");
        }
    }
}
