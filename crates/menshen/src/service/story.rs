//! An error with everything that led to it, in one line.

use std::error::Error;

/// The error's words, then those of each of its sources, with colons between.
#[must_use]
pub fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
