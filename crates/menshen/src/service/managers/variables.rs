//! The variables of a service's environment, in a file that only those can read who run it.
//!
//! What is in them may be secret, and everybody can see command lines. So a script hands the file's text on in a variable, and
//! a shell that is executed in the place of the program, as the program's own user, makes variables of it and executes the
//! program. A shell would keep some names to itself; those are refused.

use std::path::{Path, PathBuf};

use super::shell::{mark, quoted, text};
use crate::service::name::ServiceName;
use crate::service::options::{RegistrationOption, Unsupported};
use crate::service::plan::{Ownership, Step};
use crate::service::registration::Registration;

/// Where the files are of managers that have no folder for each service.
const FOLDER: &str = "environment";
/// Executes its arguments with the variables that were handed on.
const EXECUTE: [&str; 4] =
    ["/bin/sh", "-c", "eval \"unset MENSHEN_ENVIRONMENT; $MENSHEN_ENVIRONMENT\" && exec \"$@\"", "menshen"];
/// What shells that are a system's `sh` set, count or hold by themselves.
const KEPT: [&str; 26] = [
    "_",
    "BASHOPTS",
    "BASHPID",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "IFS",
    "LINENO",
    "MENSHEN_ENVIRONMENT",
    "OLDPWD",
    "OPTARG",
    "OPTIND",
    "PIPESTATUS",
    "POSIXLY_CORRECT",
    "PPID",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];
const NAME: &str =
    "a shell passes on no variable of this name, and would have to here; leave it out, or let the guard set it";

/// The file of a service of which a manager has no folder, below the folder of the machine's settings.
pub(super) fn file(settings: &str, name: &ServiceName) -> PathBuf {
    Path::new(settings).join("menshen").join(FOLDER).join(name.as_str())
}

/// The steps by which a file is there where a service has variables, and is not where it has none.
pub(super) fn steps(path: &Path, registration: &Registration) -> Vec<Step> {
    let above = path.parent().filter(|folder| folder.ends_with(FOLDER));
    if registration.environment.is_empty() {
        return vec![Step::NoFile { path: path.to_owned(), ownership: Ownership::Marked }];
    }
    let above = above.into_iter().flat_map(|folder| {
        let settings = folder.parent().map(Step::folder);
        settings.into_iter().chain([Step::Folder { path: folder.to_owned(), mode: 0o700 }])
    });
    above.chain([Step::file(path, 0o600, content(registration))]).collect()
}

/// The steps by which neither it nor what was made for it is there.
pub(super) fn no_file(path: &Path) -> Vec<Step> {
    let above = path.parent().filter(|folder| folder.ends_with(FOLDER));
    let folders = above.into_iter().flat_map(|folder| [Some(folder), folder.parent()]).flatten();
    let folders = folders.map(|path| Step::NoEmptyFolder { path: path.to_owned() });
    [Step::NoFile { path: path.to_owned(), ownership: Ownership::Marked }].into_iter().chain(folders).collect()
}

fn content(registration: &Registration) -> String {
    let variables = registration.environment.iter();
    let lines: String = variables.map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    format!("{}\n{lines}", mark(&registration.name))
}

/// The lines of a script that hand a file on to [`executed`]; none for a service without variables.
pub(super) fn hand_on(path: &Path, registration: &Registration, otherwise: &str) -> String {
    if registration.environment.is_empty() {
        return String::new();
    }
    let path = quoted(&text(path));
    format!("MENSHEN_ENVIRONMENT=$(cat {path}) || {otherwise}\nexport MENSHEN_ENVIRONMENT\n")
}

/// The words of a command that is executed with what was handed on.
pub(super) fn executed(registration: &Registration, command: &[String]) -> Vec<String> {
    let before: &[&str] = if registration.environment.is_empty() { &[] } else { &EXECUTE };
    before.iter().map(|word| (*word).to_owned()).chain(command.iter().cloned()).collect()
}

/// The names that a shell passes on to nobody.
pub(super) fn refused(registration: &Registration) -> Option<Unsupported> {
    let is_passed_on = |name: &String| {
        let is_first = |character: char| character.is_ascii_alphabetic() || character == '_';
        let is_name = name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit());
        is_name && !KEPT.contains(&name.as_str()) && !name.starts_with("BASH_")
    };
    let is_wrong = !registration.environment.keys().all(is_passed_on);
    is_wrong.then_some(Unsupported { option: RegistrationOption::Environment, why: NAME })
}
