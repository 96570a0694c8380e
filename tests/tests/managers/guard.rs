//! A guard that `menshen install` has each manager run.

use menshen_tests::command::{Ran, built, menshen};
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;
use serde_json::Value;

use super::{OPENRC, RUNIT, S6, SYSV, files_of};

/// Longer than any of them waits before it starts something again.
const STAYS_DOWN: std::time::Duration = std::time::Duration::from_secs(3);

fn is_guarded(machine: &Booted, program: &str) -> bool {
    let status = machine.run(&[program, "status", "--json"]);
    status.code == 0 && status.json::<Value>()["services"][0]["state"] == "running"
}

/// How a program is installed.
struct Form {
    /// The words by which that is asked for.
    words: &'static [&'static str],
    /// What its status says of it.
    status: &'static str,
}

/// By way of a guard.
const GUARDED: Form = Form { words: &[], status: "What happened last" };
/// As the manager's own.
const NATIVE: Form = Form { words: &["--native"], status: "itself" };
/// The same, where the manager starts nothing again.
const NATIVE_ONCE: Form =
    Form { words: &["--native", "--set", "service.worker.restart.policy=never"], status: "itself" };

/// A machine with the program, and the life-cycle suite's to ask the manager by.
struct Site {
    machine: Booted,
    manager: &'static str,
}

impl Site {
    fn boot(init: &Init, manager: &'static str) -> Option<Self> {
        let files = [menshen(), built("life-cycle")];
        Some(Self { machine: init.boot(&[&files[0], &files[1]])?, manager })
    }

    fn menshen(&self, words: &[&str]) -> Ran {
        let program = Booted::path("menshen");
        self.machine.run(&[&[program.to_str().unwrap()][..], words].concat())
    }

    /// What the manager itself says of it.
    fn shown(&self) -> String {
        let program = Booted::path("life-cycle");
        let manager = format!("--manager={}", self.manager);
        let own = ["--program=/bin/sleep", "--folder=/shared/notes", "--name=worker", "--show"];
        self.machine.run(&[&[program.to_str().unwrap(), &manager][..], &own].concat()).ended_with(0).text()
    }

    fn await_shown(&self, begins: &str) {
        until(&format!("it is {begins}"), || self.shown().starts_with(begins));
    }

    fn install(&self, form: &Form, more: &[&str]) -> Ran {
        let first = ["install", "worker", "--manager", self.manager];
        self.menshen(&[&first, form.words, more, &["--", "/bin/sleep", "3600"]].concat())
    }
}

/// Installed, it runs what the definition says, is looked at and changed by each command; uninstalled, nothing is left of it.
fn is_installed_and_uninstalled(init: &Init, manager: &'static str, form: &Form) {
    let Some(site) = Site::boot(init, manager) else { return };
    let before = files_of(&site.machine);
    let shown = site.install(form, &["--dry-run"]).ended_with(0).text();
    assert!(shown.contains("write "), "{shown}");
    before.assert_same(&files_of(&site.machine));

    site.install(form, &["--now"]).done();
    site.await_shown("running auto ");
    until("its service runs", || site.menshen(&["status", "worker"]).code == 0);
    let status = site.menshen(&["status", "worker"]).text();
    assert!(status.contains(form.status), "{status}");
    let again = site.install(form, &["--now"]).ended_with(0).text();
    assert!(again.contains("worker: unchanged"), "{again}");
    assert!(site.menshen(&["diff", "worker"]).ended_with(0).text().contains("as it should be"));
    is_changed(&site, form);

    site.menshen(&["uninstall", "worker", "--purge"]).done();
    let left = site.machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text();
    assert!(!left.contains("sleep 3600") && !left.contains("menshen up"), "{left}");
    before.assert_same(&files_of(&site.machine));
}

/// Whatever else is changed, and however often it is installed.
fn is_disabled_until_it_is_enabled(site: &Site, form: &Form) {
    let stays = |shown: &str| {
        site.await_shown(shown);
        assert!(site.menshen(&["diff", "worker"]).ended_with(0).text().contains("as it should be"), "{shown}");
    };
    site.menshen(&["disable", "worker"]).done();
    stays("running manual ");
    site.menshen(&["edit", "worker", "--description", "Sleeps on"]).done();
    stays("running manual ");
    site.install(form, &[]).done();
    stays("running manual ");
    site.menshen(&["enable", "worker"]).done();
    stays("running auto ");
}

