//! This machine, as far as definitions speak of it.
//!
//! Many services run the same program, in the same folder, as the same user: each is looked at once.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::hash::Hash;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use menshen_os::error::describe;
use menshen_os::output::{EventLog, JournalSocket};
use menshen_os::{account, file};
use menshen_plan::Facts;
use menshen_plan::definition::AlsoLog;
use menshen_plan::facts::{FileLook, Logon, Look, System, User};

/// The longest env file or credential taken, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// The longest `#!` line the kernel reads, in bytes.
const INTERPRETER_BYTES_MAX: usize = 256;

/// The machine the guard runs on, as it was found when it was first asked: one for each time a definition is read.
#[derive(Debug, Default)]
pub struct ThisMachine {
    looks: Memo<PathBuf, Look>,
    programs: Memo<(String, String), Option<PathBuf>>,
    users: Memo<String, Option<User>>,
    groups: Memo<String, bool>,
    is_root: OnceCell<bool>,
}

impl Facts for ThisMachine {
    fn read(&self, path: &Path) -> Result<String, String> {
        let read = || {
            let mut text = String::new();
            fs::File::open(path)?.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text).map(|_| text)
        };
        let text = read().map_err(|error| describe(&error))?;
        if text.len() as u64 > TEXT_BYTES_MAX { Err("it is larger than 1 MiB".to_owned()) } else { Ok(text) }
    }

    fn look(&self, path: &Path) -> Look {
        self.looks.recall(path.to_owned(), || look(path))
    }

    fn find_program(&self, name: &str, path_variable: &str) -> Option<PathBuf> {
        self.programs.recall((name.to_owned(), path_variable.to_owned()), || find_program(name, path_variable))
    }

    fn program_file(&self, path: &Path) -> PathBuf {
        let written = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let meant = file::program_names(written).into_iter().map(|name| path.with_file_name(name));
        let is_there = |path: &PathBuf| matches!(self.look(path), Look::File(_));
        std::iter::once(path.to_owned()).chain(meant).find(is_there).unwrap_or_else(|| path.to_owned())
    }

    fn user(&self, account: &str) -> Option<User> {
        self.users.recall(account.to_owned(), || {
            let user = account::find(account)?;
            let logon = match account::logon_of(&user, account) {
                account::Logon::Own => Logon::Own,
                account::Logon::Rights => Logon::Rights,
                account::Logon::Password => Logon::Password,
            };
            Some(User { is_root: user.is_root(), name: user.name, home: user.home, shell: user.shell, logon })
        })
    }

    fn has_group(&self, account: &str) -> bool {
        self.groups.recall(account.to_owned(), || account::group_id(account).is_some())
    }

    fn system(&self) -> System {
        match menshen_os::host::KIND {
            menshen_os::host::Kind::Unix => System::Unix,
            menshen_os::host::Kind::Windows => System::Windows,
        }
    }

    fn is_root(&self) -> bool {
        *self.is_root.get_or_init(|| account::current().is_root())
    }

    fn has_log(&self, place: AlsoLog) -> bool {
        match place {
            AlsoLog::Journald => Path::new(JournalSocket::PATH).exists(),
            AlsoLog::Eventlog => EventLog::IS_HERE,
            AlsoLog::Stdout => true,
        }
    }

    fn digest(&self, path: &Path) -> Option<u64> {
        fs::read(path).ok().map(|bytes| menshen_plan::fingerprint::digest(&bytes))
    }
}

/// What was found for each thing that was asked about.
#[derive(Debug)]
struct Memo<K, V>(RefCell<HashMap<K, V>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    fn recall(&self, key: K, find: impl FnOnce() -> V) -> V {
        self.0.borrow_mut().entry(key).or_insert_with(find).clone()
    }
}

fn look(path: &Path) -> Look {
    match file::look(path) {
        file::Look::Missing => Look::Missing,
        file::Look::Unreadable(why) => Look::Unreadable(why),
        file::Look::Directory => Look::Directory,
        file::Look::File { executable, world_writable, world_readable } => {
            let interpreter = executable.then(|| interpreter(path)).flatten();
            Look::File(FileLook { executable, world_writable, world_readable, interpreter })
        }
    }
}

fn find_program(name: &str, path_variable: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| matches!(file::look(path), file::Look::File { executable: true, .. });
    let names = file::program_names(name);
    std::env::split_paths(path_variable)
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>())
        .find(is_program)
}

/// The program the first line of a script names.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut head = [0; INTERPRETER_BYTES_MAX];
    let count = fs::File::open(path).ok()?.read(&mut head).ok()?;
    let line = head[..count].strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    // A carriage return stays: it is part of the name the kernel looks for, and the reason why it finds nothing.
    line.trim_start_matches([' ', '\t'])
        .split([' ', '\t'])
        .next()
        .filter(|name| name.starts_with('/'))
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_interpreter_of_a_script_is_read_from_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        for (text, expected) in [
            ("#!/bin/sh\n", Some("/bin/sh")),
            ("#! /usr/bin/env python3\nx", Some("/usr/bin/env")),
            ("echo", None),
            ("#!\n", None),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            let Look::File(look) = look(&path) else { panic!("a file is a file") };
            assert_eq!(look.interpreter, expected.map(PathBuf::from), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_is_too_large_or_not_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert_eq!(ThisMachine::default().read(&path), Err("it is larger than 1 MiB".to_owned()));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(ThisMachine::default().read(&path).is_err());
        assert_eq!(ThisMachine::default().read(&folder.path().join("x")), Err("no such file or directory".to_owned()));
    }

    #[test]
    fn a_program_is_found_in_the_folders_of_path() {
        assert!(find_program("sh", "/nowhere:/bin").is_some());
        assert_eq!(find_program("sh", "/nowhere"), None);
        assert_eq!(find_program("no-such-program", "/bin"), None);
    }

    #[test]
    fn what_was_found_once_is_not_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let machine = ThisMachine::default();
        assert_eq!(machine.look(&folder.path().join("x")), Look::Missing);
        fs::write(folder.path().join("x"), "").unwrap();
        assert_eq!(machine.look(&folder.path().join("x")), Look::Missing);
        assert!(matches!(ThisMachine::default().look(&folder.path().join("x")), Look::File(_)));
    }
}
