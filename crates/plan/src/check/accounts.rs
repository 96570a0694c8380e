//! Whether a service can run as whom it says, and what only one kind of system has.

use crate::check::{Code, Context, Subject};
use crate::diagnostic::Diagnostic;
use crate::facts::{Logon, System};

pub(crate) fn check(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let system = context.facts.system();
    check_system(system, subject, diagnostics);
    check_user(context, subject, diagnostics);
    match system {
        System::Unix => check_groups(context, subject, diagnostics),
        System::Windows => check_password(context, subject, diagnostics),
    }
}

/// What a service asks for that this kind of system does not have.
fn check_system(system: System, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let written = subject.written;
    let lacking: &[(bool, &[&str], &str)] = match system {
        System::Unix => &[(
            written.password.is_some(),
            &["password"],
            "leave it out: here the guard runs a program as any user without one",
        )],
        System::Windows => &[
            (written.group.is_some(), &["group"], "leave it out: an account has the groups it is a member of"),
            (written.groups.is_some(), &["groups"], "leave it out: an account has the groups it is a member of"),
            (written.umask.is_some(), &["umask"], "leave it out: the folder a file is made in says who may do what"),
            (written.limits.files.is_some(), &["limits", "files"], "leave it out: handles cannot be limited there"),
            (written.fd_store > 0, &["fd_store"], "leave it out: there are no file descriptors to be kept"),
        ],
    };
    for (_, key, help) in lacking.iter().filter(|(is_written, ..)| *is_written) {
        let name = match system {
            System::Unix => "this system",
            System::Windows => "Windows",
        };
        let message = format!("`{}` is not available on {name}", key.join("."));
        let help = format!("{help}; or put it into a profile for machines that have it");
        diagnostics.push(Diagnostic::new(Code::NotOnThisSystem, message).at(subject.key(key)).help(help));
    }
}

fn check_user(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(user) = &subject.plan.user else { return };
    let is_number = context.facts.system() == System::Unix && is_number(&user.0);
    if is_number || context.facts.user(&user.0).is_some() {
        return;
    }
    let message = format!("this machine has no user '{}'", user.0);
    let help = match context.facts.system() {
        System::Unix => format!("create it (useradd --system {}), or correct `user`", user.0),
        System::Windows => {
            "create it, or correct `user`: LocalService, NetworkService, NT SERVICE\\NAME, .\\NAME, DOMAIN\\NAME"
                .to_owned()
        }
    };
    diagnostics.push(Diagnostic::new(Code::UnknownUser, message).at(subject.value(&["user"])).help(help));
}

fn check_groups(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = subject.plan;
    let groups = plan
        .group
        .iter()
        .map(|group| (group, "group"))
        .chain(plan.groups.iter().flatten().map(|group| (group, "groups")));
    for (group, key) in groups {
        if !is_number(&group.0) && !context.facts.has_group(&group.0) {
            let message = format!("this machine has no group '{}'", group.0);
            let help = format!("create it (groupadd --system {}), or correct `{key}`", group.0);
            diagnostics.push(Diagnostic::new(Code::UnknownGroup, message).at(subject.value(&[key])).help(help));
        }
    }
}

/// Whether there is a password where one is needed, and nowhere else.
fn check_password(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if subject.is_faulty(&["password"]) || subject.is_faulty(&["user"]) {
        return;
    }
    let has_password = subject.written.password.is_some();
    let (message, help) = match &subject.plan.user {
        None if has_password => {
            ("`password` says nothing without `user`".to_owned(), "say whose it is, or leave it out")
        }
        None => return,
        Some(user) => match context.facts.user(&user.0).map(|user| user.logon) {
            Some(Logon::Password) if !has_password => (
                format!("running something as '{}' takes its password", user.0),
                "keep it in a file that only the guard can read: password = { credential = \"file:…\" }",
            ),
            Some(Logon::Rights) if has_password => (
                format!("'{}' has no password", user.0),
                "leave `password` out: the guard's own rights are what it takes",
            ),
            Some(Logon::Own | Logon::Rights | Logon::Password) | None => return,
        },
    };
    let span = if has_password { subject.key(&["password"]) } else { subject.value(&["user"]) };
    diagnostics.push(Diagnostic::new(Code::AccountPassword, message).at(span).help(help));
}

fn is_number(account: &str) -> bool {
    account.parse::<u32>().is_ok()
}
