//! Telling people: webhooks and commands, each alert once, and never in the way of what is guarded.

use std::time::{Duration, Instant};

use menshen_tests::events::Mark;
use menshen_tests::wait::until;
use menshen_tests::{Bed, Process, State, Trees, port, with_both_trees};
use serde_json::{Value, json};

use crate::server::{Answer, Request, Server};

/// A program that fails for good at once.
const BROKEN: &str = "[service.broken]\ncommand = [\"sh\", \"-c\", \"exit 3\"]\nrestart.policy = \"never\"\n";
/// One that dies again and again.
const RESTLESS: &str = "[service.restless]\ncommand = \"false\"\nbreaker.failures = 0\n\
                        restart = { delay = \"100ms\", factor = 1.0, jitter = 0.0 }\n";
/// One without which the guard ends, which fails when it is told to.
const ESSENTIAL: &str = "[service.heart]\nessential = true\nrestart.policy = \"never\"\n\
                         command = [\"sh\", \"-c\", \"until test -e fail; do sleep 0.02; done; exit 3\"]\n";
/// A command that does not end, with a child and a daemon.
const HANGS: &str = "sleep 3600 & echo $! > child\n(setsid sh -c 'trap \"\" TERM; echo $$ > daemon; exec sleep 3600' &)\n\
                     echo $$ > main\nwait\n";

fn webhook(port: u16, more: &str) -> String {
    format!("[alert.ops]\nwebhook = \"http://127.0.0.1:{port}/alerts?by=menshen\"\n{more}\n")
}

fn told(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|error| panic!("{error} in {request:?}"))
}

#[test]
fn a_webhook_gets_the_alert_as_json() {
    let server = Server::start(Answer::http(204, "", ""));
    let headers = "headers = { Authorization = \"Bearer abc\", X-Team = \"shop\" }";
    let bed = Bed::new(Trees::Walk, BROKEN).and(&webhook(server.port, headers)).up();
    let request = server.await_requests(1).remove(0);
    assert_eq!(request.line, "POST /alerts?by=menshen HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer abc"));
    assert_eq!(request.header("x-team"), Some("shop"));
    assert_eq!(request.header("host"), Some(format!("127.0.0.1:{}", server.port).as_str()));

    let alert = told(&request);
    let mut keys: Vec<&str> = alert.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["host", "instance", "kind", "service", "text", "time"]);
    assert_eq!((&alert["kind"], &alert["service"]), (&json!("failed"), &json!("broken")));
    assert_eq!(alert["instance"], bed.instance());
    assert!(alert["text"].as_str().is_some_and(|text| text.contains("exit 3")), "{alert}");
    let failed = bed.await_entry(Mark::BEGIN, "broken", State::Failed);
    assert!(alert["time"].as_str().is_some_and(|time| time[..16] == failed.time.to_string()[..16]), "{alert}");
}

