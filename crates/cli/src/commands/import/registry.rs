//! Services of Windows, as its registry has them now.

use std::io::ErrorKind;
use std::path::Path;

use menshen_os::registry::{Data, Value, key_of, service};
use menshen_plan::import::Place;
use menshen_plan::import::nssm::{Data as ServiceData, ServiceKey, ServiceValue};

use crate::failure::{Exit, Failure};

/// Whether a source is the name of a service rather than a file: no file of that name is there, and it could be none elsewhere.
pub(super) fn is_name(source: &Path) -> bool {
    let text = source.to_string_lossy();
    text != super::STDIN && !text.contains(['/', '\\']) && !source.exists()
}

/// What the registry has of a service.
pub(super) fn read(name: &Path) -> Result<ServiceKey, Failure> {
    let name = name.to_string_lossy();
    let place = Place::whole(&key_of(&name));
    let failed = |message: String| Failure::new(Exit::Failed, message);
    let values = service(&name).map_err(|error| {
        let why = menshen_os::error::describe(&error);
        let failure = failed(format!("there is no file {name}, and the service of that name cannot be read: {why}"));
        if error.kind() == ErrorKind::Unsupported {
            failure.help(format!("where it is installed, `nssm dump {name}` says what to import from a file"))
        } else {
            failure
        }
    })?;
    let values = values.ok_or_else(|| failed(format!("there is neither a file nor a service '{name}'")))?;
    let value = |value: Value| {
        let Value { subkey, name, data } = value;
        ServiceValue { subkey, name, data: data_of(data), place: place.clone() }
    };
    Ok(ServiceKey { name: name.into_owned(), values: values.into_iter().map(value).collect(), place: place.clone() })
}

fn data_of(data: Data) -> ServiceData {
    match data {
        Data::Text(text) => ServiceData::Text(text),
        Data::Texts(texts) => ServiceData::Texts(texts),
        Data::Number(number) => ServiceData::Number(number),
        Data::Bytes(bytes) => ServiceData::Bytes(bytes),
    }
}
