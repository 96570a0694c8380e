//! Whose guard is meant by somebody in a folder with a definition: that definition's, and never another project's.

use std::path::Path;
use std::process::Command;

use menshen_tests::command::{Ran, menshen};
use menshen_tests::wait::until;
use menshen_tests::{Bed, Process, Trees, require};

const WEB: &str = "[service.web]\ncommand = \"sleep 1000\"\n";

/// Two projects of one machine, of which the bed's own is guarded, and what somebody types in the folder of the other one.
struct Projects {
    guarded: Bed,
}

impl Projects {
    fn new(other: &str) -> Self {
        let guarded = Bed::new(Trees::Walk, WEB).up();
        guarded.await_ready("web");
        std::fs::create_dir(guarded.path("other")).unwrap();
        std::fs::create_dir(guarded.path("empty")).unwrap();
        guarded.write("other/menshen.toml", other);
        Self { guarded }
    }

    fn typed_in(&self, folder: &str, words: &[&str]) -> Ran {
        Ran::of(&self.command_in(folder, words))
    }

    /// The same by somebody who means a profile.
    fn typed_with_profile_in(&self, folder: &str, words: &[&str]) -> Ran {
        Ran::of(self.command_in(folder, words).env("MENSHEN_PROFILE", "x"))
    }

    fn command_in(&self, folder: &str, words: &[&str]) -> Command {
        let mut command = self.guarded.command();
        assert_eq!(Path::new(command.get_program()), menshen());
        command.current_dir(self.guarded.path(folder)).args(words);
        command
    }

    fn runs(&self) -> bool {
        self.guarded.service("web").service.pid.is_some()
    }
}

#[test]
fn what_is_done_in_a_folder_is_done_to_its_own_guard() {
    let projects = Projects::new("[guard]\nname = \"other\"\n[service.web]\ncommand = \"sleep 1000\"\n");
    let pid = projects.guarded.service("web").service.pid;
    for words in [
        &["down"][..],
        &["reload"],
        &["upgrade"],
        &["stop", "--all"],
        &["stop", "web"],
        &["restart", "web"],
        &["signal", "HUP", "web"],
    ] {
        let refused = projects.typed_in("other", words).ended_with(6);
        let said = &refused.stderr;
        assert!(said.contains("'other'") && said.contains("is not running"), "{words:?}: {said}");
        assert!(said.contains(projects.guarded.instance()) && said.contains("--instance"), "{words:?}: {said}");
    }
    assert_eq!(projects.guarded.service("web").service.pid, pid);
    // Looked at is what there is.
    projects.typed_in("other", &["status", "web"]).done();
    projects.typed_in("other", &["up", "--detach", "--wait"]).done();
    // Both have a service of that name.
    projects.typed_in("other", &["restart", "web"]).done();
    assert_eq!(projects.guarded.service("web").service.pid, pid);
    projects.typed_in("empty", &["restart", "web"]).ended_with(1);
    projects.typed_in("empty", &["down"]).ended_with(1);
    for command in ["status", "stop"] {
        let said = projects.typed_in("empty", &[command, "nosuch"]).ended_with(4).stderr;
        for guard in ["other", projects.guarded.instance()] {
            assert!(said.contains(&format!("{guard}/web")), "{command}: {said}");
        }
    }
    projects.typed_in("other", &["down"]).done();
    assert!(projects.runs());
    // Where there is no definition, the only guard is meant.
    projects.typed_in("empty", &["reload"]).done();
    projects.typed_in("other", &["--instance", projects.guarded.instance(), "down"]).done();
    until("the guard has ended", || projects.guarded.menshen(["status"]).code == 6);
}

#[test]
fn a_guard_of_the_same_name_is_not_the_definitions_own() {
    let projects = Projects::new("[service.web]\ncommand = \"sleep 1000\"\n");
    let name = format!("[guard]\nname = \"{}\"\n{WEB}", projects.guarded.instance());
    projects.guarded.write("other/menshen.toml", name);
    let own = projects.guarded.path("menshen.toml").display().to_string();
    for words in [&["down"][..], &["reload"], &["stop", "web"]] {
        let refused = projects.typed_in("other", words).ended_with(6);
        assert!(refused.stderr.contains(&own), "{words:?}: {}", refused.stderr);
    }
    for words in [&["up"][..], &["up", "--detach"]] {
        let refused = projects.typed_in("other", words).ended_with(1);
        assert!(refused.stderr.contains("is running already") && refused.stderr.contains(&own), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("guard.name") && !refused.stderr.contains("menshen down"),
            "{}",
            refused.stderr
        );
    }
    // Of its own definition it is said how that is followed.
    let set = format!("guard.name={}", projects.guarded.instance());
    let refused = projects.guarded.menshen(["up", "--detach", "--set", &set]).ended_with(1);
    assert!(refused.stderr.contains("menshen reload"), "{}", refused.stderr);
    assert!(projects.runs());
}

