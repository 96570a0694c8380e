//! A terminal of its own, at which a test sits.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::wait::until;

/// What Ctrl-C is to a terminal.
pub const CTRL_C: &[u8] = b"\x03";

/// A program at a terminal of its own, which ends with it.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// The program.
    pub program: Child,
}

impl Terminal {
    /// Starts a program as the leader of a session whose terminal this is.
    ///
    /// # Panics
    /// When that is not possible.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let path = PathBuf::from(ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap());
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        // It ends with the test, even if the test is killed; the session's first terminal is the one it has for input.
        let mut leader = Command::new("setpriv");
        leader.args(["--pdeathsig", "KILL", "setsid", "--ctty"]).arg(command.get_program()).args(command.get_args());
        leader.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let program = leader.stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (shown, mut eyes) = (Arc::clone(&screen), keyboard.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // When nobody has the terminal open any more, reading from it is an error.
            while let Ok(length @ 1..) = eyes.read(&mut buffer) {
                shown.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { keyboard, screen, program }
    }

    /// Presses keys.
    ///
    /// # Panics
    /// When nobody is at the other end.
    pub fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Everything that was shown so far.
    ///
    /// # Panics
    /// When whoever reads it has panicked.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits until something is shown.
    ///
    /// # Panics
    /// When it is not.
    pub fn await_shown(&self, what: &str) {
        until(&format!("{what} is shown"), || self.shown().contains(what));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the terminal shows:\n{}", self.shown());
        }
        // It may have ended long ago.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
