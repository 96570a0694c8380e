//! `menshen install --user`: services of somebody who is not root, with their own systemd.

use menshen_tests::command::Ran;
use menshen_tests::files::Files;
use menshen_tests::machine::Machine;
use menshen_tests::wait::until;
use serde_json::Value;

use super::files_of;

const USER: &str = "ann";
const HOME: &str = "/srv/ann";
const SHOP: &str = r#"
[guard]
name = "shop"
[service.db]
command = ["sleep", "3600"]
[service.web]
command = ["sleep", "3600"]
depends_on = ["db"]
[service.mail]
command = ["sleep", "3600"]
"#;

/// A machine with somebody who is not root.
struct House {
    machine: Machine,
    id: String,
}

impl House {
    fn build() -> Option<Self> {
        Some(Self::on(Machine::boot(&[("shop.toml", SHOP)])?))
    }

    fn on(machine: Machine) -> Self {
        machine.run(&["useradd", "--create-home", "--home-dir", HOME, USER]).done();
        let id = machine.run(&["id", "-u", USER]).text().trim().to_owned();
        Self { machine, id }
    }

    /// The same with a systemd of their own that runs without a session.
    fn with_linger() -> Option<Self> {
        Some(Self::build()?.lingering())
    }

    fn lingering(self) -> Self {
        // logind wants to know of everybody who asks where they belong.
        let linger = ["systemd-run", "--quiet", "--wait", "--pipe", "--", "loginctl", "enable-linger", USER];
        self.machine.run(&linger).done();
        self.await_up();
        self
    }

    fn await_up(&self) {
        until("their systemd is up", || self.systemctl(&["is-system-running"]).text().trim() == "running");
    }

    /// Runs something as they would.
    fn run(&self, words: &[&str]) -> Ran {
        let runtime = format!("XDG_RUNTIME_DIR=/run/user/{}", self.id);
        self.machine.run(&[&self.as_user()[..], &["env", &runtime], words].concat())
    }

    fn as_user(&self) -> [&str; 6] {
        ["setpriv", "--reuid=ann", "--regid=ann", "--init-groups", "--reset-env", "--"]
    }

    fn menshen(&self, words: &[&str]) -> Ran {
        self.run(&[&["menshen"], words].concat())
    }

    fn systemctl(&self, words: &[&str]) -> Ran {
        self.run(&[&["systemctl", "--user"], words].concat())
    }

    fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.systemctl(&["show", "--value", "--property", name, unit]).ended_with(0);
        shown.text().trim().to_owned()
    }

    /// All there is, theirs and the machine's.
    fn files(&self) -> Files {
        files_of(&self.machine)
    }

    fn services(&self, guard: &str) -> Vec<String> {
        let status: Value = self.menshen(&["--instance", guard, "status", "--json"]).ended_with(0).json();
        let services = status["services"].as_array().unwrap().iter();
        services.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
    }

    fn is_up(&self, guard: &str) -> bool {
        self.menshen(&["--instance", guard, "status"]).code == 0
    }
}

#[test]
fn what_lingers_runs_after_the_machine_was_booted_again() {
    let Some(machine) = Machine::boot_with_disk(&[("shop.toml", SHOP)]) else { return };
    let mut house = House::on(machine).lingering();
    house.menshen(&["install", "--user", "--file", "/shared/shop.toml", "--now"]).done();
    until("the guard has started all", || house.is_up("shop"));
    house.machine.boot_again();
    house.await_up();
    until("the guard has started all again", || house.is_up("shop"));
    assert_eq!(house.services("shop"), ["db", "mail", "web"]);
    house.menshen(&["disable", "shop"]).done();
    house.machine.boot_again();
    house.await_up();
    assert_eq!(house.property("shop.service", "ActiveState"), "inactive");
    assert!(!house.is_up("shop"));
}

