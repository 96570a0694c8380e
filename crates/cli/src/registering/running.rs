//! The service by which a service manager runs a guard.

use menshen::service::registration::RestartPolicy;
use menshen::service::{ServiceManager, ServiceName, managers};

use super::record::{Form, Record};
use crate::failure::{Exit, Failure};

/// A guard that a service manager runs now.
pub(crate) struct Managed {
    /// What the manager calls it.
    pub name: ServiceName,
    /// The manager.
    pub manager: Box<dyn ServiceManager>,
}

impl Managed {
    /// The service of a guard of this name; nothing, where none was installed or it does not run, or whoever asks may not know.
    ///
    /// # Errors
    /// When the manager has to be told that the guard is to end, and cannot be reached.
    pub(crate) fn of(guard: &str) -> Result<Option<Self>, Failure> {
        let records = match Record::all_readable() {
            Err(failure) if failure.code() == Exit::NotPermitted => return Ok(None),
            records => records?,
        };
        for record in records.into_iter().filter(|record| record.form == Form::Guard && record.guard == guard) {
            let name = record.name.parse()?;
            let managed = Self { name, manager: managers::of(record.kind()?, record.scope.into())? };
            match managed.manager.status(&managed.name) {
                Ok(status) if status.state.is_active() => return Ok(Some(managed)),
                Err(error) if managed.has_to_be_told() => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Whether the manager takes an end in order for another: it starts whatever has ended again, or takes it for failed. Then a
    /// guard has to be stopped through it.
    pub(crate) fn has_to_be_told(&self) -> bool {
        match self.manager.restarts_failed() {
            RestartPolicy::Always | RestartPolicy::Never => true,
            RestartPolicy::OnFailure => false,
        }
    }
}
