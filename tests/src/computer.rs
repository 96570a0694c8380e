//! A computer of its own, emulated whole: it has a kernel that can be suspended. It forgets everything.
//!
//! It is always emulated in software: there is not everywhere a `/dev/kvm`, and one that is there may be unable to run a
//! kernel that is just beginning.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use menshen_api::types::{Event, Service, ServiceDetail};
use tempfile::TempDir;

use crate::command::{Ran, menshen};
use crate::require;
use crate::wait::{until, until_some};

/// The first process: its child runs each line that comes on the second serial port as a command, and answers with what that
/// writes and, between a zero byte and the end of a line, its exit code. What is not asked for goes to the console. It is a child
/// because a shell that is told of an orphan's end while it reads a line takes what it has for the whole.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin NO_COLOR=1
mount -t devtmpfs devices /dev
mount -t proc processes /proc
mount -t sysfs kernel /sys
mount -t cgroup2 groups /sys/fs/cgroup
{
    stty raw -echo
    printf '\0%d\n' 0
    while read -r command; do
        sh -c "$command" < /dev/null 2> /dev/console
        printf '\0%d\n' $?
    done
} <> /dev/ttyS1 >&0 &
while true; do
    wait
    sleep 1
done
"#;
/// What the command is linked with.
const LIBRARIES: [&str; 3] = ["libc.so.6", "libgcc_s.so.1", "libm.so.6"];
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
/// Where Debian keeps libraries.
const LIBRARY_FOLDER: &str = "lib/x86_64-linux-gnu";

/// Longer than it takes to come up on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// See the module. It is switched off when this is dropped.
#[derive(Debug)]
pub struct Computer {
    folder: TempDir,
    emulator: Child,
    /// The second serial port.
    port: UnixStream,
}

/// What a computer's clocks show at one instant, since it was started.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Without the time it was suspended.
    pub awake: Duration,
    /// With it.
    pub all: Duration,
}

