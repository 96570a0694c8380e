//! The control socket takes any bytes and never a wrong turn.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use menshen_tests::{Bed, Signal, State, Trees};

const SERVICE: &str = "[service.web]\ncommand = \"sleep 1000\"\n";

fn connect(bed: &Bed) -> UnixStream {
    let path = bed.home().join(format!("run/{}.sock", bed.instance()));
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The whole answer to a request that asks to close.
fn ask(bed: &Bed, request: &str) -> (u16, String) {
    let mut stream = connect(bed);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    (status, text.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

fn request(method: &str, path: &str, more: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: menshen\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n{body}",
        body.len()
    )
}

#[test]
fn what_makes_no_sense_is_answered_with_a_problem() {
    let bed = Bed::new(Trees::Walk, SERVICE).up();
    bed.await_ready("web");
    for (method, path, body, status, code) in [
        ("GET", "/v1/services/nope", "", 404, "no_such_service"),
        ("GET", "/v1/nope", "", 404, "not_found"),
        ("GET", "/", "", 404, "not_found"),
        ("GET", "/v1/services/%2e%2e%2f", "", 404, "no_such_service"),
        ("DELETE", "/v1/services/web", "", 405, "method_not_allowed"),
        ("POST", "/v1/services/web/signal", "{", 400, "bad_request"),
        ("POST", "/v1/services/web/signal", "{\"signal\": 9}", 400, "bad_request"),
        ("POST", "/v1/services/web/signal", "{\"signal\": \"SIGNOPE\"}", 400, "bad_request"),
        ("POST", "/v1/services/web/start?wait=forever", "", 400, "bad_request"),
        ("POST", "/v1/services/web/start?wait=ready&timeout=soon", "", 400, "bad_request"),
        ("POST", "/v1/services/web/continue", "", 409, "not_paused"),
        ("GET", "/v1/services/web/logs?grep=%28", "", 400, "bad_request"),
        ("GET", "/v1/events?since=yesterday", "", 400, "bad_request"),
        ("GET", "/v1/services?limit=-1", "", 400, "bad_request"),
    ] {
        let (answered, text) = ask(&bed, &request(method, path, "", body));
        let problem: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {text}"));
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{method} {path}: {text}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{text}");
    }
    let large = "x".repeat(10 << 20);
    let mut stream = connect(&bed);
    // The guard may hang up before it has all been sent.
    let _ = stream.write_all(request("POST", "/v1/services/web/signal", "", &large).as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.contains("413"), "{answer}");
    assert!(bed.service("web").service.ready);
}

#[test]
fn any_bytes_and_half_requests_leave_the_guard_at_work() {
    let bed = Bed::new(Trees::Walk, SERVICE).up();
    bed.await_ready("web");
    let mut held = Vec::new();
    let junk: [&[u8]; 7] = [
        b"",
        b"\0\0\0\0",
        b"GET",
        b"GET /v1/services HTTP/1.1\r\n",
        b"POST /v1/services/web/stop HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in junk {
        let mut stream = connect(&bed);
        stream.write_all(bytes).unwrap();
        held.push(stream);
    }
    for _ in 0..200 {
        let mut stream = connect(&bed);
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n").unwrap();
        held.push(stream);
    }
    // Between them all, commands and deaths are still seen to.
    bed.menshen(["restart", "web"]).done();
    let web = bed.main_process("web");
    web.signal(Signal::KILL);
    bed.await_service("web", "back", |service| service.restarts == 1 && service.ready);
    drop(held);
    assert_eq!(bed.service("web").service.state, State::Running);
}

#[test]
fn a_command_with_the_same_key_is_carried_out_once() {
    let bed =
        Bed::new(Trees::Walk, "[service.web]\ncommand = [\"sh\", \"-c\", \"echo x >> runs; exec sleep 1000\"]\n").up();
    bed.await_file("runs");
    for _ in 0..3 {
        let again = request("POST", "/v1/services/web/restart?wait=ready", "Idempotency-Key: once\r\n", "");
        let (status, text) = ask(&bed, &again);
        assert_eq!(status, 200, "{text}");
    }
    menshen_tests::wait::until("it was restarted", || bed.await_file("runs") == "x\nx\n");
    let (status, text) = ask(&bed, &request("POST", "/v1/services/web/stop", "Idempotency-Key: once\r\n", ""));
    assert!(status == 422 || status == 409, "{status} {text}");
    assert!(bed.service("web").service.ready);
    assert_eq!(bed.await_file("runs"), "x\nx\n");
}

#[test]
fn a_command_whose_caller_hung_up_is_answered_when_it_is_asked_again_with_its_key() {
    let service = "command = [\"sh\", \"-c\", \"echo x >> runs; exec sleep 1000\"]\nprobe.readiness = { exec = [\"test\", \"-e\", \"go\"], interval = \"50ms\" }\n";
    let bed = Bed::new(Trees::Walk, &format!("[service.web]\nstart = \"manual\"\n{service}")).up();
    let start = request("POST", "/v1/services/web/start?wait=ready", "Idempotency-Key: once\r\n", "");
    let mut stream = connect(&bed);
    stream.write_all(start.as_bytes()).unwrap();
    bed.await_file("runs");
    drop(stream);
    bed.write("go", "");
    let mut answers = Vec::new();
    menshen_tests::wait::until("it is answered", || {
        answers.push(ask(&bed, &start));
        answers.last().is_some_and(|(status, _)| *status == 200)
    });
    assert_eq!(bed.await_file("runs"), "x\n", "{answers:?}");
}

#[test]
fn lists_are_paged_and_waits_end_when_it_is_so_or_cannot_be() {
    let services: String = (0..25).map(|n| format!("[service.s{n:02}]\ncommand = \"sleep 1000\"\n")).collect();
    let failing = "[service.failing]\ncommand = [\"sh\", \"-c\", \"exit 1\"]\nstart = \"manual\"\nrestart.policy = \"never\"\nprobe.readiness = { exec = [\"false\"] }\n";
    let bed = Bed::new(Trees::Walk, &format!("{services}{failing}")).up();
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, text) =
            ask(&bed, &request("GET", &format!("/v1/services?limit=10{cursor}"), "Connection: close\r\n", ""));
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let page = body["services"].as_array().unwrap();
        assert!(page.len() <= 10);
        names.extend(page.iter().map(|service| service["name"].as_str().unwrap().to_owned()));
        let Some(next) = body["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 26);
    // It has started, but can never be ready.
    let (status, text) = ask(&bed, &request("POST", "/v1/services/failing/start?wait=ready&timeout=30s", "", ""));
    assert!(status >= 400 && text.contains("wait_failed"), "{status} {text}");
    let (status, text) = ask(&bed, &request("POST", "/v1/services/s00/stop?wait=paused&timeout=50ms", "", ""));
    assert!(status >= 400, "{status} {text}");
}

#[test]
fn metrics_health_and_contract_are_there() {
    let bed = Bed::new(Trees::Walk, SERVICE).up();
    bed.await_ready("web");
    bed.main_process("web").signal(Signal::KILL);
    bed.await_service("web", "back", |service| service.restarts == 1 && service.ready);
    let (status, metrics) = ask(&bed, &request("GET", "/metrics", "", ""));
    assert_eq!(status, 200);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(
        metrics.lines().any(|line| line.contains("restarts") && line.contains("web") && line.ends_with(" 1")),
        "{metrics}"
    );
    for (path, expected) in [("/healthz", 200), ("/readyz", 200), ("/openapi.json", 200)] {
        assert_eq!(ask(&bed, &request("GET", path, "", "")).0, expected, "{path}");
    }
    bed.menshen(["stop", "web"]).done();
}
