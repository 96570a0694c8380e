//! The real things that tests need and no package brings ready to use: made once, kept outside the repository.
//!
//! Each bed is a folder of its own, with a file beside it that says by which recipe it was made. A bed of another recipe is
//! made anew.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::shell::{command, is_there, run, say};

/// A machine with a real systemd, to be booted in a container.
const SYSTEMD: Bed = Bed {
    name: "systemd",
    recipe: "debian trixie: systemd dbus dbus-user-session libpam-systemd; 2\n",
    needs: &[("debootstrap", "--version", "debootstrap"), ("systemd-nspawn", "--version", "systemd-container")],
    make: make_systemd,
};

/// A valgrind that knows descriptors of processes, without which no guard starts anything; that of Debian 12 does not.
const VALGRIND: Bed =
    Bed { name: "valgrind", recipe: "debian trixie: valgrind; 1\n", needs: SYSTEMD.needs, make: make_valgrind };

/// A computer that is emulated whole: it can be suspended, which no container can. With a kernel for it and a shell.
const QEMU: Bed = Bed {
    name: "qemu",
    recipe: "debian trixie: qemu-system-x86 linux-image-cloud-amd64 busybox-static; 1\n",
    needs: SYSTEMD.needs,
    make: make_qemu,
};

/// A real service control manager: Wine's. With a Windows of its own (a prefix), that tests copy.
const WINE: Bed = Bed {
    name: "wine",
    recipe: "debian trixie: wine wine64; wineboot; 1\n",
    needs: &[("debootstrap", "--version", "debootstrap"), ("unshare", "--version", "util-linux")],
    make: make_wine,
};

/// Machines with other inits and supervisors than systemd, a folder for each that cannot be beside another.
const MANAGERS: Bed = Bed {
    name: "managers",
    recipe: "debian trixie: sysvinit-core runit s6; openrc; 1\n",
    needs: SYSTEMD.needs,
    make: make_managers,
};

struct Bed {
    name: &'static str,
    /// Whatever makes a difference.
    recipe: &'static str,
    /// Programs: how to find each, and the Debian package it comes from.
    needs: &'static [(&'static str, &'static str, &'static str)],
    make: fn(&Path) -> Result<(), String>,
}

/// Makes every bed that is not there, and says so.
pub(crate) fn testbed() -> Result<(), String> {
    SYSTEMD.see_to()?;
    VALGRIND.see_to()?;
    MANAGERS.see_to()?;
    if !cfg!(target_arch = "x86_64") {
        return Ok(());
    }
    // Programs of Windows have to be of the processor they run on.
    WINE.see_to()?;
    // Of what can be emulated, only a PC falls asleep and is woken by its clock; and programs have to be of its processor.
    QEMU.see_to()
}

/// The folder of the machine with a real systemd.
pub(crate) fn systemd() -> Result<PathBuf, String> {
    SYSTEMD.folder()
}

/// The folder of a valgrind, as its package has it.
pub(crate) fn valgrind() -> Result<PathBuf, String> {
    VALGRIND.folder()
}

/// The packages without which no bed can be made or used.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    let missing = SYSTEMD.needs.iter().filter(|(program, argument, _)| !is_there(program, argument));
    missing.map(|(.., package)| *package).collect()
}

impl Bed {
    /// The tests look for it there.
    fn folder(&self) -> Result<PathBuf, String> {
        Ok(cache::folder("testbed")?.join(self.name))
    }

    fn see_to(&self) -> Result<(), String> {
        let bed = self.folder()?;
        let folder = bed.parent().ok_or("a bed is in no folder")?;
        let made_by = folder.join(format!("{}.recipe", self.name));
        if bed.is_dir() && fs::read_to_string(&made_by).is_ok_and(|recipe| recipe == self.recipe) {
            say(&format!("the bed '{}' is in {}", self.name, bed.display()));
            return Ok(());
        }
        let missing = missing_packages();
        if !missing.is_empty() {
            return Err(format!("the bed '{}' cannot be made: apt-get install {}", self.name, missing.join(" ")));
        }
        say(&format!("making the bed '{}' in {} ({})", self.name, bed.display(), self.recipe.trim()));
        let new = folder.join(format!("{}.new", self.name));
        let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        for old in [&new, &bed].into_iter().filter(|old| old.exists()) {
            fs::remove_dir_all(old).map_err(|error| told(old, error))?;
        }
        fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
        (self.make)(&new)?;
        fs::rename(&new, &bed).map_err(|error| told(&bed, error))?;
        fs::write(&made_by, self.recipe).map_err(|error| told(&made_by, error))
    }
}

