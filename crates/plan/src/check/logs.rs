//! Whether logs can fill the disk.

use crate::check::{Code, Context, Subject};
use crate::diagnostic::Diagnostic;

pub(crate) fn check(_: &Context<'_>, subject: &Subject<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let rotate = &subject.plan.log.rotate;
    if rotate.keep == 0 && rotate.total.0 == 0 {
        let message = "log files are rotated but never deleted";
        let help = "set `keep` to how many are kept, or `total` to how much space they may take";
        diagnostics.push(
            Diagnostic::new(Code::RotationWithoutRetention, message).at(subject.value(&["log", "rotate"])).help(help),
        );
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
