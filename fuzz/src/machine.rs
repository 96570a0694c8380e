//! A machine made of facts: enough of everything that each rule can find something and nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use menshen_plan::Facts;
use menshen_plan::definition::AlsoLog;
use menshen_plan::facts::{FileLook, Logon, Look, System, User};

/// A secret nobody writes by accident. It comes from the environment and from credential files, never from a definition.
pub const SECRET: &str = "w4Kq-not-to-be-shown-9Zt";

/// The folder definitions are in.
pub const FOLDER: &str = "/opt/shop";

/// The machine.
#[derive(Debug, Default)]
pub struct Machine {
    /// What is in every env file.
    pub env_file: String,
}

/// The environment placeholders are looked up in.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    [("PATH", "/usr/bin"), ("PORT", "8080"), ("EMPTY", ""), ("TEN", "10s"), ("WORDS", "a 'b c"), ("API_TOKEN", SECRET)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

impl Facts for Machine {
    fn read(&self, path: &Path) -> Result<String, String> {
        let name = path.to_string_lossy();
        if name.ends_with("env") {
            Ok(self.env_file.clone())
        } else if name.ends_with("db") {
            Ok(format!("{SECRET}\n"))
        } else {
            Err("no such file".to_owned())
        }
    }

    fn look(&self, path: &Path) -> Look {
        let program = FileLook { executable: true, ..FileLook::default() };
        match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
            "shop" | "log" => Look::Directory,
            "readme.txt" => Look::File(FileLook::default()),
            "db" => Look::File(FileLook { world_readable: true, ..FileLook::default() }),
            "open" => Look::File(FileLook { world_writable: true, ..program }),
            "report.py" => Look::File(FileLook { interpreter: Some("/usr/bin/python3".into()), ..program }),
            "locked" => Look::Unreadable("permission denied".to_owned()),
            name if name.starts_with("no") => Look::Missing,
            _ => Look::File(program),
        }
    }

    fn find_program(&self, name: &str, path_variable: &str) -> Option<PathBuf> {
        (path_variable == "/usr/bin" && !name.starts_with("no")).then(|| Path::new(path_variable).join(name))
    }

    fn user(&self, account: &str) -> Option<User> {
        let user = User {
            name: account.to_owned(),
            home: FOLDER.into(),
            shell: "/bin/sh".into(),
            is_root: account == "root" || account == "0",
            logon: Logon::Rights,
        };
        matches!(account, "shop" | "root" | "0" | "1000").then_some(user)
    }

    fn has_group(&self, account: &str) -> bool {
        matches!(account, "shop" | "www-data" | "33")
    }

    fn system(&self) -> System {
        System::Unix
    }

    fn is_root(&self) -> bool {
        true
    }

    fn has_log(&self, place: AlsoLog) -> bool {
        place != AlsoLog::Eventlog
    }

    fn digest(&self, _: &Path) -> Option<u64> {
        None
    }
}
