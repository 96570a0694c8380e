//! Which service manager a machine has, by facts: what has booted it, not what happens to be installed.
//!
//! A container in which nothing manages services has none, and is taken for none: neither because the program of some manager
//! is there, nor because a folder of the machine around it is shared with it.

use std::path::Path;

use super::manager::ManagerKind;

/// The service manager of this machine.
#[must_use]
pub fn detect() -> Option<ManagerKind> {
    detect_by(&ThisMachine)
}

/// What there is to know of a machine.
pub trait Facts {
    /// Its operating system, as in [`std::env::consts::OS`].
    fn system(&self) -> &str;

    /// The name of the first process; `None` where it cannot be seen.
    fn first_process(&self) -> Option<String>;

    /// Whether something is there.
    fn exists(&self, path: &str) -> bool;
}

/// The service manager of a machine of which these are the facts.
#[must_use]
pub fn detect_by(facts: &dyn Facts) -> Option<ManagerKind> {
    match facts.system() {
        "windows" => Some(ManagerKind::Scm),
        "macos" => Some(ManagerKind::Launchd),
        "freebsd" => Some(ManagerKind::FreeBsdRc),
        "linux" => detect_on_linux(facts),
        _ => None,
    }
}

/// Each manager says that it has booted the machine by something below `/run`, and is its first process; where that one cannot
/// be seen, the sign is all there is.
const SIGNS: [Sign; 6] = [
    Sign { kind: ManagerKind::Systemd, first: &["systemd", "init"], all_of: &["/run/systemd/system"], any_of: &[] },
    // Whatever is the first process: OpenRC only starts services.
    Sign {
        kind: ManagerKind::OpenRc,
        first: &["init", "openrc-init"],
        all_of: &["/run/openrc/softlevel"],
        any_of: &[],
    },
    Sign {
        kind: ManagerKind::Runit,
        first: &["runit", "runsvdir"],
        all_of: &[],
        any_of: &["/etc/runit", "/etc/service"],
    },
    Sign { kind: ManagerKind::S6, first: &["s6-svscan"], all_of: &[], any_of: &["/run/service", "/run/s6", "/etc/s6"] },
    Sign {
        kind: ManagerKind::Dinit,
        first: &["dinit", "init"],
        all_of: &["/etc/dinit.d", "/run/dinitctl"],
        any_of: &[],
    },
    Sign {
        kind: ManagerKind::SysV,
        first: &["init"],
        all_of: &["/etc/inittab", "/etc/init.d"],
        any_of: &["/usr/sbin/update-rc.d", "/sbin/chkconfig", "/usr/sbin/chkconfig"],
    },
];

/// By what a manager is known.
struct Sign {
    kind: ManagerKind,
    /// What the first process may be called.
    first: &'static [&'static str],
    all_of: &'static [&'static str],
    any_of: &'static [&'static str],
}

fn detect_on_linux(facts: &dyn Facts) -> Option<ManagerKind> {
    let first = facts.first_process();
    let is_so = |sign: &&Sign| {
        let is_first = match &first {
            Some(name) => sign.first.contains(&name.as_str()),
            None => sign.all_of.iter().any(|path| path.starts_with("/run/")),
        };
        let any = sign.any_of.is_empty() || sign.any_of.iter().any(|path| facts.exists(path));
        is_first && any && sign.all_of.iter().all(|path| facts.exists(path))
    };
    SIGNS.iter().find(is_so).map(|sign| sign.kind)
}

/// The machine that this runs on.
#[derive(Debug, Clone, Copy)]
struct ThisMachine;

impl Facts for ThisMachine {
    fn system(&self) -> &str {
        std::env::consts::OS
    }

    fn first_process(&self) -> Option<String> {
        std::fs::read_to_string("/proc/1/comm").ok().map(|name| name.trim_end().to_owned())
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system, its first process, what is there, and which manager that is.
    type Row = (&'static str, Option<&'static str>, &'static [&'static str], Option<ManagerKind>);

    struct Told {
        system: &'static str,
        first: Option<&'static str>,
        there: &'static [&'static str],
    }

    impl Facts for Told {
        fn system(&self) -> &str {
            self.system
        }

        fn first_process(&self) -> Option<String> {
            self.first.map(str::to_owned)
        }

        fn exists(&self, path: &str) -> bool {
            self.there.contains(&path)
        }
    }

    #[test]
    fn a_manager_is_known_by_what_it_has_booted() {
        use ManagerKind as K;
        const DEBIAN: &[&str] = &["/etc/init.d", "/usr/sbin/update-rc.d", "/etc/inittab"];
        #[rustfmt::skip]
        let rows: [Row; 18] = [
            ("windows", None, &[], Some(K::Scm)),
            ("macos", Some("launchd"), &[], Some(K::Launchd)),
            ("freebsd", Some("init"), &[], Some(K::FreeBsdRc)),
            ("openbsd", Some("init"), DEBIAN, None),
            ("linux", Some("systemd"), &["/run/systemd/system", "/etc/init.d"], Some(K::Systemd)),
            ("linux", Some("init"), &["/run/systemd/system"], Some(K::Systemd)),
            ("linux", None, &["/run/systemd/system"], Some(K::Systemd)),
            ("linux", Some("init"), &["/run/openrc/softlevel", "/etc/inittab", "/etc/init.d"], Some(K::OpenRc)),
            ("linux", Some("openrc-init"), &["/run/openrc/softlevel"], Some(K::OpenRc)),
            ("linux", Some("runit"), &["/etc/runit"], Some(K::Runit)),
            ("linux", Some("runsvdir"), &["/etc/service"], Some(K::Runit)),
            ("linux", Some("s6-svscan"), &["/run/service"], Some(K::S6)),
            ("linux", Some("dinit"), &["/etc/dinit.d", "/run/dinitctl"], Some(K::Dinit)),
            ("linux", Some("init"), DEBIAN, Some(K::SysV)),
            // An init that reads no inittab, such as that of some container tool.
            ("linux", Some("init"), &["/etc/init.d", "/usr/sbin/update-rc.d"], None),
            // It is installed, and has booted nothing.
            ("linux", Some("bash"), &["/etc/runit", "/etc/service", "/run/service", "/etc/dinit.d"], None),
            ("linux", None, DEBIAN, None),
            ("linux", None, &["/etc/runit", "/etc/s6"], None),
        ];
        for (system, first, there, kind) in rows {
            assert_eq!(detect_by(&Told { system, first, there }), kind, "{system} {first:?} {there:?}");
        }
    }

    #[test]
    fn a_container_is_mistaken_for_nothing() {
        let shared =
            ["/run/systemd/system", "/run/openrc/softlevel", "/etc/init.d", "/etc/inittab", "/usr/sbin/update-rc.d"];
        for first in ["sh", "tini", "docker-init", "node", "sleep", "dumb-init", "menshen"] {
            for there in [[].as_slice(), &shared] {
                let told =
                    Told { system: "linux", first: Some(first), there: Box::leak(there.to_vec().into_boxed_slice()) };
                assert_eq!(detect_by(&told), None, "{first} {there:?}");
            }
        }
    }
}
