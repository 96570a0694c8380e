//! Where the peers come from: Debian's packages, and a cache folder outside the repository.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{cargo, command, read, run, say};

/// The folder of what is not Debian's.
pub(super) fn cache() -> Result<PathBuf, String> {
    let home = std::env::var_os("HOME").ok_or("HOME is not set: there is no place for a cache")?;
    Ok(Path::new(&home).join(".cache/menshen-peers"))
}

/// Installs those of Debian's packages that are not installed.
pub(super) fn apt(packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing Debian's {}", missing.join(" and ")));
    let mut install = command("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(missing);
    // Nothing is to be started.
    run(install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").env("SYSTEMD_OFFLINE", "1"))
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    let output = query.args(["--show", "--showformat", "${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

/// Builds a crate's program once; its path.
pub(super) fn cargo_install(name: &str, version: &str, program: &str) -> Result<PathBuf, String> {
    let folder = cache()?.join(name);
    let path = folder.join("bin").join(program);
    if !path.exists() {
        say(&format!("{program} is not there; building {name} {version}, which takes some minutes"));
        let mut install = cargo();
        install.args(["install", "--quiet", "--locked", "--version", version, "--root"]).arg(folder).arg(name);
        run(&mut install)?;
    }
    Ok(path)
}

/// The versions of Debian's packages.
pub(super) fn debian_version(packages: &[&str]) -> Result<String, String> {
    let mut query = Command::new("dpkg-query");
    let versions = said(query.args(["--show", "--showformat", "${Package} ${Version}\n"]).args(packages))?;
    Ok(format!("Debian's {}", versions.lines().collect::<Vec<_>>().join(", ")))
}

/// All files of Debian's packages.
pub(super) fn debian_files(packages: &[&str]) -> Result<Vec<PathBuf>, String> {
    let list = said(Command::new("dpkg-query").arg("--listfiles").args(packages))?;
    Ok(list.lines().map(PathBuf::from).filter(|path| path.is_file() && !path.is_symlink()).collect())
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

/// What a program says, without the end of the line.
pub(super) fn said(command: &mut Command) -> Result<String, String> {
    Ok(read(command)?.trim().to_owned())
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
