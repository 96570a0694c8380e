//! A program that is written with the library and started by somebody else than a service manager: at a terminal, in a script,
//! in a container, by a supervisor that wants to be told. Who it was is seen in its log, in the reason it has for its stop.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use menshen_tests::command::built;
use menshen_tests::terminal::{CTRL_C, Terminal};
use menshen_tests::wait::{DEADLINE, until, until_some};
use menshen_tests::{Process, Signal, require};
use tempfile::TempDir;

/// What it says when it can be used.
const READY: &str = "greeting whoever connects";
/// What a terminal is told of colours.
const COLOUR: &str = "\u{1b}[";
/// How long the sample may take for its stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The example, at a port that the kernel chooses, with nothing of the test's own environment.
fn greeter() -> Command {
    let mut command = Command::new(built("greeter"));
    command.args(["--listen", "127.0.0.1:0"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command
}

/// It, started like this, with what it says in a file. It ends with the test.
pub(crate) struct ByHand {
    folder: TempDir,
    pub(crate) program: Child,
}

impl ByHand {
    pub(crate) fn start(prefix: &[&str], like: &Command, stdin: Stdio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = File::create(folder.path().join("said")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(prefix).arg(like.get_program()).args(like.get_args());
        command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let program = command.stdin(stdin).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        Self { folder, program }
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap()
    }

    pub(crate) fn await_said(&self, what: &str) {
        until(&format!("it says {what}"), || self.said().contains(what));
    }

    /// The code with which it ends.
    pub(crate) fn await_end(&mut self) -> Option<i32> {
        until_some("it ends", || self.program.try_wait().unwrap()).code()
    }

    /// Itself, or what it was started for.
    fn last(&self) -> Process {
        let outermost = Process::of(self.program.id());
        outermost.descendants().last().copied().unwrap_or(outermost)
    }

    /// Ends it by a signal, in order, and it says that this was why.
    fn ends_by(&mut self, signal: Signal, reason: &str) {
        self.await_said(READY);
        assert!(self.last().signal(signal));
        assert_eq!(self.await_end(), Some(0), "{}", self.said());
        assert!(self.said().contains(&format!("stopping reason={reason}")), "{reason}: {}", self.said());
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it says:\n{}", self.said());
        }
        // It may have ended long ago.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn at_a_terminal_its_log_is_in_colour_and_ctrl_c_ends_it_in_order() {
    let mut terminal = Terminal::start(&greeter());
    terminal.await_shown(READY);
    assert!(terminal.shown().contains(COLOUR), "{}", terminal.shown());
    terminal.press(CTRL_C);
    let status = until_some("it ends", || terminal.program.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    terminal.await_shown("Interrupt");
}

#[test]
fn without_colours_where_nobody_wants_them_and_where_nobody_can_see_them() {
    let terminal = Terminal::start(greeter().env("NO_COLOR", "1"));
    terminal.await_shown(READY);
    assert!(!terminal.shown().contains(COLOUR), "{}", terminal.shown());
    drop(terminal);
    // That somebody does not want to be asked is not said by a variable that is empty.
    let terminal = Terminal::start(greeter().env("NO_COLOR", ""));
    terminal.await_shown(READY);
    assert!(terminal.shown().contains(COLOUR), "{}", terminal.shown());

    let mut piped = ByHand::start(&[], &greeter(), Stdio::null());
    piped.ends_by(Signal::INT, "Interrupt");
    assert!(!piped.said().contains(COLOUR), "{}", piped.said());
}

#[test]
fn a_second_ctrl_c_ends_at_once_what_does_not_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut sample = Command::new(built("life-cycle-sample"));
    sample.arg(folder.path()).arg("work").env("PATH", std::env::var_os("PATH").unwrap());
    let mut terminal = Terminal::start(&sample);
    until("it works", || folder.path().join("runs").exists());
    // It waits for its child, which does not end as long as it is stopped: the first Ctrl-C, too, waits until it goes on.
    let process = Process::of(terminal.program.id());
    let child = until_some("its child is there", || process.descendants().last().copied());
    assert!(child.signal(Signal::STOP));
    until("it is stopped", || child.is_stopped());
    terminal.press(CTRL_C);
    until("it was told", || fs::read_to_string(folder.path().join("told")).is_ok_and(|told| told == "stop\n"));
    let told = Instant::now();
    assert!(terminal.program.try_wait().unwrap().is_none());
    terminal.press(CTRL_C);
    let status = until_some("it ends", || terminal.program.try_wait().unwrap());
    child.kill();
    assert_eq!(status.code(), Some(1), "it has not stopped in order");
    assert!(told.elapsed() < STOP_TIMEOUT, "it ended when its time was over, and not at once");
    terminal.await_shown("it did not stop within its time");
}

#[test]
fn whoever_started_it_is_known_by_facts() {
    for (signal, reason) in [(Signal::TERM, "Terminated"), (Signal::INT, "Interrupt"), (Signal::TERM, "Terminated")] {
        ByHand::start(&[], &greeter(), Stdio::null()).ends_by(signal, reason);
    }
    // What a session, or a manager further up, has left to everybody below it.
    let mut inherits = greeter();
    inherits.envs([("INVOCATION_ID", "0123"), ("SYSTEMD_EXEC_PID", "1"), ("JOURNAL_STREAM", "1:2")]);
    inherits.envs([("MANAGERPID", "1"), ("XPC_SERVICE_NAME", "0"), ("NOTIFY_SOCKET", "")]);
    ByHand::start(&[], &inherits, Stdio::null()).ends_by(Signal::TERM, "Terminated");
}

#[test]
fn as_the_first_process_of_a_container_it_is_stopped_by_a_signal_and_ends_well() {
    if !require::root() || require::program("unshare").is_none() {
        return;
    }
    // The kernel passes no signal to a first process that does not want to hear it.
    let container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let mut first = ByHand::start(&container, &greeter(), Stdio::null());
    first.await_said(READY);
    let numbers = fs::read_to_string(format!("/proc/{}/status", first.last().pid)).unwrap();
    assert!(numbers.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{numbers}");
    first.ends_by(Signal::TERM, "Manager");
}

#[test]
fn in_a_container_without_a_manager_it_is_a_program_in_the_foreground() {
    if !require::root() || require::program("unshare").is_none() {
        return;
    }
    // Below a shell as the first process, with what is the host's shared with it, as container tools do.
    let shared =
        "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && touch /run/.containerenv && \"$@\"; exit $?";
    let container = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", shared, "sh"];
    let mut like = greeter();
    like.envs([("container", "podman"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("INVOCATION_ID", "0123")]);
    ByHand::start(&container, &like, Stdio::null()).ends_by(Signal::TERM, "Terminated");
}

#[test]
fn whoever_wants_to_be_told_is_told_when_it_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut notified = ByHand::start(&[], greeter().env("NOTIFY_SOCKET", &path), Stdio::null());
    let heard = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(heard(), "READY=1\n");
    notified.ends_by(Signal::TERM, "Manager");
    let stopping = heard();
    assert!(stopping.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC="), "{stopping}");
    // Whoever keeps its log writes the times, too.
    assert!(notified.said().trim_start().starts_with("INFO "), "{}", notified.said());
}
