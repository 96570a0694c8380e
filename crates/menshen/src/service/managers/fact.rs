//! What is so once a program of a manager's was run: so a plan's call is known by what it is for, and not by its words.

use super::{dinit, freebsd, openrc, supervised, sysv};

/// What is so, to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// To OpenRC.
    OpenRc(openrc::Fact),
    /// To the links for System V init.
    SysV(sysv::Fact),
    /// To runit.
    Runit(supervised::Fact),
    /// To s6.
    S6(supervised::Fact),
    /// To dinit.
    Dinit(dinit::Fact),
    /// To FreeBSD's `rc.conf`.
    FreeBsdRc(freebsd::Fact),
}
