//! The files of a service's folder. s6-supervise reads and runs them there.

use std::path::Path;

use super::super::shell::{Executed, head, open_files, program, quoted, signal, text, whole_seconds};
use crate::service::registration::{Account, Children, Dependency, Protocol, Registration, Reload, RestartPolicy};
use crate::service::{readiness, told};

/// Into which a program that knows of it writes that it was told to end: it has not ended by itself, and runs again where
/// s6-supervise wants it, as after `s6-svc -r`.
const TOLD: &str = "told";
/// How many milliseconds a service waits for one that it depends on.
const DEPENDENCY_MS: u64 = 30_000;
/// Executes as another user, in all their groups.
const AS_USER: &str = "s6-applyuidgid -u \"$uid\" -g \"$gid\" -G \"$(echo \"$groups\" | tr ' ' ,)\" ";

/// A service whose variables are in a file.
pub(super) const fn executed<'a>(registration: &'a Registration, variables: &'a Path) -> Executed<'a> {
    Executed { registration, variables, as_user: AS_USER }
}

/// `run`: executes the program in its own place.
pub(super) fn run(service: &Executed<'_>, scanned: &Path) -> String {
    let registration = service.registration;
    // First of all: whatever ends before the program is executed was not told to.
    let mut script = head("/bin/sh", registration) + "exec 2>&1\n" + &told(registration);
    for dependency in &registration.depends_on {
        if let Dependency::Service(name) = dependency {
            let folder = quoted(&text(&scanned.join(name)));
            script += &format!("s6-svc -u -wu -T {DEPENDENCY_MS} {folder} || exit 1\n");
        }
    }
    script += &open_files(registration);
    if registration.protocol == Protocol::Native {
        script += &format!("export {}={}\n", readiness::VARIABLE, readiness::DESCRIPTOR);
    }
    script + &service.execute(&program(registration), "")
}

/// The file for a program that is told to end. The process stays the same when the program is executed.
fn told(registration: &Registration) -> String {
    if registration.restart.policy == RestartPolicy::Always {
        return String::new();
    }
    let mut script = format!(": >{TOLD}\n");
    if let Account::User { name, .. } = &registration.account {
        script += &format!("owner=$(id -u {}) && chown \"$owner\" {TOLD} || exit 111\n", quoted(name));
    }
    script + &format!("export {}=\"$$ $PWD/{TOLD}\"\n", told::VARIABLE)
}

/// `log/run`: s6-log writes into files of a megabyte, keeps ten of them, and begins each line with the time.
pub(super) fn log(registration: &Registration, folder: &Path) -> String {
    format!("{}exec s6-log -b n10 s1000000 T {}\n", head("/bin/sh", registration), quoted(&text(folder)))
}

/// `finish`: it is run with the program's code, or 256 and the signal that ended it; the service's name; and the group of its
/// processes.
pub(super) fn finish(registration: &Registration) -> String {
    let mut script = head("/bin/sh", registration);
    if registration.children == Children::Ended {
        script += "kill -s KILL -- \"-$4\" 2>/dev/null\n";
    }
    script += "is_unwanted() { [ \"$(s6-svstat -o wantedup .)\" = false ]; }\n\
        if is_unwanted; then exit 0; fi\n";
    if registration.restart.policy != RestartPolicy::Always {
        script += &format!("if [ -s {TOLD} ]; then exit 0; fi\n");
    }
    let given_up = match registration.restart.policy {
        RestartPolicy::Always => None,
        RestartPolicy::OnFailure => Some("[ \"$1\" = 0 ]"),
        RestartPolicy::Never => Some("true"),
    };
    if let Some(condition) = given_up {
        script += &format!(
            "if {condition}; then\n    \
                 [ \"$1\" = 0 ] || : >supervise/failed\n    \
                 # s6-supervise does not start it again.\n    \
                 exit 125\n\
             fi\n"
        );
    }
    if registration.restart.policy != RestartPolicy::Never {
        let seconds = whole_seconds(registration.restart.delay);
        script += &format!(
            "seconds={seconds}\nwhile [ \"$seconds\" -gt 0 ] && ! is_unwanted; do\n    sleep 1\n    seconds=$((seconds - 1))\ndone\n\
             exit 0\n"
        );
    }
    script
}

/// Each other file, with its permissions and what is in it; `None`, where it must not be there.
pub(super) fn settings(service: &Executed<'_>) -> Vec<(&'static str, u32, Option<String>)> {
    let registration = service.registration;
    let descriptor = (registration.protocol == Protocol::Native).then(|| format!("{}\n", readiness::DESCRIPTOR));
    let down_signal = registration.stop_signal.as_deref().map(|name| format!("SIG{}\n", signal(name)));
    let kill = registration.stop_timeout.map(|timeout| format!("{}\n", timeout.as_millis().max(1)));
    vec![
        ("notification-fd", 0o644, descriptor),
        ("down-signal", 0o644, down_signal),
        ("timeout-kill", 0o644, kill),
        // `finish` waits until the program is to be started again, and ends by itself.
        ("timeout-finish", 0o644, Some("0\n".to_owned())),
        ("data/reload", 0o755, reload(service)),
    ]
}

fn reload(service: &Executed<'_>) -> Option<String> {
    let registration = service.registration;
    let script = head("/bin/sh", registration);
    let told = match registration.reload.as_ref()? {
        Reload::Signal(name) => {
            format!("kill -s {} \"$(s6-svstat -o pid \"${{0%/data/reload}}\")\"\n", signal(name))
        }
        Reload::Command(command) => service.beside(command) + "\n",
        Reload::Native => return None,
    };
    Some(script + &told)
}
