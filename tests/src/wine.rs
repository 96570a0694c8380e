//! A Windows of its own: Wine's, with a real service control manager. It forgets everything with the test.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::command::Ran;
use crate::process::Process;
use crate::require;
use crate::wait::until_some;

/// The folder that programs and tests have there, for them.
pub const FOLDER: &str = r"C:\t";
/// The same, as seen from the outside of Wine.
const FOLDER_OUTSIDE: &str = "prefix/drive_c/t";

/// Lays memory over the bed, so that nothing of it is changed, and stays.
const ENTER: &str = r#"
    mount -t tmpfs tmpfs "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay overlay -o "lowerdir=$0,upperdir=$1/upper,workdir=$1/work" "$1/root"
    mount -t proc proc "$1/root/proc"
    mount --rbind /dev "$1/root/dev"
    mkdir "$1/root/prefix/drive_c/t"
    echo there
    cat
"#;

/// See the module.
#[derive(Debug)]
pub struct Wine {
    /// Ends with this.
    _open: ChildStdin,
    space: Child,
    /// The first process inside.
    inside: Process,
    /// Where its file system is, for those inside.
    root: PathBuf,
    _folder: tempfile::TempDir,
}

impl Wine {
    /// Starts a Windows with these programs in [`FOLDER`]; `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(programs: &[&str]) -> Option<Self> {
        if !require::root() {
            return None;
        }
        let bed = require::testbed("wine")?;
        let programs: Vec<PathBuf> = programs.iter().map(|name| require::for_windows(name)).collect::<Option<_>>()?;
        let folder = tempfile::Builder::new().prefix("menshen-wine-").tempdir().unwrap();
        let mut command = Command::new("setpriv");
        // Everything inside ends with the test, even if the test is killed.
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]);
        command.args(["--kill-child", "sh", "-e", "-c", ENTER]).arg(bed).arg(folder.path());
        let mut space = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(space.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "there\n", "the bed could not be entered");
        let outside = Process::of(space.id());
        let inside = until_some("somebody is inside", || outside.descendants().into_iter().next());
        let root = folder.path().join("root");
        let wine = Self { _open: space.stdin.take().unwrap(), space, inside, root, _folder: folder };
        for program in programs {
            fs::copy(&program, wine.path(&program.file_name().unwrap().to_string_lossy())).unwrap();
        }
        wine.boot();
        Some(wine)
    }

    /// Has Windows begin; what is to be started at boot is.
    ///
    /// # Panics
    /// When it does not.
    pub fn boot(&self) {
        // What stays running would hold on to what is read.
        self.inside(&["sh", "-e", "-c", "exec > /dev/null 2>&1; wineserver --persistent; wine cmd /c ver"]).done();
    }

    /// Cuts it off, as a loss of power does.
    ///
    /// # Panics
    /// When it stays.
    pub fn cut_off(&self) {
        self.inside(&["wineserver", "--kill"]).done();
        self.inside(&["wineserver", "--wait"]).done();
    }

    /// Runs a program there, to its end.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ran {
        Ran::of(&self.command(words))
    }

    /// A program there, that has yet to be run.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.enter();
        command.arg("wine").args(words);
        command
    }

    /// A value of the registry, as `reg query` shows it; `None` if there is none.
    #[must_use]
    pub fn registry(&self, key: &str, value: &str) -> Option<String> {
        let ran = self.run(&["reg", "query", key, "/v", value]);
        let text = ran.text();
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
        let root = Path::new("/proc").join(self.inside.pid.to_string()).join("root");
        root.join(self.root.strip_prefix("/").unwrap()).join(FOLDER_OUTSIDE).join(name)
    }

    /// The lines of a file in [`FOLDER`].
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn inside(&self, words: &[&str]) -> Ran {
        let mut command = self.enter();
        command.args(words);
        Ran::of(&command)
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.inside.pid.to_string()]);
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--", "chroot"]).arg(&self.root);
        command.args(["env", "--chdir=/prefix/drive_c/t"]);
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/root").env("LC_ALL", "C.UTF-8");
        command.env("WINEPREFIX", "/prefix").env("WINEDEBUG", "-all").env("XDG_RUNTIME_DIR", "/tmp");
        command
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.space.kill();
        let _ = self.space.wait();
    }
}
