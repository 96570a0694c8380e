//! The example that is written with the library, as a service of a machine with systemd.

use std::fs;

use menshen_tests::command::built;
use menshen_tests::machine::Machine;
use menshen_tests::wait::until;
use serde_json::Value;

const UNIT: &str = "greeter.service";

/// A machine on which the example is.
fn machine() -> Option<Machine> {
    let machine = Machine::boot(&[("greeting", "hello\n")])?;
    fs::copy(built("greeter"), machine.path("program")).unwrap();
    machine.run(&["cp", "/shared/program", "/usr/bin/greeter"]).done();
    machine.run(&["cp", "/shared/greeting", "/etc/greeting"]).done();
    Some(machine)
}

fn greeted(machine: &Machine) -> String {
    machine.run(&["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7755 && cat <&3"]).text()
}

/// What journald has of the service.
fn journal(machine: &Machine) -> Vec<Value> {
    machine.run(&["journalctl", "--output=json", "--unit", UNIT]).json_lines()
}

#[test]
fn a_program_that_uses_the_library_is_its_own_installer() {
    let Some(machine) = machine() else { return };
    let files = "find /etc /var/lib -path /var/lib/systemd -prune -o -printf '%y %m %p %l\\n' | sort";
    let before = machine.run(&["sh", "-c", files]).text();
    drop(machine.run(&["greeter", "status"]).ended_with(4));
    machine.run(&["greeter", "install", "--", "--greeting", "/etc/greeting"]).done();
    assert_eq!(machine.property(UNIT, "Type"), "notify-reload");
    assert_eq!(machine.property(UNIT, "UnitFileState"), "enabled");
    drop(machine.run(&["greeter", "status"]).ended_with(3));

    machine.run(&["greeter", "start"]).done();
    let status = machine.run(&["greeter", "status"]).ended_with(0).text();
    assert!(status.starts_with("greeter: running, process "), "{status}");
    assert_eq!(greeted(&machine), "hello\n");
    machine.run(&["sh", "-c", "echo good day > /etc/greeting"]).done();
    machine.run(&["systemctl", "reload", "greeter"]).done();
    assert_eq!(greeted(&machine), "good day\n", "a reload is over when it has been done");

    let before_restart = machine.property(UNIT, "MainPID");
    machine.run(&["greeter", "restart"]).done();
    assert_ne!(machine.property(UNIT, "MainPID"), before_restart);
    machine.run(&["systemctl", "kill", "--signal=KILL", UNIT]).done();
    until("it is started again", || machine.property(UNIT, "NRestarts") == "1" && !greeted(&machine).is_empty());

    machine.run(&["greeter", "stop"]).done();
    assert_eq!(machine.property(UNIT, "Result"), "success");
    let shown = machine.run(&["greeter", "logs"]).ended_with(0).text();
    assert!(shown.contains("stopping"), "{shown}");
    machine.run(&["greeter", "uninstall"]).done();
    assert_eq!(machine.property(UNIT, "LoadState"), "not-found");
    machine.run(&["rm", "/etc/greeting"]).done();
    machine.run(&["cp", "/shared/greeting", "/etc/greeting"]).done();
    assert_eq!(machine.run(&["sh", "-c", files]).text(), before);
}

#[test]
fn its_events_are_in_journald_with_their_fields_and_priorities() {
    let Some(machine) = machine() else { return };
    machine.run(&["greeter", "install", "--", "--greeting", "/etc/greeting"]).done();
    machine.run(&["greeter", "start"]).done();
    assert_eq!(greeted(&machine), "hello\n");
    machine.run(&["rm", "/etc/greeting"]).done();
    machine.run(&["systemctl", "reload", "greeter"]).done();
    machine.run(&["greeter", "stop"]).done();
    until("everything is in the journal", || {
        let entries = journal(&machine);
        entries.iter().any(|entry| entry["MESSAGE"] == "stopping" && entry["F_REASON"] == "Operator")
    });
    let entries = journal(&machine);
    let of = |message: &str| {
        let found = entries.iter().find(|entry| entry["MESSAGE"].as_str().is_some_and(|it| it.starts_with(message)));
        found.unwrap_or_else(|| panic!("{message}: {entries:#?}")).clone()
    };
    let greeted = of("greeted");
    assert!(greeted["F_FROM"].as_str().is_some_and(|from| from.starts_with("127.0.0.1:")), "{greeted:#}");
    assert_eq!((&greeted["PRIORITY"], &greeted["SYSLOG_IDENTIFIER"]), (&"5".into(), &"greeter".into()));
    assert!(greeted["CODE_FILE"].as_str().is_some_and(|file| file.ends_with("main.rs")), "{greeted:#}");
    assert_eq!(of("the greeting stays as it was")["PRIORITY"], "4");
}

