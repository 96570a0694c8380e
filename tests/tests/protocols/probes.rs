//! How the guard asks services how they are, and what it makes of the answers.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};

use menshen_tests::events::Mark;
use menshen_tests::wait::{until, until_some};
use menshen_tests::{Bed, Process, ServiceDetail, State, Trees, port, with_both_trees};

use crate::puppet::{self, tell};
use crate::server::{Answer, Server};

/// Asked often, with the time a busy machine may take to answer.
const PACE: &str = "interval = \"100ms\", timeout = \"5s\"";
/// Restarts come at once.
const QUICK: &str = "breaker.failures = 0\nrestart = { delay = \"50ms\", jitter = 0.0 }\n";

/// A service that only lives, with a probe of it.
fn service(name: &str, probes: &str) -> String {
    format!("[service.{name}]\ncommand = \"sleep 3600\"\n{QUICK}{probes}\n")
}

fn readiness(check: &str) -> String {
    format!("probe.readiness = {{ {check}, {PACE}, failure = 1 }}")
}

/// The last error of the readiness probe.
fn last_error(detail: &ServiceDetail) -> Option<&str> {
    detail.probes.iter().find(|probe| probe.kind == "readiness")?.last_error.as_deref()
}

/// Waits until the readiness probe has failed with this, and looks that it is told and that nothing else comes of it.
fn await_failure(bed: &Bed, name: &str, error: &str) {
    let detail = until_some(&format!("the probe of {name} fails with {error}"), || {
        let detail = bed.service(name);
        last_error(&detail).is_some_and(|last| last.contains(error)).then_some(detail)
    });
    assert!(!detail.service.ready, "{name}: {detail:#?}");
    assert_eq!((detail.service.state, detail.service.restarts_total), (State::Running, 0), "{name}");
    let text = bed.menshen(["status", name]).ended_with(0).text();
    assert!(text.contains(error) && text.contains("not ready"), "{text}");
}

fn lines(bed: &Bed, name: &str) -> usize {
    fs::read_to_string(bed.path(name)).map_or(0, |text| text.lines().count())
}

#[test]
fn an_http_answer_is_weighed_by_status_and_body() {
    let answers = [
        ("fine", Answer::http(200, "", "ok"), "", None),
        ("empty", Answer::http(204, "", ""), "", None),
        ("elsewhere", Answer::http(302, "location: http://127.0.0.1:1/\r\n", ""), "", None),
        ("broken", Answer::http(500, "", "no\x1bdb left"), "", Some("status 500: no db left")),
        ("client", Answer::http(404, "", ""), "", Some("status 404")),
        ("wanted", Answer::http(404, "", ""), "status = [200, \"400-404\"]", None),
        ("unwanted", Answer::http(200, "", ""), "status = [204]", Some("status 200")),
        ("matching", Answer::http(200, "", "state: fine"), "body = \"state: (fine|good)\"", None),
        (
            "unmatching",
            Answer::http(200, "", "state: bad"),
            "body = \"fine\"",
            Some("does not match 'fine': state: bad"),
        ),
        ("smtp", Answer::Bytes(b"220 mail ready\r\n".into()), "", Some("the connection broke")),
        ("mute", Answer::Bytes(Vec::new()), "", Some("the connection broke")),
        ("binary", Answer::Endless((0..=255).collect()), "", Some("the connection broke")),
        ("headless", Answer::Endless(b"HTTP/1.1 200 OK\r\nx: y\r\n".into()), "", Some("the connection broke")),
        ("endless", Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\nmore and more ".into()), "", None),
        ("sought", Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\nmore and more ".into()), "body = \"and more\"", None),
        ("unfound", Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\nmore ".into()), "body = \"less\"", Some("does not match")),
        ("cut", Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".into()), "", Some("body")),
    ];
    let mut bed = Bed::new(Trees::Walk, "");
    for (name, answer, more, _) in &answers {
        let port = Server::start(answer.clone()).port;
        let comma = if more.is_empty() { "" } else { ", " };
        bed = bed.and(&service(name, &readiness(&format!("http = \"http://127.0.0.1:{port}/\"{comma}{more}"))));
    }
    let bed = bed.up();
    for (name, _, _, error) in answers {
        match error {
            None => drop(bed.await_ready(name)),
            Some(error) => await_failure(&bed, name, error),
        }
    }
}

#[test]
fn an_http_request_is_sent_as_it_was_written() {
    let server = Server::start(Answer::http(200, "", ""));
    let check = format!(
        "http = \"http://127.0.0.1:{}/health?deep=1\", method = \"POST\", headers = {{ X-Probe = \"yes\", Host = \"shop.example\" }}",
        server.port
    );
    let bed = Bed::new(Trees::Walk, &service("web", &readiness(&check))).up();
    bed.await_ready("web");
    let request = server.await_requests(1).remove(0);
    assert_eq!(request.line, "POST /health?deep=1 HTTP/1.1");
    assert_eq!(request.header("x-probe"), Some("yes"));
    assert_eq!(request.header("host"), Some("shop.example"));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("menshen/")));
}

