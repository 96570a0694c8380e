//! The command line as people and programs use it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use menshen_tests::{Bed, Signal, State, Trees, wait};

const SHOP: &str = r#"
[service.db]
command = "sleep 1000"
[service.web]
command    = "sleep 1000"
depends_on = ["db"]
"#;

#[test]
fn exit_codes_tell_what_happened() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    bed.write("bad.toml", "[service.x]\ncomand = 'x'\n");
    // No guard is running that has it.
    bed.write("apart.toml", SHOP);
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["status", "web"], 0),
        (&["status", "nope"], 4),
        (&["start", "nope"], 4),
        (&["start"], 2),
        (&["nope"], 2),
        (&["check", "--file", "bad.toml"], 3),
        (&["up", "--file", "bad.toml"], 3),
        (&["check", "--file", "missing.toml"], 3),
        (&["check", "--only", "nope"], 4),
        (&["config", "--only", "nope"], 4),
        (&["check", "--profile", "a/b"], 3),
        (&["check", "--profile", "../../etc"], 3),
        (&["status", "--instance", "nope"], 6),
        (&["pause", "web"], 0),
        (&["pause", "web"], 0),
        (&["continue", "web"], 0),
        (&["stop", "web"], 0),
        (&["status", "web"], 3),
        (&["install", "--file", "apart.toml", "--manager", "systemd", "--dry-run"], 0),
        (&["install", "--file", "apart.toml", "--manager", "launchd", "--dry-run"], 0),
        (&["install", "--file", "apart.toml", "--manager", "freebsd-rc", "--dry-run"], 0),
        (&["install", "--manager", "scm", "--dry-run"], 2),
        (&["install", "nope", "--manager", "systemd", "--dry-run"], 4),
        (&["install", "--set", "DB_PASSWORD=x", "--manager", "runit", "--dry-run"], 2),
        (&["install", "--native", "--file", "apart.toml", "--manager", "runit", "--dry-run"], 2),
        (&["uninstall", "nope"], 4),
        (&["diff", "nope"], 4),
        (&["enable", "nope"], 4),
        (&["edit", "nope"], 4),
        (&["completions", "bash"], 0),
        (&["man"], 0),
        (&["schema"], 0),
    ] {
        let ran = bed.menshen(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.text(), ran.stderr);
        assert!(code == 0 || code == 3 || !ran.stderr.is_empty(), "{arguments:?} says nothing");
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("Error {"), "{}", ran.stderr);
        if arguments != ["nope"] {
            let help = bed.menshen(["help", arguments[0]]).ended_with(0).text();
            let (_, told) = help.split_once("Exit codes:").unwrap();
            assert!(told.contains(&format!(" {code} ")), "{code} is not told in\n{help}");
        }
    }
}

#[test]
fn what_windows_would_be_told_is_not_made_of_paths_of_another_system() {
    let bed = Bed::new(Trees::Walk, SHOP);
    let refused = bed.menshen(["install", "--manager", "scm", "--dry-run"]).ended_with(2).stderr;
    assert!(refused.contains("the paths are those of Unix") && !refused.contains("protocol"), "{refused}");
}

#[test]
fn the_profile_that_was_installed_stays_until_another_one_is_named() {
    let bed = Bed::new(Trees::Walk, "[guard]\nname = \"shop\"\n[service.web]\ncommand = \"sleep 1000\"\n");
    for profile in ["production", "staging"] {
        bed.write(&format!("menshen.{profile}.toml"), "[service.web]\ndescription = \"of a profile\"\n");
    }
    let shown = |words: &[&str]| {
        let install = ["install", "--manager", "systemd", "--dry-run"];
        bed.menshen(install.iter().chain(words))
    };
    let plain = shown(&[]).ended_with(0).text();
    assert!(plain.contains("shop.service") && !plain.contains("--profile"), "{plain}");
    let installed = bed.home().join("state/installed");
    std::fs::create_dir_all(&installed).unwrap();
    let record = serde_json::json!({
        "format": 1, "name": "shop", "manager": "systemd", "scope": "system", "form": "guard",
        "definition": bed.path("menshen.toml"), "origin": "given", "profile": "production", "settings": [], "only": [],
        "guard": "shop", "asked": { "start": null, "display_name": null, "description": null, "account": null },
    });
    std::fs::write(installed.join("shop.json"), record.to_string()).unwrap();
    for words in [&[][..], &["shop"]] {
        let again = shown(words).ended_with(0).text();
        assert!(again.contains("--profile") && again.contains("production"), "{words:?}: {again}");
    }
    let other = shown(&["--profile", "staging"]).ended_with(0).text();
    assert!(other.contains("staging") && !other.contains("production"), "{other}");
    // The definition is read with it.
    std::fs::remove_file(bed.path("menshen.production.toml")).unwrap();
    let refused = shown(&[]).ended_with(3).stderr;
    assert!(refused.contains("production"), "{refused}");
}

#[test]
fn help_is_a_command_too() {
    let bed = Bed::new(Trees::Walk, "");
    assert_eq!(bed.menshen(["help"]).ended_with(0).text(), bed.menshen(["--help"]).ended_with(0).text());
    for command in ["up", "status", "logs", "completions"] {
        let help = bed.menshen(["help", command]).ended_with(0).text();
        assert_eq!(help, bed.menshen([command, "--help"]).ended_with(0).text());
    }
    bed.menshen(["help", "nope"]).ended_with(2);
}

