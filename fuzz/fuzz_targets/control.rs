//! Requests to the control socket: which endpoint they mean, what their query and body ask for, and how they are refused.
#![no_main]

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use menshen_api::endpoint::Route;
use menshen_api::types::{
    EventQuery, ListQuery, LogQuery, ReloadQuery, ShutdownQuery, SignalRequest, Stream, UpgradeRequest, WaitFor, WaitQuery,
};
use menshen_api::{Endpoint, Problem, ProblemCode, Time, query};
use menshen_plan::signal::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;

// A first byte of zero is followed by what a client may ask for, anything else is a request as it comes:
// `METHOD path?query`, a line end, and a body.
fuzz_target!(|data: &[u8]| match data.split_first() {
    Some((0, rest)) => {
        if let Ok(asked) = Asked::arbitrary(&mut Unstructured::new(rest)) {
            asked_for(asked);
        }
    }
    _ => any_request(data),
});

fn any_request(data: &[u8]) {
    let (head, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (method, target) = head.split_once(' ').unwrap_or(("GET", head));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    // Most of what is no URI could never come this far, but its pieces could come another way.
    let uri: Option<Uri> = target.parse().ok();
    let (path, question) = match &uri {
        Some(uri) => (uri.path(), uri.query()),
        None => target.split_once('?').map_or((target, None), |(path, question)| (path, Some(question))),
    };
    match Endpoint::route(&method, path) {
        Route::Endpoint(endpoint, name) => {
            assert_found(endpoint, &method, path, name.as_deref());
            read_for(endpoint, question, body);
        }
        Route::OtherMethods(methods) => {
            assert!(!methods.is_empty() && !methods.contains(&method), "{method} {path}: {methods:?}");
            for other in methods {
                assert!(matches!(Endpoint::route(&other, path), Route::Endpoint(..)), "{other} {path}");
            }
        }
        Route::Unknown => {
            for endpoint in Endpoint::ALL {
                assert_ne!(endpoint.path(Some("web")), path, "{method} {path} is in the contract");
            }
        }
    }
    // Whatever the path is, each of them has to stand any query.
    read_for(Endpoint::GetLogs, question, body);
    read_for(Endpoint::ListEvents, question, body);
}

fn assert_found(endpoint: Endpoint, method: &Method, path: &str, name: Option<&str>) {
    let contract = endpoint.contract();
    assert!(contract.method == *method || (*method == Method::HEAD && contract.method == Method::GET));
    assert_eq!(name.is_some(), contract.path.contains("{name}"), "{path}");
    assert!(!name.is_some_and(str::is_empty), "{path} names nothing");
    let escaped = name.map(|name| name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>());
    let again = Endpoint::route(method, &endpoint.path(escaped.as_deref()));
    assert_eq!(again, Route::Endpoint(endpoint, name.map(str::to_owned)), "{path}");
}

/// Reads the query and the body as the endpoint's contract has them.
fn read_for(endpoint: Endpoint, question: Option<&str>, body: &[u8]) {
    match endpoint {
        Endpoint::ListServices => drop(read::<ListQuery>(question)),
        Endpoint::StartService
        | Endpoint::StopService
        | Endpoint::RestartService
        | Endpoint::PauseService
        | Endpoint::ContinueService
        | Endpoint::ResetService => drop(read::<WaitQuery>(question)),
        Endpoint::GetLogs => since(read::<LogQuery>(question).and_then(|query| query.since)),
        Endpoint::ListEvents => since(read::<EventQuery>(question).and_then(|query| query.since)),
        Endpoint::Reload => drop(read::<ReloadQuery>(question)),
        Endpoint::Shutdown => drop(read::<ShutdownQuery>(question)),
        Endpoint::SignalService => signal(body),
        Endpoint::Upgrade => drop(serde_json::from_slice::<UpgradeRequest>(body)),
        Endpoint::GetGuard
        | Endpoint::GetService
        | Endpoint::ReloadService
        | Endpoint::GetPlan
        | Endpoint::GetHealth
        | Endpoint::GetReadiness
        | Endpoint::GetMetrics
        | Endpoint::GetOpenApi => {}
    }
}

fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(question: Option<&str>) -> Option<T> {
    match query::read::<T>(question) {
        Ok(asked) => {
            assert_reads_back(&asked);
            Some(asked)
        }
        Err(problem) => {
            assert_problem(&problem, question);
            None
        }
    }
}

fn assert_reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(asked: &T) {
    let written = query::write(asked).expect("a query of the contract can be written");
    assert!(written.is_ascii() && format!("/?{written}").parse::<Uri>().is_ok(), "{written:?} is no query");
    assert_eq!(query::read::<T>(Some(&written)).as_ref(), Ok(asked), "{written:?}");
}

fn assert_problem(problem: &Problem, question: Option<&str>) {
    assert_eq!(problem.code, ProblemCode::BadRequest, "{question:?}");
    assert!(!problem.detail.is_empty());
    let json = serde_json::to_vec(problem).expect("a problem can be written");
    assert_eq!(serde_json::from_slice::<Problem>(&json).ok().as_ref(), Some(problem));
}

fn since(text: Option<String>) {
    if let Some(time) = text.and_then(|text| text.parse::<Time>().ok()) {
        let again: Time = time.to_string().parse().expect("a time is read back");
        assert_eq!(again.to_string(), time.to_string());
        assert_eq!(Time::from_ms(time.as_ms()).as_ms(), time.as_ms());
    }
}

fn signal(body: &[u8]) {
    let Ok(request) = serde_json::from_slice::<SignalRequest>(body) else { return };
    let json = serde_json::to_vec(&request).expect("a body of the contract can be written");
    assert_eq!(serde_json::from_slice::<SignalRequest>(&json).ok(), Some(request.clone()));
    if let Ok(signal) = request.signal.parse::<Signal>() {
        assert_eq!(signal.to_string().parse(), Ok(signal));
    }
}

/// What a client may ask for.
#[derive(Debug, Arbitrary)]
struct Asked {
    text: Option<String>,
    other: Option<String>,
    number: Option<u32>,
    long: Option<u64>,
    choice: u8,
    flag: bool,
}

fn asked_for(asked: Asked) {
    let Asked { text, other, number, long, choice, flag } = asked;
    let waits = [None, Some(WaitFor::Running), Some(WaitFor::Ready), Some(WaitFor::Paused), Some(WaitFor::Stopped)];
    let streams = [None, Some(Stream::Stdout), Some(Stream::Stderr)];
    let choice = usize::from(choice);
    assert_reads_back(&ListQuery { cursor: text.clone(), limit: number });
    assert_reads_back(&WaitQuery { wait: waits[choice % waits.len()], timeout: text.clone() });
    assert_reads_back(&EventQuery { service: text.clone(), since: other.clone(), after: long, limit: number });
    assert_reads_back(&ReloadQuery { dry_run: flag });
    assert_reads_back(&ShutdownQuery { now: flag, leave: !flag });
    let stream = streams[choice % streams.len()];
    let after = text.clone();
    assert_reads_back(&LogQuery { follow: flag, since: text, grep: other, stream, tail: number, after });
}
