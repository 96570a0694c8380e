//! The Event Log.

use std::io;

use super::{AnyLayer, Origin, ServiceName};

/// The log of whoever started the program; `None` where that is stderr.
pub(super) fn native(_name: &ServiceName, _origin: Origin) -> io::Result<Option<AnyLayer>> {
    Ok(None)
}
