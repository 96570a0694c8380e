//! Who may do what is decided by the kernel's word on who calls.

use std::process::Command;

use menshen_tests::command::Ran;
use menshen_tests::{Bed, Trees, require};

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
    // Nothing of it listens where another machine could reach it.
    let guard = bed.guard();
    let listening = std::fs::read_to_string(format!("/proc/{}/net/tcp", guard.pid)).unwrap();
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", guard.pid))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let own = listening.lines().filter(|line| sockets.iter().any(|inode| line.contains(&format!(" {inode} "))));
    assert_eq!(own.count(), 0);
}
