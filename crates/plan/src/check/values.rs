//! Values that are read well but cannot be.

use crate::check::{Code, Context, Subject};
use crate::diagnostic::Diagnostic;

/// Whether something is wrong, the key it is wrong with, what is wrong, and what to do.
type Mistake = (bool, &'static [&'static str], &'static str, &'static str);

pub(crate) fn check(_: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mistakes = restart_mistakes(subject).into_iter().chain(limit_mistakes(subject));
    for (_, path, message, help) in mistakes.filter(|(wrong, ..)| *wrong) {
        diagnostics.push(Diagnostic::new(Code::BadValue, message).at(subject.value(path)).help(help));
    }
}

fn restart_mistakes(subject: &Subject<'_>) -> [Mistake; 6] {
    let restart = &subject.plan.restart.rules;
    let breaker = &subject.plan.breaker;
    let breaks = breaker.failures > 0;
    let off = "set `failures = 0` to turn the breaker off";
    [
        (
            !(1.0..=1000.0).contains(&restart.factor),
            &["restart", "factor"],
            "`factor` must be from 1 to 1000",
            "1.0 keeps the wait constant, 2.0 doubles it",
        ),
        (
            !(0.0..=1.0).contains(&restart.jitter),
            &["restart", "jitter"],
            "`jitter` must be from 0 to 1",
            "0.1 varies each wait by up to a tenth",
        ),
        (breaks && breaker.within.is_zero(), &["breaker", "within"], "`within` cannot be 0", off),
        (breaks && breaker.open_for.is_zero(), &["breaker", "open_for"], "`open_for` cannot be 0", off),
        (
            breaks && breaker.max_open < breaker.open_for,
            &["breaker", "max_open"],
            "`max_open` is shorter than `open_for`",
            "make it at least as long",
        ),
        (
            subject.plan.start_timeout.is_some_and(|timeout| timeout.is_zero()),
            &["start_timeout"],
            "`start_timeout` cannot be 0",
            "leave it out for the default",
        ),
    ]
}

fn limit_mistakes(subject: &Subject<'_>) -> [Mistake; 6] {
    let plan = subject.plan;
    let limits = &plan.limits;
    let rotate_size = plan.log.rotate.size.0;
    [
        (
            limits.cpu.is_some_and(|cores| !(0.01..=4096.0).contains(&cores)),
            &["limits", "cpu"],
            "`cpu` must be from 0.01 to 4096 cores",
            "0.5 is half a core",
        ),
        (
            limits.memory.is_some_and(|memory| memory.0 < 4096),
            &["limits", "memory"],
            "`memory` is less than one page",
            "no program runs in less than a few hundred KiB",
        ),
        (limits.tasks == Some(0), &["limits", "tasks"], "`tasks` cannot be 0", "the program itself is one"),
        (
            limits.files.is_some_and(|files| files < 3),
            &["limits", "files"],
            "`files` cannot be less than 3",
            "stdin, stdout and stderr are three",
        ),
        (
            plan.nice.is_some_and(|nice| !(-20..=19).contains(&nice)),
            &["nice"],
            "`nice` must be from -20 to 19",
            "19 goes last",
        ),
        (
            rotate_size != 0 && rotate_size < 4096,
            &["log", "rotate", "size"],
            "`size` is too small for a log file",
            "\"0B\" turns rotation by size off",
        ),
    ]
}
