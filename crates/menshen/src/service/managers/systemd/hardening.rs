//! What each level of hardening takes away, in systemd's words.

use std::path::Path;

use crate::service::registration::{Children, HardeningLevel, Registration};

/// What hardly any service needs.
const STANDARD: [(&str, &str); 10] = [
    ("NoNewPrivileges", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("RestrictRealtime", "yes"),
    ("LockPersonality", "yes"),
    ("SystemCallArchitectures", "native"),
];

/// What many services do not need either.
const STRICT: [(&str, &str); 13] = [
    ("PrivateTmp", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ("RestrictNamespaces", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
    ("RemoveIPC", "yes"),
    ("UMask", "0077"),
];

/// Folders that `ProtectHome=` is about.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// The settings of a service's level.
pub(super) fn settings(registration: &Registration) -> Vec<(&'static str, String)> {
    let own = |settings: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let mut settings = match registration.hardening.level {
        HardeningLevel::None => return Vec::new(),
        HardeningLevel::Standard => {
            let folders = own(&[("ProtectSystem", "full"), ("ProtectHome", "read-only")]);
            [folders, own(&STANDARD)].concat()
        }
        HardeningLevel::Strict => {
            let home = if lives_in_a_home(registration) { "read-only" } else { "yes" };
            let folders = own(&[("ProtectSystem", "strict"), ("ProtectHome", home)]);
            [folders, own(&STANDARD), own(&STRICT)].concat()
        }
    };
    match registration.children {
        Children::Ended => settings.extend(own(&[("ProtectControlGroups", "yes")])),
        // What looks after its children itself does so in control groups.
        Children::Kept => {}
    }
    let writable = &registration.hardening.writable;
    if !writable.is_empty() {
        let words: Vec<String> =
            writable.iter().map(|path| super::quote::setting_word(&path.to_string_lossy())).collect();
        settings.push(("ReadWritePaths", words.join(" ")));
    }
    settings
}

/// A program that cannot see its own folder cannot be executed.
fn lives_in_a_home(registration: &Registration) -> bool {
    let is_home = |path: &Path| HOMES.iter().any(|home| path.starts_with(home));
    let paths = registration.directory.iter().chain(&registration.hardening.writable);
    is_home(&registration.program) || paths.into_iter().any(|path| is_home(path))
}
