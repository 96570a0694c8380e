//! The service control manager of Windows.

use std::fmt;

use crate::service::name::ServiceName;
use crate::service::registration::Registration;

/// What the service control manager is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To know a service like this: made if there is none, changed if there is.
    Register(Box<Registration>),
    /// To forget a service.
    Delete(ServiceName),
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(registration) => {
                write!(formatter, "register the service {} (CreateServiceW)", registration.name)
            }
            Self::Delete(name) => write!(formatter, "delete the service {name} (DeleteService)"),
        }
    }
}
