//! `menshen install` and what belongs to it, with a real systemd.

use menshen_tests::machine::Machine;
use menshen_tests::wait::until;

use super::files_of;

const UNIT: &str = "shop.service";
const DEFINITION: &str = r#"
[guard]
name = "shop"
[service.db]
command = ["sh", "-c", "echo up; exec sleep 3600"]
probe.readiness.log = "up"
[service.web]
command = ["sleep", "3600"]
depends_on = { db = "ready" }
[service.mail]
command = ["sleep", "3600"]
"#;
const PLAIN: &str = r#"
[guard]
name = "plain"
[service.plain]
command = ["sleep", "3600"]
description = "Sleeps: 100% of \"the\" time, for $nothing"
environment = { GREETING = "a b\\c" }
stop.timeout = "3s"
restart.delay = "200ms"
"#;

fn machine() -> Option<Machine> {
    let machine = Machine::boot(&[("shop.toml", DEFINITION), ("plain.toml", PLAIN)])?;
    Some(machine)
}

fn names(machine: &Machine, instance: &str) -> Vec<String> {
    let services: serde_json::Value =
        machine.run(&["menshen", "--instance", instance, "status", "--json"]).ended_with(0).json();
    let services = services["services"].as_array().unwrap().iter();
    services.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_definition_is_a_service_of_the_machine_until_it_is_uninstalled_without_a_trace() {
    let Some(machine) = machine() else { return };
    let before = files_of(&machine);
    machine.run(&["menshen", "install", "shop", "--file", "/shared/shop.toml", "--now"]).done();
    assert_eq!(machine.property(UNIT, "ActiveState"), "active");
    assert_eq!(machine.property(UNIT, "UnitFileState"), "enabled");
    assert_eq!(names(&machine, "shop"), ["db", "mail", "web"]);

    let again = machine.run(&["menshen", "install", "shop", "--file", "/shared/shop.toml"]).ended_with(0);
    assert!(again.text().contains("shop: unchanged"), "{}", again.text());
    let guard = machine.property(UNIT, "MainPID");
    machine.run(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", UNIT]).done();
    until("another guard is there", || !["0", &guard].contains(&&*machine.property(UNIT, "MainPID")));
    until("it answers", || machine.run(&["menshen", "status"]).code == 0);

    machine.run(&["menshen", "uninstall", "shop", "--purge"]).done();
    assert_eq!(machine.property(UNIT, "LoadState"), "not-found");
    assert!(machine.is_empty(UNIT));
    before.assert_same(&files_of(&machine));
    let gone = machine.run(&["menshen", "uninstall", "shop"]).ended_with(4);
    assert!(gone.stderr.contains("no service 'shop' was installed"), "{}", gone.stderr);
}

#[test]
fn what_differs_is_shown_and_mended_and_what_is_edited_is_changed_in_place() {
    let Some(machine) = machine() else { return };
    machine.run(&["menshen", "install", "--file", "/shared/shop.toml"]).done();
    let same = machine.run(&["menshen", "diff", "shop"]).ended_with(0);
    assert!(same.text().contains("shop: as it should be"), "{}", same.text());
    machine.run(&["sed", "-i", "s/^Restart=.*/Restart=no/", "/etc/systemd/system/shop.service"]).done();
    let differs = machine.run(&["menshen", "diff", "shop"]).ended_with(1).text();
    assert!(differs.contains("- Restart=no") && differs.contains("+ Restart=on-failure"), "{differs}");
    machine.run(&["menshen", "install", "--file", "/shared/shop.toml"]).done();
    assert_eq!(machine.property(UNIT, "Restart"), "on-failure");

    machine.run(&["menshen", "edit", "shop", "--start", "manual", "--description", "The shop"]).done();
    assert_eq!(machine.property(UNIT, "Description"), "The shop");
    assert_eq!(machine.property(UNIT, "UnitFileState"), "disabled");
    machine.run(&["menshen", "enable", "shop"]).done();
    assert_eq!(machine.property(UNIT, "UnitFileState"), "enabled");
    is_disabled_until_it_is_enabled(&machine);
    let refused = machine.run(&["menshen", "edit", "shop", "--set", "service.web.comand=x"]).ended_with(3);
    assert!(refused.stderr.contains("comand"), "{}", refused.stderr);
    machine.run(&["menshen", "uninstall", "shop"]).done();
}

/// Whatever else is changed, and however often it is installed; then it is started as was asked for before.
fn is_disabled_until_it_is_enabled(machine: &Machine) {
    let stays = |unit: &str, state: &str| {
        assert_eq!(machine.property(unit, "UnitFileState"), state);
        assert!(machine.run(&["menshen", "diff", "shop"]).ended_with(0).text().contains("as it should be"), "{state}");
    };
    for (start, unit) in [("auto", UNIT), ("delayed", "shop.timer")] {
        machine.run(&["menshen", "edit", "shop", "--start", start]).done();
        stays(unit, "enabled");
        machine.run(&["menshen", "disable", "shop"]).done();
        stays(UNIT, "disabled");
        machine.run(&["menshen", "edit", "shop", "--description", start]).done();
        machine.run(&["menshen", "install", "--file", "/shared/shop.toml"]).done();
        stays(UNIT, "disabled");
        machine.run(&["menshen", "enable", "shop"]).done();
        stays(unit, "enabled");
    }
}

#[test]
fn one_service_comes_with_what_it_needs_and_a_command_with_a_definition() {
    let Some(machine) = machine() else { return };
    let before = files_of(&machine);
    machine.run(&["menshen", "install", "web", "--file", "/shared/shop.toml", "--now"]).done();
    assert_eq!(names(&machine, "web"), ["db", "web"]);
    let words =
        ["menshen", "install", "worker", "--now", "--", "/bin/sh", "-c", "echo \"$0\"; exec sleep 3600", "a $b %c"];
    machine.run(&words).done();
    assert_eq!(names(&machine, "worker"), ["worker"]);
    until("its argument arrives as it was typed", || {
        machine.run(&["menshen", "--instance", "worker", "logs", "worker"]).text().contains("a $b %c")
    });
    for name in ["web", "worker"] {
        machine.run(&["menshen", "uninstall", name, "--purge"]).done();
    }
    before.assert_same(&files_of(&machine));
}

#[test]
fn a_command_runs_in_the_folder_where_it_was_typed() {
    let Some(machine) = machine() else { return };
    let folder = "/srv/here and there/$app";
    machine.run(&["mkdir", "-p", folder]).done();
    for form in ["", "--native"] {
        let beside = "echo 'echo said >said; exec sleep 3600' >beside";
        let script = format!("cd '{folder}'; {beside}; exec menshen install worker --now {form} -- sh beside");
        machine.run(&["sh", "-ec", &script]).done();
        let said = format!("{folder}/said");
        until("it finds what is beside it, and writes there", || machine.run(&["test", "-s", &said]).code == 0);
        let again = machine.run(&["sh", "-ec", &script]).ended_with(0).text();
        assert!(again.contains("worker: unchanged"), "{again}");
        machine.run(&["menshen", "uninstall", "worker", "--purge"]).done();
        machine.run(&["rm", &said]).done();
    }
    assert_ne!(machine.run(&["test", "-e", "/etc/menshen/installed"]).code, 0);
}

#[test]
fn a_program_is_the_managers_own_only_where_nothing_is_lost() {
    let Some(machine) = machine() else { return };
    let refused = machine.run(&["menshen", "install", "db", "--native", "--file", "/shared/shop.toml"]).ended_with(3);
    assert!(refused.stderr.contains("probe.readiness"), "{}", refused.stderr);
    assert_eq!(machine.property("db.service", "LoadState"), "not-found");

    machine.run(&["menshen", "install", "plain", "--native", "--file", "/shared/plain.toml", "--now"]).done();
    let of = |name: &str| machine.property("plain.service", name);
    assert_eq!(
        (of("ActiveState"), of("Restart"), of("RestartUSec")),
        ("active".into(), "always".into(), "200ms".into())
    );
    assert_eq!((of("TimeoutStopUSec"), of("Environment")), ("3s".into(), "\"GREETING=a b\\\\c\"".into()));
    assert_eq!(of("Description"), "Sleeps: 100% of \"the\" time, for $nothing");
    let command = machine.run(&["sh", "-c", &format!("tr '\\0' ' ' < /proc/{}/cmdline", of("MainPID"))]).text();
    assert_eq!(command.trim(), "/usr/bin/sleep 3600");
    let status = machine.run(&["menshen", "status", "plain"]).ended_with(0).text();
    assert!(status.contains("plain: running, process ") && status.contains("run by systemd itself"), "{status}");
    machine.run(&["menshen", "stop", "plain"]).done();
    assert_eq!(of("ActiveState"), "inactive");
    drop(machine.run(&["menshen", "status", "plain"]).ended_with(3));
    machine.run(&["menshen", "restart", "plain"]).done();
    assert_eq!(of("ActiveState"), "active");
    machine.run(&["menshen", "uninstall", "plain"]).done();
}

#[test]
fn a_dry_run_shows_everything_and_does_nothing() {
    let Some(machine) = machine() else { return };
    let before = files_of(&machine);
    let shown =
        machine.run(&["menshen", "install", "shop", "--file", "/shared/shop.toml", "--dry-run"]).ended_with(0).text();
    for part in ["write /etc/systemd/system/shop.service", "Type=notify", "EnableUnitFiles"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    machine.run(&["menshen", "install", "worker", "--dry-run", "--", "sleep", "1"]).done();
    before.assert_same(&files_of(&machine));
}

#[test]
fn a_service_that_is_not_ours_keeps_its_name_wherever_its_unit_is() {
    let Some(machine) = machine() else { return };
    let foreign = "[Service]\nExecStart=/bin/sleep 3600\n";
    let [runtime, local] = ["/run/systemd/system", "/usr/local/lib/systemd/system"];
    for (folder, unit) in [(runtime, "passing.service"), (local, "local.service"), (local, "late.timer")] {
        machine.install(unit, foreign);
        machine.run(&["mkdir", "-p", folder]).done();
        machine.run(&["mv", &format!("/etc/systemd/system/{unit}"), folder]).done();
    }
    machine.run(&["ln", "-s", "local.service", &format!("{local}/alias.service")]).done();
    machine.run(&["ln", "-s", "/dev/null", &format!("{runtime}/masked.service")]).done();
    machine.run(&["systemctl", "daemon-reload"]).done();
    let before = files_of(&machine);
    let bus = machine.property("dbus.service", "FragmentPath");
    let mut all = vec![("dbus", bus)];
    all.extend(
        [("passing", runtime), ("local", local), ("alias", local), ("masked", runtime)]
            .map(|(name, folder)| (name, format!("{folder}/{name}.service"))),
    );
    for (name, path) in &all {
        let refused = machine.run(&["menshen", "install", name, "--now", "--", "sleep", "5"]).ended_with(1);
        assert!(refused.stderr.contains(&format!("{path} is another service of that name")), "{}", refused.stderr);
    }
    let late = ["menshen", "install", "late", "--start", "delayed", "--", "sleep", "5"];
    assert!(machine.run(&late).ended_with(1).stderr.contains("late.timer is another"));
    before.assert_same(&files_of(&machine));
    assert_eq!(machine.property("dbus.service", "ActiveState"), "active");
}

#[test]
fn an_essential_service_that_fails_keeps_nobody_busy_and_is_not_said_to_run() {
    let Some(machine) = machine() else { return };
    let definition = "[guard]\nname = \"broken\"\n[service.once]\ncommand = [\"false\"]\nessential = true\n\
                      restart.policy = \"never\"\n";
    std::fs::write(machine.path("broken.toml"), definition).unwrap();
    let failed = machine.run(&["menshen", "install", "--file", "/shared/broken.toml", "--now"]).ended_with(7);
    assert!(!failed.stderr.contains("broken: running"), "{}", failed.stderr);
    let of = |name: &str| machine.property("broken.service", name);
    assert_eq!(
        (of("RestartUSec"), of("RestartMaxDelayUSec"), of("RestartSteps")),
        ("100ms".into(), "10s".into(), "5".into())
    );
    until("it has failed often", || of("NRestarts").parse::<u32>().unwrap() >= 3);
    let next = || of("RestartUSecNext");
    until("it waits for seconds by now", || next().ends_with('s') && !next().ends_with("ms"));
    machine.run(&["menshen", "uninstall", "broken"]).done();
}

#[test]
fn what_is_down_stays_down_and_who_ran_it_is_told() {
    let Some(machine) = machine() else { return };
    machine.run(&["menshen", "install", "--file", "/shared/shop.toml", "--now"]).done();
    let down = machine.run(&["menshen", "down"]).ended_with(0);
    assert!(down.stderr.contains("systemd ran it as 'shop'"), "{}", down.stderr);
    until("the unit has ended", || machine.property(UNIT, "ActiveState") == "inactive");
    assert_eq!(machine.property(UNIT, "NRestarts"), "0");
}

#[test]
fn who_may_not_install_is_told_so() {
    let Some(machine) = machine() else { return };
    let before = files_of(&machine);
    let words = [
        "setpriv",
        "--reuid=nobody",
        "--clear-groups",
        "env",
        "HOME=/tmp",
        "menshen",
        "install",
        "--file",
        "/shared/shop.toml",
    ];
    machine.run(&["chmod", "755", "/shared"]).done();
    let refused = machine.run(&words).ended_with(5);
    assert!(refused.stderr.contains("--user"), "{}", refused.stderr);
    before.assert_same(&files_of(&machine));
}