/// It is disabled, enabled, stopped, started and edited, and what somebody else changes is seen and mended.
fn is_changed(site: &Site, form: &Form) {
    is_disabled_until_it_is_enabled(site, form);
    site.menshen(&["edit", "worker", "--start", "manual", "--description", "Sleeps well"]).done();
    site.await_shown("running manual ");
    let definition = ["/etc/init.d/worker", "/etc/sv/worker/run", "/etc/s6/sv/worker/run"];
    let script = definition.into_iter().find(|path| site.machine.run(&["test", "-f", path]).code == 0).unwrap();
    site.machine.run(&["grep", "-q", "Sleeps well", script]).done();
    assert!(site.menshen(&["diff", "worker"]).ended_with(0).text().contains("as it should be"));

    site.machine.run(&["sed", "-i", "s/Sleeps well/Sleeps badly/", script]).done();
    let differs = site.menshen(&["diff", "worker"]).ended_with(1).text();
    assert!(differs.contains("Sleeps badly") && differs.contains("Sleeps well"), "{differs}");
    site.menshen(&["edit", "worker", "--start", "auto"]).done();
    assert!(site.menshen(&["diff", "worker"]).ended_with(0).text().contains("as it should be"));
    site.await_shown("running auto ");
    let refused = site.menshen(&["edit", "worker", "--set", "service.worker.comand=x"]).ended_with(3);
    assert!(refused.stderr.contains("comand"), "{}", refused.stderr);
    for (verb, code) in [("stop", 3), ("start", 0), ("restart", 0)] {
        site.menshen(&[verb, "worker"]).done();
        drop(site.menshen(&["status", "worker"]).ended_with(code));
    }
}

/// None of them keeps services of users, and that is why.
#[test]
fn a_user_has_no_services_of_their_own_where_the_manager_keeps_none() {
    for (init, manager) in [(&RUNIT, "runit"), (&S6, "s6"), (&SYSV, "sysv"), (&OPENRC, "openrc")] {
        let Some(site) = Site::boot(init, manager) else { return };
        let before = files_of(&site.machine);
        for form in [&GUARDED, &NATIVE] {
            let refused = site.install(form, &["--user"]).ended_with(1);
            assert!(
                refused.stderr.contains(&format!("{manager} keeps no services of the user's own")),
                "{}",
                refused.stderr
            );
        }
        before.assert_same(&files_of(&site.machine));
    }
}

/// What nobody wrote is told, and what somebody wrote is refused by the name they wrote.
#[test]
fn a_program_that_is_to_be_started_again_is_not_system_v_inits_own() {
    let Some(site) = Site::boot(&SYSV, "sysv") else { return };
    let refused = site.install(&NATIVE, &["--set", "service.worker.restart.policy=always"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("restart.policy = \"always\": init watches no services"), "{}", refused.stderr);
    let told = site.install(&NATIVE, &[]).ended_with(0).stderr;
    let lines = told.lines().filter(|line| line.contains("does not know restart.policy = \"always\""));
    assert_eq!(lines.count(), 1, "{told}");
    site.menshen(&["uninstall", "worker"]).done();
}

/// Installing a service of a name that somebody else's has changes nothing.
fn leaves_strangers_alone(init: &Init, manager: &str, (folder, script): (&str, &str)) {
    let Some(machine) = init.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&["sh", "-ec", &format!("mkdir -p {folder}; printf '#!/bin/sh\\n' >{folder}/{script}")]).done();
    let before = files_of(&machine);
    let install = ["install", "worker", "--manager", manager, "--", "/bin/sleep", "3600"];
    let refused = machine.run(&[&[program][..], &install].concat()).ended_with(1);
    assert!(refused.stderr.contains("not made by menshen"), "{}", refused.stderr);
    before.assert_same(&files_of(&machine));
}

#[test]
fn what_is_not_ours_is_left_alone_by_runit() {
    leaves_strangers_alone(&RUNIT, "runit", ("/etc/service/worker", "run"));
}

#[test]
fn what_is_not_ours_is_left_alone_by_s6() {
    leaves_strangers_alone(&S6, "s6", ("/run/service/worker", "run"));
}

#[test]
fn what_is_not_ours_is_left_alone_by_system_v_init() {
    leaves_strangers_alone(&SYSV, "sysv", ("/etc/init.d", "worker"));
}

#[test]
fn what_is_not_ours_is_left_alone_by_openrc() {
    leaves_strangers_alone(&OPENRC, "openrc", ("/usr/local/etc/init.d", "worker"));
}

#[test]
fn runit_runs_a_guard() {
    is_installed_and_uninstalled(&RUNIT, "runit", &GUARDED);
}

#[test]
fn runit_runs_a_program_itself() {
    is_installed_and_uninstalled(&RUNIT, "runit", &NATIVE);
}

#[test]
fn s6_runs_a_guard() {
    is_installed_and_uninstalled(&S6, "s6", &GUARDED);
}

#[test]
fn s6_runs_a_program_itself() {
    is_installed_and_uninstalled(&S6, "s6", &NATIVE);
}

#[test]
fn system_v_init_runs_a_guard() {
    is_installed_and_uninstalled(&SYSV, "sysv", &GUARDED);
}

#[test]
fn system_v_init_runs_a_program_itself() {
    is_installed_and_uninstalled(&SYSV, "sysv", &NATIVE_ONCE);
}

#[test]
fn openrc_runs_a_guard() {
    is_installed_and_uninstalled(&OPENRC, "openrc", &GUARDED);
}

#[test]
fn openrc_runs_a_program_itself() {
    is_installed_and_uninstalled(&OPENRC, "openrc", &NATIVE);
}

