//! What runit and s6 have in common: a process supervises each folder, and files in it say when its service runs.

use std::path::Path;

use crate::service::name::ServiceName;
use crate::service::plan::{Ownership, Step};

/// A file of ours: the service is not to be started.
pub(super) const DISABLED: &str = "disabled";
/// A file of theirs: the service is not started when its supervision begins.
pub(super) const DOWN: &str = "down";

/// What is so once a plan's call was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A supervising process is there for a service, and its link.
    Supervised(ServiceName),
    /// Neither is.
    NotSupervised(ServiceName),
    /// One that is new is not started before it is supervised.
    KeptDown(ServiceName),
    /// It is started when its supervision begins.
    LetUp(ServiceName),
}

/// An empty file that says something by being there.
pub(super) fn said_by(folder: &Path, file: &str) -> Step {
    Step::File { path: folder.join(file), mode: 0o644, content: String::new(), ownership: Ownership::ByPlace }
}

/// It may be started.
pub(super) fn not_disabled(folder: &Path) -> Step {
    Step::NoFile { path: folder.join(DISABLED), ownership: Ownership::ByPlace }
}