#[test]
fn an_answer_that_takes_too_long_is_none_and_the_next_one_counts_again() {
    let server = Server::start(Answer::Hang);
    let check = |port: u16| {
        format!(
            "probe.readiness = {{ http = \"http://127.0.0.1:{port}/\", interval = \"400ms\", timeout = \"300ms\", failure = 2 }}"
        )
    };
    let bed = Bed::new(Trees::Walk, &service("web", &check(server.port))).up();
    await_failure(&bed, "web", "no answer within 300ms");
    server.answer(Answer::http(200, "", ""));
    bed.await_ready("web");
    server.answer(Answer::Hang);
    bed.await_service("web", "unready", |service| !service.ready);
    await_failure(&bed, "web", "no answer within 300ms");
}

#[test]
fn a_port_is_well_while_it_accepts() {
    let port = port::free();
    let bed = Bed::new(Trees::Walk, &service("web", &readiness(&format!("tcp = {port}")))).up();
    for _ in 0..2 {
        await_failure(&bed, "web", "connection refused");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        bed.await_ready("web");
        drop(listener);
    }
    await_failure(&bed, "web", "connection refused");
}

#[test]
fn a_file_must_be_there_and_young() {
    let bed = Bed::new(Trees::Walk, &service("web", &readiness("file = \"beat\", younger_than = \"10m\""))).up();
    await_failure(&bed, "web", "no such file");
    let file = File::create(bed.path("beat")).unwrap();
    bed.await_ready("web");
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    await_failure(&bed, "web", "1h");
    file.set_modified(SystemTime::now()).unwrap();
    bed.await_ready("web");
    fs::remove_file(bed.path("beat")).unwrap();
    await_failure(&bed, "web", "no such file");
}

#[test]
fn a_line_of_output_makes_ready() {
    let Some(bed) = puppet::bed(Trees::Walk) else { return };
    let log = |pattern: &str| format!("probe.readiness.log = '{pattern}'");
    let bed =
        bed.and(&puppet::service("web", &log("^listening on \\d+$"))).and(&puppet::service("db", &log("ready"))).up();
    for _ in 0..2 {
        tell(&bed, "web", "print('not listening on 80', flush=True)");
        let line =
            |text: &str| until("the line is read", || bed.service("web").log.iter().any(|line| line.text == text));
        line("not listening on 80");
        assert!(!bed.service("web").service.ready);
        tell(&bed, "web", "print('listening on 80', flush=True)");
        bed.await_ready("web");

        let before = bed.mark();
        bed.menshen(["restart", "web", "--no-wait"]).done();
        bed.await_entry(before, "web", State::Running);
        assert!(!bed.service("web").service.ready, "what the last run wrote says nothing of this one");
    }
    // Standard error is output, and a line is a line however it comes.
    tell(&bed, "db", "[(sys.stderr.write(c), sys.stderr.flush()) for c in 'I am ready now\\n'] and None");
    bed.await_ready("db");
}