/// What `menshen down` has ended is not started again by its manager, and is no failure to it.
fn stays_down(init: &Init, manager: &str, (is_down, told): (&[&str], &str)) {
    let Some(machine) = init.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    let install = ["install", "worker", "--now", "--manager", manager, "--", "/bin/sleep", "3600"];
    machine.run(&[&[program][..], &install].concat()).done();
    assert!(is_guarded(&machine, program));
    for words in [&["down"][..], &["down", "--now"]] {
        let down = machine.run(&[&[program, "--instance", "worker"][..], words].concat()).ended_with(0);
        assert!(down.stderr.contains(&format!("{manager} ran it as 'worker'")), "{}", down.stderr);
        // As long as it is down, so is the program. Whoever restarts it does so a second later.
        let begun = std::time::Instant::now();
        while begun.elapsed() < STAYS_DOWN {
            assert!(!is_guarded(&machine, program), "it runs again");
        }
        let status = machine.run(is_down);
        assert!(status.text().contains(told), "{status:?}");
        machine.run(&[&[program][..], &install].concat()).done();
        assert!(is_guarded(&machine, program));
    }
}

#[test]
fn what_is_down_stays_down_under_runit() {
    stays_down(&RUNIT, "runit", (&["sv", "status", "/etc/service/worker"], "down: "));
}

#[test]
fn what_is_down_stays_down_under_s6() {
    stays_down(&S6, "s6", (&["s6-svstat", "/run/service/worker"], "down (exitcode 0)"));
}

#[test]
fn what_is_down_stays_down_under_system_v_init() {
    stays_down(&SYSV, "sysv", (&["/etc/init.d/worker", "status"], "stopped"));
}

#[test]
fn what_is_down_stays_down_under_openrc() {
    stays_down(&OPENRC, "openrc", (&["rc-service", "worker", "status"], "stopped"));
}

/// The codes are those of LSB, and why something was not done is told.
#[test]
fn a_script_of_system_v_init_says_what_fails() {
    let Some(machine) = SYSV.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&[program, "install", "worker", "--now", "--manager", "sysv", "--", "/bin/sleep", "3600"]).done();
    let script = |verb: &str| machine.run(&["/etc/init.d/worker", verb]);
    let log = || machine.run(&["cat", "/var/log/menshen/worker/guard.log"]).text();
    script("reload").done();
    machine.run(&["cp", "/etc/menshen/installed/worker.toml", "/shared/right.toml"]).done();
    machine.run(&["sh", "-c", "echo 'comand = 1' >>/etc/menshen/installed/worker.toml"]).done();
    let reload = script("reload").ended_with(1);
    assert!(reload.stderr.contains("comand"), "{}", reload.stderr);
    drop(script("status").ended_with(0));
    for verb in ["restart", "start"] {
        let failed = script(verb).ended_with(1);
        assert!(failed.stderr.contains("it failed at once, with code 3"), "{}", failed.stderr);
        assert!(log().contains("comand"), "{}", log());
    }
    drop(script("status").ended_with(1));
    drop(script("reload").ended_with(7));
    machine.run(&["cp", "/shared/right.toml", "/etc/menshen/installed/worker.toml"]).done();
    script("start").done();
    drop(script("status").ended_with(0));
    script("stop").done();
    drop(script("status").ended_with(3));
}

/// Who asks for a reload of a definition that is wrong is told so, and what runs goes on.
fn tells_of_a_failed_reload(init: &Init, manager: &str, reload: &[&str]) {
    let Some(machine) = init.boot(&[&menshen()]) else { return };
    let program = Booted::path("menshen");
    let program = program.to_str().unwrap();
    machine.run(&[program, "install", "worker", "--now", "--manager", manager, "--", "/bin/sleep", "3600"]).done();
    assert!(is_guarded(&machine, program));
    drop(machine.run(reload).ended_with(0));
    machine.run(&["sh", "-c", "echo 'comand = 1' >>/etc/menshen/installed/worker.toml"]).done();
    let refused = machine.run(reload);
    assert!(refused.code != 0 && refused.stderr.contains("comand"), "{refused:?}");
    assert!(is_guarded(&machine, program));
}

#[test]
fn a_reload_that_fails_is_told_under_openrc() {
    tells_of_a_failed_reload(&OPENRC, "openrc", &["rc-service", "worker", "reload"]);
}

#[test]
fn a_reload_that_fails_is_told_under_s6() {
    tells_of_a_failed_reload(&S6, "s6", &["/run/service/worker/data/reload"]);
}

/// A guard whose services fail does not run, whatever the manager says of it.
#[test]
fn an_installation_that_fails_at_once_says_so() {
    for (init, manager) in [(&RUNIT, "runit"), (&OPENRC, "openrc")] {
        let Some(machine) = init.boot(&[&menshen()]) else { return };
        let program = Booted::path("menshen");
        let install = ["install", "worker", "--now", "--manager", manager, "--", "/bin/false"];
        let failed = machine.run(&[&[program.to_str().unwrap()][..], &install].concat()).ended_with(7);
        assert!(!failed.stderr.contains("worker: running"), "{}", failed.stderr);
    }
}
