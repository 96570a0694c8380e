//! The registry.

use std::io;

use windows_registry::{Key, LOCAL_MACHINE, Type};

use super::{Data, Value};

const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";
/// As deep as keys below a service's are looked into.
const DEPTH_MAX: u32 = 8;

/// The key of a service, as people write it.
#[must_use]
pub fn key_of(service: &str) -> String {
    format!(r"HKLM\{SERVICES}\{service}")
}

/// Everything the registry has of a service; `None` if there is none of this name.
///
/// # Errors
/// When it cannot be read.
pub fn service(name: &str) -> io::Result<Option<Vec<Value>>> {
    // A name with one would be a key below a service's.
    if name.is_empty() || name.contains('\\') {
        return Ok(None);
    }
    let Some(key) = found(LOCAL_MACHINE.open(format!(r"{SERVICES}\{name}")))? else { return Ok(None) };
    let mut values = Vec::new();
    read(&key, "", DEPTH_MAX, &mut values)?;
    Ok(Some(values))
}

/// Adds the values of a key and of those below it.
fn read(key: &Key, subkey: &str, depth: u32, values: &mut Vec<Value>) -> io::Result<()> {
    for (name, value) in key.values().map_err(told)? {
        values.push(Value { subkey: subkey.to_owned(), name, data: data(&value) });
    }
    if depth == 0 {
        return Ok(());
    }
    for name in key.keys().map_err(told)? {
        let below = if subkey.is_empty() { name.clone() } else { format!(r"{subkey}\{name}") };
        // What is nobody's to read (`Security`) says nothing of the program; what has gone in between is gone.
        match found(key.open(&name)) {
            Ok(Some(key)) => read(&key, &below, depth - 1, values)?,
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn data(value: &windows_registry::Value) -> Data {
    let bytes = || value.to_vec();
    let data = match value.ty() {
        Type::String | Type::ExpandString => String::try_from(value.clone()).ok().map(Data::Text),
        Type::MultiString => Vec::<String>::try_from(value.clone()).ok().map(|texts| {
            // An empty text is the end of the list.
            Data::Texts(texts.into_iter().take_while(|text| !text.is_empty()).collect())
        }),
        Type::U32 | Type::U64 => u64::try_from(value.clone()).ok().map(Data::Number),
        Type::Bytes | Type::Other(_) => None,
    };
    data.unwrap_or_else(|| Data::Bytes(bytes()))
}

/// `None` for what is not there.
fn found<T>(result: windows_registry::Result<T>) -> io::Result<Option<T>> {
    match result.map_err(told) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The registry's errors are Windows', in another form.
fn told(error: impl Into<io::Error>) -> io::Error {
    const FORM: u32 = 0xffff_0000;
    const OF_WINDOWS: u32 = 0x8007_0000;
    let error = error.into();
    match error.raw_os_error().map(i32::cast_unsigned) {
        Some(code) if code & FORM == OF_WINDOWS => io::Error::from_raw_os_error((code & !FORM).cast_signed()),
        Some(_) | None => error,
    }
}
