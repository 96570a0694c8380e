//! There is no registry here.

use std::io;

use super::Value;

/// What a service is called here: its name.
#[must_use]
pub fn key_of(service: &str) -> String {
    service.to_owned()
}

/// Everything that is known of a service by the registry, which there is none of.
///
/// # Errors
/// Always.
pub fn service(_name: &str) -> io::Result<Option<Vec<Value>>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Windows has a registry"))
}
