//! A Windows of a test's own: Wine's, in the test bed of that name, with a real service control manager. The bed stays as it is:
//! what changes is in memory. What is started there ends with the test, however it was started.
//!
//! [`GuardedWindows`] is one with a guard.

mod guarded;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::command::Ran;
use crate::process::Process;
use crate::require;
use crate::wait::{until, until_some};

pub use guarded::GuardedWindows;

/// The folder of the test, where its programs are and are run.
pub const FOLDER: &str = r"C:\test";
/// The same from outside of Wine.
const FOLDER_OUTSIDE: &str = "/prefix/drive_c/test";

/// What Wine says of its service control manager and its Event Log, where they do less than those of Windows.
const TOLD: &str = "-all,fixme+service,fixme+advapi,+eventlog";

/// Lays memory over the bed, so that nothing of it is changed, has programs there reach one another at 127.0.0.1, and stays. Perl
/// is in every Debian; the call is SIOCSIFFLAGS with IFF_UP.
const ENTER: &str = r#"
    mount -t tmpfs tmpfs "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay overlay -o "lowerdir=$0,upperdir=$1/upper,workdir=$1/work" "$1/root"
    mount -t proc proc "$1/root/proc"
    mount --rbind /dev "$1/root/dev"
    mkdir "$1/root/prefix/drive_c/test"
    exec chroot "$1/root" sh -e -c '
        perl -MSocket -e "\$up = pack(q(a16sx22), q(lo), 1); socket(S, AF_INET, SOCK_DGRAM, 0); ioctl(S, 0x8914, \$up) or die \$!"
        echo there
        while :; do sleep 1; done'
"#;

/// See the module.
#[derive(Debug)]
pub struct Windows {
    /// What programs that were run there said, and the memory.
    said: TempDir,
    /// Keeps the name space of its processes; with it, they all end.
    keeper: Child,
    inside: Process,
    runs: AtomicU32,
}

