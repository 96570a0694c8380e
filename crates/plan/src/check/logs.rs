//! Whether logs can fill the disk.

use crate::check::{Code, Context, Subject};
use crate::definition::AlsoLog;
use crate::diagnostic::Diagnostic;

pub(crate) fn check(context: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let rotate = &subject.plan.log.rotate;
    if rotate.keep == 0 && rotate.total.0 == 0 {
        let message = "log files are rotated but never deleted";
        let help = "set `keep` to how many are kept, or `total` to how much space they may take";
        diagnostics.push(
            Diagnostic::new(Code::RotationWithoutRetention, message).at(subject.value(&["log", "rotate"])).help(help),
        );
    }
    for (index, place) in subject.plan.log.also.iter().enumerate().filter(|(_, place)| !context.facts.has_log(**place))
    {
        let name = match place {
            AlsoLog::Journald => "systemd journal",
            AlsoLog::Eventlog => "Windows Event Log",
            AlsoLog::Stdout => "standard output",
        };
        let index = index.to_string();
        let message = format!("this machine has no {name}");
        let help = "take it out, or put it into a profile for machines that have one";
        diagnostics
            .push(Diagnostic::new(Code::NoSuchLog, message).at(subject.value(&["log", "also", &index])).help(help));
    }
    if rotate.total.0 != 0 && rotate.size.0 > rotate.total.0 {
        let message =
            format!("one log file may grow to {}, but all together may only take {}", rotate.size, rotate.total);
        diagnostics.push(
            Diagnostic::new(Code::BadValue, message)
                .at(subject.value(&["log", "rotate"]))
                .help("make `size` smaller or `total` larger"),
        );
    }
}
