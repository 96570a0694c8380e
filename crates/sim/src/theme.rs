//! What a run is about: chance alone would hardly ever get to some corners.

use crate::random::Random;

/// A leaning of everything that is drawn in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// No leaning.
    Anything,
    /// Programs are frozen, thawed and killed meanwhile.
    Freezing,
    /// Breakers open, fallbacks stand in, and operators interfere.
    Breaking,
    /// Guards die, and definitions change meanwhile.
    Crashing,
    /// Many services that need each other.
    Depending,
}

impl Theme {
    /// A theme.
    #[must_use]
    pub fn random(random: &mut Random) -> Self {
        random.weighted(&[
            (40, Self::Anything),
            (20, Self::Freezing),
            (20, Self::Breaking),
            (10, Self::Crashing),
            (10, Self::Depending),
        ])
    }

    /// How many services there are: few where they are to be disturbed at the right moment.
    pub fn services(self, random: &mut Random) -> usize {
        match self {
            Self::Anything | Self::Crashing => random.pick(&[1, 2, 2, 3, 3, 4, 4, 5, 6, 7]),
            Self::Freezing | Self::Breaking => random.pick(&[1, 1, 1, 2, 2, 3]),
            Self::Depending => random.pick(&[3, 4, 5, 6, 7]),
        }
    }
}