#[test]
fn several_services_are_acted_on_and_one_that_fails_does_not_hide_the_others() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    let ran = bed.menshen(["stop", "web", "nope"]).ended_with(4);
    assert!(ran.stderr.contains("nope"), "{}", ran.stderr);
    bed.menshen(["stop", "--all"]).done();
    for name in ["web", "db"] {
        assert_eq!(bed.service(name).service.state, State::Stopped, "{name}");
    }
    bed.menshen(["start", "--all"]).done();
    assert!(bed.service("web").service.ready);
}

#[test]
fn what_else_is_started_or_stopped_along_is_told() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    let stopped = bed.menshen(["stop", "db"]).ended_with(0).text();
    assert!(!stopped.contains("killed"), "{stopped}");
    bed.menshen(["stop", "web"]).done();
    let started = bed.menshen(["start", "web"]).ended_with(0).text();
    assert!(started.starts_with("web: running") && started.contains("\ndb: also running"), "{started}");
    bed.menshen(["stop", "--all"]).done();
    let started: serde_json::Value = bed.menshen(["start", "web", "--json"]).ended_with(0).json();
    assert_eq!(started["services"][0]["name"], "web", "{started}");
    assert_eq!(started["also"].as_array().unwrap().len(), 1, "{started}");
    assert_eq!((&started["also"][0]["name"], &started["also"][0]["state"]), (&"db".into(), &"running".into()));
    let alone: serde_json::Value = bed.menshen(["restart", "web", "--json"]).ended_with(0).json();
    assert_eq!(alone["also"], serde_json::json!([]), "{alone}");
}

/// A program that does not end when it is asked to.
const DEAF: &str = "[service.deaf]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo deaf; while :; do sleep 1; done\"]\n\
                    probe.readiness.log = \"deaf\"\n";

#[test]
fn a_stop_that_had_to_kill_says_so() {
    let bed = Bed::new(Trees::Walk, DEAF).and("stop.timeout = \"100ms\"\n").up();
    bed.await_ready("deaf");
    let stopped = bed.menshen(["stop", "deaf"]).ended_with(0).text();
    assert!(stopped.starts_with("deaf: stopped") && stopped.contains("killed by SIGKILL"), "{stopped}");
    let again = bed.menshen(["stop", "deaf"]).ended_with(0).text();
    assert!(!again.contains("killed"), "nothing ran: {again}");
}

#[test]
fn of_what_is_still_stopping_it_is_not_said_how_the_run_before_it_ended() {
    let bed = Bed::new(Trees::Walk, DEAF).and("stop.timeout = \"10m\"\nrestart.delay = \"10ms\"\n").up();
    bed.await_ready("deaf");
    bed.main_process("deaf").signal(Signal::KILL);
    bed.await_service("deaf", "back", |service| service.ready && service.restarts_total == 1);
    let stopping = bed.menshen(["stop", "deaf", "--no-wait"]).ended_with(0).text();
    assert!(stopping.starts_with("deaf: stopping") && !stopping.contains("killed"), "{stopping}");
    bed.main_process("deaf").signal(Signal::KILL);
}

#[test]
fn whatever_had_to_be_killed_is_told_whoever_wanted_it_to_end() {
    let why = |timeout: &str| format!("had to be killed: SIGTERM did not end it within {timeout}");
    let rest = |timeout: &str| format!("stop.timeout = \"{timeout}\"\nprobe.readiness.log = \"deaf\"\n");
    let deaf = "[\"sh\", \"-c\", \"trap '' TERM; echo deaf; while :; do sleep 1; done\"]";
    // Its main process is to end by itself, on a busy machine, too.
    let left = "[\"sh\", \"-c\", \"(trap '' TERM; echo deaf; while :; do sleep 1; done) & sleep 1000\"]";
    let bed = Bed::new(Trees::Walk, &format!("[service.deaf]\ncommand = {deaf}\n{}", rest("100ms")))
        .and(&format!("[service.left]\ncommand = {left}\n{}", rest("2s")));
    let mut bed = bed.and("[service.web]\ncommand = \"sleep 1000\"\n").up();
    for name in ["deaf", "left", "web"] {
        bed.await_ready(name);
    }
    let restarted = bed.menshen(["restart", "deaf"]).ended_with(0).text();
    assert!(
        restarted.starts_with("deaf: running") && restarted.contains(&format!("it {}", why("100ms"))),
        "{restarted}"
    );
    let restarted = bed.menshen(["restart", "web"]).ended_with(0).text();
    assert!(!restarted.contains("killed"), "{restarted}");
    let stopped = bed.menshen(["stop", "left"]).ended_with(0).text();
    assert!(stopped.contains(&format!("what it left behind {}", why("2s"))), "{stopped}");
    bed.menshen(["start", "left"]).done();
    let stopped: serde_json::Value = bed.menshen(["stop", "left", "--json"]).ended_with(0).json();
    assert_eq!(stopped["killed"][0]["name"], "left", "{stopped}");
    let said = bed.menshen(["down"]).ended_with(0).stderr;
    assert!(said.contains(&format!("deaf: it {}", why("100ms"))) && !said.contains("left:"), "{said}");
    assert!(bed.await_guard_end().success());
}

