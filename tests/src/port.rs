//! Ports nobody else has.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// Below the ports the kernel itself hands out to clients.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// The locks of this process's ports: held until it ends, so that no other test process takes the same port while the
/// server that is to have it has not bound it yet, or is being restarted.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port of the loopback address that is free, and that no other test will be given while this process lives.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free() -> u16 {
    let folder = std::env::temp_dir().join(format!("menshen-test-ports-{}", menshen_os::account::current().uid));
    std::fs::create_dir_all(&folder).unwrap();
    // Test processes begin at different places, so that they seldom ask for the same.
    let begin = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap();
    let in_turn = (PORTS.start + begin..PORTS.end).chain(PORTS.start..PORTS.start + begin);
    for port in in_turn {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(port.to_string()));
        let file = file.unwrap();
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HELD.lock().unwrap().push(file);
            return port;
        }
    }
    panic!("no port is free");
}
