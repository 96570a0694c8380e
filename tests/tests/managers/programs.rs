//! Programs and definitions that are installed beside each other: each has its own guard, and none is run twice.

use menshen_tests::command::{Ran, built, menshen};
use menshen_tests::init::Booted;
use menshen_tests::wait::until;
use serde_json::Value;

use super::RUNIT;

const SHOP: &str = "[guard]\nname = \"shop\"\n[service.api]\ncommand = [\"sleep\", \"3600\"]\n\
                    [service.web]\ncommand = [\"sleep\", \"3600\"]\n";

struct Site {
    machine: Booted,
}

impl Site {
    fn boot() -> Option<Self> {
        let files = [menshen(), built("life-cycle-sample")];
        let machine = RUNIT.boot(&[&files[0], &files[1]])?;
        let site = Self { machine };
        site.shell(&format!("mkdir -p /srv/shop /srv/empty; cat >/srv/shop/menshen.toml <<'END'\n{SHOP}END\n"));
        Some(site)
    }

    fn shell(&self, script: &str) -> String {
        self.machine.run(&["sh", "-ec", script]).ended_with(0).text()
    }

    fn typed_in(&self, folder: &str, words: &[&str]) -> Ran {
        let program = Booted::path("menshen");
        let there = ["env", "--chdir", folder, program.to_str().unwrap()];
        self.machine.run(&[&there[..], words].concat())
    }

    fn install(&self, words: &[&str]) -> Ran {
        self.typed_in("/srv/empty", &[&["install", "--manager", "runit"], words].concat())
    }

    fn in_shop(&self, words: &[&str]) -> Ran {
        self.install(&[words, &["--file", "/srv/shop/menshen.toml"]].concat())
    }

    /// The services that a guard runs.
    fn guarded(&self, guard: &str) -> Vec<String> {
        let list = self.typed_in("/srv/empty", &["--instance", guard, "status", "--json"]);
        if list.code != 0 {
            return Vec::new();
        }
        let list: Value = list.json();
        let services = list["services"].as_array().unwrap().iter();
        services.map(|service| service["name"].as_str().unwrap().to_owned()).collect()
    }

    fn await_guarded(&self, guard: &str, services: &[&str]) {
        until("the guard runs what it is to run", || self.guarded(guard) == services);
    }
}

#[test]
fn what_is_written_of_a_program_is_read_by_its_own_guard_alone() {
    let Some(site) = Site::boot() else { return };
    for name in ["one", "two"] {
        site.install(&[name, "--now", "--", "/bin/sleep", "3600"]).done();
        site.await_guarded(name, &[name]);
    }
    // Neither is what somebody means who names no definition where there is none.
    for words in [&["up", "--detach"][..], &["check"], &["install", "--manager", "runit"]] {
        let refused = site.typed_in("/srv/empty", words).ended_with(3);
        assert!(refused.stderr.contains("there is no menshen.toml here"), "{words:?}: {}", refused.stderr);
    }
    // Nor does another definition take a name over.
    site.shell(
        "printf '[guard]\\nname = \"two\"\\n[service.x]\\ncommand = [\"sleep\", \"1\"]\\n' >/srv/empty/menshen.toml",
    );
    let refused = site.install(&[]).ended_with(1);
    assert!(refused.stderr.contains("/etc/menshen/installed/two.toml"), "{}", refused.stderr);
    for name in ["one", "two"] {
        site.typed_in("/srv/shop", &["uninstall", name, "--purge"]).done();
    }
    let left = site.shell("find /etc/menshen /var/lib/menshen 2>/dev/null || :");
    assert_eq!(left, "");
}

#[test]
fn what_was_edited_since_stays_when_a_program_is_installed_again() {
    let Some(site) = Site::boot() else { return };
    let install = |more: &[&str], command: &[&str]| site.install(&[&["one"], more, &["--"], command].concat());
    // Where an earlier version wrote it, and noted it.
    install(&[], &["/bin/sleep", "3600"]).done();
    site.shell(
        "mv /etc/menshen/installed/one.toml /etc/menshen/one.toml; rmdir /etc/menshen/installed; \
         sed -i s,/installed/one.toml,/one.toml, /var/lib/menshen/installed/one.json",
    );
    site.shell("echo nice = 5 >>/etc/menshen/one.toml");
    install(&["--now"], &["/bin/sleep", "3600"]).done();
    let text = site.shell("cat /etc/menshen/installed/one.toml; ls /etc/menshen");
    assert!(text.contains("nice = 5") && !text.ends_with("one.toml\n"), "{text}");
    site.await_guarded("one", &["one"]);
    let again = install(&[], &["/bin/sleep", "3600"]).ended_with(0).text();
    assert!(again.contains("one: unchanged"), "{again}");
    // Of what somebody has made of it, it is not known what another command would mean.
    let refused = install(&[], &["/bin/sleep", "60"]).ended_with(1);
    assert!(refused.stderr.contains("was edited") && refused.stderr.contains("menshen edit one"), "{}", refused.stderr);
    assert!(site.shell("cat /etc/menshen/installed/one.toml").contains("3600"));
    // What was only written is written anew.
    site.shell("sed -i '/nice = 5/d' /etc/menshen/installed/one.toml");
    let changed = install(&[], &["/bin/sleep", "60"]).ended_with(0).text();
    assert!(changed.contains("one: installed"), "{changed}");
    assert!(site.shell("cat /etc/menshen/installed/one.toml").contains("\"60\""));
    // So does what was asked for besides.
    let edit = |nice: &str| {
        let set = format!("service.one.nice={nice}");
        site.typed_in("/srv/shop", &["edit", "one", "--start", "manual", "--set", &set]).ended_with(0).stderr
    };
    assert!(edit("7").contains("what runs goes on as it was"));
    site.shell("sv -w 30 stop one");
    assert!(!edit("6").contains("what runs goes on"));
    install(&[], &["/bin/sleep", "60"]).done();
    assert!(site.shell("cat /etc/sv/one/run").contains("service.one.nice=6"));
    site.shell("test -e /etc/sv/one/down");
}

