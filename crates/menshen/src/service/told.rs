//! The file into which a service writes that it was told to end.
//!
//! s6 starts again what ended, and asks a script before; that script sees how the program ended, but not whether `s6-svc -r` told
//! it to. The registration names a file in a variable, and the process it is for, whose children inherit the variable, too.

use std::fs::OpenOptions;
use std::io::Write as _;

/// The variable: the process, a blank, and the path of the file, which is there.
pub const VARIABLE: &str = "MENSHEN_TOLD";

/// Writes it down, if that is asked of this process.
pub fn note() {
    let Ok(asked) = std::env::var(VARIABLE) else { return };
    let Some(path) = path_for(&asked, std::process::id()) else { return };
    // What cannot be written down is taken for an end of the program's own, as of any that does not know of this.
    let _ = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"told\n"));
}

fn path_for(asked: &str, process: u32) -> Option<&str> {
    let (asked_of, path) = asked.split_once(' ')?;
    (asked_of.parse() == Ok(process)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_is_meant_writes() {
        assert_eq!(path_for("42 /run/service/my web/told", 42), Some("/run/service/my web/told"));
        assert_eq!(path_for("42 /told", 43), None);
        assert_eq!(path_for("", 42), None);
        assert_eq!(path_for("/told", 42), None);
    }
}