#[test]
fn what_a_folder_defines_is_not_guessed_where_it_cannot_be_read() {
    let projects = Projects::new("[guard]\nname = \"other\"\n[service.web]\ncommand = \"sleep 1000\"\n");
    let pid = projects.guarded.service("web").service.pid;
    std::fs::create_dir(projects.guarded.path("broken")).unwrap();
    projects.guarded.write("broken/menshen.toml", "[service.other\n");
    for words in [&["stop", "web"][..], &["restart", "web"], &["signal", "HUP", "web"]] {
        let refused = projects.typed_with_profile_in("other", words).ended_with(1);
        assert!(refused.stderr.contains("menshen.x.toml"), "{words:?}: {}", refused.stderr);
        let refused = projects.typed_in("broken", words).ended_with(1);
        assert!(refused.stderr.contains("menshen check"), "{words:?}: {}", refused.stderr);
    }
    assert_eq!(projects.guarded.service("web").service.pid, pid);
    // Looked at is what there is, and so is what is named in full.
    projects.typed_with_profile_in("other", &["status", "web"]).done();
    let full = format!("{}/web", projects.guarded.instance());
    projects.typed_in("broken", &["restart", &full]).done();
    // What its own guard has is known without the file.
    let before = projects.guarded.service("web").service.pid;
    projects.typed_with_profile_in(".", &["restart", "web"]).done();
    assert_ne!(projects.guarded.service("web").service.pid, before);
}

/// Root guards one folder and nobody another one, under the same name and out of sight of this machine's own guards.
const TWINS: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/log
as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$BED/nobody" "$@"
}
chown 65534:65534 nobody
(cd system && $MENSHEN up --detach --wait)
(cd nobody && as_nobody $MENSHEN up --detach --wait)
(cd system && as_nobody $MENSHEN restart web && as_nobody $MENSHEN reload)
echo "of the system: $(cd system && $MENSHEN events --service web | grep -c 'restart asked by nobody')"
echo "of nobody: $(cd nobody && as_nobody $MENSHEN events --service web | grep -c 'restart asked by' || true)"
"#;

#[test]
fn of_two_guards_of_one_name_the_definitions_own_is_meant() {
    if !require::root() || require::program("unshare").is_none() {
        return;
    }
    let bed = Bed::new(Trees::Walk, "");
    let web = "[guard]\nname = \"twin\"\n[service.web]\ncommand = \"sleep 1000\"\n";
    for folder in ["system", "nobody"] {
        std::fs::create_dir(bed.path(folder)).unwrap();
    }
    bed.write("system/menshen.toml", web.to_owned() + "[guard.access]\nusers = { nobody = \"admin\" }\n");
    bed.write("nobody/menshen.toml", web);
    // The folder it was built in may be its builder's own.
    std::fs::copy(menshen(), bed.path("menshen-command")).unwrap();
    let mut command = Command::new("unshare");
    // With the script ends everything that it started.
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", TWINS]);
    for name in ["MENSHEN_HOME", "MENSHEN_INSTANCE", "MENSHEN_PROFILE", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    command.env("BED", bed.folder()).env("MENSHEN", bed.path("menshen-command"));
    command.env("MENSHEN_TREES", bed.trees().as_str()).env("NO_COLOR", "1").current_dir(bed.folder());
    let told = Ran::of(&command).ended_with(0);
    assert!(told.text().contains("of the system: 1") && told.text().contains("of nobody: 0"), "{told:?}");
}

#[test]
fn a_second_program_of_one_name_is_told_to_be_named() {
    let bed = Bed::new(Trees::Walk, WEB);
    let mut command = bed.command();
    command.args(["run", "--", "sleep", "1000"]);
    let mut first = command.spawn().unwrap();
    until("its guard answers", || bed.menshen(["--instance", "run-sleep", "status"]).code == 0);
    let refused = bed.menshen(["run", "--", "sleep", "1000"]).ended_with(1);
    assert!(refused.stderr.contains("--name NAME") && !refused.stderr.contains("menshen reload"), "{}", refused.stderr);
    bed.menshen(["--instance", "run-sleep", "down"]).done();
    first.wait().unwrap();
}

#[test]
fn what_runs_is_known_of_a_guard_that_is_killed_as_soon_as_it_is_in_the_background() {
    let bed = Bed::new(Trees::Walk, WEB).and("[service.db]\ncommand = \"sleep 1000\"\n");
    for _ in 0..5 {
        let up: serde_json::Value = bed.menshen(["up", "--detach", "--json"]).ended_with(0).json();
        let guard = Process::of(u32::try_from(up["pid"].as_u64().unwrap()).unwrap());
        guard.kill();
        until("the guard is gone", || !guard.lives());
        let absent = bed.menshen(["status"]).ended_with(6);
        assert!(absent.stderr.contains("without a guard: db, web"), "{}", absent.stderr);
        bed.menshen(["up", "--detach", "--wait"]).done();
        bed.menshen(["down"]).done();
    }
}
