//! Running other programs, and saying so.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Says something.
pub(crate) fn say(text: &str) {
    // Nobody to tell is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A program of the repository's folder.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Cargo, the one that runs this. What it builds is in the repository's `target`, wherever else whoever runs this has it.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env("CARGO_TARGET_DIR", root().join("target"));
    cargo
}

/// Cargo, to build and not to run anything.
pub(crate) fn building() -> Command {
    let mut cargo = cargo();
    take_large_pages(&mut cargo);
    cargo
}

/// Compilers take their memory in large pages, by jemalloc (rustup's) or the C library (Debian's): where a page is dear, as in a
/// virtual machine, the small ones are a tenth to a fifth of the time. What is tested must not inherit this.
pub(crate) fn take_large_pages(build: &mut Command) {
    build.env("MALLOC_CONF", "thp:always,metadata_thp:always").env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
}

/// How much of the processors' time a program gets beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// As much as anybody.
    Usual,
    /// Next to nothing while others want it.
    Spare,
}

impl Priority {
    /// The program, to be run so.
    pub(crate) fn of(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Usual => command(program),
            Self::Spare => {
                let mut nice = command("nice");
                nice.args(["-n", "19"]).arg(program);
                nice
            }
        }
    }
}

/// Runs a program and shows what it says.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    say(&format!("$ {}", shown(command)));
    let status = command.status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command))) }
}

/// Runs a program and takes what it says.
pub(crate) fn read(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{}: {error}", shown(command)))?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", shown(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{} did not answer with text", shown(command)))
}

/// Whether a program can be run at all.
pub(crate) fn is_there(program: &str, argument: &str) -> bool {
    let quiet =
        Command::new(program).arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| {
            Path::new(word)
                .file_name()
                .filter(|_| word == command.get_program())
                .unwrap_or(word)
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    words.join(" ")
}