impl Computer {
    /// Boots a computer with these files in its root folder; `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(files: &[(&str, &str)]) -> Option<Self> {
        let bed = require::testbed("qemu")?;
        let folder = tempfile::Builder::new().prefix("menshen-computer-").tempdir().unwrap();
        let disk = pack(&bed, folder.path(), files);
        let path = folder.path().join("port");
        // It is switched off with the test, even if the test is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(bed.join("usr").join(LOADER));
        command.arg("--library-path").arg(bed.join("usr").join(LIBRARY_FOLDER));
        command.arg(bed.join("usr/bin/qemu-system-x86_64"));
        for firmware in ["qemu", "seabios"] {
            command.arg("-L").arg(bed.join("usr/share").join(firmware));
        }
        command.args(["-machine", "pc", "-accel", "tcg", "-m", "512", "-nodefaults", "-no-user-config", "-no-reboot"]);
        command.args(["-nic", "none", "-display", "none"]);
        command.arg("-serial").arg(format!("file:{}", folder.path().join("console").display()));
        command.arg("-serial").arg(format!("unix:{},server=on,wait=on", path.display()));
        command.arg("-kernel").arg(kernel(&bed)).arg("-initrd").arg(disk);
        command.args(["-append", "console=ttyS0 no_console_suspend panic=-1"]);
        let said = File::create(folder.path().join("emulator")).unwrap();
        let mut emulator = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        // It begins once somebody listens.
        let port = until_some("the computer is switched on", || {
            assert!(emulator.try_wait().unwrap().is_none(), "the emulator ended: {}", said_by(folder.path()));
            UnixStream::connect(&path).ok()
        });
        port.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        let computer = Self { folder, emulator, port };
        computer.answer("it comes up").done();
        Some(computer)
    }

    /// Has its shell run a command of one line, as root.
    ///
    /// # Panics
    /// When that does not end.
    #[must_use]
    pub fn run(&self, command: &str) -> Ran {
        assert!(!command.contains('\n'), "one line: {command}");
        (&self.port).write_all(format!("{command}\n").as_bytes()).unwrap();
        self.answer(command)
    }

    /// Has it run a command that does not end, away from everybody; what that writes is on the console.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(&self, command: &str) {
        self.run(&format!("setsid {command} > /dev/console 2>&1 &")).done();
    }

    /// Has a guard begin with the definition in its root folder, and waits for it.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_guard(&self) {
        self.start("menshen up --file /menshen.toml");
        until("the guard answers", || self.run("menshen status").code != 6);
    }

    /// A service as its guard has it now.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Service {
        let ran = self.run(&format!("menshen status {name} --json"));
        assert!(matches!(ran.code, 0 | 3), "{ran:?}");
        ran.json::<ServiceDetail>().service
    }

    /// What its guard has told.
    ///
    /// # Panics
    /// When the guard does not answer.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.run("menshen events --json --since 1d").ended_with(0).json_lines()
    }

    /// Suspends it to its memory, and has its clock wake it after so many seconds.
    ///
    /// # Panics
    /// When it does not fall asleep, or does not wake.
    pub fn suspend(&self, seconds: u32) {
        let asleep = || self.run("cat /sys/power/suspend_stats/success").ended_with(0).text();
        let alarm = "/sys/class/rtc/rtc0/wakealarm";
        let before: u32 = asleep().trim().parse().unwrap();
        self.run(&format!("echo 0 > {alarm}; echo +{seconds} > {alarm} && echo mem > /sys/power/state")).done();
        assert_eq!(asleep().trim(), (before + 1).to_string());
    }

    /// What its clocks show.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn clocks(&self) -> Clocks {
        let said = self.run("grep -m 1 '^now at' /proc/timer_list; cat /proc/uptime").ended_with(0).text();
        let words: Vec<&str> = said.split_whitespace().collect();
        let ["now", "at", awake, "nsecs", all, _] = words[..] else { panic!("{said}") };
        Clocks {
            awake: Duration::from_nanos(awake.parse().unwrap()),
            all: Duration::from_secs_f64(all.parse().unwrap()),
        }
    }

    /// Reads what a command has written, to its end.
    fn answer(&self, what: &str) -> Ran {
        let mut port = BufReader::new(&self.port);
        let (mut written, mut code) = (Vec::new(), String::new());
        let read = port.read_until(b'\0', &mut written).and_then(|_| port.read_line(&mut code));
        let told = |why: &dyn std::fmt::Display| format!("{why} after {:?}: {what}", String::from_utf8_lossy(&written));
        read.unwrap_or_else(|error| panic!("{}", told(&error)));
        let code = code.trim().parse().unwrap_or_else(|error| panic!("{}", told(&error)));
        written.pop();
        Ran::told(what, code, written)
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", said_by(self.folder.path()));
        }
        // It may be off already.
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

/// Makes what is in the computer's memory when it begins: a shell, the command, and files.
fn pack(bed: &Path, folder: &Path, files: &[(&str, &str)]) -> PathBuf {
    let (root, packed) = (folder.join("root"), folder.join("root.cpio"));
    for name in ["bin", "dev", "proc", "sys", "tmp", "lib64", LIBRARY_FOLDER] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    symlink(bed.join("usr/bin/busybox"), root.join("bin/busybox")).unwrap();
    symlink(menshen(), root.join("bin/menshen")).unwrap();
    let libraries = LIBRARIES.map(|name| format!("{LIBRARY_FOLDER}/{name}"));
    for name in libraries.iter().map(String::as_str).chain([LOADER]) {
        symlink(bed.join("usr").join(name), root.join(name)).unwrap();
    }
    for (name, content) in files.iter().chain(&[("init", INIT)]) {
        fs::write(root.join(name), content).unwrap();
    }
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut pack = Command::new("sh");
    pack.args(["-c", "find . | \"$0\" cpio -o -H newc -L -R 0:0 > \"$1\""]);
    Ran::of(pack.arg(bed.join("usr/bin/busybox")).arg(&packed).current_dir(root)).done();
    packed
}

/// The kernel; its name has its version.
fn kernel(bed: &Path) -> PathBuf {
    let mut found = fs::read_dir(bed.join("boot")).unwrap().flatten().map(|entry| entry.path());
    found.find(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz-"))).unwrap()
}

/// What is left to understand a computer by.
fn said_by(folder: &Path) -> String {
    let read = |name: &str| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap_or_default()).into_owned();
    format!("the emulator:\n{}\nthe console:\n{}", read("emulator"), read("console"))
}
