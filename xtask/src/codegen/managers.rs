//! The page that says what each service manager honours. The table is asked of the managers themselves.

use std::fmt::Write as _;

use menshen::service::{ManagerKind, RegistrationOption, ServiceManager, managers};

const HEAD: &str = "\
# Service managers

What can be asked of a service manager is told in `crates/menshen/src/service/registration.rs`. What a manager cannot do, it
refuses by name before anything is touched; nothing is dropped. Below, *yes* is honoured and – is refused, with the reasons after
the table. Services of the machine are meant, and the newest version known.

";

const BELOW: &str = "
All of them pass on a program's arguments and environment exactly, whatever is in them, and install and uninstall whole or not at
all. An installed service is not started by that; it is at the next boot, or when it is told to.
";

pub(super) fn page() -> String {
    let managers: Vec<Box<dyn ServiceManager>> = ManagerKind::ALL.into_iter().map(managers::assumed).collect();
    let mut page = HEAD.to_owned();
    let names: String = managers.iter().map(|manager| format!(" {} |", manager.kind())).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(page, "| option |{names}\n|---|{}", "---|".repeat(managers.len()));
    for option in RegistrationOption::ALL {
        let cells = managers.iter().map(|manager| if manager.honours(*option).is_ok() { " yes |" } else { " – |" });
        let _ = writeln!(page, "| {} |{}", option.name(), cells.collect::<String>());
    }
    page += BELOW;
    for manager in &managers {
        let _ = write!(page, "\n## {}\n\n{}\n\nRefused:\n\n", manager.kind(), note(manager.kind()));
        for (why, options) in reasons(&**manager) {
            let _ = writeln!(page, "- {}: {why}", options.join(", "));
        }
    }
    page
}

/// Each reason with the options that are refused for it, in their order.
fn reasons(manager: &dyn ServiceManager) -> Vec<(&'static str, Vec<String>)> {
    let mut reasons: Vec<(&'static str, Vec<String>)> = Vec::new();
    for option in RegistrationOption::ALL {
        let Err(why) = manager.honours(*option) else { continue };
        let name = format!("`{}`", option.name());
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, options)) => options.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    reasons
}

fn note(kind: ManagerKind) -> &'static str {
    match kind {
        ManagerKind::Systemd => {
            "Units in `/etc/systemd/system`, or the user's `systemd/user`; it is spoken to over D-Bus. The life cycle is tested \
             against a real systemd 257."
        }
        ManagerKind::Scm => "By the functions of Windows. The life cycle is tested against Wine's manager.",
        ManagerKind::Launchd => {
            "A property list in `/Library/LaunchDaemons`, or the user's `Library/LaunchAgents`. A job is loaded when it is \
             started and unloaded when it is stopped. Property lists are tested with libplist's `plistutil`; launchd itself has \
             not been seen to run them. A program takes its sockets with `launch_activate_socket`. What it writes goes into \
             `Library/Logs/menshen/NAME/current`, the machine's or the user's, which nobody shortens; uninstalling removes it."
        }
        ManagerKind::OpenRc => {
            "A script in `/etc/init.d` and a link in the run level `default`. A service that is restarted is given to \
             `supervise-daemon`, another to `start-stop-daemon`; what it writes goes into `/var/log/openrc/NAME/current`, of \
             which logrotate is told in `/etc/logrotate.d`, and uninstalling removes both. Its variables are in \
             `/etc/menshen/environment/NAME`, which only root can read. When it is stopped, what is left of its process group is \
             ended; when it crashes, that is left. For the network it waits where a service brings that up (`want net`). One that \
             is not restarted is *failed* when it ended by itself, whatever its code was. On a machine with much to do \
             `rc-service` may never see its script end; its `status` is asked again then. The life cycle is tested against OpenRC \
             0.56."
        }
        ManagerKind::SysV => {
            "A script in `/etc/init.d`, with links by Debian's `update-rc.d`. It notes the process and when that began in \
             `/run/menshen.NAME.pid`, so that no other is ever taken for it. Its variables are in \
             `/etc/menshen/environment/NAME`, which only root can read. A service that ended by itself is *failed*, whatever its \
             code was, until it is stopped or started: nobody waits for it, so nobody hears the code. The life cycle is tested \
             against Debian's sysvinit 3.14. What a program writes goes into `/var/log/sysv/NAME/current`, of which logrotate is \
             told in `/etc/logrotate.d`; uninstalling removes both."
        }
        ManagerKind::Runit => {
            "A folder in `/etc/sv` with a link in `/etc/service` (or `/var/service`, `/service`). `finish` ends what is left of the \
             process group, waits, and has runsv give up what is not to be restarted. The link stays for as long as the service is \
             installed, so that what runs goes on when it is disabled: `start = disabled` is kept in a file of ours, and `sv` would start \
             it all the same. Its variables are in `variables`, which only root can read. What a program writes svlogd keeps in \
             `/var/log/runit/NAME`, ten old files of a megabyte; uninstalling removes them. The life cycle is tested against runit 2.2."
        }
        ManagerKind::S6 => {
            "A folder in `/etc/s6/sv` with a link in the folder that s6-svscan scans and, where s6-linux-init makes that at boot, \
             in its image: elsewhere it has to survive a boot itself. The link stays for as long as the service is installed, so that what \
             runs goes on when it is disabled: `start = disabled` is kept in a file of ours, and `s6-svc` would start it all the same. \
             Its variables are in `variables`, which only root can read. What a program writes s6-log keeps in `/var/log/s6/NAME`, ten \
             old files of a megabyte; uninstalling removes them. With `protocol = native` the descriptor for readiness is in \
             `MENSHEN_READY_FD`. `s6-svc -r` looks like an end of the program's own: unless `restart` is `always`, a program that \
             then ends with 0 is not run again, but for one that writes into the file which `MENSHEN_TOLD` names, as the library \
             and a guard do. The life cycle is tested against s6 2.13, with and without readiness."
        }
        ManagerKind::Dinit => {
            "A description in `/etc/dinit.d`, or the user's `dinit.d`, with a link in the folder that `boot` waits for. Its \
             variables are in `variables.d/NAME` beside it, which only dinit's user can read; a line end cannot be in them. With \
             `protocol = native` the pipe for readiness is in `MENSHEN_READY_FD`. What a program writes goes into \
             `/var/log/dinit/NAME/current`, of which logrotate is told in `/etc/logrotate.d`, or the user's \
             `.local/state/dinit/NAME/current`, which nobody shortens; uninstalling removes it. dinit makes no folder: where \
             `/var/log` is emptied at boot, have that one made first. No package of Debian has dinit, so the \
             tests only read descriptions back by its documented rules."
        }
        ManagerKind::FreeBsdRc => {
            "A script in `/usr/local/etc/rc.d` that gives the program to daemon(8), and a variable in `rc.conf`. The service's \
             own variables are in `/usr/local/etc/menshen/environment/NAME`, which only root can read. What a program writes goes \
             into `/var/log/freebsd-rc/NAME/current`, of which newsyslog(8) is told in `/usr/local/etc/newsyslog.conf.d`; \
             uninstalling removes both. daemon(8) must know `-H`, as from FreeBSD 14 on. The script is tested with a shell; \
             FreeBSD itself has not been seen to run it."
        }
    }
}
