//! A datagram socket that the manager names in the environment.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::error::context;

/// A manager that does not listen holds nobody up for longer.
const SEND_WITHIN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    /// The same for what is not worth waiting for.
    hasty: UnixDatagram,
    address: SocketAddr,
}

impl ServiceManager {
    /// The manager that wants to be told; `None` if there is none.
    ///
    /// # Errors
    /// When it names a socket that cannot be one.
    pub fn of_environment() -> io::Result<Option<Self>> {
        std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).map(|name| Self::at(&name)).transpose()
    }

    /// `@name` is a name in the kernel's own name space, everything else a path.
    fn at(name: &OsStr) -> io::Result<Self> {
        let what = || context(format!("NOTIFY_SOCKET={}", name.to_string_lossy()));
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name),
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a path from the root nor @NAME")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_WITHIN))?;
        let hasty = UnixDatagram::unbound()?;
        hasty.set_nonblocking(true)?;
        Ok(Self { socket, hasty, address: address.map_err(what())? })
    }

    /// Tells it something: lines of `NAME=value`.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn tell(&self, message: &str) -> io::Result<()> {
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop);
        sent.map_err(context("telling the service manager"))
    }

    /// The same without waiting for it.
    ///
    /// # Errors
    /// When it does not listen, or has no time now.
    pub fn mention(&self, message: &str) -> io::Result<()> {
        let sent = self.hasty.send_to_addr(message.as_bytes(), &self.address).map(drop);
        sent.map_err(context("telling the service manager"))
    }
}

/// How often the manager wants to hear that this process lives, if it does (sd_watchdog_enabled(3)).
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let value = |name: &str| std::env::var(name).ok();
    watchdog_for(value("WATCHDOG_USEC").as_deref(), value("WATCHDOG_PID").as_deref(), std::process::id())
}

fn watchdog_for(interval: Option<&str>, meant: Option<&str>, process: u32) -> Option<Duration> {
    let is_meant = meant.is_none_or(|meant| meant.parse() == Ok(process));
    let interval: u64 = interval.filter(|_| is_meant)?.parse().ok()?;
    (interval > 0).then_some(Duration::from_micros(interval))
}

/// The variable by which s6 asks a process, and no child of it, to write down that it was told to end: the process, a blank, and
/// the path of the file, which is there. `crates/menshen` makes the script that sets it.
const TOLD: &str = "MENSHEN_TOLD";

/// Writes down that this process was told to end by a signal, if that is asked of it.
pub fn note_told() {
    let asked = std::env::var(TOLD).unwrap_or_default();
    let Some((process, path)) = asked.split_once(' ') else { return };
    if process.parse() == Ok(std::process::id()) {
        // What cannot be written down is taken for an end of the guard's own, as after `menshen down`.
        let _ = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"told\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_sockets_are_spoken_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("menshen-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(abstract_name.as_bytes()).unwrap();
        let sockets = [UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind_addr(&address).unwrap()];
        let names = [path.into_os_string(), format!("@{abstract_name}").into()];
        for (socket, name) in sockets.iter().zip(names) {
            ServiceManager::at(&name).unwrap().tell("READY=1\nSTATUS=here").unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\nSTATUS=here");
        }
    }

    #[test]
    fn a_watchdog_is_that_of_the_process_that_is_meant() {
        let second = Some(Duration::from_secs(1));
        for (interval, meant, expected) in [
            (Some("1000000"), None, second),
            (Some("1000000"), Some("42"), second),
            (Some("1000000"), Some("43"), None),
            (Some("1000000"), Some(""), None),
            (Some("0"), Some("42"), None),
            (Some("-1"), None, None),
            (Some(""), None, None),
            (None, Some("42"), None),
        ] {
            assert_eq!(watchdog_for(interval, meant, 42), expected, "{interval:?} {meant:?}");
        }
    }

    #[test]
    fn what_is_mentioned_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager::at(path.as_os_str()).unwrap();
        // The kernel keeps some for who does not listen.
        let refused = (0..100_000).find_map(|_| manager.mention("WATCHDOG=1").err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock, "{refused}");
    }

    #[test]
    fn a_manager_that_is_gone_and_one_that_cannot_be_are_errors() {
        assert!(ServiceManager::at(OsStr::new("notify")).is_err());
        assert!(ServiceManager::at(OsStr::new("/nowhere/notify")).unwrap().tell("READY=1").is_err());
    }
}
