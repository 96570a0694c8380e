//! A guard that was installed, when the machine is switched on again.

use menshen_tests::machine::Machine;
use menshen_tests::wait::until;

const SHOP: &str = r#"
[guard]
name = "shop"
[service.db]
command = ["sh", "-c", "echo up; exec sleep 3600"]
probe.readiness.log = "up"
[service.web]
command = ["sleep", "3600"]
depends_on = { db = "ready" }
"#;

#[test]
fn an_installed_guard_runs_after_the_machine_was_booted_again() {
    let Some(mut machine) = Machine::boot_with_disk(&[("shop.toml", SHOP)]) else { return };
    let is_up = |machine: &Machine, guard: &str| machine.run(&["menshen", "--instance", guard, "status"]).code == 0;
    machine.run(&["menshen", "install", "--file", "/shared/shop.toml", "--now"]).done();
    machine.run(&["menshen", "install", "idler", "--now", "--", "/bin/sleep", "3600"]).done();
    until("both run", || is_up(&machine, "shop") && is_up(&machine, "idler"));
    machine.run(&["menshen", "disable", "idler"]).done();
    machine.boot_again();
    // Whoever is up is that with all that belongs to it.
    assert_eq!(machine.property("shop.service", "ActiveState"), "active");
    assert!(is_up(&machine, "shop"));
    let listed = machine.run(&["menshen", "--instance", "shop", "status"]).text();
    assert!(["db", "web"].iter().all(|name| listed.contains(name)), "{listed}");
    assert_eq!(machine.property("idler.service", "ActiveState"), "inactive");
    assert!(!is_up(&machine, "idler"));

    machine.run(&["menshen", "enable", "idler"]).done();
    machine.boot_again();
    until("it runs", || is_up(&machine, "idler"));
    for name in ["shop", "idler"] {
        machine.run(&["menshen", "uninstall", name, "--purge"]).done();
    }
    machine.boot_again();
    let lines = machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text();
    assert!(!lines.contains("menshen up") && !lines.contains("sleep 3600"), "{lines}");
}
