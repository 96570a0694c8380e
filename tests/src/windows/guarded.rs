//! A Windows with a guard named `shop`.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;

use menshen_api::types::{Service, ServiceDetail};
use serde::Deserialize;

use super::Windows;
use crate::command::Ran;
use crate::wait::until;
use crate::{example, require};

/// Where everything of a guard is.
pub(super) const HOME: &str = r"C:\test\home";

/// Where the definition of a test is.
const DEFINITION: &str = r"C:\test\menshen.toml";

/// See the module.
#[derive(Debug)]
pub struct GuardedWindows {
    windows: Windows,
    /// What the guard guards.
    definition: String,
}

impl GuardedWindows {
    /// Starts one with this definition; the guard is yet to be started. `None` where that cannot be.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(definition: &str) -> Option<Self> {
        let windows = Windows::start(&["menshen", "examples/puppet"])?;
        let windows = Self { windows, definition: DEFINITION.to_owned() };
        windows.define(definition);
        Some(windows)
    }

    /// The same with an example: its definition as it is, and its program where that looks for it.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_example(name: &str) -> Option<Self> {
        let program = require::for_windows(name)?;
        let windows = Windows::start(&["menshen"])?;
        let (folder, built) = (windows.path("examples").join(name), windows.path("target/debug"));
        fs::create_dir_all(&folder).and_then(|()| fs::create_dir_all(&built)).unwrap();
        fs::copy(example::definition(name), folder.join("menshen.toml")).unwrap();
        fs::copy(&program, built.join(program.file_name().unwrap())).unwrap();
        windows.tell_programs_at_once();
        Some(Self { windows, definition: format!(r"C:\test\examples\{name}\menshen.toml") })
    }

    /// The definition, as it is called there.
    #[must_use]
    pub fn definition(&self) -> &str {
        &self.definition
    }

    /// Its folder, from outside.
    #[must_use]
    pub fn folder_of_definition(&self) -> PathBuf {
        let below =
            self.definition.strip_prefix(super::FOLDER).expect("it is in the folder of the test").replace('\\', "/");
        let path = self.path(below.trim_start_matches('/'));
        path.parent().expect("it is in a folder").to_owned()
    }

    /// Another definition, from now on.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn define(&self, definition: &str) {
        // Whoever runs this is an administrator, and the services of tests say nothing of how they are.
        let head = "[guard]\nname = \"shop\"\n[check]\nallow = [\"M028\", \"M033\", \"M042\", \"M048\"]\n";
        fs::write(self.path("menshen.toml"), format!("{head}{definition}")).unwrap();
    }

    /// Runs `menshen` there.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn menshen(&self, words: &[&str]) -> Ran {
        self.run(&[&[r"C:\test\menshen.exe"], words].concat())
    }

    /// Starts a guard in the background with the definition, and waits for it.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn up(&self) {
        self.menshen(&["up", "--detach", "--file", &self.definition]).done();
    }

    /// Kills the guard in the background, as `TerminateProcess` does.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_guard(&self) {
        let guard = self.processes_of("--in-background").into_iter().next().expect("a guard runs");
        guard.kill();
        until("the guard is gone", || !guard.lives());
    }

    /// A service as the guard has it now.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Service {
        #[derive(Deserialize)]
        struct Status {
            services: Vec<Service>,
        }
        let status: Status = self.menshen(&["status", "--json"]).json();
        status.services.into_iter().find(|service| service.name == name).expect("it is in the definition")
    }

    /// The same with everything that is known of it.
    #[must_use]
    pub fn detail(&self, name: &str) -> ServiceDetail {
        self.menshen(&["status", name, "--json"]).json()
    }

    /// What a service wrote, byte for byte, as far as it is in the logs: closed ones, and the one that is being written.
    #[must_use]
    pub fn log(&self, service: &str) -> Vec<u8> {
        let folder = self.path("home/logs/shop").join(service);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_log = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("stdout.") && name.ends_with(".log")
        };
        let mut logs: Vec<PathBuf> = entries.filter(is_log).collect();
        // `stdout.00000001.TIME.log` before `stdout.log`.
        logs.sort();
        logs.iter().flat_map(|path| fs::read(path).unwrap_or_default()).collect()
    }

    /// The sentences of all events until now.
    #[must_use]
    pub fn events(&self) -> String {
        self.menshen(&["events"]).ended_with(0).text()
    }
}

impl Deref for GuardedWindows {
    type Target = Windows;

    fn deref(&self) -> &Windows {
        &self.windows
    }
}

impl Drop for GuardedWindows {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.path("home/logs/shop/guard.log")).unwrap_or_default();
            eprintln!("the guard said:\n{said}");
        }
    }
}
