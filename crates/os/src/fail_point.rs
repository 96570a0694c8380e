//! Places at which a test has the guard die, as `kill -9` would have it: after everything it writes, moves or removes, and
//! around everything it does to a process. They show that what is promised of a killed guard holds at each of them.
//!
//! They are there in builds with the feature `fail-points` only; elsewhere [`reach`] is nothing. `MENSHEN_FAIL_POINT` names
//! one and how often it is to be reached: `record-renamed:3` kills the guard when it has moved its third record into its place.

#[cfg(feature = "fail-points")]
#[path = "fail_point/armed.rs"]
mod armed;

#[cfg(feature = "fail-points")]
pub use armed::reach;

/// The variable that names a point and a count.
pub const VARIABLE: &str = "MENSHEN_FAIL_POINT";

/// Nothing, in a build without fail-points.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub const fn reach(_point: FailPoint) {}

/// Declares the points and lists them, so that none can be forgotten in the list.
macro_rules! fail_points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)+) => {
        /// A place in the guard's life.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FailPoint {
            $($(#[$doc])* $point,)+
        }

        impl FailPoint {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// Its name, as [`VARIABLE`] has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

fail_points! {
    /// A file has been created beside the record it will replace, and is empty.
    RecordCreated = "record-created",
    /// The file beside the record holds all of it.
    RecordWritten = "record-written",
    /// The file beside the record is on the disk.
    RecordSynced = "record-synced",
    /// The file has taken the record's place.
    RecordRenamed = "record-renamed",
    /// That it has is on the disk, too.
    RecordFolderSynced = "record-folder-synced",
    /// A record has been written where the old one was.
    RecordOverwritten = "record-overwritten",
    /// The record of a service that is gone has been removed.
    RecordRemoved = "record-removed",
    /// Events have been given to the journal and are not committed.
    JournalInserted = "journal-inserted",
    /// Events have been committed to the journal.
    JournalCommitted = "journal-committed",
    /// The tables of the journal are those of the next version.
    JournalMigrated = "journal-migrated",
    /// One of the files of a damaged journal has been put aside.
    JournalPutAside = "journal-put-aside",
    /// Old events have left the journal.
    JournalPruned = "journal-pruned",
    /// What a command changed is written; its answer is not given.
    AnswerReady = "answer-ready",
    /// The lock is taken, nothing else is done.
    LockTaken = "lock-taken",
    /// The lock says whose it is.
    LockSigned = "lock-signed",
    /// The socket that a guard before left is gone.
    SocketCleared = "socket-cleared",
    /// The control socket is there; who may use it is not settled.
    SocketBound = "socket-bound",
    /// A FIFO has been made where there was none.
    PipeMade = "pipe-made",
    /// What runs of one service has been taken over.
    TakenOver = "taken-over",
    /// Somebody holds for the next guard, and is not where that asks; whoever held for this one still is.
    HolderBegun = "holder-begun",
    /// Whoever holds for the next guard is where that asks.
    HolderNamed = "holder-named",
    /// A tree has been made for a program that is not there yet.
    TreeMade = "tree-made",
    /// A child has been born; nobody has heard of it.
    ChildBorn = "child-born",
    /// A child has executed its program; the core has not heard of it.
    ChildExecuted = "child-executed",
    /// A process has ended; it is not reaped, and the core has not heard of it.
    EndSeen = "end-seen",
    /// A stop's signal has been sent.
    SignalSent = "signal-sent",
    /// A tree has been killed.
    TreeKilled = "tree-killed",
    /// A log has been opened or made.
    LogOpened = "log-opened",
    /// When the next bytes of a log were written has been noted; they are not written.
    LogTimeNoted = "log-time-noted",
    /// Where a log ends, to which lines are about to be added, has been noted.
    LogNoted = "log-noted",
    /// What a guard before left unfinished of a log has been undone.
    LogUndone = "log-undone",
    /// Bytes have gone into a log.
    LogWritten = "log-written",
    /// What a line begins with, whose end is not there yet, has been kept.
    LogTailKept = "log-tail-kept",
    /// What a line began with that was not to be kept is forgotten.
    LogTailUndone = "log-tail-undone",
    /// What a line began with is not kept any more: its end has come.
    LogTailForgotten = "log-tail-forgotten",
    /// The bytes that lines in a log were made of have left their pipe.
    LogTaken = "log-taken",
    /// Where the log ended is not noted any more.
    LogNoteCleared = "log-note-cleared",
    /// A log that is full has its final name; the times of its bytes have not.
    LogClosed = "log-closed",
    /// The times of a log that a guard before closed have their final name, too.
    LogTimesFollowed = "log-times-followed",
    /// Times that were not those of the log are forgotten.
    LogTimesReset = "log-times-reset",
    /// The times of its bytes have theirs.
    LogTimesClosed = "log-times-closed",
    /// A closed log has been compressed into a file beside it.
    LogCompressed = "log-compressed",
    /// The compressed file is on the disk.
    LogCompressedSynced = "log-compressed-synced",
    /// A file that a guard before left half compressed has been removed.
    LogUnfinishedRemoved = "log-unfinished-removed",
    /// The compressed file has its name; the original is there, too.
    LogCompressedNamed = "log-compressed-named",
    /// The original is gone.
    LogOriginalRemoved = "log-original-removed",
    /// A file of a closed log that was too old or too much has been removed.
    LogRetired = "log-retired",
    /// The guard has let go of everything for the next version, and has not made it a note yet.
    RoomMade = "room-made",
    /// What the next version is to take over is noted; it is not executed yet.
    HandoverReady = "handover-ready",
    /// The next version has read the note and opened what was handed over.
    HandoverTaken = "handover-taken",
    /// At an orderly end, what is wanted of each service is written.
    EndRemembered = "end-remembered",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let mut names: Vec<&str> = FailPoint::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FailPoint::ALL.len());
    }
}
