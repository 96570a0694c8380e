//! The folders of Windows.

use std::path::{Path, PathBuf};

use super::Paths;

/// The path whose encoded bytes (`OsStr::as_encoded_bytes`) these are; `None` if they are of none, or of one that is no text.
#[must_use]
pub fn from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// The folder that has all of the machine's own.
pub(crate) fn of_machine() -> PathBuf {
    let data = std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from);
    data.join("menshen")
}

pub(super) fn of_system() -> Paths {
    let below = |name: &str| of_machine().join(name);
    Paths { definitions: below("definitions"), run: below("run"), state: below("state"), logs: below("logs") }
}

/// Nobody sees processes of a container from outside it.
pub(super) const fn container() -> Option<u64> {
    None
}

/// Administrators and services have the machine's folders, everybody else their own.
pub(super) fn of_caller(environment: &dyn Fn(&str) -> Option<String>) -> Paths {
    if crate::account::current().is_root() {
        return of_system();
    }
    let local = environment("LOCALAPPDATA").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = local.unwrap_or_else(|| crate::account::current().home.join(r"AppData\Local")).join("menshen");
    Paths {
        definitions: home.join("definitions"),
        run: home.join("run"),
        state: home.join("state"),
        logs: home.join("logs"),
    }
}

/// Where the profile of an account is, or will be, only a logon tells.
pub(super) fn of_account(_account: &str) -> Option<Paths> {
    None
}

/// The name of a guard's control pipe. Pipes have one space of names for the whole machine, so that of a guard whose folders
/// are elsewhere has a number of them.
pub(super) fn control(run: &Path, instance: &str) -> PathBuf {
    if run == of_system().run {
        return format!(r"\\.\pipe\menshen-{instance}").into();
    }
    let folder = run.as_os_str().to_string_lossy().to_lowercase().replace('/', r"\");
    format!(r"\\.\pipe\menshen-{instance}-{:016x}", crate::hash::of(folder.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_of_one_name_in_different_folders_have_different_pipes() {
        let one = control(Path::new(r"C:\one"), "shop");
        assert_ne!(one, control(Path::new(r"C:\two"), "shop"));
        assert_eq!(one, control(Path::new(r"c:/ONE"), "shop"));
    }
}
