//! The XML beside a WinSW, of its versions 2 and 3.
//!
//! [`element`] takes elements one after the other, [`service`] translates them, [`failures`] and [`output`] those
//! about failures and logs.

mod element;
mod failures;
mod output;
mod service;

use roxmltree::Document;

use crate::source::Source;

use super::draft::Drafts;
use super::{ImportError, Note, NoteKind, Place};
use element::Elements;

/// Reads one service of each file.
pub(crate) fn read(sources: &[Source], drafts: &mut Drafts<'_>) -> Result<(), ImportError> {
    for source in sources {
        let document = Document::parse(&source.text).map_err(|error| unreadable(source, &error))?;
        let root = document.root_element();
        if !root.tag_name().name().eq_ignore_ascii_case("service") {
            return Err(ImportError::Unreadable {
                place: Place::whole(&source.name),
                expected: "a WinSW XML",
                why: format!("its outermost element is <{}>, not <service>", root.tag_name().name()),
                help: "name the XML file beside WinSW's own .exe".to_owned(),
            });
        }
        let elements = Elements::of(root, &source.name);
        service::translate(elements, source, drafts);
    }
    Ok(())
}

fn unreadable(source: &Source, error: &roxmltree::Error) -> ImportError {
    let line = usize::try_from(error.pos().row).unwrap_or(0);
    ImportError::Unreadable {
        place: Place::whole(&source.name).line(line),
        expected: "an XML document",
        why: error.to_string(),
        help: "mend the XML; WinSW would not start with it either".to_owned(),
    }
}

/// A note about an element.
fn note_of(kind: NoteKind, element: &element::Element, message: impl Into<String>) -> Note {
    Note::new(kind, &element.setting.place, &element.setting.shown, message)
}