#[test]
fn programs_that_end_or_begin_a_guard_read_json() {
    let slow =
        "[service.web]\ncommand = \"sleep 1000\"\nprobe.readiness = { exec = [\"false\"], interval = \"100ms\" }\n";
    let bed = Bed::new(Trees::Walk, slow);
    let name = format!("guard.name={}", bed.instance());
    let up = ["up", "--detach", "--wait", "--timeout", "500ms", "--json", "--set", &name];
    let begun = bed.menshen(up).ended_with(7);
    assert_eq!(begun.json::<serde_json::Value>()["services"][0]["name"], "web");
    let ended: serde_json::Value = bed.menshen(["down", "--json"]).ended_with(0).json();
    let wanted =
        serde_json::json!({ "instance": bed.instance(), "outcome": "stopped", "killed": [], "installed": null });
    assert_eq!(ended, wanted);
}

#[test]
fn status_as_json_is_the_list_of_the_contract() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    let list: serde_json::Value = bed.menshen(["status", "--json"]).ended_with(0).json();
    let web = list["services"].as_array().unwrap().iter().find(|service| service["name"] == "web").unwrap();
    assert_eq!(
        (web["state"].as_str(), web["wanted"].as_str(), web["ready"].as_bool()),
        (Some("running"), Some("up"), Some(true))
    );
    assert!(web["pid"].is_u64() && web["restarts"] == 0 && web["since"].is_string() && web["reason"].is_string());
    bed.menshen(["stop", "web"]).done();
    let list: serde_json::Value = bed.menshen(["status", "--json"]).json();
    let web = list["services"].as_array().unwrap().iter().find(|service| service["name"] == "web").unwrap();
    assert!(web["pid"].is_null());
}

#[test]
fn mistakes_are_shown_at_their_place_with_what_to_do() {
    let bed = Bed::new(Trees::Walk, "[service.web]\ncommand = [\"sleep\", \"1\"]\nrestrt = { delay = \"1s\" }\n");
    let text = bed.menshen(["check"]).ended_with(3);
    let shown = format!("{}{}", text.text(), text.stderr);
    for expected in ["menshen.toml:3:1", "restrt", "restart"] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    let json: serde_json::Value = bed.menshen(["check", "--format", "json"]).ended_with(3).json();
    assert!(json.to_string().contains("unknown-key"), "{json}");
    let sarif: serde_json::Value = bed.menshen(["check", "--format", "sarif"]).ended_with(3).json();
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["runs"][0]["results"].as_array().is_some_and(|results| !results.is_empty()), "{sarif}");
    let page = bed.menshen(["check", "--explain", "M012"]).ended_with(0).text();
    assert!(page.contains("M012") && page.lines().count() > 5, "{page}");
}

#[test]
fn run_guards_one_program_without_a_file_and_ends_with_it() {
    let bed = Bed::new(Trees::Walk, "");
    let ran = bed.menshen([
        "run",
        "--name",
        "job",
        "--restart",
        "never",
        "--",
        "sh",
        "-c",
        "echo hello from $0 && pwd",
        "a b",
    ]);
    let ran = ran.ended_with(0);
    assert!(ran.text().contains("hello from a b"), "{}", ran.text());
    let failed = bed.menshen(["run", "--name", "job", "--restart", "never", "--", "sh", "-c", "exit 5"]).ended_with(7);
    assert!(failed.text().contains("exit 5"), "{}", failed.text());
    let missing = bed.menshen(["run", "--", "no-such-program"]).ended_with(3);
    assert!(missing.stderr.contains("no-such-program"), "{}", missing.stderr);
}

#[test]
fn a_program_of_run_that_is_stopped_is_told_as_stopped_though_its_guard_ends_with_it() {
    let bed = Bed::new(Trees::Walk, "");
    let mut run =
        bed.command().args(["run", "--name", "job", "--", "sleep", "1000"]).stdout(Stdio::null()).spawn().unwrap();
    wait::until("it runs", || bed.command().args(["status", "job"]).output().unwrap().status.success());
    let stopped = bed.menshen(["stop", "job"]).ended_with(0);
    assert!(stopped.text().contains("job: stopped") && stopped.stderr.is_empty(), "{stopped:?}");
    assert!(run.wait().unwrap().success());
}

#[test]
fn several_that_are_stopped_are_each_told_once() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    bed.menshen(["stop", "--all"]).done();
    for name in ["web", "db"] {
        let is_told = |event: &&menshen_tests::Event| event.kind == "command" && event.service.as_deref() == Some(name);
        assert_eq!(bed.events().iter().filter(is_told).count(), 1, "{name}");
        assert_eq!(bed.service(name).service.state, State::Stopped, "{name}");
    }
}