#[test]
fn a_daemon_may_say_itself_when_it_can_be_used() {
    let Some(bed) = puppet::web(Trees::Walk, "probe.readiness.notify = true") else { return };
    bed.await_state("web", State::Running);
    tell(&bed, "web", "notify('STATUS=warming up')");
    bed.await_service("web", "heard", |service| service.status_text.is_some());
    assert!(!bed.service("web").service.ready);
    tell(&bed, "web", "notify('READY=1')");
    bed.await_ready("web");
    assert_eq!(bed.states(Mark::BEGIN, "web"), [State::Starting, State::Running]);
}

#[test]
fn a_command_is_weighed_by_its_exit_code_and_its_last_words_are_told() {
    let probes = [
        ("fine", "[\"true\"]", None),
        (
            "wrong",
            "[\"sh\", \"-c\", \"echo first; echo the disk is full >&2; exit 3\"]",
            Some("exit 3: the disk is full"),
        ),
        ("killed", "[\"sh\", \"-c\", \"kill -KILL $$$$\"]", Some("killed by SIGKILL")),
        ("missing", "[\"/no/such/program\"]", Some("no such file")),
        ("knows", "[\"sh\", \"-c\", \"test $MENSHEN_SERVICE = knows && kill -0 $MAINPID\"]", None),
    ];
    let mut bed = Bed::new(Trees::Walk, "");
    for (name, command, _) in probes {
        bed = bed.and(&service(name, &readiness(&format!("exec = {command}"))));
    }
    let bed = bed.up();
    for (name, _, error) in probes {
        match error {
            None => drop(bed.await_ready(name)),
            Some(error) => await_failure(&bed, name, error),
        }
    }
}

/// Every round leaves a child and a daemon behind, writes down who is there, and looks that nobody of an earlier round is.
const LINGERS: &str = r#"
alive() { [ -d /proc/$1 ] && ! grep -q '^State:.[ZX]' /proc/$1/status; }
for pid in $(cat there); do alive $pid && echo $pid >> overlap; done
echo $$ >> there
sleep 3600 & echo $! >> there
(setsid sh -c 'trap "" TERM; echo $$ >> there; exec sleep 3600' &)
"#;

