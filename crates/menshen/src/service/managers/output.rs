//! What a service writes, where its manager does no more than lead it into a file. The file is in a folder of the service's own,
//! which goes with it.
//!
//! Nobody who writes into it ever begins a new one. Where a machine has a program that does so with files of others, it is told
//! of this one, too.

use std::path::{Path, PathBuf};

use super::shell::{mark, text};
use crate::service::manager::ManagerKind;
use crate::service::name::ServiceName;
use crate::service::plan::{Ownership, Step};

/// Where logrotate(8) is told of files.
const LOGROTATE: &str = "/etc/logrotate.d";
/// How many old files are kept.
pub(super) const FILES_KEPT: u32 = 10;
/// How great a file may be before another is begun, when that is looked at.
pub(super) const BYTES_MAX: u32 = 1_000_000;

/// Who may come at a file in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    /// Root and its group.
    Closed,
    /// Whoever knows what it is called, as far as the file itself lets them: the manager opens it as the service's user.
    Passable,
}

/// The folder of what a service of the machine writes.
pub(super) fn folder(manager: ManagerKind, name: &ServiceName) -> PathBuf {
    Path::new("/var/log").join(manager.as_str()).join(name.as_str())
}

/// The file in a folder that grows.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("current")
}

/// The steps by which the folder is there, and the one above it.
pub(super) fn steps(folder: &Path, may: Folder) -> Vec<Step> {
    let mode = match may {
        Folder::Closed => 0o750,
        Folder::Passable => 0o711,
    };
    let above = folder.parent().map(Step::folder);
    above.into_iter().chain([Step::Folder { path: folder.to_owned(), mode }]).collect()
}

/// The steps by which neither is there, nor anything that was written.
pub(super) fn no_steps(folder: &Path) -> Vec<Step> {
    let above = folder.parent().map(|path| Step::NoEmptyFolder { path: path.to_owned() });
    [Step::NoFolder { path: folder.to_owned() }].into_iter().chain(above).collect()
}

/// The steps by which logrotate is told of the file in a folder. It truncates the file once it has copied it: whoever writes
/// goes on with the one that is open.
pub(super) fn rotated(name: &ServiceName, folder: &Path) -> [Step; 2] {
    let (mark, file) = (mark(name), text(&file(folder)));
    let content = format!(
        "{mark}\n{file} {{\n    size {BYTES_MAX}\n    rotate {FILES_KEPT}\n    copytruncate\n    missingok\n    notifempty\n}}\n"
    );
    [Step::folder(LOGROTATE), Step::file(rotation(name), 0o644, content)]
}

/// The steps by which it is not.
pub(super) fn not_rotated(name: &ServiceName) -> [Step; 2] {
    let file = Step::NoFile { path: rotation(name), ownership: Ownership::Marked };
    [file, Step::NoEmptyFolder { path: LOGROTATE.into() }]
}

/// logrotate leaves files alone that end otherwise, such as `.bak`.
fn rotation(name: &ServiceName) -> PathBuf {
    Path::new(LOGROTATE).join(format!("menshen-{name}.conf"))
}
