//! The table of states as a picture for the docs.

use std::fmt::Write as _;

use crate::state::State;
use crate::transition::TABLE;

/// A Mermaid state diagram of [`TABLE`], with triggers between the same two states on one arrow.
#[must_use]
pub fn mermaid() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> stopped\n");
    for from in State::ALL {
        for to in State::ALL {
            let triggers: Vec<&str> = TABLE
                .iter()
                .filter(|row| row.0 == from && row.2 == to)
                .map(|(_, trigger, _)| trigger.as_str())
                .collect();
            if !triggers.is_empty() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "    {from} --> {to}: {}", triggers.join(", "));
            }
        }
    }
    text
}