fn there(bed: &Bed) -> Vec<u32> {
    fs::read_to_string(bed.path("there")).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

with_both_trees! {
    fn a_command_that_outlives_its_time_out_is_killed_with_its_tree_before_the_next_one_starts(trees: Trees) {
        let probe = "probe.readiness = { exec = [\"sh\", \"probe.sh\"], interval = \"500ms\", timeout = \"400ms\", failure = 1 }";
        let bed = Bed::new(trees, &service("web", probe));
        bed.write("probe.sh", format!("{LINGERS}sleep 3600\n"));
        bed.write("there", "");
        let bed = bed.up();
        await_failure(&bed, "web", "no answer within 400ms");
        until("four rounds have begun", || there(&bed).len() >= 12);
        assert_eq!(fs::read_to_string(bed.path("overlap")).unwrap_or_default(), "", "of {:?}", there(&bed));
        bed.menshen(["stop", "web"]).done();
        until("nothing of a probe is left", || !there(&bed).into_iter().filter_map(Process::find).any(|process| process.lives()));
    }

    fn what_a_command_leaves_behind_ends_with_it(trees: Trees) {
        let probe = readiness("exec = [\"sh\", \"probe.sh\"]");
        let bed = Bed::new(trees, &service("web", &probe));
        // Who is there is written down by then.
        bed.write("probe.sh", format!("{LINGERS}while [ $(($(wc -l < there) % 3)) != 0 ]; do sleep 0.02; done\n"));
        bed.write("there", "");
        let bed = bed.up();
        bed.await_ready("web");
        until("four rounds have begun", || there(&bed).len() >= 12);
        assert_eq!(fs::read_to_string(bed.path("overlap")).unwrap_or_default(), "", "of {:?}", there(&bed));
    }

    fn a_command_that_writes_without_end_is_killed_and_in_nobodys_way(trees: Trees) {
        let probe = "probe.readiness = { exec = [\"yes\"], interval = \"300ms\", timeout = \"200ms\", failure = 1 }";
        let bed = Bed::new(trees, &service("web", probe)).and(&service("other", &readiness("exec = [\"true\"]"))).up();
        await_failure(&bed, "web", "no answer within 200ms");
        bed.await_ready("other");
    }
}

#[test]
fn the_start_up_probe_gates_the_others() {
    let probes = "start_timeout = \"40s\"\n\
                  probe.startup = { exec = [\"sh\", \"-c\", \"echo >> startup; test -e up\"], interval = \"100ms\", timeout = \"5s\", failure = 1000 }\n\
                  probe.liveness = { exec = [\"sh\", \"-c\", \"echo >> liveness\"], interval = \"100ms\", timeout = \"5s\" }\n\
                  probe.readiness = { exec = [\"sh\", \"-c\", \"echo >> readiness\"], interval = \"100ms\", timeout = \"5s\" }";
    let bed = Bed::new(Trees::Walk, &service("web", probes)).up();
    until("start-up is asked", || lines(&bed, "startup") >= 5);
    let web = bed.service("web").service;
    assert_eq!((web.state, web.ready, web.healthy), (State::Starting, false, None));
    assert_eq!((lines(&bed, "liveness"), lines(&bed, "readiness")), (0, 0));
    bed.write("up", "");
    bed.await_service("web", "well", |service| service.ready && service.healthy == Some(true));
    let asked = lines(&bed, "startup");
    until("the others are asked again and again", || lines(&bed, "liveness") >= 5 && lines(&bed, "readiness") >= 5);
    assert_eq!(lines(&bed, "startup"), asked, "once it is up, nobody asks whether it has come up");
}

#[test]
fn a_start_up_probe_that_never_succeeds_restarts_at_the_end_of_its_window() {
    let probes = "stop.timeout = \"5s\"\n\
                  probe.startup = { exec = [\"sh\", \"-c\", \"echo still empty; exit 1\"], interval = \"200ms\", timeout = \"200ms\", failure = 5 }";
    let bed = Bed::new(Trees::Walk, &service("web", probes)).up();
    let stopping = bed.await_entry(Mark::BEGIN, "web", State::Stopping);
    assert!(stopping.reason.contains("not up after 1s") && stopping.reason.contains("still empty"), "{stopping:?}");
    bed.await_service("web", "counted", |service| service.restarts_total >= 1);
}

/// A probe whose rounds end as a text says: `S`uccess or `F`ailure; the last of it for ever.
fn rounds(plan: &str) -> String {
    format!(
        "plan={plan}\necho >> rounds\nn=$(wc -l < rounds)\n[ $n -gt ${{#plan}} ] && n=${{#plan}}\n\
             echo round $n; [ $(echo $plan | cut -c$n) = S ]\n"
    )
}

#[test]
fn readiness_honours_both_thresholds_and_restarts_nothing() {
    // In each part one round more or less would change what is told.
    let parts = ["SSF", "SSS", "FFSSS", "FFF", "SSFFF", "SSS"];
    let probe = "probe.readiness = { exec = [\"sh\", \"probe.sh\"], interval = \"50ms\", timeout = \"5s\", success = 3, failure = 3 }";
    let bed = Bed::new(Trees::Walk, &service("web", probe));
    bed.write("probe.sh", rounds(&parts.concat()));
    let bed = bed.up();
    until("all rounds are over", || lines(&bed, "rounds") > parts.concat().len() + 5);
    let events = bed.events();
    let flips: Vec<&serde_json::Value> =
        events.iter().filter(|event| event.kind == "probe").map(|event| &event.details["passing"]).collect();
    assert_eq!(flips, [true, false, true]);
    let failed = events.iter().find(|event| event.details.get("passing").is_some_and(|passing| *passing == false));
    assert!(failed.is_some_and(|event| event.reason.contains("exit 1: round 14")), "{failed:?}");
    let web = bed.await_ready("web").service;
    assert_eq!((web.restarts_total, bed.states(Mark::BEGIN, "web").len()), (0, 2), "only starting and running");
}

#[test]
fn liveness_that_fails_often_enough_stops_and_restarts() {
    let plan = "SFFSFFSFFFS";
    let program =
        "trap 'echo asked > asked; wc -l < rounds > rounds-at-stop; exit 0' TERM\nwhile :; do sleep 0.05; done\n";
    let definition = format!(
        "[service.web]\ncommand = [\"sh\", \"program.sh\"]\n{QUICK}\
         probe.liveness = {{ exec = [\"sh\", \"probe.sh\"], interval = \"100ms\", timeout = \"5s\", failure = 3 }}\n"
    );
    let bed = Bed::new(Trees::Walk, &definition);
    bed.write("program.sh", program);
    bed.write("probe.sh", rounds(plan));
    let bed = bed.up();
    let stopping = bed.await_entry(Mark::BEGIN, "web", State::Stopping);
    assert!(stopping.reason.contains("liveness probe failed 3 times: exit 1: round 10"), "{stopping:?}");
    bed.await_entry(Mark::BEGIN, "web", State::Backoff);
    assert_eq!(bed.await_file("asked"), "asked\n", "it was asked to stop, not killed");
    assert_eq!(bed.await_file("rounds-at-stop").trim(), "10");
    until("it is asked on", || lines(&bed, "rounds") > plan.len() + 3);
    let web = bed.await_service("web", "well", |service| service.healthy == Some(true)).service;
    assert_eq!(web.restarts_total, 1);
    let states = [State::Starting, State::Running, State::Stopping, State::Backoff, State::Starting, State::Running];
    assert_eq!(bed.states(Mark::BEGIN, "web"), states);
}

/// A server of `grpc.health.v1`: the service `shop` serves, `bar` does not, every other is unknown.
fn grpc_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve_grpc(stream));
            }
        });
    });
    address
}