impl Windows {
    /// Starts one with these programs in [`FOLDER`]; `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(programs: &[&str]) -> Option<Self> {
        if !require::root() {
            return None;
        }
        require::program("nsenter")?;
        let programs: Vec<PathBuf> = programs.iter().map(|name| require::for_windows(name)).collect::<Option<_>>()?;
        let bed = require::testbed("wine")?;
        let said = tempfile::Builder::new().prefix("menshen-windows-").tempdir().unwrap();
        let (keeper, inside) = keep(&bed, said.path());
        let windows = Self { said, keeper, inside, runs: AtomicU32::new(0) };
        for program in programs {
            fs::copy(&program, windows.path(&program.file_name().unwrap().to_string_lossy())).unwrap();
        }
        windows.boot();
        Some(windows)
    }

    /// Has Windows begin; what is to be started at boot is.
    ///
    /// # Panics
    /// When it does not.
    pub fn boot(&self) {
        self.outside_of_wine(&["wineserver", "--persistent"]).done();
        let mut command = self.command(&["cmd", "/c", "ver"]);
        command.env("WINEDEBUG", TOLD);
        Ran::into_files(&command, &self.boot_said()).done();
    }

    /// What Wine itself has said since the boot of what services and their manager called: what it takes and does nothing with.
    #[must_use]
    pub fn told(&self) -> String {
        fs::read_to_string(self.boot_said().with_extension("err")).unwrap_or_default()
    }

    /// The events that services have written since the boot: type and id of each, by the numbers of Windows.
    ///
    /// # Panics
    /// When Wine tells of them in another way.
    #[must_use]
    pub fn logged(&self) -> Vec<(u16, u32)> {
        let number = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let event = |line: &str| {
            // Handle, type, category, id, …
            let words: Vec<&str> = line.split_once("fixme:advapi:ReportEventW (")?.1.split(',').collect();
            Some((u16::try_from(number(words[1])).unwrap(), number(words[3])))
        };
        self.told().lines().filter_map(event).collect()
    }

    /// Cuts it off, as a loss of power does.
    ///
    /// # Panics
    /// When it stays.
    pub fn cut_off(&self) {
        self.outside_of_wine(&["wineserver", "--kill"]).done();
        self.await_end();
    }

    /// Lets programs have windows where there is no display, from a boot of its own on.
    ///
    /// # Panics
    /// When that cannot be.
    pub fn draw_nowhere(&self) {
        self.run(&["reg", "add", r"HKCU\Software\Wine\Drivers", "/v", "Graphics", "/d", "null", "/f"]).done();
        self.cut_off();
        self.boot();
    }

    /// Has programs that no manager has started hear so at once, as on Windows. Wine has them wait ten seconds where the service
    /// that was started last is spoken to; from now on that is nowhere, until another one is started.
    ///
    /// # Panics
    /// When that cannot be.
    pub fn tell_programs_at_once(&self) {
        const LAST: &str = r"HKLM\System\CurrentControlSet\Control\ServiceCurrent";
        self.run(&["reg", "add", LAST, "/ve", "/t", "REG_DWORD", "/d", "0x7fffffff", "/f"]).done();
    }

    /// Waits until nothing of it runs any more.
    ///
    /// # Panics
    /// When something stays.
    pub fn await_end(&self) {
        self.outside_of_wine(&["wineserver", "--wait"]).done();
        until("every program has ended", || self.processes_of(".exe").is_empty());
    }

    /// Runs a program there, to its end. What it has started may run on.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        self.in_files(&self.command(words))
    }

    /// The same, and Wine itself tells on its stderr of what it takes and does nothing with.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn run_told(&self, words: &[&str]) -> Ran {
        let mut command = self.command(words);
        command.env("WINEDEBUG", TOLD);
        self.in_files(&command)
    }

    /// A program there, that has yet to be run.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.enter();
        command.arg("wine").args(words);
        command
    }

    /// Starts a program there, and does not wait for it. Nobody hears what it says.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn begin(&self, words: &[&str]) -> Child {
        self.command(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs those unit tests of a package there whose names begin so; what they say. `None` where they were not built.
    ///
    /// # Panics
    /// When one fails.
    #[must_use]
    pub fn unit_tests(&self, package: &str, modules: &[&str]) -> Option<String> {
        let tests = require::unit_tests_for_windows(package)?;
        fs::copy(tests, self.path("tests.exe")).unwrap();
        Some(self.run(&[&["tests.exe"], modules].concat()).ended_with(0).text())
    }

    /// A value of the registry, as `reg query` shows it; `None` if there is none.
    #[must_use]
    pub fn registry(&self, key: &str, value: &str) -> Option<String> {
        let text = self.run(&["reg", "query", key, "/v", value]).text();
        let line = text.lines().find_map(|line| line.trim().strip_prefix(value))?;
        // Name, type and value are four blanks apart.
        Some(line.trim_start().split_once("    ").map_or("", |(_, value)| value).to_owned())
    }

    /// Everything the registry has below a key; nothing, where there is none.
    #[must_use]
    pub fn below(&self, key: &str) -> String {
        let ran = self.run(&["reg", "query", key, "/s"]);
        if ran.code == 0 { ran.text() } else { String::new() }
    }

    /// A path in [`FOLDER`], from outside.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{FOLDER_OUTSIDE}", self.inside.pid)).join(name)
    }

    /// The lines of a file in [`FOLDER`].
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The processes there whose command line has this in it, from outside: those whose beginner has ended.
    #[must_use]
    pub fn processes_of(&self, part: &str) -> Vec<Process> {
        let has = |process: &Process| {
            let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(part)
        };
        self.inside.descendants().into_iter().filter(has).collect()
    }

    /// Beside which what is said by what runs since the boot is.
    fn boot_said(&self) -> PathBuf {
        self.said.path().join("boot")
    }

    /// Runs a program of the bed's own system.
    fn outside_of_wine(&self, words: &[&str]) -> Ran {
        let mut command = self.enter();
        command.args(words);
        self.in_files(&command)
    }

    /// What stays running would hold on to pipes that are read.
    fn in_files(&self, command: &Command) -> Ran {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        Ran::into_files(command, &self.said.path().join(number.to_string()))
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.inside.pid.to_string(),
            "--mount",
            "--pid",
            "--net",
            "--ipc",
            "--uts",
            "--root",
        ]);
        command.arg(format!("--wdns={FOLDER_OUTSIDE}")).env_clear();
        command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/root").env("LC_ALL", "C.UTF-8");
        command.env("WINEPREFIX", "/prefix").env("WINEDEBUG", "-all").env("XDG_RUNTIME_DIR", "/tmp");
        command.env("MENSHEN_HOME", guarded::HOME);
        command
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        until("everything there has ended", || !self.inside.lives());
    }
}

/// A process in the bed that all others there descend from.
fn keep(bed: &Path, said: &Path) -> (Child, Process) {
    let memory = said.join("memory");
    fs::create_dir(&memory).unwrap();
    let mut command = Command::new("setpriv");
    // Everything inside ends with the test, even if the test is killed.
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]);
    command.args(["--kill-child=KILL", "sh", "-e", "-c", ENTER]).arg(bed).arg(memory);
    let mut keeper = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "there\n", "the bed could not be entered");
    let outside = Process::of(keeper.id());
    let inside = until_some("somebody is inside", || outside.descendants().into_iter().next());
    (keeper, inside)
}
