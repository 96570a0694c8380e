//! Whose guard is meant by somebody in a folder with a definition: that definition's, and never another project's.

use std::path::Path;

use menshen_tests::command::{Ran, menshen};
use menshen_tests::wait::until;
use menshen_tests::{Bed, Process, Trees};

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
        let mut command = self.guarded.command();
        assert_eq!(Path::new(command.get_program()), menshen());
        command.current_dir(self.guarded.path(folder)).args(words);
        Ran::of(&command)
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
