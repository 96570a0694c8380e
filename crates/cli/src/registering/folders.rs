//! Folders that are made for what is installed, and go with the last of it.

use std::fs;
use std::path::{Path, PathBuf};

use menshen_os::paths::Paths;

use crate::definition::{home, paths};

/// Removes the folder that something was in and those above it, as far as there is nothing else in them.
pub(crate) fn remove_empty_above(path: &Path) {
    let own_home = std::env::var_os("HOME").filter(|_| home().is_none()).map(PathBuf::from);
    let ours = made_for(path, &paths(), own_home.as_deref());
    // One that is not empty is of use to somebody, and so are those above it.
    let _ = ours.into_iter().try_for_each(fs::remove_dir);
}

/// The folders above a path that may have been made for it, the innermost first: menshen's own, and above those what is in the
/// caller's home, such as `.config`. What every system has is nobody's to remove.
fn made_for<'a>(path: &'a Path, paths: &Paths, own_home: Option<&Path>) -> Vec<&'a Path> {
    let roots = [&paths.definitions, &paths.state, &paths.logs];
    let is_ours = |folder: &&Path| {
        let is_below_home = own_home.is_some_and(|home| folder.starts_with(home) && *folder != home);
        roots.into_iter().any(|root| folder.starts_with(root) || (is_below_home && root.starts_with(folder)))
    };
    path.ancestors().skip(1).take_while(is_ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_that_were_made_for_it_go() {
        let system = Paths {
            definitions: "/etc/menshen".into(),
            run: "/run/menshen".into(),
            state: "/var/lib/menshen".into(),
            logs: "/var/log/menshen".into(),
        };
        let of = |path: &'static str, paths: &Paths, home: Option<&Path>| {
            made_for(Path::new(path), paths, home)
                .into_iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        let root = Some(Path::new("/root"));
        assert_eq!(of("/etc/menshen/web.toml", &system, root), ["/etc/menshen"]);
        assert_eq!(
            of("/var/lib/menshen/installed/web.json", &system, root),
            ["/var/lib/menshen/installed", "/var/lib/menshen"]
        );
        assert_eq!(of("/root/shop/menshen.toml", &system, root), Vec::<String>::new());
        let own = Paths {
            definitions: "/users/ann/.config/menshen".into(),
            run: "/run/user/1000/menshen".into(),
            state: "/users/ann/.local/state/menshen".into(),
            logs: "/users/ann/.local/state/menshen/logs".into(),
        };
        let ann = Some(Path::new("/users/ann"));
        assert_eq!(
            of("/users/ann/.config/menshen/web.toml", &own, ann),
            ["/users/ann/.config/menshen", "/users/ann/.config"]
        );
        assert_eq!(
            of("/users/ann/.local/state/menshen/logs/web", &own, ann),
            [
                "/users/ann/.local/state/menshen/logs",
                "/users/ann/.local/state/menshen",
                "/users/ann/.local/state",
                "/users/ann/.local"
            ]
        );
        // Moved below one folder, which is somebody's own.
        let moved = Paths::below(Path::new("/users/ann/moved"));
        assert_eq!(of("/users/ann/moved/etc/web.toml", &moved, None), ["/users/ann/moved/etc"]);
    }
}