#[test]
fn programs_that_have_a_guard_in_the_foreground_read_json_lines() {
    const SAYS: &str = "echo hello; printf 'r\\377\\n' >&2; exit 5";
    let definition =
        format!("[service.job]\ncommand = [\"sh\", \"-c\", {SAYS:?}]\nessential = true\nrestart.policy = \"never\"\n");
    let bed = Bed::new(Trees::Walk, &definition);
    let name = format!("guard.name={}", bed.instance());
    let run = ["run", "--json", "--name", "job", "--restart", "never", "--", "sh", "-c", SAYS];
    for (words, guard) in [(&["up", "--json", "--set", &name][..], bed.instance()), (&run, "run-job")] {
        let shown: Vec<serde_json::Value> = bed.menshen(words).ended_with(7).json_lines();
        let (events, lines): (Vec<_>, Vec<_>) = shown.into_iter().partition(|line| line["sequence"].is_u64());
        let of_guard = |words: &[&str]| bed.menshen([words, &["--instance", guard, "--json"]].concat()).ended_with(0);
        let kept: Vec<serde_json::Value> = of_guard(&["events", "--lines", "all"]).json_lines();
        assert!(!events.is_empty() && events.iter().all(|event| kept.contains(event)), "{events:?}, not {kept:?}");
        let has_failed = |event: &serde_json::Value| event["service"] == "job" && event["to"] == "failed";
        assert!(events.iter().any(has_failed), "{words:?}: {events:?}");
        assert!(lines.iter().all(|line| line["time"].is_string()), "{words:?}: {lines:?}");
        let (mut lines, mut logged) = (lines, of_guard(&["logs", "job"]).json_lines::<serde_json::Value>());
        // When a line was read and when it was written may be two times.
        lines.iter_mut().chain(&mut logged).for_each(|line| line["time"] = serde_json::Value::Null);
        // Each stream comes in a pipe of its own.
        lines.sort_by_key(|line| line["stream"].to_string());
        logged.sort_by_key(|line| line["stream"].to_string());
        assert_eq!(lines, logged, "{words:?}");
        assert_eq!((lines.len(), &lines[1]["text"]), (2, &"hello".into()), "{words:?}: {lines:?}");
    }
}

#[test]
fn what_is_piped_is_what_was_written() {
    let definition = r#"
        [service.web]
        type = "oneshot"
        command = ["sh", "-c", "printf 'one\\n\\n\\033[31mred\\377\\n'; printf 'err\\n' >&2; printf 'no end'"]
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_state("web", State::Completed);
    let ran = bed.menshen(["logs", "web", "--stdout", "-n", "all"]).ended_with(0);
    assert_eq!(ran.stdout, b"one\n\n\x1b[31mred\xff\nno end", "{:?}", ran.text());
    assert_eq!(bed.menshen(["logs", "web", "--stderr"]).ended_with(0).stdout, b"err\n");
    let timed = bed.menshen(["logs", "web", "--stderr", "--times"]).ended_with(0).text();
    let (time, text) = timed.trim().rsplit_once(' ').unwrap();
    assert!(text == "err" && time.chars().next().is_some_and(|first| first.is_ascii_digit()), "{timed}");
    let found = bed.menshen(["logs", "web", "--grep", "^o"]).ended_with(0);
    assert_eq!(found.stdout, b"one\n");
    let wrong = bed.menshen(["logs", "web", "--grep", "("]).ended_with(2);
    assert!(wrong.stderr.contains("regular expression"), "{}", wrong.stderr);
}

#[test]
fn a_guard_in_the_background_waits_until_all_is_ready_and_can_be_ended() {
    let bed = Bed::new(Trees::Walk, SHOP);
    let name = format!("guard.name={}", bed.instance());
    let ran = bed.menshen(["up", "--detach", "--wait", "--set", &name]).ended_with(0);
    let second = bed.menshen(["up", "--detach", "--set", &name]).ended_with(1);
    let pid = std::fs::read_to_string(bed.home().join("run").join(format!("{}.lock", bed.instance()))).unwrap();
    assert!(second.stderr.contains(&format!("is running already (process {pid})")), "{}", second.stderr);
    assert!(second.stderr.contains("menshen reload") && second.stderr.contains("menshen down"), "{}", second.stderr);
    let third = bed.menshen(["up", "--set", &name]).ended_with(1);
    assert!(third.stderr.contains(&format!("is running already (process {pid})")), "{}", third.stderr);
    let log = std::fs::read_to_string(bed.home().join("logs").join(bed.instance()).join("guard.log")).unwrap();
    assert!(!log.contains("running already"), "the log is that of the guard that runs: {log}");
    let own = log.lines().filter(|line| line.contains(" menshen | ")).collect::<Vec<_>>();
    let has_time = |line: &&str| line.split(' ').next().is_some_and(|time| time.parse::<menshen_api::Time>().is_ok());
    assert!(!own.is_empty() && own.iter().all(has_time), "nobody was there to know when it was: {log}");
    assert!(ran.text().contains("web: running"), "{}{}", ran.text(), ran.stderr);
    let web = bed.main_process("web");
    bed.menshen(["down"]).done();
    assert!(!web.lives());
    bed.menshen(["status"]).ended_with(6);
    let nothing: serde_json::Value = bed.menshen(["status", "--json"]).ended_with(6).json();
    assert_eq!((&nothing["services"], &nothing["left"]), (&serde_json::json!([]), &serde_json::json!([])), "{nothing}");
}

