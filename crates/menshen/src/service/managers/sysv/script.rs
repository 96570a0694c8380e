//! The script of a service.
//!
//! The program becomes the leader of a session of its own, and the script notes its process and when that began: a number alone
//! may be another process's by now.

use std::path::PathBuf;

use super::super::shell::{Executed, mark, open_files, pid_file, program, signal, text, whole_seconds};
use super::super::{output, variables};
use crate::service::manager::ManagerKind;
use crate::service::name::ServiceName;
use crate::service::registration::{Children, Dependency, Registration, Reload};

/// The code of `status` where it does not run and was stopped.
pub(super) const STOPPED: i32 = 3;
/// The code of a verb that the script does not have.
pub(super) const UNIMPLEMENTED: i32 = 3;
/// The code of a verb for a service that runs, where it does not.
pub(super) const NOT_RUNNING: i32 = 7;
/// How many seconds a stop takes at most where nothing was asked for.
const STOP_SECONDS: u64 = 30;
/// How many tenths of a second a program has to fail at once.
const STARTED_TENTHS: u64 = 10;
/// How many tenths of a second the kernel has to let go of a process that was killed.
const GONE_TENTHS: u64 = 100;
/// Executes as the leader of a session. What a shell puts in the background it lets ignore two signals, which a program would
/// inherit.
const LEADER: &str = "env --default-signal=INT,QUIT setsid ";
/// Executes as another user, in all their groups.
const AS_USER: &str = "setpriv --reuid=\"$uid\" --regid=\"$gid\" --groups=\"$(echo \"$groups\" | tr ' ' ,)\" ";

/// Where what it writes is kept.
fn log_file(name: &ServiceName) -> PathBuf {
    output::file(&output::folder(ManagerKind::SysV, name))
}

/// Where its variables are.
pub(super) fn variables_file(name: &ServiceName) -> PathBuf {
    variables::file("/etc", name)
}

/// All of it.
pub(super) fn script(registration: &Registration) -> String {
    let variables = variables_file(&registration.name);
    let service = Executed { registration, variables: &variables, as_user: AS_USER };
    let parts = [
        header(registration),
        format!("pidfile={}\nlogfile={}\n\n", pid_file(&registration.name), text(&log_file(&registration.name))),
        RUNNING.to_owned(),
        end_group(registration),
        start(&service),
        stop(&service),
        reload(&service),
        VERBS.to_owned(),
    ];
    parts.concat()
}

fn header(registration: &Registration) -> String {
    let name = &registration.name;
    let needed = registration.depends_on.iter().filter_map(|dependency| match dependency {
        Dependency::Service(name) => Some(format!(" {name}")),
        Dependency::Network => Some(" $network".to_owned()),
        Dependency::Group(_) => None,
    });
    let needed: String = needed.collect();
    let short = registration.display_name.as_deref().unwrap_or(name.as_str());
    let long = registration.description.as_deref().unwrap_or(short);
    format!(
        "#!/bin/sh\n{}\n\
         ### BEGIN INIT INFO\n\
         # Provides:          {name}\n\
         # Required-Start:    $remote_fs $syslog{needed}\n\
         # Required-Stop:     $remote_fs $syslog{needed}\n\
         # Default-Start:     2 3 4 5\n\
         # Default-Stop:      0 1 6\n\
         # Short-Description: {short}\n\
         # Description:       {long}\n\
         ### END INIT INFO\n\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         export PATH\n",
        mark(name)
    )
}

