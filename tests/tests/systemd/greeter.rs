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
        entries.iter().any(|entry| entry["MESSAGE"] == "stopping" && entry["F_REASON"] == "Manager")
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

#[test]
fn a_service_is_told_that_the_machine_goes_down() {
    let Some(mut machine) = machine() else { return };
    machine.run(&["mkdir", "/etc/systemd/system/greeter.service.d"]).done();
    // What the machine's own journal has is gone with it.
    let kept =
        "printf '[Service]\\nStandardError=append:/shared/said\\n' > /etc/systemd/system/greeter.service.d/kept.conf";
    machine.run(&["sh", "-c", kept]).done();
    machine.run(&["greeter", "install"]).done();
    machine.run(&["greeter", "start"]).done();
    assert!(machine.power_off().success());
    let said = machine.lines("said").join("\n");
    assert!(said.contains("stopping reason=Shutdown"), "{said}");
}
