//! `menshen config`.

use menshen_plan::config::{settings, to_toml};

use crate::args::{Arguments, Config};
use crate::definition::{load, source};
use crate::diagnostics;
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints every value with where it came from. A definition that is refused is printed as far as it could be read, after
/// what is wrong with it.
pub(super) fn config(arguments: &Arguments, config: &Config) -> Result<Exit, Failure> {
    let mut loaded = load(&source(&config.definition)?)?;
    let settings = settings(&loaded);
    if arguments.json {
        output::json(&settings);
    } else {
        output::line(to_toml(&settings).trim_end());
    }
    if !loaded.is_refused() {
        return Ok(Exit::Done);
    }
    loaded.diagnostics.retain(menshen_plan::Diagnostic::refuses);
    output::note(diagnostics::text::render(&loaded, output::palette()));
    Err(Failure::new(Exit::Refused, "the definition is refused"))
}
