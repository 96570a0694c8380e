//! The suite's program, installed by itself on a machine of its own.

use std::path::PathBuf;

use menshen_tests::command::{Ran, built};
use menshen_tests::init::{Booted, Init};
use menshen_tests::wait::until;

/// What the service is called, unless it is said otherwise.
pub(super) const NAME: &str = "menshen-life-cycle";

/// A machine, and the manager that is asked there.
pub(super) struct Stage {
    pub machine: Booted,
    manager: &'static str,
    program: &'static str,
}

impl Stage {
    /// Boots it; `None` where that cannot be.
    pub(super) fn boot(init: &Init, manager: &'static str) -> Option<Self> {
        let files = ["life-cycle", "life-cycle-sample"].map(built);
        Some(Self::on(init.boot(&[&files[0], &files[1]])?, manager))
    }

    /// Boots one that can be booted again; `None` where that cannot be.
    pub(super) fn boot_with_disk(init: &Init, manager: &'static str) -> Option<Self> {
        let files = ["life-cycle", "life-cycle-sample"].map(built);
        Some(Self::on(init.boot_with_disk(&[&files[0], &files[1]])?, manager))
    }

    const fn on(machine: Booted, manager: &'static str) -> Self {
        Self { machine, manager, program: "life-cycle-sample" }
    }

    /// The same with a program of the test's own: a script.
    pub(super) fn with_script(self, script: &str) -> Self {
        let program = "script";
        let write = format!("cat >/shared/{program} <<'END'\n{script}\nEND\nchmod +x /shared/{program}");
        self.machine.run(&["sh", "-c", &write]).done();
        Self { program, ..self }
    }

    /// Has the suite's program do one thing.
    pub(super) fn ask(&self, more: &[&str]) -> Ran {
        self.ask_of(NAME, more)
    }

    /// The same of a service that is called otherwise.
    pub(super) fn ask_of(&self, name: &str, more: &[&str]) -> Ran {
        let program = Booted::path("life-cycle");
        let options = [
            format!("--manager={}", self.manager),
            format!("--program={}", Booted::path(self.program).display()),
            format!("--folder={}", Self::notes(name).display()),
            format!("--name={name}"),
        ];
        let options = options.iter().map(String::as_str);
        let words: Vec<&str> = program.to_str().into_iter().chain(options).chain(more.iter().copied()).collect();
        self.machine.run(&words)
    }

    /// The folder of what a service notes of itself.
    pub(super) fn notes(name: &str) -> PathBuf {
        Booted::path(&format!("notes-{name}"))
    }

    /// Its state, when it is started, and its process, in words.
    pub(super) fn shown(&self) -> String {
        self.ask(&["--show"]).ended_with(0).text().trim().to_owned()
    }

    /// Waits until what is shown begins so; all of it.
    pub(super) fn await_shown(&self, begins: &str) -> String {
        let mut shown = String::new();
        until(&format!("it is {begins}"), || {
            shown = self.shown();
            shown.starts_with(begins)
        });
        shown
    }

    /// The command lines of everything that runs.
    pub(super) fn command_lines(&self) -> String {
        self.machine.run(&["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).text()
    }
}
