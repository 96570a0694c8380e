//! The script of a service, for rc.subr(8).
//!
//! rc.subr would evaluate a command once more, so the program is started by a function of the script's own. What is noted in
//! the first file is daemon(8), which passes a stop on; in the second, the program.

use std::path::{Path, PathBuf};

use super::super::shell::{command_line, directory, mark, open_files, program, quoted, signal, text, whole_seconds};
use super::super::{output, variables};
use crate::service::manager::ManagerKind;
use crate::service::name::ServiceName;
use crate::service::registration::{Account, Dependency, Registration, Reload, RestartPolicy, StartType};

/// How a script says that its service is not started at boot, and how that it is.
const BY_HAND: &str = "# KEYWORD: nostart shutdown";
const AT_BOOT: &str = "# KEYWORD: shutdown";
/// The third line of a script that has something for a reload. Further down it might be in a text.
const RELOADED: &str = "# It can be reloaded.";

/// Whether a script has something for a reload.
pub(in super::super) fn is_reloaded(script: &str) -> bool {
    script.lines().nth(2) == Some(RELOADED)
}

/// Whether the service of a script is not started at boot. Texts come after the lines for rcorder(8).
pub(in super::super) fn is_by_hand(script: &str) -> bool {
    script.lines().find(|line| line.starts_with("# KEYWORD:")) == Some(BY_HAND)
}

/// A service's name as rc.conf has it, where names are those of a shell's variables.
pub(super) fn variable(name: &ServiceName) -> String {
    let text = name.as_str().replace(['-', '.'], "_");
    if text.starts_with(|first: char| first.is_ascii_digit()) { format!("_{text}") } else { text }
}

/// Where daemon(8) notes itself.
pub(super) fn pid_file(name: &ServiceName) -> String {
    format!("/var/run/{name}.pid")
}

/// Where daemon(8) notes the program's process.
pub(super) fn child_file(name: &ServiceName) -> String {
    format!("/var/run/{name}.child.pid")
}

/// Where its variables are. What `NAME_env_file` names rc.subr reads for whoever asks how a service is, too.
pub(super) fn variables_file(name: &ServiceName) -> PathBuf {
    variables::file("/usr/local/etc", name)
}

/// What newsyslog(8) is told of the file in a folder: its mode, how many old ones are kept, from how many kilobytes on another is
/// begun, and whom it tells so by SIGHUP.
pub(super) fn rotation(name: &ServiceName, folder: &Path) -> String {
    let (mark, file, pid) = (mark(name), text(&output::file(folder)), pid_file(name));
    let (count, kilobytes) = (output::FILES_KEPT, output::BYTES_MAX / 1000);
    format!("{mark}\n{file} 640 {count} {kilobytes} * - {pid} 1\n")
}

/// All of it.
pub(super) fn script(registration: &Registration) -> String {
    let (name, variable) = (&registration.name, variable(&registration.name));
    let needed = registration.depends_on.iter().filter_map(|dependency| match dependency {
        Dependency::Service(name) => Some(format!(" {name}")),
        Dependency::Network => Some(" NETWORKING".to_owned()),
        Dependency::Group(_) => None,
    });
    let needed: String = needed.collect();
    let keyword = match registration.start {
        StartType::Manual => BY_HAND,
        StartType::Auto | StartType::Delayed | StartType::Disabled => AT_BOOT,
    };
    let reloaded = if registration.reload.is_some() { format!("{RELOADED}\n") } else { String::new() };
    let description = registration.description.as_ref().or(registration.display_name.as_ref());
    let description = quoted(description.map_or(name.as_str(), String::as_str));
    format!(
        "#!/bin/sh\n{}\n{reloaded}\
         # PROVIDE: {name}\n\
         # REQUIRE: LOGIN{needed}\n\
         {keyword}\n\n\
         . /etc/rc.subr\n\n\
         name={variable}\n\
         desc={description}\n\
         rcvar={variable}_enable\n\
         pidfile={pid}\n\
         childfile={child}\n\
         procname=/usr/sbin/daemon\n\
         start_cmd=start_program\n{reload}\n\
         {start}\n\
         load_rc_config \"$name\"\n\
         : \"${{{variable}_enable:=NO}}\"\n\
         run_rc_command \"$1\"\n",
        mark(name),
        pid = pid_file(name),
        child = child_file(name),
        reload = reload(registration),
        start = start(registration),
    )
}

fn start(registration: &Registration) -> String {
    let folder = output::folder(ManagerKind::FreeBsdRc, &registration.name);
    let above = folder.parent().map(text).unwrap_or_default();
    let (log, folder) = (text(&output::file(&folder)), text(&folder));
    let mut daemon = format!("/usr/sbin/daemon -f -H -o {log} -P \"$pidfile\" -p \"$childfile\"");
    if registration.restart.policy != RestartPolicy::Never {
        daemon += &format!(" -R {}", whole_seconds(registration.restart.delay).max(1));
    }
    if let Account::User { name, group: _, password: _ } = &registration.account {
        daemon += &format!(" -u {}", quoted(name));
    }
    let words = command_line(&variables::executed(registration, &program(registration)));
    let directory = quoted(&directory(registration));
    let handed_on = variables::hand_on(&variables_file(&registration.name), registration, "exit 1");
    let open_files = open_files(registration);
    // There are machines whose /var/log is empty after a boot.
    let made = format!("[ -d {folder} ] || {{ mkdir -p {above} && mkdir -m 0750 {folder}; }} || exit 1\n");
    format!("start_program()\n{{\n{open_files}cd {directory} || exit 1\n{made}{handed_on}{daemon} {words}\n}}\n")
}

fn reload(registration: &Registration) -> String {
    match &registration.reload {
        Some(Reload::Signal(name)) => {
            let signal = signal(name);
            format!(
                "reload_cmd=reload_program\nextra_commands=reload\n\nreload_program()\n{{\nkill -s {signal} \"$(cat \"$childfile\")\"\n}}\n"
            )
        }
        Some(Reload::Command(_) | Reload::Native) | None => String::new(),
    }
}
