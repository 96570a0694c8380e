//! From what other supervisors read to a definition, with a note for everything that could not come along.
//!
//! The road: [`decode`] makes text of a file's bytes, [`guess`] says whose it is, and [`import`] gives it to the module of
//! that kind ([`systemd`], [`supervisord`], [`winsw`], [`nssm`], [`pm2`], [`procfile`]). Each reads its source's own syntax
//! into `settings`, and takes them one after the other into `draft`s of services; a setting nobody takes becomes a
//! [`Note`], so that nothing vanishes. `finish` mends names and what the definition's rules refuse, and `write` writes it.

mod draft;
mod error;
mod finish;
mod kind;
mod note;
mod place;
mod retries;
mod settings;
mod shell;
mod template;
mod text;
mod values;
mod windows;
mod words;
mod write;

pub mod nssm;
pub mod pm2;
pub mod procfile;
pub mod supervisord;
pub mod systemd;
pub mod winsw;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

pub use error::ImportError;
pub use kind::{Kind, UnclearKind, guess};
pub use note::{Note, NoteKind};
pub use place::Place;
pub use text::{UnreadableText, decode};

use crate::facts::Facts;
use crate::source::Source;
use draft::Drafts;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The definition, as TOML. It loads without an error wherever its programs, accounts and files are.
    pub definition: String,
    /// What has no equivalent, what is not quite the same, and what is to be done; in the order of the source.
    pub notes: Vec<Note>,
}

/// Translates files of one kind into one definition. Several files may speak of each other (`After=`), and a systemd unit
/// may come with its drop-ins, which are known by their folder (`web.service.d/more.conf`). `folder` is the whole path of
/// the folder the definition is for; a source without a folder in its name lies there, too.
///
/// # Errors
/// When a text cannot be read as what it is said to be, or nothing in it can be guarded.
pub fn import(kind: Kind, sources: &[Source], folder: &Path, facts: &dyn Facts) -> Result<Imported, ImportError> {
    let mut drafts = Drafts::new(facts, folder);
    match kind {
        Kind::Systemd => systemd::read(sources, &mut drafts),
        Kind::Supervisord => supervisord::read(sources, &mut drafts),
        Kind::Winsw => winsw::read(sources, &mut drafts)?,
        Kind::Nssm => nssm::read(sources, &mut drafts)?,
        Kind::Pm2 => pm2::read(sources, &mut drafts)?,
        Kind::Procfile => procfile::read(sources, &mut drafts),
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    finish::finish(drafts, kind, &names)
}

/// The same for services of nssm that were read from a live registry.
///
/// # Errors
/// When none of them says what it is to run.
pub fn import_service_keys(keys: &[nssm::ServiceKey], facts: &dyn Facts) -> Result<Imported, ImportError> {
    // What the registry says of a service are whole paths.
    let mut drafts = Drafts::new(facts, Path::new("."));
    nssm::translate(keys, &mut drafts);
    let mut names: Vec<&str> = keys.iter().map(|key| &*key.place.source).collect();
    names.dedup();
    finish::finish(drafts, Kind::Nssm, &names)
}
