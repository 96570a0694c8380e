//! The project's invariants, as far as text tells: `architecture.md` and `style.md` made executable.

mod arrows;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::{command, read, root, say};

/// A file of the repository.
pub(crate) struct File {
    /// From the repository's folder, with forward slashes.
    pub path: String,
    pub text: String,
}

/// Something that must not be.
pub(crate) struct Finding {
    pub path: String,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    pub what: String,
}

/// Holds every file against every rule.
pub(crate) fn tidy() -> Result<(), String> {
    let files = files()?;
    let mut findings = arrows::check()?;
    for file in &files {
        text::check(file, &mut findings);
    }
    text::check_all(&files, &mut findings);
    for finding in &findings {
        say(&format!("{}:{}: {}", finding.path, finding.line, finding.what));
    }
    if findings.is_empty() { Ok(()) } else { Err(format!("tidy: {} findings", findings.len())) }
}

/// Every text file git knows, and those it does not know yet and does not ignore.
fn files() -> Result<Vec<File>, String> {
    let list = read(command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let read_one = |path: &str| {
        let text = fs::read_to_string(root().join(path)).ok()?;
        Some(File { path: path.to_owned(), text })
    };
    Ok(list.lines().filter_map(read_one).collect())
}

/// Whether a path is below a folder.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    Path::new(path).starts_with(PathBuf::from(folder))
}