/// A socket unit as an administrator writes it, beside a service that nobody starts.
const SOCKET: &str = "[Socket]\nListenStream=127.0.0.1:7766\n";

#[test]
fn a_connection_starts_it_and_is_greeted_and_so_is_one_that_waits_while_it_is_restarted() {
    let Some(machine) = machine() else { return };
    machine.run(&["greeter", "install", "--", "--greeting", "/etc/greeting"]).done();
    machine.run(&["systemctl", "disable", "greeter"]).done();
    machine.install("greeter.socket", SOCKET);
    machine.run(&["systemctl", "start", "greeter.socket"]).done();
    assert_eq!(machine.property(UNIT, "ActiveState"), "inactive");
    let connect = |more: &str| format!("exec 3<>/dev/tcp/127.0.0.1/7766 && {more} cat <&3");
    let greeting = machine.run(&["bash", "-c", &connect("")]).ended_with(0).text();
    assert_eq!(greeting, "hello\n");
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    let main = machine.property(UNIT, "MainPID");
    let environment = machine.run(&["cat", &format!("/proc/{main}/environ")]).text();
    assert!(environment.contains(&format!("LISTEN_PID={main}")), "{environment}");
    assert!(machine.run(&["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/7755"]).code != 0, "it listens elsewhere, too");

    // Whoever connects while nothing runs waits, and is greeted by the next.
    machine.run(&["systemctl", "kill", "--signal=STOP", UNIT]).done();
    let waits = connect("systemctl kill --signal=KILL greeter.service &&");
    assert_eq!(machine.run(&["bash", "-c", &waits]).ended_with(0).text(), "hello\n");
    assert_ne!(machine.property(UNIT, "MainPID"), main);
    machine.run(&["systemctl", "stop", "greeter.socket", "greeter"]).done();
    assert!(journal(&machine).iter().any(|entry| entry["F_LISTEN"] == "127.0.0.1:7766"));
}

/// Adds to what the unit says. What the service logs is kept outside of the machine.
fn add_to_unit(machine: &Machine, lines: &str) {
    machine.run(&["mkdir", "-p", "/etc/systemd/system/greeter.service.d"]).done();
    let text = format!("[Service]\nStandardError=append:/shared/said\n[Unit]\n{lines}\n");
    fs::write(machine.path("added.conf"), text).unwrap();
    machine.run(&["cp", "/shared/added.conf", "/etc/systemd/system/greeter.service.d/"]).done();
    machine.run(&["systemctl", "daemon-reload"]).done();
}

/// Why the service was stopped, each time.
fn reasons(machine: &Machine) -> Vec<String> {
    let said = machine.lines("said");
    let reasons =
        said.iter().filter_map(|line| line.split_once("stopping reason=").map(|(_, reason)| reason.to_owned()));
    reasons.collect()
}

