//! A system with a place to work in.

use std::collections::VecDeque;
use std::ffi::OsString;

use std::sync::Arc;
use std::time::{Duration, Instant};

use menshen_os::output::Pipe;
use menshen_os::{Exit, OsEvent, Output, Place, Program, System, SystemConfig, Token, TreeMode, TreeState};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Bed {
    pub system: System,
    pub config: SystemConfig,
    pub folder: tempfile::TempDir,
    events: VecDeque<OsEvent>,
    next: u64,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub exit: Exit,
    pub oom: bool,
    pub tree: TreeState,
    pub tail: String,
}

/// Both ways of telling trees apart.
pub(crate) const BOTH: [TreeMode; 2] = [TreeMode::Auto, TreeMode::Walk];

/// Starts a daemon child in a session of its own that outlives its parent, and writes its number into a file.
pub(crate) const DAEMON: &str = "setsid sh -c 'echo $$ > daemon; trap \"\" TERM HUP; while :; do sleep 0.1; done' & sleep 0.05; wait_for_file() { while [ ! -s daemon ]; do sleep 0.01; done; }; wait_for_file; ";

impl Bed {
    pub(crate) fn new(trees: TreeMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let instance = format!("test-{}", folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.'));
        let run_folder = folder.path().to_owned();
        let config = SystemConfig { mark: instance.clone(), instance, run_folder, trees };
        Self { system: System::new(&config).unwrap(), config, folder, events: VecDeque::new(), next: 1 }
    }

    /// A system for a guard of the same name.
    pub(crate) fn namesake(&self, mark: &str, run_folder: &str) -> Self {
        let mark = format!("{}{mark}", self.config.instance);
        let config = SystemConfig { mark, run_folder: run_folder.into(), ..self.config.clone() };
        let folder = tempfile::tempdir().unwrap();
        Self { system: System::new(&config).unwrap(), config, folder, events: VecDeque::new(), next: 1 }
    }

    /// A shell with a script, in the bed's folder.
    pub(crate) fn shell(&self, script: &str) -> Program {
        self.program(&["sh", "-c", script])
    }

    pub(crate) fn program(&self, command: &[&str]) -> Program {
        Program {
            command: command.iter().map(OsString::from).collect(),
            environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            directory: self.folder.path().to_owned(),
            output: Output::Tail,
            ..Program::default()
        }
    }

    pub(crate) fn place(role: &str) -> Place {
        Place { service: "web".to_owned(), role: role.to_owned() }
    }

    pub(crate) fn spawn(&mut self, program: &Program) -> Token {
        let token = Token(self.next);
        self.next += 1;
        self.system.spawn(token, &Self::place("main"), 1, program).unwrap();
        token
    }

    /// Spawns and waits until the program runs.
    pub(crate) fn start(&mut self, program: &Program) -> (Token, u32) {
        let token = self.spawn(program);
        let pid = self.wait_for(|event| match event {
            OsEvent::Started { token: started, pid } if *started == token => Some(*pid),
            OsEvent::StartFailed { error, .. } => panic!("{error}"),
            _ => None,
        });
        (token, pid)
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self, program: &Program) -> Ended {
        let token = self.spawn(program);
        self.end_of(token)
    }

    pub(crate) fn end_of(&mut self, token: Token) -> Ended {
        self.wait_for(|event| match event {
            OsEvent::Exited { token: ended, exit, oom, tree, tail } if *ended == token => {
                Some(Ended { exit: *exit, oom: *oom, tree: *tree, tail: String::from_utf8_lossy(tail).into_owned() })
            }
            OsEvent::StartFailed { error, .. } => panic!("{error}"),
            _ => None,
        })
    }

    pub(crate) fn wait_empty(&mut self, token: Token) {
        self.wait_for(|event| matches!(event, OsEvent::TreeEmpty { token: empty } if *empty == token).then_some(()));
    }

    /// Waits until nothing is left of a tree, be it that its program's end has said so already. One without a cgroup is looked
    /// at, and a look that may have missed somebody who began just then is no proof: the next one tells.
    pub(crate) fn await_empty(&mut self, token: Token, said: TreeState) {
        if said == TreeState::Alive {
            self.wait_empty(token);
        }
    }

    /// Waits for an event; what comes before it is dropped.
    pub(crate) fn wait_for<T>(&mut self, mut wanted: impl FnMut(&OsEvent) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
            let left = end
                .checked_duration_since(Instant::now())
                .unwrap_or_else(|| panic!("nothing came within {DEADLINE:?}"));
            let mut events = Vec::new();
            self.system.wait(Some(left), &mut events).unwrap();
            self.events.extend(events);
        }
    }

    /// Lets the system work until a condition holds.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(Instant::now() < end, "not so within {DEADLINE:?}: {what}");
            let mut events = Vec::new();
            self.system.wait(Some(Duration::from_millis(5)), &mut events).unwrap();
            self.events.extend(events);
        }
    }

    /// A pipe and a program that writes into it.
    pub(crate) fn with_pipe(&self, name: &str, mut program: Program) -> (Pipe, Program) {
        let pipe = Pipe::open(&self.folder.path().join(name), None).unwrap();
        let end = pipe.program_end().unwrap();
        program.output = Output::To { stdout: Arc::clone(&end), stderr: end };
        (pipe, program)
    }

    pub(crate) fn read_file(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).ok()?;
        (!text.is_empty() && text.ends_with('\n')).then_some(text)
    }

    /// Waits until a program has written a whole line into a file.
    pub(crate) fn await_file(&mut self, name: &str) -> String {
        self.until(&format!("{name} is written"), |bed| bed.read_file(name).is_some());
        self.read_file(name).unwrap().trim().to_owned()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for token in 1..self.next {
            self.system.kill(Token(token), menshen_os::Target::Tree);
        }
        let end = Instant::now() + Duration::from_secs(2);
        while self.system.usage("web").processes > 0 && Instant::now() < end {
            let _ = self.system.wait(Some(Duration::from_millis(5)), &mut Vec::new());
        }
        self.system.forget("web");
        self.system.close();
    }
}

/// Whether there is such a process and it is not a zombie.
pub(crate) fn lives(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

/// Whether a test has what it needs. In CI everything is there; elsewhere a test that does without says so.
#[expect(clippy::print_stdout, reason = "a test that is skipped says why")]
pub(crate) fn has(what: &str, is_there: impl FnOnce() -> bool) -> bool {
    let is_there = is_there();
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "there is no {what}, and in CI everything must be there");
        println!("skipped: there is no {what}");
    }
    is_there
}

pub(crate) fn is_root() -> bool {
    menshen_os::account::current().uid == 0
}