fn make_systemd(folder: &Path) -> Result<(), String> {
    let mut debootstrap = command("debootstrap");
    debootstrap
        .args(["--variant=minbase", "--include=systemd,dbus,dbus-user-session,libpam-systemd", "trixie"])
        .arg(folder);
    run(debootstrap.arg("http://deb.debian.org/debian"))?;
    // Nobody installs anything there.
    run(command("chroot").arg(folder).args(["apt-get", "clean"]))
}

/// In a copy of the machine with a real systemd, which takes less long than another.
fn make_wine(folder: &Path) -> Result<(), String> {
    run(command("cp").args(["--archive", "--reflink=auto"]).arg(systemd()?).arg(folder))?;
    // What packages and Wine find in a running system is mounted for as long as this takes, and for nobody else.
    let script = "mount -t proc proc \"$0/proc\"; mount --bind /dev \"$0/dev\"; exec chroot \"$0\" sh -e -c \"$1\"";
    let install = "apt-get update --quiet
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends wine wine64
        apt-get clean
        mkdir /prefix
        WINEPREFIX=/prefix WINEDEBUG=-all wineboot --init
        WINEPREFIX=/prefix wineserver --wait";
    let mut inside = command("unshare");
    inside.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-e", "-c", script]).arg(folder).arg(install);
    run(inside.env_remove("DISPLAY"))
}

fn make_managers(folder: &Path) -> Result<(), String> {
    let (first, second) = (folder.join("sysv"), folder.join("openrc"));
    run(command("debootstrap").args(["--variant=minbase", "trixie"]).arg(&first).arg("http://deb.debian.org/debian"))?;
    run(command("cp").arg("--archive").args([&first, &second]))?;
    install(&first, &["sysvinit-core", "runit", "s6"])?;
    install(&second, &["openrc"])
}

/// Installs packages in a machine's folder. Nothing of them is started.
fn install(folder: &Path, packages: &[&str]) -> Result<(), String> {
    let policy = folder.join("usr/sbin/policy-rc.d");
    let told = |error: std::io::Error| format!("{}: {error}", policy.display());
    fs::write(&policy, "#!/bin/sh\nexit 101\n").map_err(told)?;
    run(command("chmod").arg("755").arg(&policy))?;
    let mut apt = command("chroot");
    apt.arg(folder).args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    run(apt.args(["install", "--yes", "--no-install-recommends"]).args(packages))?;
    fs::remove_file(&policy).map_err(told)?;
    run(command("chroot").arg(folder).args(["apt-get", "clean"]))
}

fn make_valgrind(folder: &Path) -> Result<(), String> {
    bring(folder, &["download", "valgrind"])
}

/// With all the libraries it needs: those of the machine it runs on may be of another release.
fn make_qemu(folder: &Path) -> Result<(), String> {
    let install = ["install", "--download-only", "--no-install-recommends", "--yes"];
    bring(folder, &[&install[..], &["qemu-system-x86", "linux-image-cloud-amd64", "busybox-static"]].concat())
}

/// Brings packages into a folder. Nothing of them is installed: they are fetched as the bed that is a machine would fetch
/// them, which is left as it is.
fn bring(folder: &Path, what: &[&str]) -> Result<(), String> {
    let packages = folder.join("packages");
    let told = |error: std::io::Error| format!("{}: {error}", packages.display());
    for state in ["state/lists/partial", "cache", "partial"] {
        fs::create_dir_all(packages.join(state)).map_err(told)?;
    }
    // Nothing is: whatever is needed is brought.
    let installed = packages.join("state/status");
    fs::write(&installed, "").map_err(told)?;
    let apt = |what: &[&str]| {
        let of = |name: &str, value: &Path| format!("--option={name}={}", value.display());
        let mut apt = command("apt-get");
        apt.args([of("Dir::State", &packages.join("state")), of("Dir::Cache", &packages.join("cache"))]);
        apt.args([of("Dir::State::status", &installed), of("Dir::Etc", &systemd()?.join("etc/apt"))]);
        apt.arg(of("Dir::Cache::archives", &packages));
        // Whom it would become cannot read a folder of root's.
        run(apt.args(["--quiet", "--option=APT::Sandbox::User=root"]).args(what).current_dir(&packages))
    };
    apt(&["update"])?;
    apt(what)?;
    let extract = "for package in *.deb; do dpkg-deb --extract \"$package\" \"$0\"; done";
    run(command("sh").args(["-e", "-c", extract]).arg(folder).current_dir(&packages))?;
    fs::remove_dir_all(&packages).map_err(told)
}