#[test]
fn many_that_do_not_end_are_waited_for_no_longer_than_few() {
    let one = |number: u32| {
        format!(
            "[service.s{number}]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; echo up; exec sleep 1000\"]\nprobe.readiness.log = \"up\"\nstop.timeout = \"10m\"\n"
        )
    };
    let bed = Bed::new(Trees::Walk, &(0..100).map(one).collect::<String>()).up();
    bed.menshen(["start", "--all"]).done();
    let begun = Instant::now();
    let late = bed.menshen(["stop", "--all", "--timeout", "10s"]).ended_with(7).stderr;
    assert_eq!(late.matches("is not stopped after 10s: it is stopping").count(), 100, "{late}");
    assert!(
        begun.elapsed() < Duration::from_secs(35),
        "as long as that for each of several parts: {:?}",
        begun.elapsed()
    );
    bed.menshen(["down", "--now"]).done();
}

#[test]
fn a_service_that_never_becomes_ready_ends_the_wait_with_7() {
    let bed = Bed::new(
        Trees::Walk,
        "[service.web]\ncommand = \"sleep 1000\"\nprobe.readiness = { exec = [\"false\"], interval = \"100ms\" }\n\
         [service.later]\ncommand = \"sleep 1000\"\ndepends_on = [\"web\"]\n",
    );
    let name = format!("guard.name={}", bed.instance());
    let ran = bed.menshen(["up", "--detach", "--wait", "--timeout", "500ms", "--set", &name]).ended_with(7);
    let why = "web is running, not ready: its readiness probe failed: ";
    assert!(ran.stderr.contains(why) && ran.stderr.contains("exit 1"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("later is"), "what waits for web is not to blame: {}", ran.stderr);
    let late = bed.menshen(["start", "web", "--timeout", "200ms"]).ended_with(7).stderr;
    assert!(late.contains("it is running (its readiness probe failed: "), "{late}");
    bed.menshen(["down"]).done();
}

#[test]
fn what_waits_for_a_service_that_has_failed_is_not_waited_for() {
    let bed = Bed::new(
        Trees::Walk,
        "[service.db]\ncommand = \"false\"\ntype = \"oneshot\"\nrestart.policy = \"never\"\n\
         [service.web]\ncommand = \"sleep 1000\"\ndepends_on = [\"db\"]\n",
    );
    let name = format!("guard.name={}", bed.instance());
    let begun = Instant::now();
    let ran = bed.menshen(["up", "--detach", "--wait", "--timeout", "10m", "--set", &name]).ended_with(7);
    assert!(ran.stderr.contains("db is failed") && !ran.stderr.contains("web is"), "{}", ran.stderr);
    assert!(begun.elapsed() < Duration::from_secs(60), "as long as it may take: {:?}", begun.elapsed());
    bed.menshen(["down"]).done();
}

#[test]
fn the_probe_that_fails_is_named_for_as_long_as_it_does() {
    let definition = r#"
        [service.web]
        command = "sleep 1000"
        probe.readiness = { exec = ["sh", "-c", "test -e db || { echo no database >&2; exit 1; }"], interval = "50ms", failure = 1 }
        probe.liveness = { exec = ["sh", "-c", "echo unwell >&2; exit 1"], interval = "1h", failure = 2 }

        [service.worker]
        command = "sleep 1000"
        probe.startup = { exec = ["sh", "-c", "echo still loading >&2; exit 2"], interval = "50ms", failure = 10000 }

        [check]
        allow = ["M028"]
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    let row = |name: &str| {
        let table = bed.menshen(["status"]).text();
        table.lines().find(|row| row.starts_with(name)).map(str::to_owned).unwrap_or_default()
    };
    for (name, why) in [
        ("web", "its readiness probe failed: exit 1: no database"),
        ("worker", "its startup probe failed: exit 2: still loading"),
    ] {
        wait::until(&format!("it is told why {name} is not ready"), || row(name).contains(why));
    }
    let list: serde_json::Value = bed.menshen(["status", "--json"]).ended_with(7).json();
    assert_eq!(list["services"][0]["failing_probe"], "its readiness probe failed: exit 1: no database", "{list}");
    bed.write("db", "");
    bed.await_ready("web");
    let well = row("web");
    assert!(well.contains("running") && !well.contains("probe"), "one failure of two is none yet: {well}");
    let list: serde_json::Value = bed.menshen(["status", "--json"]).ended_with(7).json();
    assert!(list["services"][0].get("failing_probe").is_none(), "{list}");
}

#[test]
fn more_services_than_a_guard_takes_connections_are_acted_on_at_once() {
    let services: String = (0..90).map(|n| format!("[service.s{n:02}]\ncommand = \"sleep 1000\"\n")).collect();
    let bed = Bed::new(Trees::Walk, &services).up();
    bed.menshen(["restart", "--all"]).done();
    bed.menshen(["stop", "--all"]).done();
    let list: serde_json::Value = bed.menshen(["status", "--json"]).json();
    let states: Vec<&str> =
        list["services"].as_array().unwrap().iter().filter_map(|service| service["state"].as_str()).collect();
    assert_eq!(states, ["stopped"; 90]);
}

#[test]
fn a_guard_that_has_been_ended_can_be_started_again_at_once() {
    let bed = Bed::new(Trees::Walk, SHOP);
    let name = format!("guard.name={}", bed.instance());
    for _ in 0..10 {
        bed.menshen(["up", "--detach", "--set", &name]).done();
        bed.menshen(["down"]).done();
    }
}

#[test]
fn a_frozen_guard_is_told_of_instead_of_waited_for() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    let name = format!("guard.name={}", bed.instance());
    bed.guard().signal(Signal::STOP);
    let who =
        format!("the guard '{}' (process {}) holds its lock but does not answer", bed.instance(), bed.guard().pid);
    for arguments in [&["status"][..], &["restart", "web"], &["logs", "web"], &["up", "--detach", "--set", &name]] {
        let ran = bed.menshen(arguments).ended_with(6);
        assert!(ran.stderr.contains(&who), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("kill -CONT {}", bed.guard().pid)), "{arguments:?}: {}", ran.stderr);
    }
    bed.guard().signal(Signal::CONT);
}