#[test]
fn a_definition_is_a_service_of_a_user_until_it_is_uninstalled_without_a_trace() {
    let Some(house) = House::with_linger() else { return };
    let before = house.files();
    let installed = house.menshen(&["install", "--user", "--file", "/shared/shop.toml", "--now"]).ended_with(0);
    assert!(installed.text().contains("shop: installed with systemd (user)"), "{}", installed.text());
    assert!(!installed.stderr.contains("linger"), "it has been enabled: {}", installed.stderr);
    until("the guard has started all", || house.is_up("shop"));
    assert_eq!(house.services("shop"), ["db", "mail", "web"]);
    assert_eq!(house.property("shop.service", "UnitFileState"), "enabled");
    let of_machine = house.machine.property("shop.service", "LoadState");
    assert_eq!(of_machine, "not-found", "the machine's systemd knows nothing of it");

    let again = house.menshen(&["install", "--user", "--file", "/shared/shop.toml"]).ended_with(0).text();
    assert!(again.contains("shop: unchanged"), "{again}");
    house.menshen(&["edit", "shop", "--description", "The shop of ann"]).done();
    assert_eq!(house.property("shop.service", "Description"), "The shop of ann");
    assert!(house.menshen(&["diff", "shop"]).ended_with(0).text().contains("as it should be"));
    house.menshen(&["disable", "shop"]).done();
    assert_eq!(house.property("shop.service", "UnitFileState"), "disabled");

    let guard = house.property("shop.service", "MainPID");
    house.systemctl(&["kill", "--kill-whom=main", "--signal=KILL", "shop.service"]).done();
    until("another guard is there", || !["0", &guard].contains(&&*house.property("shop.service", "MainPID")));
    until("it answers", || house.is_up("shop"));

    house.menshen(&["uninstall", "shop", "--purge"]).done();
    assert_eq!(house.property("shop.service", "LoadState"), "not-found");
    before.assert_same(&house.files());
    assert!(!house.machine.run(&["sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '"]).text().contains("sleep 3600"));
}

#[test]
fn one_service_and_a_command_are_services_of_a_user_too() {
    let Some(house) = House::with_linger() else { return };
    let before = house.files();
    house.menshen(&["install", "--user", "--only", "web", "--file", "/shared/shop.toml", "--now"]).done();
    until("the guard has started all", || house.is_up("shop"));
    assert_eq!(house.services("shop"), ["db", "web"]);
    let command =
        ["install", "worker", "--user", "--now", "--", "/bin/sh", "-c", "echo \"$0\"; exec sleep 3600", "a $b %c"];
    house.menshen(&command).done();
    until("its guard has started it", || house.is_up("worker"));
    until("its argument arrives as it was typed", || {
        house.menshen(&["--instance", "worker", "logs", "worker"]).text().contains("a $b %c")
    });
    let definition = house.run(&["cat", &format!("{HOME}/.config/menshen/installed/worker.toml")]).ended_with(0).text();
    assert!(definition.contains("[service.\"worker\"]"), "{definition}");
    for name in ["shop", "worker"] {
        house.menshen(&["uninstall", name, "--purge"]).done();
    }
    before.assert_same(&house.files());
}

#[test]
fn a_program_is_a_service_of_the_users_own_systemd() {
    let Some(house) = House::with_linger() else { return };
    let before = house.files();
    house.menshen(&["install", "db", "--user", "--native", "--file", "/shared/shop.toml", "--now"]).done();
    house.menshen(&["install", "web", "--user", "--native", "--file", "/shared/shop.toml", "--now"]).done();
    house.menshen(&["install", "nap", "--user", "--native", "--", "/bin/sleep", "3600"]).done();
    assert_eq!(house.property("web.service", "ActiveState"), "active");
    let status: Value = house.menshen(&["status", "--json"]).ended_with(0).json();
    let native: Vec<_> = status["native"].as_array().unwrap().iter().map(|one| (&one["name"], &one["state"])).collect();
    let [running, stopped] = ["running", "stopped"].map(Value::from);
    let names = ["db", "nap", "web"].map(Value::from);
    assert_eq!(native, [(&names[0], &running), (&names[1], &stopped), (&names[2], &running)]);
    house.menshen(&["stop", "--all"]).done();
    assert_eq!(house.property("db.service", "ActiveState"), "inactive");
    let shown = house.menshen(&["uninstall", "web", "--dry-run"]).ended_with(0).text();
    assert!(shown.contains(&format!("remove {HOME}/.config/systemd/user/web.service")), "{shown}");
    for name in ["web", "db", "nap"] {
        house.menshen(&["uninstall", name]).done();
    }
    before.assert_same(&house.files());
}

