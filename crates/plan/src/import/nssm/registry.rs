//! Registry files (`reg export`).

use crate::source::Source;

use super::super::{ImportError, Place};
use super::{Data, ServiceKey, ServiceValue};

/// The services in a file, in the order of their keys.
pub(super) fn read(source: &Source) -> Result<Vec<ServiceKey>, ImportError> {
    let whole = Place::whole(&source.name);
    let mut keys: Vec<ServiceKey> = Vec::new();
    let mut subkey = None;
    for (line, text) in logical_lines(&source.text) {
        let place = whole.line(line);
        if let Some(path) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            subkey = service_of(path).map(|(name, below)| {
                if !keys.iter().any(|key| key.name.eq_ignore_ascii_case(name)) {
                    keys.push(ServiceKey { name: name.to_owned(), values: Vec::new(), place: place.clone() });
                }
                (name.to_owned(), below.to_owned())
            });
            continue;
        }
        let Some((name, below)) = &subkey else { continue };
        let Some((value, data)) = value(&text) else {
            return Err(ImportError::Unreadable {
                place,
                expected: "a registry file",
                why: "neither a key nor a value".to_owned(),
                help: r"export it anew: reg export HKLM\SYSTEM\CurrentControlSet\Services\NAME NAME.reg".to_owned(),
            });
        };
        if let Some(key) = keys.iter_mut().find(|key| key.name.eq_ignore_ascii_case(name)) {
            key.values.push(ServiceValue { subkey: below.clone(), name: value, data, place });
        }
    }
    if keys.is_empty() {
        return Err(ImportError::Unreadable {
            place: whole,
            expected: "an export of a service",
            why: r"it has no key below HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services".to_owned(),
            help: r"reg export HKLM\SYSTEM\CurrentControlSet\Services\NAME NAME.reg".to_owned(),
        });
    }
    Ok(keys)
}

/// The service's name and what is below it, of the path of a key.
fn service_of(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.splitn(5, '\\');
    let [hive, system, set, services] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let is_set = set.to_ascii_uppercase().contains("CONTROLSET");
    let is_services = ["HKEY_LOCAL_MACHINE", "HKLM"].iter().any(|name| hive.eq_ignore_ascii_case(name))
        && system.eq_ignore_ascii_case("SYSTEM")
        && is_set
        && services.eq_ignore_ascii_case("Services");
    let rest = parts.next().filter(|_| is_services)?;
    Some(rest.split_once('\\').unwrap_or((rest, "")))
}

/// Lines with those that continue them, each with the number of its first; without the heading and comments.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut begun = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if begun && let Some((_, whole)) = lines.last_mut() {
            whole.push_str(line.trim_end_matches('\\'));
            begun = line.ends_with('\\');
            continue;
        }
        let is_heading = line.starts_with("Windows Registry Editor") || line.starts_with("REGEDIT4");
        if line.is_empty() || line.starts_with(';') || is_heading {
            continue;
        }
        // A text may end with a backslash before its quote; only bytes go on.
        begun = line.ends_with('\\') && line.contains("=hex");
        lines.push((number, if begun { line.trim_end_matches('\\').to_owned() } else { line.to_owned() }));
    }
    lines
}

/// A name and what it stands for.
fn value(line: &str) -> Option<(String, Data)> {
    let (name, rest) = match line.strip_prefix('@') {
        Some(rest) => (String::new(), rest),
        None => quoted(line)?,
    };
    let data = rest.trim_start().strip_prefix('=')?.trim_start();
    if data.starts_with('"') {
        return Some((name, Data::Text(quoted(data)?.0)));
    }
    let (kind, digits) = data.split_once(':')?;
    let data = match kind {
        "dword" => Data::Number(u64::from_str_radix(digits.trim(), 16).ok()?),
        "hex(1)" | "hex(2)" => Data::Text(wide(&bytes(digits)?)),
        "hex(7)" => {
            Data::Texts(wide(&bytes(digits)?).split('\0').filter(|text| !text.is_empty()).map(str::to_owned).collect())
        }
        "hex(b)" => Data::Number(u64::from_le_bytes(bytes(digits)?.try_into().ok()?)),
        _ => Data::Bytes(bytes(digits)?),
    };
    Some((name, data))
}

/// A text in quotes with `\\` and `\"`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut characters = text.strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.split(',').map(str::trim).filter(|byte| !byte.is_empty());
    digits.map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// Text as Windows keeps it, up to its last NUL.
fn wide(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_kind() {
        for (line, name, data) in [
            (r#""Application"="C:\\app\\\"x\".exe""#, "Application", Data::Text(r#"C:\app\"x".exe"#.to_owned())),
            (r#""Start"=dword:00000003"#, "Start", Data::Number(3)),
            (r#"@="Restart""#, "", Data::Text("Restart".to_owned())),
            (r#""X"=hex(2):25,00,41,00,25,00,00,00"#, "X", Data::Text("%A%".to_owned())),
            (
                r#""E"=hex(7):41,00,3d,00,31,00,00,00,42,00,3d,00,00,00,00,00"#,
                "E",
                Data::Texts(vec!["A=1".to_owned(), "B=".to_owned()]),
            ),
            (r#""B"=hex:01,ff"#, "B", Data::Bytes(vec![1, 255])),
        ] {
            assert_eq!(value(line), Some((name.to_owned(), data)), "{line}");
        }
        for line in ["x", "\"a", "\"a\"", "\"a\"=dword:zz", "\"a\"=hex:1g"] {
            assert_eq!(value(line), None, "{line}");
        }
    }

    #[test]
    fn bytes_go_on_in_the_next_line_and_texts_do_not() {
        let text =
            "Windows Registry Editor Version 5.00\r\n\r\n\"a\"=hex(7):41,00,\\\r\n  00,00\r\n\"b\"=\"C:\\\\\"\r\n";
        assert_eq!(
            logical_lines(text),
            [(3, "\"a\"=hex(7):41,00,00,00".to_owned()), (5, "\"b\"=\"C:\\\\\"".to_owned())]
        );
    }

    #[test]
    fn keys_of_services_are_told_from_others() {
        assert_eq!(
            service_of(r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\web\Parameters\AppExit"),
            Some(("web", r"Parameters\AppExit"))
        );
        assert_eq!(service_of(r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\web"), Some(("web", "")));
        assert_eq!(service_of(r"HKEY_CURRENT_USER\Software\x"), None);
    }
}
