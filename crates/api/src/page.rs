//! A page of services as it goes over the wire: JSON whose services have a line each and come last, so that whoever only passes
//! them on need not read them.

use std::mem;

use crate::types::ServiceList;

const SERVICES: &[u8] = b"\"services\":[";
const END: &[u8] = b"]}";
/// What most services take, so that a page is rarely moved while it grows.
const SERVICE_BYTES: usize = 512;

/// Writes a page.
///
/// # Errors
/// When something in it cannot be written as JSON.
pub fn write(mut list: ServiceList) -> Result<Vec<u8>, serde_json::Error> {
    let services = mem::take(&mut list.services);
    let mut page = serde_json::to_vec(&list)?;
    page.truncate(page.len() - END.len());
    page.reserve(services.len() * SERVICE_BYTES);
    for (index, service) in services.iter().enumerate() {
        page.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut page, service)?;
    }
    if !services.is_empty() {
        page.push(b'\n');
    }
    page.extend_from_slice(END);
    Ok(page)
}

/// A page without its services, and its services word for word: a line for each, with a comma after each but the last. `None` if
/// there are none, or if whoever wrote the page wrote it otherwise; then it is JSON all the same.
#[must_use]
pub fn split(page: &[u8]) -> Option<(Vec<u8>, &str)> {
    // JSON has the end of a line between its values and nowhere else.
    let (before, services) = page.split_at(page.iter().position(|byte| *byte == b'\n')?);
    let services = services.strip_prefix(b"\n")?.strip_suffix(END)?.strip_suffix(b"\n")?;
    let services = before.ends_with(SERVICES).then(|| str::from_utf8(services).ok())??;
    Some(([before, END].concat(), services))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Service;

    fn list(names: &[&str]) -> ServiceList {
        let service = |name: &&str| -> Service {
            serde_json::from_value(serde_json::json!({
                "name": name, "instance": "shop", "state": "running", "wanted": "up", "pid": 7, "ready": true, "restarts": 0,
                "restarts_total": 0, "since": "2026-01-02T03:04:05Z", "reason": "\"services\":[\nstarted]}",
                "breaker": { "state": "closed", "trips": 0 }, "order": 0,
            }))
            .unwrap()
        };
        ServiceList {
            next: Some("\"services\":[\n]}".to_owned()),
            troubles: Vec::new(),
            as_wanted: Some(true),
            services: names.iter().map(service).collect(),
        }
    }

    #[test]
    fn a_page_is_what_it_was_written_from() {
        for names in [&[][..], &["web"], &["web", "worker", "db"]] {
            let page = write(list(names)).unwrap();
            assert_eq!(serde_json::from_slice::<ServiceList>(&page).unwrap(), list(names));
        }
    }

    #[test]
    fn a_page_is_split_before_its_services() {
        let page = write(list(&["web", "worker"])).unwrap();
        let (rest, services) = split(&page).unwrap();
        assert_eq!(serde_json::from_slice::<ServiceList>(&rest).unwrap(), list(&[]));
        let lines: Vec<&str> = services.split(",\n").collect();
        let named: Vec<String> = lines.iter().map(|line| serde_json::from_str::<Service>(line).unwrap().name).collect();
        assert_eq!(named, ["web", "worker"]);
    }

    #[test]
    fn what_is_written_otherwise_is_not_split() {
        let compact = serde_json::to_vec(&list(&["web"])).unwrap();
        let pretty = serde_json::to_vec_pretty(&list(&["web"])).unwrap();
        let empty = write(list(&[])).unwrap();
        for page in [&compact, &pretty, &empty] {
            assert_eq!(split(page), None, "{}", String::from_utf8_lossy(page));
        }
        let whole = write(list(&["web"])).unwrap();
        for end in 0..whole.len() {
            assert_eq!(split(&whole[..end]), None, "{end}");
        }
    }
}
