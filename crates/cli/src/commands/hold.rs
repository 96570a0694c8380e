//! `menshen hold`: what becomes of a guard's second process when the guard is gone.

use crate::args::Hold;
use crate::failure::{Exit, Failure};

pub(crate) fn hold(hold: &Hold) -> Result<Exit, Failure> {
    match menshen_os::holder::hold(&hold.arguments) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Failure::new(Exit::Failed, format!("holding what a guard left: {error}"))),
    }
}
