//! Accounts: a program runs as who it is meant to, with nothing of the guard's own rights.

use menshen_os::account::{Wanted, identity};
use menshen_os::{Exit, Identity, TreeMode};

use crate::bed::{Bed, has, is_root};

#[test]
fn a_program_runs_as_its_user_with_its_groups() {
    if !has("right to change the user (root)", is_root) {
        return;
    }
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.shell("id -u; id -g; id -G; grep -E '^(CapEff|CapPrm)' /proc/self/status | cut -f2");
    program.directory = "/".into();
    program.identity = Some(Identity { uid: 12_345, gid: 23_456, groups: vec![23_456, 34_567] });
    let ended = bed.run(&program);
    let lines: Vec<&str> = ended.tail.lines().collect();
    assert_eq!(lines, ["12345", "23456", "23456 34567", "0000000000000000", "0000000000000000"]);
}

#[test]
fn named_accounts_are_found_with_their_groups() {
    if !has("right to change the user (root)", is_root) {
        return;
    }
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.shell("id -un; id -gn");
    program.directory = "/".into();
    program.identity = identity(Wanted { user: Some("daemon"), ..Wanted::default() }).unwrap();
    assert_eq!(bed.run(&program).tail, "daemon\ndaemon\n");
    program.identity =
        identity(Wanted { user: Some("nobody"), group: Some("daemon"), groups: Some(&[]), ..Wanted::default() })
            .unwrap();
    assert_eq!(bed.run(&program).tail, "nobody\ndaemon\n");
}

#[test]
fn a_folder_the_user_may_not_enter_is_the_reason_given() {
    if !has("right to change the user (root)", is_root) {
        return;
    }
    let mut bed = Bed::new(TreeMode::Auto);
    std::fs::set_permissions(bed.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut program = bed.program(&["true"]);
    program.identity = Some(Identity { uid: 12_345, gid: 12_345, groups: vec![] });
    let token = bed.spawn(&program);
    let error = bed.wait_for(|event| match event {
        menshen_os::OsEvent::StartFailed { token: failed, error } if *failed == token => Some(error.to_string()),
        _ => None,
    });
    assert!(error.starts_with("changing to its directory") && error.ends_with("permission denied"), "{error}");
    assert_eq!(bed.run(&bed.program(&["true"])).exit, Exit::Code(0));
}