#[test]
fn without_linger_it_is_said_what_it_is_for() {
    let Some(house) = House::build() else { return };
    let before = house.files();
    // There is no session, and so no systemd of theirs.
    let refused = house.menshen(&["install", "--user", "--file", "/shared/shop.toml"]);
    assert_ne!(refused.code, 0, "{}", refused.text());
    assert!(refused.stderr.contains("loginctl enable-linger ann"), "{}", refused.stderr);
    // Nothing is left of what did not work.
    before.assert_same(&house.files());

    // As in a session: it runs, and ends with it.
    house.machine.run(&["systemctl", "start", &format!("user@{}.service", house.id)]).done();
    until("their systemd is up", || house.systemctl(&["is-system-running"]).text().trim() == "running");
    let installed = house.menshen(&["install", "--user", "--file", "/shared/shop.toml"]).ended_with(0);
    assert!(installed.stderr.contains("end with the last session"), "{}", installed.stderr);
    assert!(installed.stderr.contains("loginctl enable-linger ann"), "{}", installed.stderr);
    house.menshen(&["uninstall", "shop", "--purge"]).done();
}

#[test]
fn who_is_not_root_is_told_of_services_of_their_own() {
    let Some(house) = House::with_linger() else { return };
    let before = house.files();
    for words in [&["install", "--file", "/shared/shop.toml"][..], &["install", "nap", "--", "/bin/sleep", "1"]] {
        let refused = house.menshen(words).ended_with(5);
        assert!(refused.stderr.contains("--user"), "{words:?}: {}", refused.stderr);
    }
    before.assert_same(&house.files());
}

/// A guard that runs as somebody else reads its definition itself.
#[test]
fn a_command_of_another_account_runs() {
    let Some(House { machine, id }) = House::build() else { return };
    let install = ["menshen", "install", "worker", "--account", USER, "--now", "--", "/bin/sleep", "3600"];
    machine.run(&install).done();
    let pid =
        machine.run(&["systemctl", "show", "--value", "--property", "MainPID", "worker"]).text().trim().to_owned();
    let owner = machine.run(&["stat", "-c", "%u", &format!("/proc/{pid}")]).text().trim().to_owned();
    assert_eq!(owner, id);
    const THEIRS: &str =
        r#"for p in /proc/[0-9]*; do [ "$(stat -c %U $p)" = ann ] && tr '\0' ' ' <$p/cmdline; done; :"#;
    until("its program runs as them", || machine.run(&["sh", "-c", THEIRS]).text().contains("/bin/sleep 3600"));
    // Root has to do with it as with its own.
    let status: Value = machine.run(&["menshen", "status", "--json"]).ended_with(0).json();
    assert_eq!(
        (&status["services"][0]["name"], &status["services"][0]["state"]),
        (&"worker".into(), &"running".into())
    );
    machine.run(&["menshen", "stop", "worker"]).done();
    until("its program is stopped", || !machine.run(&["sh", "-c", THEIRS]).text().contains("/bin/sleep 3600"));
    machine.run(&["menshen", "start", "worker"]).done();
    let uninstalled = machine.run(&["menshen", "uninstall", "worker", "--purge"]).ended_with(0);
    assert!(uninstalled.stderr.contains("stays in /srv/ann/.local/state/menshen"), "{}", uninstalled.stderr);
}

#[test]
fn a_guard_has_no_account_that_has_no_home() {
    let Some(House { machine, .. }) = House::build() else { return };
    let before = files_of(&machine);
    let install = ["menshen", "install", "worker", "--account", "nobody", "--now", "--", "/bin/sleep", "3600"];
    let refused = machine.run(&install).ended_with(1);
    assert!(refused.stderr.contains("'nobody' has no home (/nonexistent is no folder)"), "{}", refused.stderr);
    assert!(refused.stderr.contains("user = \"nobody\""), "{}", refused.stderr);
    before.assert_same(&files_of(&machine));
}
