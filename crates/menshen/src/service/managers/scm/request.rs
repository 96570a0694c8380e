//! What the service control manager is asked.

use std::fmt;

use super::wanted::Wanted;
use crate::service::name::ServiceName;

/// The file in which Windows finds how an event is shown. This one is Windows' own, for events made by hand: its messages 1 to
/// 1000 are the event's own text and nothing else. So no program needs one of its own.
pub(super) const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";

/// What the service control manager, and the registry for what it does not do, are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To know a service like this: made if there is none, changed where it differs if there is.
    Register(Box<Wanted>),
    /// To forget a service.
    Delete(ServiceName),
    /// To show the events of a service as they were written.
    AddSource(ServiceName),
    /// To forget that a service writes events.
    RemoveSource(ServiceName),
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(wanted) => {
                write!(formatter, "register the service {} (CreateServiceW, ChangeServiceConfig2W):", wanted.name)?;
                wanted.shown().iter().try_for_each(|(what, value)| write!(formatter, "\n    {what}: {value}"))
            }
            Self::Delete(name) => write!(formatter, "delete the service {name} (DeleteService)"),
            Self::AddSource(name) => {
                write!(
                    formatter,
                    "register {name} in the registry as a source of events, with the messages of {MESSAGES}"
                )
            }
            Self::RemoveSource(name) => write!(formatter, "remove the source of events {name} from the registry"),
        }
    }
}
