//! The scripts of a service's folder. runsv runs them there.

use std::path::Path;

use super::super::shell::{Executed, head, open_files, program, quoted, signal, text, whole_seconds};
use crate::service::registration::{Children, Dependency, Registration, Reload, RestartPolicy};

/// Made below `supervise` before a program is told to end, and gone before the next one is executed. Who was told to end has
/// not ended by itself: whatever its exit code, it is run again where runsv wants it, as after `sv restart`.
const TOLD: &str = "supervise/told";
/// How many seconds a service waits for one that it depends on.
const DEPENDENCY_SECONDS: u64 = 30;
/// How many seconds runsv has to hear that it is to give a service up.
const HEARD_SECONDS: u64 = 30;
/// Executes as another user, in all their groups.
const AS_USER: &str = "chpst -u \":$uid:$gid:$(echo \"$groups\" | tr ' ' :)\" ";

/// A service whose variables are in a file.
pub(super) const fn executed<'a>(registration: &'a Registration, variables: &'a Path) -> Executed<'a> {
    Executed { registration, variables, as_user: AS_USER }
}

/// `run`: executes the program in its own place.
pub(super) fn run(service: &Executed<'_>, scanned: &Path) -> String {
    let registration = service.registration;
    let mut script = head("/bin/sh", registration) + "exec 2>&1\n";
    if may_be_given_up(registration) {
        script += &format!("rm -f {TOLD}\n");
    }
    if registration.children == Children::Ended {
        // First of all: what an earlier boot wrote there is some other group's by now.
        script += "# The process stays this one, and leads a group that `finish` ends.\necho $$ >supervise/leader\n";
    }
    for dependency in &registration.depends_on {
        if let Dependency::Service(name) = dependency {
            let folder = quoted(&text(&scanned.join(name)));
            script += &format!("sv -w {DEPENDENCY_SECONDS} start {folder} || exit 1\n");
        }
    }
    let before = if registration.children == Children::Ended { "chpst -P " } else { "" };
    script += &open_files(registration);
    script + &service.execute(&program(registration), before)
}

/// Whether there is an end after which the program is not run again.
fn may_be_given_up(registration: &Registration) -> bool {
    registration.restart.policy != RestartPolicy::Always
}

/// `log/run`: svlogd writes into files of a megabyte, keeps ten of them, and begins each line with the time. A file `config`
/// in that folder would tell it otherwise. There are machines whose `/var/log` is empty after a boot, and it makes no folder.
pub(super) fn log(registration: &Registration, folder: &Path) -> String {
    let above = quoted(&text(folder.parent().unwrap_or(folder)));
    let folder = quoted(&text(folder));
    let made = format!("[ -d {folder} ] || {{ mkdir -p {above} && mkdir -m 0750 {folder}; }}\n");
    format!("{}{made}exec svlogd -tt {folder}\n", head("/bin/sh", registration))
}

/// `finish`: it is run with the program's code, or -1 and the signal that ended it.
pub(super) fn finish(registration: &Registration) -> String {
    let mut script = head("/bin/sh", registration);
    if registration.children == Children::Ended {
        script += "kill -s KILL -- \"-$(cat supervise/leader)\" 2>/dev/null\nrm -f supervise/leader\n";
    }
    script += "echo \"$1 $2\" >supervise/ended\n\
        is_unwanted() { case $(cat supervise/stat) in *want*) true ;; *) false ;; esac; }\n\
        if is_unwanted; then exit 0; fi\n";
    if may_be_given_up(registration) {
        script += &format!("if [ -e {TOLD} ]; then exit 0; fi\n");
    }
    let given_up = match registration.restart.policy {
        RestartPolicy::Always => None,
        RestartPolicy::OnFailure => Some("[ \"$1\" = 0 ]"),
        RestartPolicy::Never => Some("true"),
    };
    if let Some(condition) = given_up {
        script += &format!(
            "if {condition}; then\n    \
                 [ \"$1\" = 0 ] || echo \"$1 $2 failed\" >supervise/ended\n    \
                 sv down .\n    \
                 # runsv has to have heard it before this ends; it does so once a second.\n    \
                 seconds={HEARD_SECONDS}\n    \
                 until is_unwanted || [ \"$seconds\" = 0 ]; do\n        sleep 1\n        seconds=$((seconds - 1))\n    done\n    \
                 exit 0\n\
             fi\n"
        );
    }
    if registration.restart.policy != RestartPolicy::Never {
        let seconds = whole_seconds(registration.restart.delay);
        script += &format!(
            "seconds={seconds}\nwhile [ \"$seconds\" -gt 0 ] && ! is_unwanted; do\n    sleep 1\n    seconds=$((seconds - 1))\ndone\n"
        );
    }
    script
}

/// `control/t`: it is run instead of sending SIGTERM, where the service is to be stopped otherwise, or `finish` has to know.
pub(super) fn terminate(service: &Executed<'_>) -> Option<String> {
    let registration = service.registration;
    let is_usual = registration.stop_signal.is_none()
        && registration.stop_command.is_none()
        && registration.stop_timeout.is_none();
    if is_usual && !may_be_given_up(registration) {
        return None;
    }
    let mut script = head("/bin/sh", registration);
    if may_be_given_up(registration) {
        script += &format!(": >{TOLD}\n");
    }
    script += "# runsv waits for this script, so what takes time is left to others.\npid=$(cat supervise/pid)\n";
    if let Some(timeout) = registration.stop_timeout {
        let seconds = whole_seconds(timeout);
        script += &format!(
            "is_there() {{ [ \"$(cat supervise/pid)\" = \"$pid\" ]; }}\n\
             {{\n    \
                 seconds={seconds}\n    \
                 while [ \"$seconds\" -gt 0 ] && is_there; do\n        sleep 1\n        seconds=$((seconds - 1))\n    done\n    \
                 if is_there; then kill -s KILL \"$pid\"; fi\n\
             }} </dev/null >/dev/null 2>&1 &\n"
        );
    }
    script += &match &registration.stop_command {
        Some(command) => service.aside(command),
        None => format!("kill -s {} \"$pid\"\n", signal(registration.stop_signal.as_deref().unwrap_or("SIGTERM"))),
    };
    Some(script + "exit 0\n")
}

/// `control/h`: it is run instead of sending SIGHUP. Without it, nothing was agreed.
pub(super) fn reload(service: &Executed<'_>) -> Option<String> {
    let registration = service.registration;
    let script = head("/bin/sh", registration);
    let told = match registration.reload.as_ref()? {
        Reload::Signal(name) => format!("kill -s {} \"$(cat supervise/pid)\"\n", signal(name)),
        // runsv waits for this script, and `sv hup` not even for that: what fails says so where runsv writes.
        Reload::Command(command) => service.aside(command),
        Reload::Native => return None,
    };
    Some(script + &told + "exit 0\n")
}

/// How many seconds a stop may take, for those who wait for it.
pub(super) fn stop_timeout(registration: &Registration) -> Option<String> {
    registration.stop_timeout.map(|timeout| format!("{}\n", whole_seconds(timeout)))
}
