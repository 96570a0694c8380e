//! What tells who started this process.

use super::super::origin::Origin;

/// What is known of a process and its environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub parent: u32,
    /// What its parent is called.
    pub parent_name: String,
    /// `SYSTEMD_EXEC_PID`.
    pub systemd_exec_pid: Option<String>,
    /// `INVOCATION_ID`.
    pub invocation_id: Option<String>,
    /// `NOTIFY_SOCKET`.
    pub notify_socket: Option<String>,
    /// `XPC_SERVICE_NAME`.
    pub xpc_service_name: Option<String>,
}

/// Whatever is inherited from an ancestor says nothing of this process: a shell in a user's session has the variables that
/// systemd gave the session.
pub(super) fn of(facts: &Facts) -> Origin {
    let is_set = |variable: &Option<String>| variable.as_deref().is_some_and(|value| !value.is_empty());
    let by_systemd = match &facts.systemd_exec_pid {
        Some(pid) => pid.parse() == Ok(facts.pid),
        None => is_set(&facts.invocation_id) && facts.parent_name == "systemd",
    };
    let by_launchd =
        facts.xpc_service_name.as_deref().is_some_and(|label| !label.is_empty() && label != "0") && facts.parent == 1;
    if by_systemd {
        Origin::Systemd
    } else if is_set(&facts.notify_socket) {
        Origin::Notified
    } else if by_launchd {
        Origin::Launchd
    } else if facts.pid == 1 {
        Origin::First
    } else {
        Origin::Interactive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_started_a_process_is_decided_by_facts() {
        let some = |text: &str| Some(text.to_owned());
        let shell = Facts { pid: 100, parent: 50, parent_name: "bash".to_owned(), ..Facts::default() };
        let session = Facts { invocation_id: some("a1"), systemd_exec_pid: some("50"), ..shell.clone() };
        let of_launchd = Facts { xpc_service_name: some("org.a"), parent: 1, ..shell.clone() };
        let table = [
            (shell.clone(), Origin::Interactive, "a program in a shell"),
            (session, Origin::Interactive, "a shell's program in a session that systemd started"),
            (Facts { systemd_exec_pid: some("100"), ..shell.clone() }, Origin::Systemd, "what systemd executed"),
            (
                Facts { invocation_id: some("a1"), parent_name: "systemd".to_owned(), ..shell.clone() },
                Origin::Systemd,
                "what an old systemd executed",
            ),
            (Facts { invocation_id: some("a1"), ..shell.clone() }, Origin::Interactive, "an old systemd's grandchild"),
            (Facts { notify_socket: some("/run/x"), ..shell.clone() }, Origin::Notified, "what a guard started"),
            (Facts { notify_socket: some(""), ..shell.clone() }, Origin::Interactive, "an empty variable is none"),
            (of_launchd.clone(), Origin::Launchd, "launchd's job"),
            (Facts { xpc_service_name: some("0"), ..of_launchd }, Origin::Interactive, "a terminal of macOS"),
            (Facts { pid: 1, parent: 0, ..Facts::default() }, Origin::First, "a container's first process"),
        ];
        for (facts, origin, what) in table {
            assert_eq!(of(&facts), origin, "{what}");
        }
    }
}