async fn serve_grpc(stream: tokio::net::TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (parts, mut body) = request.into_parts();
        assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/grpc.health.v1.Health/Check"));
        let mut message = Vec::new();
        while let Some(Ok(data)) = body.data().await {
            message.extend_from_slice(&data);
        }
        let response = http::Response::builder().header("content-type", "application/grpc");
        // Five bytes of frame, then the field `service` with its length.
        let status: u8 = match message.get(7..).unwrap_or_default() {
            b"shop" => 1,
            b"bar" => 2,
            _ => {
                let response = response.header("grpc-status", "5").header("grpc-message", "unknown service");
                drop(respond.send_response(response.body(()).unwrap(), true));
                continue;
            }
        };
        let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
        stream.send_data(bytes::Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    }
}

#[test]
fn a_grpc_server_must_say_that_it_serves() {
    let (grpc, web, mute) =
        (grpc_server(), Server::start(Answer::http(200, "", "")).port, Server::start(Answer::Hang).port);
    let probes = [
        ("shop", format!("grpc = \"{grpc}\", grpc_service = \"shop\""), None),
        ("bar", format!("grpc = \"{grpc}\", grpc_service = \"bar\""), Some("it says NOT_SERVING")),
        ("nobody", format!("grpc = \"{grpc}\", grpc_service = \"nobody\""), Some("grpc status 5 unknown service")),
        ("web", format!("grpc = \"127.0.0.1:{web}\""), Some("failed")),
        ("gone", format!("grpc = {}", port::free()), Some("connection refused")),
    ];
    let mut bed = Bed::new(Trees::Walk, "");
    for (name, check, _) in &probes {
        bed = bed.and(&service(name, &readiness(check)));
    }
    let impatient =
        format!("probe.readiness = {{ grpc = {mute}, interval = \"300ms\", timeout = \"300ms\", failure = 1 }}");
    let bed = bed.and(&service("mute", &impatient)).up();
    await_failure(&bed, "mute", "no answer within 300ms");
    for (name, _, error) in probes {
        match error {
            None => drop(bed.await_ready(name)),
            Some(error) => await_failure(&bed, name, error),
        }
    }
}
