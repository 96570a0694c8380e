//! Who may do what is decided by the kernel's word on who calls.

use std::process::Command;

use menshen_tests::command::Ran;
use menshen_tests::{Bed, Process, Trees, require};

/// `menshen` as user nobody.
fn as_nobody(bed: &Bed, arguments: &[&str]) -> Ran {
    let menshen = bed.command();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copied(bed)).args(arguments);
    for (name, value) in menshen.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.current_dir("/");
    Ran::of(&command)
}

/// The command where everybody can reach it; the folder it was built in may be its builder's own.
fn copied(bed: &Bed) -> std::path::PathBuf {
    let path = bed.path("menshen-command");
    if !path.exists() {
        std::fs::copy(menshen_tests::command::menshen(), &path).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    path
}

const SERVICE: &str = "\n[service.web]\ncommand = \"sleep 1000\"\n";

#[test]
fn a_stranger_is_refused_and_told_so() {
    if !require::root() {
        return;
    }
    let bed = Bed::new(Trees::Walk, SERVICE).up();
    bed.await_ready("web");
    for arguments in [&["status"][..], &["stop", "web"], &["logs", "web"], &["events"], &["down"], &["reload"]] {
        let ran = as_nobody(&bed, arguments).ended_with(5);
        assert!(ran.stderr.contains("may not"), "{arguments:?}: {}", ran.stderr);
    }
    assert!(bed.service("web").service.ready);
}

#[test]
fn roles_from_the_definition_bound_what_a_user_may_do() {
    if !require::root() {
        return;
    }
    for (role, may, may_not) in [
        (
            "viewer",
            &[&["status"][..], &["logs", "web"], &["events"]][..],
            &[&["stop", "web"][..], &["reload"], &["down"]][..],
        ),
        ("operator", &[&["restart", "web"][..], &["stop", "web"], &["start", "web"]], &[&["reload"][..], &["down"]]),
        ("admin", &[&["reload"][..], &["down"]], &[]),
    ] {
        let bed =
            Bed::new(Trees::Walk, SERVICE).and(&format!("[guard.access]\nusers = {{ nobody = \"{role}\" }}")).up();
        bed.await_ready("web");
        for arguments in may_not {
            let ran = as_nobody(&bed, arguments).ended_with(5);
            assert!(
                ran.stderr.contains(role) || ran.stderr.contains("may not"),
                "{role} {arguments:?}: {}",
                ran.stderr
            );
        }
        for arguments in may {
            as_nobody(&bed, arguments).done();
        }
    }
}

#[test]
fn a_role_given_by_a_reload_holds_at_once() {
    if !require::root() {
        return;
    }
    let bed = Bed::new(Trees::Walk, SERVICE).up();
    bed.await_ready("web");
    drop(as_nobody(&bed, &["status"]).ended_with(5));
    bed.write("menshen.toml", format!("{SERVICE}\n[guard.access]\nusers = {{ nobody = \"viewer\" }}\n"));
    bed.menshen(["reload"]).done();
    as_nobody(&bed, &["status"]).done();
    drop(as_nobody(&bed, &["stop", "web"]).ended_with(5));
}

#[test]
fn the_control_socket_and_what_is_remembered_are_closed_to_strangers() {
    let bed = Bed::new(Trees::Walk, SERVICE).up();
    bed.await_ready("web");
    let mode = |path: &str| {
        let path = bed.home().join(path);
        let metadata = std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    assert_eq!(mode(&format!("run/{}.sock", bed.instance())), 0o660);
    for folder in ["state", "logs"] {
        assert_eq!(mode(&format!("{folder}/{}", bed.instance())) & 0o007, 0, "{folder}");
    }
}

#[test]
fn the_guard_listens_where_no_other_machine_can_reach_it() {
    let asked = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = asked.local_addr().unwrap();
    let probed = format!("{SERVICE}probe.liveness = {{ tcp = \"{address}\", interval = \"100ms\" }}\n");
    let bed = Bed::new(Trees::Walk, &probed).up();
    bed.await_service("web", "healthy", |service| service.healthy == Some(true));
    // That listeners are seen at all, this process shows, which has one of each kind.
    // Not every machine knows the second.
    let other = std::net::TcpListener::bind("[::1]:0").ok();
    let ports: Vec<u16> = [Some(&asked), other.as_ref()].into_iter().flatten().map(port).collect();
    assert_eq!(listens_at(Process::of(std::process::id())), ports);
    let guard = bed.guard();
    let holders = guard.descendants().into_iter().filter(|process| process.name() == "menshen-holder");
    let all: Vec<Process> = [guard].into_iter().chain(holders).collect();
    assert_eq!(all.len(), 2, "{all:?}");
    for process in all {
        assert!(listens_at(process).is_empty(), "{process:?} listens at {:?}", listens_at(process));
    }
}

fn port(listener: &std::net::TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

/// The TCP ports at which a process waits for others, by version 4 and then by version 6.
fn listens_at(process: Process) -> Vec<u16> {
    const LISTENING: &str = "0A";
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.pid)).unwrap();
    let sockets: Vec<String> = files
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let port = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_own =
            fields.get(3) == Some(&LISTENING) && sockets.iter().any(|inode| fields.get(9) == Some(&inode.as_str()));
        let port = fields.get(1).filter(|_| is_own)?.rsplit_once(':')?.1;
        Some(u16::from_str_radix(port, 16).unwrap())
    };
    let table = |name: &str| std::fs::read_to_string(format!("/proc/{}/net/{name}", process.pid)).unwrap_or_default();
    ["tcp", "tcp6"].map(table).iter().flat_map(|table| table.lines().filter_map(port)).collect()
}
