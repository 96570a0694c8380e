//! `menshen man`.

use std::fmt::Write as _;
use std::io;

use clap::Command;

use crate::exits;
use crate::failure::{Exit, Failure};
use crate::output;

/// Where things are (as root; `Paths` has them), and what each is.
const FILES: [(&str, &str); 9] = [
    ("./menshen.toml, ./menshen.PROFILE.toml", "the definition, and what a profile lays over it"),
    ("/etc/menshen", "the machine's own definition, which is meant where there is no ./menshen.toml"),
    ("/etc/menshen/installed", "definitions of programs that were installed without one"),
    ("/run/menshen", "the control socket, the lock and the pipes of each guard"),
    ("/var/lib/menshen/GUARD", "the journal of events, and what is remembered of each service"),
    ("/var/lib/menshen/installed", "what was installed, and how"),
    ("/var/log/menshen/GUARD/SERVICE", "what the service wrote"),
    ("/var/log/menshen/GUARD/guard.log", "what a guard in the background says itself"),
    (
        "$XDG_CONFIG_HOME/menshen, $XDG_RUNTIME_DIR/menshen, $XDG_STATE_HOME/menshen",
        "the same of anybody but root; logs are in the last",
    ),
];

/// The variables that are read.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("MENSHEN_HOME", "a folder below which everything above is instead"),
    ("MENSHEN_INSTANCE", "the guard that is meant, as with --instance"),
    ("MENSHEN_PROFILE", "the profile that is laid over the definition, as with --profile"),
    ("MENSHEN_TREES", "how process trees are told apart: auto, cgroup or walk"),
    ("MENSHEN_ACCOUNT_PASSWORD", "the password of the account that a service of Windows is installed for"),
    ("VISUAL, EDITOR", "the editor of `menshen edit`"),
    ("NO_COLOR", "without colour, whatever is in it"),
];

/// Prints the manual page: the command, then each of its commands, then what holds for all of them.
pub(super) fn manual() -> Result<Exit, Failure> {
    let page = page().map_err(|error| {
        Failure::new(Exit::Failed, format!("writing the manual page: {}", menshen_os::error::describe(&error)))
    })?;
    output::raw(&page);
    Ok(Exit::Done)
}

fn page() -> io::Result<Vec<u8>> {
    let command = exits::command();
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let of_commands = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    of_commands.into_iter().try_for_each(|subcommand| of_command(subcommand, &mut page))?;
    let mut rest = section("EXIT STATUS");
    Exit::ALL.iter().for_each(|exit| entry(&mut rest, &u8::from(*exit).to_string(), exit.meaning()));
    paragraph(&mut rest, "Each command tells those it can end with.");
    rest += &section("FILES");
    FILES.iter().for_each(|(path, what)| entry(&mut rest, path, what));
    rest += &section("ENVIRONMENT");
    ENVIRONMENT.iter().for_each(|(name, what)| entry(&mut rest, name, what));
    page.extend(rest.into_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

fn of_command(subcommand: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = format!("menshen {}", subcommand.get_name());
    // What is told after the help has a section of its own otherwise, of a name that says nothing.
    let after = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
    let subcommand = subcommand.clone().name(name.clone()).display_name(name.clone());
    let man = clap_mangen::Man::new(subcommand);
    page.extend(section(&name.to_uppercase()).into_bytes());
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    let mut text = String::new();
    paragraph(&mut text, &after);
    page.extend(text.into_bytes());
    Ok(())
}

fn section(heading: &str) -> String {
    format!(".SH \"{heading}\"\n")
}

fn entry(page: &mut String, what: &str, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(what), escaped(text));
}

fn paragraph(page: &mut String, text: &str) {
    let _ = writeln!(page, ".PP\n{}", escaped(text));
}

/// Text as roff has it: no backslash means anything, a hyphen can be copied, and no line is taken for a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
