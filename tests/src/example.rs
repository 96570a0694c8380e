//! The examples of the repository, as whoever reads them has them.

use std::path::{Path, PathBuf};

/// The definition of an example.
#[must_use]
pub fn definition(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples").join(name).join("menshen.toml")
}