#[test]
fn an_alert_is_sent_again_until_it_gets_through_and_then_no_more() {
    let server = Server::start(Answer::http(500, "", "not now"));
    let bed = Bed::new(Trees::Walk, BROKEN).and(&webhook(server.port, "")).up();
    server.await_requests(1);
    server.answer(Answer::http(200, "", ""));
    let requests = server.await_requests(2);
    assert_eq!(told(&requests[0]), told(&requests[1]), "the same alert, with the time of the first");
    bed.menshen(["down"]).done();
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn an_alert_waits_for_a_server_that_is_not_there_yet() {
    let port = port::free();
    let bed = Bed::new(Trees::Walk, BROKEN).and(&webhook(port, "")).up();
    bed.await_state("broken", State::Failed);
    let server = Server::start_at(port, Answer::http(200, "", ""));
    assert_eq!(told(&server.await_requests(1)[0])["kind"], "failed");
    bed.menshen(["down"]).done();
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_alert_nobody_takes_is_given_up_and_that_is_an_event() {
    let server = Server::start(Answer::http(403, "", ""));
    let bed = Bed::new(Trees::Walk, BROKEN).and(&webhook(server.port, "retries = 1")).up();
    let event = bed.await_event(Mark::BEGIN, "given up", |event| event.reason.contains("did not get through"));
    assert!(event.reason.contains("'ops' about broken") && event.reason.contains("status 403"), "{event:?}");
    assert_eq!(server.seen().len(), 2, "one try and one retry");

    // Nobody was told, so the next time is not the same again.
    server.answer(Answer::http(200, "", ""));
    bed.menshen(["start", "broken", "--no-wait"]).done();
    server.await_requests(3);
}

#[test]
fn the_same_alert_is_told_again_only_after_a_while() {
    let often = Server::start(Answer::http(200, "", ""));
    let seldom = Server::start(Answer::http(200, "", ""));
    let alert = |name: &str, port: u16, repeat: &str| {
        format!(
            "[alert.{name}]\nwebhook = \"http://127.0.0.1:{port}/\"\non = [\"restarting\"]\nrepeat_after = \"{repeat}\"\n"
        )
    };
    let more = [alert("often", often.port, "500ms"), alert("seldom", seldom.port, "1h")].concat();
    let bed = Bed::new(Trees::Walk, RESTLESS).and(&more).up();
    let (begun, restarts) = (Instant::now(), |bed: &Bed| bed.service("restless").service.restarts_total);
    often.await_requests(4);
    assert!(begun.elapsed() >= Duration::from_millis(1400), "three times half a second lie between four alerts");
    assert!(restarts(&bed) > 4, "{}", restarts(&bed));
    assert_eq!(seldom.seen().len(), 1);
}

#[test]
fn only_what_is_asked_for_is_told() {
    let server = Server::start(Answer::http(200, "", ""));
    let recovered = Server::start(Answer::http(200, "", ""));
    let only = webhook(server.port, "services = [\"other\"]\non = [\"failed\"]");
    let flag = "[service.flagged]\ncommand = [\"sh\", \"-c\", \"test -e flag && exec sleep 3600; exit 1\"]\n\
                restart.policy = \"never\"\n[service.other]\ncommand = \"false\"\nrestart.policy = \"never\"\n";
    let all = format!("[alert.all]\nwebhook = \"http://127.0.0.1:{}/\"\n", recovered.port);
    let bed = Bed::new(Trees::Walk, flag).and(&only).and(&all).up();
    let requests = recovered.await_requests(2);
    assert!(requests.iter().all(|request| told(request)["kind"] == "failed"), "{requests:?}");
    bed.write("flag", "");
    bed.menshen(["start", "flagged", "--no-wait"]).done();
    let last = told(&recovered.await_requests(3)[2]);
    assert_eq!((&last["kind"], &last["service"]), (&json!("recovered"), &json!("flagged")));
    let told_of: Vec<Value> = server.await_requests(1).iter().map(|request| told(request)["service"].clone()).collect();
    assert_eq!(told_of, ["other"]);
}

#[test]
fn a_webhook_that_hangs_is_in_nobodys_way() {
    let server = Server::start(Answer::Hang);
    let more = "on = [\"restarting\"]\nrepeat_after = \"1ms\"\ntimeout = \"1h\"\nretries = 0";
    let mut bed = Bed::new(Trees::Walk, RESTLESS).and(&webhook(server.port, more)).up();
    server.await_requests(8);
    let total = bed.service("restless").service.restarts_total;
    bed.await_service("restless", "started again", |service| service.restarts_total >= total + 5);
    bed.menshen(["stop", "restless"]).done();
    bed.menshen(["down"]).done();
    assert!(bed.await_guard_end().success());
}

with_both_trees! {
    fn an_alerts_command_that_a_killed_guard_left_ends_with_the_next(trees: Trees) {
        let left = "[alert.ops]\nexec = [\"sh\", \"-c\", \"sleep 3594 & exec sleep 3594\"]\ntimeout = \"1h\"\nrepeat_after = \"1ms\"\n";
        let mut bed = Bed::new(trees, BROKEN).and(left).up();
        let under_way = |bed: &Bed| -> Vec<Process> {
            let is_its = |process: &Process| process.command() == "sleep 3594";
            bed.processes().into_iter().filter(is_its).collect()
        };
        until("it runs, with its child", || under_way(&bed).len() == 2);
        bed.kill_guard();
        let mark = bed.mark();
        bed.start_guard();
        until("it is gone", || under_way(&bed).is_empty());
        bed.await_event(mark, "that is told", |event| event.reason.starts_with("an alert's command"));
        bed.menshen(["start", "broken", "--no-wait"]).done();
        until("the next one runs", || !under_way(&bed).is_empty());
    }
}

#[test]
fn a_webhook_that_hangs_is_given_up_at_its_time_out() {
    let server = Server::start(Answer::Hang);
    let bed = Bed::new(Trees::Walk, BROKEN).and(&webhook(server.port, "timeout = \"300ms\"\nretries = 0")).up();
    let event = bed.await_event(Mark::BEGIN, "given up", |event| event.reason.contains("did not get through"));
    assert!(event.reason.contains("no answer within 300ms"), "{event:?}");
}

#[test]
fn the_end_of_the_guard_waits_for_the_alert_that_tells_of_it() {
    let server = Server::start(Answer::http(200, "", ""));
    let command = "[alert.exec]\nexec = [\"sh\", \"-c\", \"sleep 0.3; echo $MENSHEN_ALERT_SERVICE > told\"]\n";
    let mut bed = Bed::new(Trees::Walk, ESSENTIAL).and(&webhook(server.port, "")).and(command).up();
    bed.write("fail", "");
    assert_eq!(bed.await_guard_end().code(), Some(7));
    assert_eq!(server.seen().iter().map(|request| told(request)["service"].clone()).collect::<Vec<_>>(), ["heart"]);
    assert_eq!(std::fs::read_to_string(bed.path("told")).unwrap(), "heart\n");
}

with_both_trees! {
    fn the_end_of_the_guard_waits_for_no_alert_that_hangs_and_leaves_none_behind(trees: Trees) {
        let server = Server::start(Answer::Hang);
        let command = "[alert.exec]\nexec = [\"sh\", \"alert.sh\"]\ntimeout = \"1h\"\n";
        let mut bed = Bed::new(trees, ESSENTIAL).and(&webhook(server.port, "timeout = \"1h\"")).and(command);
        bed.write("alert.sh", HANGS);
        bed.start_guard();
        bed.write("fail", "");
        let tree: Vec<Process> = ["main", "child", "daemon"].map(|name| bed.await_process(name)).into();
        assert_eq!(bed.await_guard_end().code(), Some(7));
        assert!(tree.iter().all(|process| !process.lives()), "{tree:?}");
    }

    fn a_command_gets_the_alert_on_its_stdin_and_in_its_environment(trees: Trees) {
        let script = "cat > told.json; env | grep ^MENSHEN_ALERT_ | sort > told.env; echo done > told";
        let alert = format!("[alert.ops]\nexec = [\"sh\", \"-c\", \"{script}\"]\n");
        let bed = Bed::new(trees, BROKEN).and(&alert).up();
        bed.await_file("told");
        let alert: Value = serde_json::from_str(&std::fs::read_to_string(bed.path("told.json")).unwrap()).unwrap();
        let environment = std::fs::read_to_string(bed.path("told.env")).unwrap();
        assert_eq!((&alert["kind"], &alert["service"]), (&json!("failed"), &json!("broken")));
        for (name, key) in [
            ("HOST", "host"),
            ("INSTANCE", "instance"),
            ("KIND", "kind"),
            ("SERVICE", "service"),
            ("TEXT", "text"),
            ("TIME", "time"),
        ] {
            let line = format!("MENSHEN_ALERT_{name}={}\n", alert[key].as_str().unwrap());
            assert!(environment.contains(&line), "{line} in {environment}");
        }
        assert_eq!(environment.lines().count(), 6, "{environment}");
    }

    fn commands_for_alerts_that_come_together_do_not_disturb_each_other(trees: Trees) {
        let script = "case $MENSHEN_ALERT_SERVICE in slow) sleep 1;; esac; echo $MENSHEN_ALERT_SERVICE >> told";
        let alert = format!("[alert.ops]\nexec = [\"sh\", \"-c\", \"{script}\"]\nretries = 0\n");
        let services = ["slow", "quick"].map(|name| BROKEN.replace("broken", name)).concat();
        let bed = Bed::new(trees, &services).and(&alert).up();
        until("both are told of", || std::fs::read_to_string(bed.path("told")).is_ok_and(|told| told == "quick\nslow\n"));
        let lost = bed.events().into_iter().find(|event| event.reason.contains("did not get through"));
        assert_eq!(lost, None);
    }

    fn a_command_that_hangs_is_killed_with_its_tree_at_its_time_out(trees: Trees) {
        let alert = "[alert.ops]\nexec = [\"sh\", \"alert.sh\"]\ntimeout = \"1s\"\nretries = 0\nservices = [\"broken\"]\n";
        let bed = Bed::new(trees, BROKEN).and(alert).and(RESTLESS);
        bed.write("alert.sh", HANGS);
        let bed = bed.up();
        let tree: Vec<Process> = ["main", "child", "daemon"].map(|name| bed.await_process(name)).into();
        let total = bed.service("restless").service.restarts_total;
        let event = bed.await_event(Mark::BEGIN, "given up", |event| event.reason.contains("did not get through"));
        assert!(event.reason.contains("no end within 1s"), "{event:?}");
        until("the whole tree is gone", || tree.iter().all(|process| !process.lives()));
        assert!(bed.service("restless").service.restarts_total > total, "restarts went on meanwhile");
    }

    fn a_command_that_fails_is_run_again(trees: Trees) {
        let script = "cat >> told.json; test -e tried && exit 0; echo no luck; touch tried; exit 1";
        let alert = format!("[alert.ops]\nexec = [\"sh\", \"-c\", \"{script}\"]\nretries = 1\n");
        let bed = Bed::new(trees, BROKEN).and(&alert).up();
        let read = || std::fs::read_to_string(bed.path("told.json")).unwrap_or_default();
        until("it is run twice", || read().matches("\"failed\"").count() == 2);
        let lost = bed.events().into_iter().find(|event| event.reason.contains("did not get through"));
        assert_eq!(lost, None);
    }
}
