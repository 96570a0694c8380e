//! Debian's packages: installing them, and what is known of those that are installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{command, read, run, say};

/// Installs those that are not installed. Nothing that they bring is started.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing Debian's {}", missing.join(", ")));
    if run(command("apt-get").args(["update", "--quiet"])).is_err() {
        say("apt-get update failed; trying with the lists that are there");
    }
    let mut install = command("apt-get");
    install.args(["install", "--yes", "--no-install-recommends"]).args(missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").env("SYSTEMD_OFFLINE", "1"))
}

/// Name and version of each, in the system of a folder.
pub(crate) fn versions(system: &Path, packages: &[&str]) -> Result<String, String> {
    let versions = read(query(system).args(["--show", "--showformat", "${Package} ${Version}\n"]).args(packages))?;
    Ok(format!("Debian's {}", versions.lines().collect::<Vec<_>>().join(", ")))
}

/// All their files, in the system of a folder.
pub(crate) fn files(system: &Path, packages: &[&str]) -> Result<Vec<PathBuf>, String> {
    let list = read(query(system).arg("--listfiles").args(packages))?;
    let paths = list.lines().map(|path| system.join(path.trim_start_matches('/')));
    Ok(paths.filter(|path| path.is_file() && !path.is_symlink()).collect())
}

fn query(system: &Path) -> Command {
    let mut query = Command::new("dpkg-query");
    query.arg("--root").arg(system);
    query
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    let output = query.args(["--show", "--showformat", "${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}
