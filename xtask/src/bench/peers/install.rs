//! Where the peers come from: this repository, Debian's packages, and registries of which a cache outside the repository
//! keeps what was built.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{cargo, command, is_there, read, root, run, say};
use crate::{cache, debian, testbed};

/// Where a peer comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// This repository, whose release was built before.
    Ours,
    /// Packages of the system.
    Debian(&'static [&'static str]),
    /// Packages of the test bed that is a machine of its own.
    Testbed(&'static [&'static str]),
    /// A crate, built here.
    Crate { name: &'static str, version: &'static str, program: &'static str },
    /// A package for Node.
    Npm { name: &'static str, version: &'static str, program: &'static str },
}

impl Source {
    /// Sees to it that it is there. Does nothing if it is.
    pub(super) fn install(self) -> Result<(), String> {
        match self {
            Self::Ours => install_ours(),
            Self::Debian(packages) => debian::install(packages),
            Self::Testbed(_) => {
                debian::install(&testbed::missing_packages())?;
                testbed::testbed()
            }
            Self::Crate { program, .. } | Self::Npm { program, .. } if self.path(program).exists() => Ok(()),
            Self::Crate { name, version, program } => {
                say(&format!("{program} is not there; building {name} {version}, which takes some minutes"));
                let mut install = cargo();
                install.args(["install", "--quiet", "--locked", "--version", version, "--root"]);
                run(install.arg(kept(name)?).arg(name))
            }
            Self::Npm { name, version, .. } => {
                if !is_there("npm", "--version") {
                    debian::install(&["npm"])?;
                }
                let mut install = command("npm");
                install.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(kept(name)?);
                run(install.arg(format!("{name}@{version}")))
            }
        }
    }

    /// Which one it is.
    pub(super) fn version(self) -> Result<String, String> {
        let said = |mut command: Command| Ok::<_, String>(read(command.arg("--version"))?.trim().to_owned());
        match self {
            Self::Ours => said(Command::new(self.path(OURS))),
            Self::Debian(packages) => debian::versions(Path::new("/"), packages),
            Self::Testbed(packages) => debian::versions(&testbed::systemd()?, packages),
            Self::Crate { name, version, .. } => Ok(format!("{name} {version}")),
            Self::Npm { name, version, .. } => Ok(format!("{name}@{version} on node {}", said(Command::new("node"))?)),
        }
    }

    /// Everything that was installed, apart from an interpreter it shares with others.
    pub(super) fn files(self) -> Result<Vec<PathBuf>, String> {
        match self {
            Self::Ours => Ok(vec![self.path(OURS)]),
            Self::Debian(packages) => debian::files(Path::new("/"), packages),
            Self::Testbed(packages) => debian::files(&testbed::systemd()?, packages),
            Self::Crate { program, .. } => Ok(vec![self.path(program)]),
            Self::Npm { name, .. } => files_below(&kept(name)?),
        }
    }

    /// Where a program of it is; one that is found by its name is just that.
    pub(super) fn path(self, program: &str) -> PathBuf {
        self.programs().map_or_else(|| program.into(), |folder| folder.join(program))
    }

    /// The folder of its programs, where that is not one of the system's.
    pub(super) fn programs(self) -> Option<PathBuf> {
        match self {
            Self::Ours => Some(kept(OURS).ok()?.join("bin")),
            Self::Debian(_) | Self::Testbed(_) => None,
            Self::Crate { name, .. } => Some(kept(name).ok()?.join("bin")),
            Self::Npm { name, .. } => Some(kept(name).ok()?.join("node_modules/.bin")),
        }
    }
}

/// Our own program.
const OURS: &str = "menshen";

/// Copies it, as `cargo install` and packages do: what the linker wrote here and there is in memory page by page until the machine
/// needs that memory, and so takes longer to start than any installed program.
fn install_ours() -> Result<(), String> {
    let (built, installed) = (root().join("target/release").join(OURS), Source::Ours.path(OURS));
    let failed = |error: std::io::Error| format!("{}: {error}", installed.display());
    installed.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    // A file of its own: the one before may be running.
    let new = installed.with_extension("new");
    fs::copy(built, &new).and_then(|_| fs::rename(&new, &installed)).map_err(failed)
}

/// The folder of what is not the system's.
fn kept(name: &str) -> Result<PathBuf, String> {
    Ok(cache::folder("peers")?.join(name))
}

/// All files below a folder.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())?),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_) | Err(_) => (),
        }
    }
    Ok(files)
}

/// Writes a file, in a folder that need not be there.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    fs::write(path, text).map_err(failed)
}

/// Writes a file that can be executed.
pub(super) fn write_script(path: &Path, text: &str) -> Result<(), String> {
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|error| format!("{}: {error}", path.display()))
}
