//! What a dry run shows.

use serde_json::json;

use crate::args::Arguments;
use crate::output::{self, dim};

/// Shows what would be done, step by step.
pub(super) fn show(arguments: &Arguments, steps: impl IntoIterator<Item = impl ToString>) {
    let steps: Vec<String> = steps.into_iter().map(|step| step.to_string()).collect();
    if arguments.json {
        return output::json(&json!({ "steps": steps, "done": false }));
    }
    steps.iter().for_each(output::line);
    output::note(dim("nothing was done: this was a dry run"));
}