const RUNNING: &str = "\
# When a process began, unless it has ended: field 22 of its `stat`, counted from behind its name.
begun() {
    stat=$(cat \"/proc/$1/stat\" 2>/dev/null) || return 1
    # Split on purpose.
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ \"$1\" != Z ] && echo \"${20}\"
}

# Whether the noted process is there, and still the same one.
running() {
    pid='' noted=''
    [ -r \"$pidfile\" ] && { read -r pid && read -r noted; } <\"$pidfile\" &&
        [ -n \"$noted\" ] && [ \"$(begun \"$pid\")\" = \"$noted\" ]
}

";

/// Ends what a program has left behind. As long as one of them lives, no process can have the number of their group; so
/// one that has it now shows that nobody is left.
fn end_group(registration: &Registration) -> String {
    match registration.children {
        Children::Kept => "end_group() { :; }\n\n".to_owned(),
        Children::Ended => format!(
            "end_group() {{\n    \
                 if [ -z \"$pid\" ] || [ -d \"/proc/$pid\" ]; then return 0; fi\n    \
                 tenths={GONE_TENTHS}\n    \
                 while kill -s KILL -- \"-$pid\" 2>/dev/null && [ \"$tenths\" -gt 0 ]; do\n        \
                     sleep 0.1\n        \
                     tenths=$((tenths - 1))\n    \
                 done\n\
             }}\n\n"
        ),
    }
}

fn start(service: &Executed<'_>) -> String {
    let registration = service.registration;
    let execute = open_files(registration) + &service.execute(&program(registration), LEADER);
    format!(
        "start() {{\n    \
             if running; then return 0; fi\n    \
             end_group\n    \
             # There are machines whose /var/log is empty after a boot.\n    \
             {{ mkdir -p \"${{logfile%/*/*}}\" && mkdir -m 0750 \"${{logfile%/*}}\"; }} 2>/dev/null\n    \
             # Where nothing can be kept of it, it runs all the same.\n    \
             (: >>\"$logfile\") 2>/dev/null || logfile=/dev/null\n\
         (\n{execute}) </dev/null >>\"$logfile\" 2>&1 &\n    \
             pid=$! leader=$!\n    \
             if ! printf '%s\\n%s\\n' \"$pid\" \"$(begun \"$pid\")\" >\"$pidfile\"; then\n        \
                 # Nobody could stop it.\n        \
                 kill -s KILL \"$pid\" \"-$pid\" 2>/dev/null\n        \
                 return 4\n    \
             fi\n    \
             # One that fails within its first second has not started.\n    \
             tenths={STARTED_TENTHS}\n    \
             while running && [ \"$tenths\" -gt 0 ]; do\n        \
                 sleep 0.1\n        \
                 tenths=$((tenths - 1))\n    \
             done\n    \
             if running; then return 0; fi\n    \
             wait \"$leader\"\n    \
             code=$?\n    \
             [ \"$code\" = 0 ] || echo \"it failed at once, with code $code\" >&2\n    \
             [ \"$code\" = 0 ]\n\
         }}\n\n"
    )
}

fn stop(service: &Executed<'_>) -> String {
    let registration = service.registration;
    let seconds = registration.stop_timeout.map_or(STOP_SECONDS, whole_seconds);
    let ask = match &registration.stop_command {
        Some(command) => service.aside(command),
        None => {
            format!("        kill -s {} \"$pid\"\n", signal(registration.stop_signal.as_deref().unwrap_or("SIGTERM")))
        }
    };
    let last = match registration.children {
        Children::Kept => "kill -s KILL \"$pid\"",
        Children::Ended => "kill -s KILL -- \"-$pid\"",
    };
    format!(
        "stop() {{\n    \
             if running; then\n\
         {ask}        \
                 tenths={tenths}\n        \
                 while running && [ \"$tenths\" -gt 0 ]; do\n            \
                     sleep 0.1\n            \
                     tenths=$((tenths - 1))\n        \
                 done\n        \
                 if running; then {last}; fi\n        \
                 # init has to have seen it end, too.\n        \
                 tenths={GONE_TENTHS}\n        \
                 while [ -d \"/proc/$pid\" ] && [ \"$tenths\" -gt 0 ]; do\n            \
                     sleep 0.1\n            \
                     tenths=$((tenths - 1))\n        \
                 done\n        \
                 if running; then\n            \
                     echo 'it does not end, although it was killed' >&2\n            \
                     return 1\n        \
                 fi\n    \
             fi\n    \
             end_group\n    \
             rm -f \"$pidfile\"\n\
         }}\n\n",
        tenths = seconds * 10
    )
}

fn reload(service: &Executed<'_>) -> String {
    let told = match &service.registration.reload {
        Some(Reload::Signal(name)) => format!("    kill -s {} \"$pid\"\n", signal(name)),
        // Its own codes have another meaning here.
        Some(Reload::Command(command)) => service.beside(command) + " || return 1\n",
        Some(Reload::Native) | None => return format!("reload() {{ return {UNIMPLEMENTED}; }}\n\n"),
    };
    format!("reload() {{\n    running || return {NOT_RUNNING}\n{told}}}\n\n")
}

/// The verbs and codes of LSB.
const VERBS: &str = "\
status() {
    if running; then
        echo 'running'
    elif [ -e \"$pidfile\" ]; then
        echo 'dead, and nobody stopped it'
        return 1
    else
        echo 'stopped'
        return 3
    fi
}

case $1 in
    start | stop | reload | status) \"$1\" ;;
    restart | force-reload) stop && start ;;
    try-restart) if running; then stop && start; fi ;;
    *)
        echo \"usage: $0 start|stop|restart|try-restart|reload|force-reload|status\" >&2
        exit 2
        ;;
esac
";
