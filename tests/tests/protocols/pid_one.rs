//! The guard as PID 1, as in a container: whatever loses its parent is its child.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus, Stdio};

use menshen_tests::command::menshen;
use menshen_tests::wait::{until, until_some};
use menshen_tests::{Bed, Process, Signal, State, require, with_both_trees};

/// So many processes lose their parents and end.
const ORPHANS: usize = 20;
/// A program that leaves them behind, then a daemon that hears of no signal, and then only lives.
const LITTERS: &str = "\
for n in $(seq 20); do (setsid sh -c 'sleep 0.1; echo >> orphans' &); done
(setsid sh -c 'trap \"\" TERM INT HUP; echo there > daemon; exec sleep 3600' &)
exec sleep 3600
";

/// A `menshen` that is PID 1 of its own processes.
struct PidOne<'a> {
    bed: &'a Bed,
    unshare: Child,
}

impl<'a> PidOne<'a> {
    /// `None` where no such thing can be made.
    fn start(bed: &'a Bed, arguments: &[&str]) -> Option<Self> {
        if !require::root() || require::program("unshare").is_none() {
            return None;
        }
        let said = File::options().create(true).append(true).open(bed.path("guard.out")).unwrap();
        // It ends with the test, even if the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(menshen()).args(arguments);
        let like = bed.command();
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(bed.folder()).stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        Some(Self { bed, unshare: command.spawn().unwrap() })
    }

    /// `menshen up` of the bed's definition.
    fn up(bed: &'a Bed) -> Option<Self> {
        let name = format!("guard.name={}", bed.instance());
        let guard = Self::start(bed, &["up", "--set", &name])?;
        until("the guard answers", || bed.menshen(["status", "--json"]).code != 6);
        Some(guard)
    }

    fn process(&self) -> Process {
        let unshare = Process::of(self.unshare.id());
        until_some("the guard is there", || unshare.descendants().first().copied())
    }

    /// Everything it guards, zombies included.
    fn descendants(&self) -> Vec<Process> {
        self.process().descendants()
    }

    fn await_litter(&self) {
        until("orphans end", || lines(self.bed, "orphans") == ORPHANS);
        until("the daemon is there", || self.bed.path("daemon").exists());
    }

    /// Asks it to end as the world outside of a container does.
    fn terminate(mut self) -> ExitStatus {
        let everybody = self.descendants();
        assert!(self.process().signal(Signal::TERM));
        let status = until_some("the guard ends", || self.unshare.try_wait().unwrap());
        let left: Vec<&Process> = everybody.iter().filter(|process| process.lives()).collect();
        assert!(left.is_empty(), "{left:?} of {everybody:?} lives");
        status
    }
}

impl Drop for PidOne<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.bed.guard_said());
        }
        // It may have ended long ago.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn lines(bed: &Bed, name: &str) -> usize {
    fs::read_to_string(bed.path(name)).map_or(0, |text| text.lines().count())
}

/// Where the guard says this on its terminal.
fn said(bed: &Bed, what: &str) -> usize {
    bed.guard_said().find(what).unwrap_or_else(|| panic!("{what} in {}", bed.guard_said()))
}

with_both_trees! {
    fn orphans_are_reaped_and_daemons_end_with_their_service(trees: Trees) {
        let bed = Bed::new(trees, "[service.web]\ncommand = [\"sh\", \"litters.sh\"]\nstop.timeout = \"500ms\"\n");
        bed.write("litters.sh", LITTERS);
        let Some(guard) = PidOne::up(&bed) else { return };
        guard.await_litter();
        until("no zombie is left", || guard.descendants().iter().all(Process::lives));
        assert_eq!(guard.descendants().len(), 2, "the program and its daemon");

        bed.menshen(["stop", "web"]).done();
        assert_eq!(bed.service("web").service.state, State::Stopped);
        let left: Vec<Process> = guard.descendants().into_iter().filter(Process::lives).collect();
        assert_eq!(left, [], "when it is stopped, nothing of it is left");
        until("no zombie is left", || guard.descendants().is_empty());
        assert_eq!(guard.terminate().code(), Some(0));
    }

    fn an_upgraded_guard_is_still_pid_1_and_reaps_orphans(trees: Trees) {
        let bed = Bed::new(trees, "[service.web]\ncommand = [\"sh\", \"litters.sh\"]\nstop.timeout = \"500ms\"\n");
        bed.write("litters.sh", LITTERS);
        fs::copy(menshen(), bed.path("next")).unwrap();
        let Some(guard) = PidOne::up(&bed) else { return };
        let (process, web) = (guard.process(), bed.service("web").service.pid);
        bed.menshen(["upgrade", "--binary", "next"]).done();
        assert_eq!((guard.process(), bed.service("web").service.pid), (process, web));
        assert_eq!(fs::read_link(format!("/proc/{}/exe", process.pid)).unwrap(), bed.path("next"));
        guard.await_litter();
        until("no zombie is left", || guard.descendants().iter().all(Process::lives));
        assert_eq!(guard.descendants().len(), 2, "the program and its daemon");
        assert_eq!(guard.terminate().code(), Some(0));
    }

    fn a_termination_stops_everything_in_order(trees: Trees) {
        let definition = "[service.db]\ncommand = [\"sh\", \"litters.sh\"]\nstop.timeout = \"500ms\"\n\
                          [service.web]\ncommand = \"sleep 3600\"\ndepends_on = { db = \"started\" }\n";
        let bed = Bed::new(trees, definition);
        bed.write("litters.sh", LITTERS);
        let Some(guard) = PidOne::up(&bed) else { return };
        bed.await_ready("web");
        guard.await_litter();
        assert_eq!(guard.terminate().code(), Some(0));
        assert!(said(&bed, "web stopping → stopped") < said(&bed, "db running → stopping"), "{}", bed.guard_said());
        said(&bed, "db stopping → stopped");
    }

    fn one_program_is_guarded_without_a_definition(trees: Trees) {
        let bed = Bed::new(trees, "");
        bed.write("litters.sh", LITTERS);
        let run = |script: &[&str]| {
            let arguments = ["run", "--name", bed.instance(), "--restart", "never", "--set", "stop.timeout=500ms", "--"];
            PidOne::start(&bed, &[&arguments[..], script].concat())
        };
        let Some(guard) = run(&["sh", "litters.sh"]) else { return };
        guard.await_litter();
        until("no zombie is left", || guard.descendants().iter().all(Process::lives));
        assert_eq!(guard.terminate().code(), Some(0));

        // It ends with its program.
        for (script, code) in [("exit 0", 0), ("(setsid sleep 3600 &); exit 0", 0), ("exit 3", 7)] {
            let Some(mut guard) = run(&["sh", "-c", script]) else { return };
            let status = until_some("the guard ends", || guard.unshare.try_wait().unwrap());
            assert_eq!(status.code(), Some(code), "{script}: {}", bed.guard_said());
        }
    }
}
