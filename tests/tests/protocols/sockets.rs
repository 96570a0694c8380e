//! Sockets that are handed over to a program that is written with the library, by whoever speaks sd_listen_fds(3).

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use menshen_tests::command::built;
use menshen_tests::wait::{DEADLINE, until_some};

use crate::by_hand::ByHand;

/// A listener, and a program that finds it at number 3 with these variables.
fn handed(variables: &str) -> (ByHand, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = format!("exec 3<&0 0</dev/null; export {variables}; exec \"$0\" \"$@\"");
    let mut greeter = Command::new(built("greeter"));
    greeter.args(["--listen", "127.0.0.1:0"]).env("PATH", std::env::var_os("PATH").unwrap());
    (ByHand::start(&["sh", "-c", &script], &greeter, Stdio::from(OwnedFd::from(listener))), address)
}

fn greeted(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).unwrap();
    greeting
}

/// Where it says that it listens.
fn listens(program: &ByHand) -> SocketAddr {
    until_some("it listens", || {
        let said = program.said();
        let (_, after) = said.split_once("listen=")?;
        after.split_whitespace().next()?.parse().ok()
    })
}

#[test]
fn a_program_listens_at_the_socket_that_was_opened_for_it() {
    for names in ["LISTEN_FDNAMES=web", "LISTEN_FDNAMES='a name, $HOME and \"all\" 门'", "OTHER=1"] {
        let (program, address) = handed(&format!("LISTEN_PID=$$ LISTEN_FDS=1 {names}"));
        assert_eq!(listens(&program), address, "{names}");
        assert_eq!(greeted(address), "welcome\n", "{names}");
    }
}

#[test]
fn what_is_meant_for_somebody_else_is_left_alone() {
    for variables in ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_PID=1 LISTEN_FDS=many"] {
        let (program, address) = handed(variables);
        let own = listens(&program);
        assert_ne!(own, address, "{variables}");
        assert_eq!(greeted(own), "welcome\n", "{variables}");
    }
}

#[test]
fn a_damaged_message_is_no_reason_to_listen_somewhere_else() {
    let table = [
        ("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:gap", "descriptor 4, 'gap', was not handed over"),
        ("LISTEN_PID=$$ LISTEN_FDS=4096", "descriptor 4, 'unknown', was not handed over"),
        ("LISTEN_PID=$$ LISTEN_FDS=2147483647", "LISTEN_FDS=2147483647 is no number from 1 to 4096"),
        ("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web:local", "LISTEN_FDNAMES has 2 names for 1 sockets"),
        ("LISTEN_PID=me LISTEN_FDS=1", "LISTEN_PID=me is no process"),
    ];
    for (variables, why) in table {
        let (mut program, _) = handed(variables);
        assert_eq!(program.await_end(), Some(1), "{variables}");
        let said = program.said();
        assert!(said.contains("what the service manager handed over cannot be taken") && said.contains(why), "{said}");
        assert!(!said.contains("listen="), "{said}");
    }
}