#[test]
fn a_service_is_told_why_systemd_stops_it() {
    let Some(machine) = machine() else { return };
    machine.install("db.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=sleep 3600\n");
    machine.run(&["greeter", "install"]).done();
    let mut expected = Vec::new();
    let mut expect = |lines: &str, words: &[&str], reason: &'static str| {
        add_to_unit(&machine, lines);
        machine.run(&["systemctl", "start", "db", "greeter"]).done();
        machine.run(words).done();
        expected.push(reason);
        until(&format!("{lines}: {words:?}"), || reasons(&machine).len() >= expected.len());
        assert_eq!(reasons(&machine), expected, "{lines}: {words:?}");
    };
    let bound = "BindsTo=db.service\nAfter=db.service";
    expect("", &["greeter", "stop"], "Operator");
    expect("", &["systemctl", "stop", "db", "greeter"], "Operator");
    for needs in ["PartOf=db.service\nAfter=db.service", "Requires=db.service\nAfter=db.service", bound] {
        expect(needs, &["systemctl", "stop", "greeter"], "Operator");
        expect(needs, &["systemctl", "restart", "greeter"], "Operator");
        expect(needs, &["systemctl", "stop", "db"], "Dependency");
        expect(needs, &["systemctl", "restart", "db"], "Dependency");
    }
    // It ends by itself.
    expect(bound, &["systemctl", "kill", "--signal=KILL", "db"], "Dependency");
    // Somebody sends the signal past systemd.
    expect("", &["systemctl", "kill", "--kill-whom=main", "greeter"], "Manager");
}

#[test]
fn a_user_has_services_of_their_own_by_the_librarys_subcommands() {
    let Some(machine) = machine() else { return };
    machine.run(&["useradd", "--create-home", "ann"]).done();
    let id = machine.run(&["id", "-u", "ann"]).text().trim().to_owned();
    machine.run(&["systemd-run", "--quiet", "--wait", "--pipe", "--", "loginctl", "enable-linger", "ann"]).done();
    let bus = format!("/run/user/{id}/bus");
    until("the user's systemd is there", || machine.run(&["test", "-S", &bus]).code == 0);
    let runtime = format!("--setenv=XDG_RUNTIME_DIR=/run/user/{id}");
    let home = machine.run(&["sh", "-c", "echo ~ann"]).text().trim().to_owned();
    let of_ann = [&format!("--setenv=HOME={home}"), "--setenv=USER=ann", "--uid=ann", &runtime];
    let as_ann = |words: &[&str]| {
        let run = ["systemd-run", "--quiet", "--wait", "--pipe"];
        machine.run(&[&run[..], &of_ann, &["--"], words].concat())
    };
    let files = format!("find {home} -printf '%y %m %u %p %l\\n' | sort");
    let before = machine.run(&["sh", "-c", &files]).text();
    as_ann(&["greeter", "install", "--user"]).done();
    as_ann(&["greeter", "start", "--user"]).done();
    let status: Value = as_ann(&["greeter", "status", "--user", "--json"]).ended_with(0).json();
    assert_eq!(status["state"], "running", "{status}");
    assert_eq!(greeted(&machine), "welcome\n");
    drop(machine.run(&["greeter", "status"]).ended_with(4));
    as_ann(&["greeter", "restart", "--user", "--timeout", "40s"]).done();
    as_ann(&["greeter", "stop", "--user"]).done();
    until("why it was stopped is in the journal", || {
        let entries: Vec<Value> = machine.run(&["journalctl", "--output=json", &format!("_UID={id}")]).json_lines();
        let stops = entries.iter().filter(|entry| entry["MESSAGE"] == "stopping" && entry["F_REASON"] == "Operator");
        stops.count() == 2
    });
    as_ann(&["greeter", "uninstall", "--user"]).done();
    drop(as_ann(&["greeter", "status", "--user"]).ended_with(4));
    assert_eq!(machine.run(&["sh", "-c", &files]).text(), before);
}

#[test]
fn a_service_is_told_that_the_machine_goes_down() {
    let Some(mut machine) = machine() else { return };
    // What the machine's own journal has is gone with it.
    add_to_unit(&machine, "");
    machine.run(&["greeter", "install"]).done();
    machine.run(&["greeter", "start"]).done();
    assert!(machine.power_off().success());
    let said = machine.lines("said").join("\n");
    assert!(said.contains("stopping reason=Shutdown"), "{said}");
}
