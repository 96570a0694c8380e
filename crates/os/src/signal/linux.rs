//! The numbers of signals on this system.

/// The number behind `SIGTERM`, `SIGRTMIN+3`, …
#[must_use]
pub fn number(name: &str) -> Option<i32> {
    if let Some(offset) = name.strip_prefix("SIGRTMIN") {
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse::<i32>().ok()? };
        let number = libc::SIGRTMIN().checked_add(offset)?;
        return (number <= libc::SIGRTMAX()).then_some(number);
    }
    NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// The name of a number.
#[must_use]
pub fn name(number: i32) -> Option<String> {
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == number) {
        return Some((*name).to_owned());
    }
    let offset = number.checked_sub(libc::SIGRTMIN())?;
    (offset >= 0 && number <= libc::SIGRTMAX()).then(|| format!("SIGRTMIN+{offset}"))
}

const NAMES: &[(i32, &str)] = &[
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGKILL, "SIGKILL"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGPIPE, "SIGPIPE"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGSTKFLT, "SIGSTKFLT"),
    (libc::SIGCHLD, "SIGCHLD"),
    (libc::SIGCONT, "SIGCONT"),
    (libc::SIGSTOP, "SIGSTOP"),
    (libc::SIGTSTP, "SIGTSTP"),
    (libc::SIGTTIN, "SIGTTIN"),
    (libc::SIGTTOU, "SIGTTOU"),
    (libc::SIGURG, "SIGURG"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGWINCH, "SIGWINCH"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPWR, "SIGPWR"),
    (libc::SIGSYS, "SIGSYS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_name_that_leads_back() {
        for signal in (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
            let name = name(signal).unwrap_or_else(|| panic!("{signal} has no name"));
            assert_eq!(number(&name), Some(signal), "{name}");
        }
        assert_eq!(number("SIGRTMIN+99"), None);
        assert_eq!(number("SIGFOO"), None);
    }
}
