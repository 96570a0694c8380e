//! Making the sockets this process's own, once.
//!
//! Descriptors that were handed over are known by a fact: they came through an exec, so they are not closed on one. Everything
//! that Rust opens is. So no number of this process's own is ever mistaken for one of them.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use thiserror::Error;

use crate::message::{Message, MessageError, VARIABLES};

/// The number of the first one, after standard input, output and error.
const FIRST: RawFd = 3;

/// One that was handed over. It is closed on exec.
#[derive(Debug)]
pub struct Handed {
    /// What the manager calls it.
    pub name: String,
    /// The descriptor.
    pub descriptor: OwnedFd,
}

/// Why nothing can be taken.
#[derive(Debug, Error)]
pub enum TakeError {
    /// What the manager says is damaged.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// There is none of that number, or it is one that this process has opened itself.
    #[error("descriptor {number}, '{name}', was not handed over")]
    NotHanded {
        /// Its number.
        number: RawFd,
        /// What it is called.
        name: String,
    },
    /// The system refuses.
    #[error("descriptor {number} could not be made this process's own")]
    System {
        /// Its number.
        number: RawFd,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a manager has handed over to this process. The first call takes it, and every later one finds nothing.
///
/// Its variables are taken out of the environment, so that no child takes them for its own, if no other thread could be reading
/// the environment meanwhile; otherwise they stay, and name this process and no other.
///
/// # Errors
/// When what the manager says is not so. Then nothing is taken.
pub fn take() -> Result<Vec<Handed>, TakeError> {
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    if IS_TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let [process, count, names] = VARIABLES.map(std::env::var_os);
    let message = Message { process: process.as_deref(), count: count.as_deref(), names: names.as_deref() };
    forget();
    let names = message.names_for(std::process::id())?;
    (FIRST..).zip(names).map(|(number, name)| claim(number, name)).collect()
}

/// Makes a descriptor this process's own.
fn claim(number: RawFd, name: String) -> Result<Handed, TakeError> {
    // SAFETY: it asks about a number, and whatever that is, nothing is changed.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 || flags & libc::FD_CLOEXEC != 0 {
        return Err(TakeError::NotHanded { number, name });
    }
    // SAFETY: the manager has handed it over to this very process, of which the number came through an exec, and here it is
    // taken, once. So nobody else in it owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    let set = fcntl_setfd(&descriptor, FdFlags::CLOEXEC);
    set.map_err(|error| TakeError::System { number, source: error.into() })?;
    Ok(Handed { name, descriptor })
}

/// Takes the variables out of the environment, as long as this is the only thread: others could be reading it, by C's means, too.
fn forget() {
    // Where nobody says how many threads there are, there may be others.
    let is_alone = fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if !is_alone {
        return;
    }
    for name in VARIABLES {
        // SAFETY: no other thread is there that could use the environment, and only this one could start one.
        unsafe { std::env::remove_var(name) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};

    use rustix::io::fcntl_getfd;

    use super::*;

    /// Set in the process to which something is handed over.
    const IS_CHILD: &str = "ACTIVATION_TEST_CHILD";

    /// A test has threads beside it, so this is how things are in a program that has some of its own.
    #[test]
    fn what_was_handed_over_is_taken_once_and_a_process_with_threads_leaves_its_environment_alone() {
        if std::env::var_os(IS_CHILD).is_some() {
            let taken = take().unwrap();
            let names: Vec<&str> = taken.iter().map(|handed| handed.name.as_str()).collect();
            assert_eq!(names, ["web", "local"]);
            assert!(taken.iter().all(|it| fcntl_getfd(&it.descriptor).unwrap().contains(FdFlags::CLOEXEC)));
            assert!(take().unwrap().is_empty());
            assert_eq!(std::env::var(VARIABLES[0]).unwrap(), std::process::id().to_string());
            return;
        }
        let script = "export LISTEN_PID=$$; exec \"$0\" --exact \"$1\" 3</dev/null 4</dev/null";
        let name = std::thread::current().name().unwrap().to_owned();
        let mut child = Command::new("sh");
        child.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(name);
        child.envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:local"), (IS_CHILD, "1")]);
        let output = child.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_number_that_this_process_has_opened_itself_was_not_handed_over() {
        use std::os::fd::AsRawFd as _;
        let own = File::open("/dev/null").unwrap();
        let refused = claim(own.as_raw_fd(), "web".to_owned()).unwrap_err();
        assert!(matches!(refused, TakeError::NotHanded { .. }), "{refused}");
        assert!(own.metadata().is_ok(), "it is open as before");
        let nobodys = claim(RawFd::MAX, "web".to_owned()).unwrap_err();
        assert_eq!(nobodys.to_string(), format!("descriptor {}, 'web', was not handed over", RawFd::MAX));
    }
}