#[test]
fn nothing_is_run_twice_and_a_name_never_means_the_wrong_one() {
    let Some(site) = Site::boot() else { return };
    site.in_shop(&["--now"]).done();
    site.await_guarded("shop", &["api", "web"]);
    for words in [&["api", "--native"][..], &["api"], &["api", "--native", "--dry-run"]] {
        let refused = site.in_shop(words).ended_with(1);
        assert!(refused.stderr.contains("'api' would be run twice"), "{words:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("menshen uninstall shop"), "{words:?}: {}", refused.stderr);
    }
    site.typed_in("/srv/empty", &["uninstall", "shop"]).done();
    // A guard that nobody installed counts as well.
    site.typed_in("/srv/shop", &["up", "--detach"]).done();
    let refused = site.in_shop(&["api", "--native"]).ended_with(1);
    assert!(refused.stderr.contains("menshen --instance shop down"), "{}", refused.stderr);
    site.typed_in("/srv/shop", &["down"]).done();
    site.in_shop(&["api", "--native", "--now", "--set", "service.api.restart.delay=1s"]).done();
    let refused = site.in_shop(&[]).ended_with(1);
    assert!(refused.stderr.contains("menshen uninstall api"), "{}", refused.stderr);

    // Another project has a service of that name.
    site.shell("mkdir /srv/other; sed s/shop/other/ /srv/shop/menshen.toml >/srv/other/menshen.toml");
    site.typed_in("/srv/other", &["up", "--detach"]).done();
    for words in [&["stop", "api"][..], &["restart", "api"], &["status", "api"]] {
        let refused = site.typed_in("/srv/empty", words).ended_with(1);
        assert!(refused.stderr.contains("runit/api, or other/api"), "{words:?}: {}", refused.stderr);
    }
    site.typed_in("/srv/empty", &["stop", "runit/api"]).done();
    site.typed_in("/srv/empty", &["status", "other/api"]).done();
    drop(site.typed_in("/srv/empty", &["status", "runit/api"]).ended_with(3));
    site.typed_in("/srv/empty", &["start", "runit/api"]).done();
    site.typed_in("/srv/empty", &["--instance", "other", "stop", "api"]).done();
    site.typed_in("/srv/empty", &["status", "runit/api"]).done();
}

#[test]
fn whom_it_cannot_run_as_and_what_cannot_run_is_refused_before_anything_is_written() {
    let Some(site) = Site::boot() else { return };
    for (account, said) in [
        ("nobody-of-here", "this machine has no user 'nobody-of-here'"),
        ("NT SERVICE\\one", "that is an account of Windows"),
        ("LocalService", "that is an account of Windows"),
    ] {
        for more in [&["--now"][..], &["--dry-run"]] {
            let words = [&["one", "--account", account], more, &["--", "/bin/sleep", "3600"]].concat();
            let refused = site.install(&words);
            assert!(refused.code != 0 && refused.stderr.contains(said), "{account}: {refused:?}");
        }
    }
    let refused = site.install(&["one", "--dry-run", "--", "/bin/nothere"]).ended_with(3);
    assert!(refused.stderr.contains("M015"), "{}", refused.stderr);
    let shown = site.install(&["one", "--dry-run", "--", "/bin/sleep", "1"]).ended_with(0).text();
    assert!(shown.contains("write /etc/menshen/installed/one.toml"), "{shown}");
    assert_eq!(site.shell("find /etc/menshen /var/lib/menshen 2>/dev/null || :"), "");
    // What fails only when it runs is there to be looked at, and it is said how it goes.
    let failed = site.install(&["one", "--now", "--set", "service.one.restart.policy=never", "--", "/bin/false"]);
    assert!(failed.code != 0 && failed.stderr.contains("'one' stays installed"), "{failed:?}");
    assert!(failed.stderr.contains("menshen uninstall one"), "{failed:?}");
    site.typed_in("/srv/empty", &["uninstall", "one", "--purge"]).done();
    assert_eq!(site.shell("find /etc/menshen /var/lib/menshen 2>/dev/null || :"), "");
}