#[test]
fn a_guard_that_freezes_while_it_is_waited_for_is_told_of() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "trap '' TERM; echo there > there; while :; do sleep 0.1; done"]
        stop.timeout = "1h"
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    bed.await_file("there");
    let mut stop = bed.command();
    stop.args(["stop", "web", "--timeout", "10m"]);
    let ran = std::thread::scope(|scope| {
        let ran = scope.spawn(move || menshen_tests::command::Ran::of(&stop));
        bed.await_state("web", State::Stopping);
        bed.guard().signal(Signal::STOP);
        ran.join().unwrap()
    });
    bed.guard().signal(Signal::CONT);
    let ran = ran.ended_with(6);
    assert!(ran.stderr.contains("holds its lock but does not answer"), "{}", ran.stderr);
    bed.main_process("web").signal(Signal::KILL);
}

#[test]
fn what_several_services_wrote_is_told_in_its_order_before_what_comes() {
    let takes_turns = |turns: &str| {
        let waits = format!("for turn in {turns}; do until test -e turn$turn; do sleep 0.02; done; echo $turn; done");
        format!("command = [\"sh\", \"-c\", \"{waits}; exec sleep 1000\"]\nlog.format = \"json\"\n")
    };
    let [odd, even] = ["1 3 5 7", "2 4 6 8"].map(takes_turns);
    let definition = format!("[service.odd]\n{odd}[service.even]\n{even}[service.silent]\ncommand = \"sleep 1000\"\n");
    let bed = Bed::new(Trees::Walk, &definition).up();
    let mut followers = ["all", "3", "0"].map(|lines| {
        let file = std::fs::File::create(bed.path(&format!("last-{lines}"))).unwrap();
        let mut follow = bed.command();
        follow.args(["logs", "--follow", "--json", "-n", lines]).stdout(file).stderr(Stdio::null());
        follow
    });
    let texts = |name: &str| -> Vec<String> {
        let told = std::fs::read_to_string(bed.path(name)).unwrap();
        let whole = told.rfind('\n').map_or("", |end| &told[..end]);
        let lines = whole.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };
    let take_turn = |turn: u32| {
        bed.write(&format!("turn{turn}"), "");
        let logged = || bed.menshen(["logs", "-n", "1"]).text().trim_end().ends_with(&turn.to_string());
        wait::until("it is logged", logged);
    };
    (1..=6).for_each(take_turn);
    let mut followers = followers.each_mut().map(|follow| follow.spawn().unwrap());
    wait::until("what was written is told", || texts("last-all").len() >= 6 && texts("last-3").len() >= 3);
    for turn in [7, 8] {
        take_turn(turn);
        wait::until("what comes is told", || {
            ["last-all", "last-3"].iter().all(|name| texts(name).last() == Some(&turn.to_string()))
        });
    }
    bed.menshen(["down"]).done();
    followers.iter_mut().for_each(|follow| assert!(follow.wait().unwrap().success()));
    assert_eq!(texts("last-all"), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(texts("last-3"), ["4", "5", "6", "7", "8"]);
    assert!(texts("last-0").iter().all(|text| ["7", "8"].contains(&text.as_str())), "{:?}", texts("last-0"));
}

#[test]
fn one_service_that_writes_without_a_pause_keeps_nobody_from_following_several() {
    let definition = r#"
        [service.busy]
        command = ["nice", "-n", "19", "yes"]
        log.rotate = { size = "1MiB", keep = 2, compress = "none" }
        [service.quiet]
        command = ["sh", "-c", "until [ -e go ]; do sleep 0.02; done; echo said; exec sleep 1000"]
    "#;
    let bed = Bed::new(Trees::Walk, definition).up();
    let mut follow = bed.command();
    follow.args(["logs", "--follow", "--json", "-n", "3"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut follower = follow.spawn().unwrap();
    let told = BufReader::new(follower.stdout.take().unwrap()).lines().map_while(Result::ok);
    let words = ["\"y\"", "\"said\""];
    let has_told = Arc::new(words.map(|_| AtomicBool::new(false)));
    let tells = Arc::clone(&has_told);
    std::thread::spawn(move || {
        for line in told {
            for (word, tells) in words.into_iter().zip(&*tells) {
                tells.fetch_or(line.contains(word), Ordering::Relaxed);
            }
        }
    });
    wait::until("the busy one is followed", || has_told[0].load(Ordering::Relaxed));
    bed.write("go", "");
    wait::until("so is the quiet one", || has_told[1].load(Ordering::Relaxed));
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn following_events_since_a_moment_ago_tells_nothing_older() {
    nothing_older_is_told(&["--since", "1ms"]);
}

#[test]
fn following_events_without_any_of_the_past_tells_nothing_older() {
    nothing_older_is_told(&["-n", "0"]);
}

fn nothing_older_is_told(arguments: &[&str]) {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    let mut follow = bed.command();
    follow.args(["events", "--follow", "--json"]).args(arguments).stdout(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(BufReader::new(follow.stdout.take().unwrap()));
    let mark = bed.mark();
    let first = std::thread::scope(|scope| {
        let first = scope.spawn(move || lines.next().unwrap().unwrap());
        // Until the follower is there, nothing tells when it is: something keeps happening.
        while !first.is_finished() {
            bed.menshen(["restart", "web"]).done();
        }
        first.join().unwrap()
    });
    follow.kill().unwrap();
    follow.wait().unwrap();
    let first: menshen_tests::Event = serde_json::from_str(&first).unwrap();
    assert!(first.sequence > mark.sequence(), "{first:?} is not after {mark:?}");
}

#[test]
fn so_many_of_the_last_events_are_shown_as_are_asked_for() {
    let bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    // More than are shown where nobody says how many.
    wait::until("much has happened", || {
        bed.menshen(["restart", "web"]).done();
        bed.events().len() > 60
    });
    bed.menshen(["stop", "--all"]).done();
    let sequences = |arguments: &[&str]| -> Vec<u64> {
        let ran = bed.menshen(["events", "--json"].iter().chain(arguments)).ended_with(0);
        ran.json_lines::<menshen_tests::Event>().iter().map(|event| event.sequence).collect()
    };
    let all = sequences(&["-n", "all"]);
    assert!(all.len() > 60, "{all:?}");
    assert_eq!(sequences(&[]), all[all.len() - 50..]);
    assert_eq!(sequences(&["-n", "3"]), all[all.len() - 3..]);
    assert_eq!(sequences(&["--lines", "3", "--since", "1d"]), all[all.len() - 3..]);
    assert_eq!(sequences(&["-n", "60"]), all[all.len() - 60..]);
    let of_web = sequences(&["--service", "web", "-n", "all"]);
    assert_eq!(sequences(&["--service", "web", "-n", "2"]), of_web[of_web.len() - 2..]);
    assert_eq!(sequences(&["-n", "0"]), [0; 0]);
    for command in ["events", "logs"] {
        let refused = bed.menshen([command, "-n", "few"]).ended_with(2).stderr;
        assert!(refused.contains("'few'") && refused.contains("write -n 100 or -n all"), "{refused}");
    }
}

#[test]
fn events_are_followed_from_one_guard_to_the_next() {
    let mut bed = Bed::new(Trees::Walk, SHOP).up();
    bed.await_ready("web");
    bed.menshen(["events", "--service", "nope"]).ended_with(4);
    let followed = std::fs::File::create(bed.path("followed")).unwrap();
    let mut follow = bed.command();
    follow.args(["events", "--follow", "--json"]).stdout(followed).stderr(Stdio::null());
    let mut follow = follow.spawn().unwrap();
    let sequences = |bed: &Bed| -> Vec<u64> {
        let text = std::fs::read_to_string(bed.path("followed")).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str::<menshen_tests::Event>(line).unwrap().sequence).collect()
    };
    let goes_on = |bed: &Bed| {
        bed.menshen(["restart", "web"]).done();
        let newest = bed.mark().sequence();
        wait::until("it is followed", || sequences(bed).last().is_some_and(|last| *last >= newest));
    };
    goes_on(&bed);
    bed.kill_guard();
    bed.start_guard();
    goes_on(&bed);
    bed.menshen(["down"]).done();
    assert!(follow.wait().unwrap().success());
    let told = sequences(&bed);
    assert!(told.windows(2).all(|pair| pair[1] == pair[0] + 1), "events were lost or told twice: {told:?}");
}

#[test]
fn all_services_are_all_but_those_that_their_definition_disables() {
    let definition =
        format!("{SHOP}[service.off]\ncommand = \"sleep 1000\"\nstart = \"disabled\"\n[check]\nallow = [\"M028\"]\n");
    let bed = Bed::new(Trees::Walk, &definition).up();
    bed.await_ready("web");
    let why = "off: the service is disabled in the definition";
    for command in ["start", "restart"] {
        let ran = bed.menshen([command, "--all"]).ended_with(0);
        assert_eq!(ran.stderr, format!("passed over: {why}\n"), "{command}");
        assert!(ran.text().contains("web: running") && !ran.text().contains("off"), "{command}: {}", ran.text());
        let ran = bed.menshen([command, "--all", "--json"]).ended_with(0);
        let told: serde_json::Value = ran.json();
        assert_eq!(told["services"].as_array().unwrap().len(), 2, "{command}: {told}");
        let named = bed.menshen([command, "web", "off"]).ended_with(1);
        assert!(named.stderr.contains("error:") && named.stderr.contains(why), "{command}: {}", named.stderr);
    }
    bed.menshen(["stop", "--all"]).done();
}

#[test]
fn without_a_guard_it_is_told_what_runs_on_and_where_logs_are() {
    let definition = "[service.web]\ncommand = [\"sh\", \"-c\", \"echo hello; exec sleep 1000\"]\n[service.off]\ncommand = \"sleep 1000\"\nstart = \"manual\"\n";
    let mut bed = Bed::new(Trees::Walk, definition).up();
    bed.await_ready("web");
    wait::until("it is logged", || bed.menshen(["logs", "web"]).text().contains("hello"));
    let web = bed.main_process("web");
    bed.kill_guard();
    let ran = bed.menshen(["status"]).ended_with(6);
    let definition = bed.path("menshen.toml");
    let left =
        format!("of the last guard '{}' ({}) still runs, without a guard: web;", bed.instance(), definition.display());
    assert!(ran.stderr.contains(&left) && ran.stderr.contains("`menshen up`"), "{}", ran.stderr);
    is_listed(&bed, web.pid, &ran.text());
    let folder = bed.home().join("logs").join(bed.instance()).join("web").display().to_string();
    for name in ["web".to_owned(), format!("{}/web", bed.instance())] {
        let ran = bed.menshen(["logs", &name]).ended_with(0);
        assert!(ran.stdout == b"hello\n" && ran.stderr.contains(&folder), "{}{}", ran.text(), ran.stderr);
    }
    let ran = bed.menshen(["logs", "web", "--follow"]).ended_with(6);
    assert!(ran.stderr.contains(&folder), "{}", ran.stderr);
    let senseless = [["--since", "yesterday"], ["--grep", "("]];
    for words in senseless {
        let ran = bed.menshen([&["logs", "web"], &words[..]].concat()).ended_with(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(words[1]), "{words:?}: {}{}", ran.text(), ran.stderr);
    }
    let ran = bed.menshen(["logs", "nope"]).ended_with(6);
    assert!(ran.stderr.contains(&bed.home().join("logs").display().to_string()), "{}", ran.stderr);
    bed.start_guard();
    assert_eq!(bed.main_process("web"), web);
    for words in senseless {
        bed.menshen([&["logs", "web"], &words[..]].concat()).ended_with(2);
    }
    bed.menshen(["down"]).done();
    let ran = bed.menshen(["status"]).ended_with(6);
    assert!(!ran.stderr.contains("still runs"), "{}", ran.stderr);
}

/// What runs on is a row for people and an entry for programs.
fn is_listed(bed: &Bed, pid: u32, shown: &str) {
    let row = shown.lines().find(|line| line.starts_with(bed.instance())).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains("web") && row.contains(&pid.to_string()), "{row}");
    let listed: serde_json::Value = bed.menshen(["status", "--json"]).ended_with(6).json();
    let left = &listed["left"].as_array().unwrap()[..];
    assert!(left.len() == 1 && listed["services"].as_array().unwrap().is_empty(), "{listed}");
    assert_eq!((&left[0]["guard"], &left[0]["name"]), (&bed.instance().into(), &"web".into()));
    assert_eq!(left[0]["pid"], pid);
}

#[test]
fn what_a_guard_left_is_stopped_without_its_definition() {
    let mut bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 1000\"\n").up();
    bed.await_ready("web");
    let web = bed.main_process("web");
    bed.kill_guard();
    bed.write("menshen.toml", format!("[guard]\nname = \"{}\"\n", bed.instance()));
    bed.menshen(["up", "--detach"]).done();
    wait::until("it has been stopped", || !web.lives());
    bed.menshen(["down"]).done();
}

#[test]
fn what_keeps_a_guard_from_beginning_is_told_with_its_path_and_nothing_older() {
    let bed = Bed::new(Trees::Walk, SHOP);
    let name = format!("guard.name={}", bed.instance());
    let up = || bed.menshen(["up", "--detach", "--set", &name]);
    up().done();
    bed.menshen(["down"]).done();
    let log = bed.home().join("logs").join(bed.instance()).join("guard.log");
    let lock = bed.home().join("run").join(format!("{}.lock", bed.instance()));
    // Not even root can write into a file that is a folder.
    for path in [lock, log] {
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let ran = up().ended_with(1);
        assert!(ran.stderr.contains(&format!("opening {}: is a directory", path.display())), "{}", ran.stderr);
        assert!(!ran.stderr.contains("shutting down"), "{}", ran.stderr);
        std::fs::remove_dir(&path).unwrap();
    }
}

#[test]
fn restarts_are_counted_until_the_guard_ends_and_those_that_were_asked_for_are_not() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "test -e go && exec sleep 1000; exit 1"]
        restart = { delay = "10ms", max = "20ms", reset_after = "50ms" }
        breaker.failures = 1000
    "#;
    let mut bed = Bed::new(Trees::Walk, definition).up();
    bed.await_service("web", "started again", |service| service.restarts_total > 2);
    bed.write("go", "");
    bed.await_service("web", "forgetful", |service| service.ready && service.restarts == 0);
    let counted = |bed: &Bed| {
        let text = bed.menshen(["status"]).text();
        let line = text.lines().find(|line| line.starts_with("web")).unwrap().to_owned();
        line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap()
    };
    let before = counted(&bed);
    assert!(before > 2 && bed.service("web").service.restarts_total == before);
    bed.menshen(["restart", "web"]).done();
    bed.menshen(["reset", "web"]).done();
    bed.kill_guard();
    bed.start_guard();
    assert_eq!(counted(&bed), before);
    bed.menshen(["down"]).done();
    bed.await_guard_end();
    bed.start_guard();
    bed.await_ready("web");
    assert_eq!(counted(&bed), 0);
    let help = bed.menshen(["status", "--help"]).text().replace('\n', " ");
    assert!(help.contains("RESTARTS says how often"), "{help}");
}
