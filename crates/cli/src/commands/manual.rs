//! `menshen man`.

use crate::exits;
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints the manual page: the command, then a section for each of its commands.
pub(super) fn manual() -> Result<Exit, Failure> {
    let command = exits::command();
    let unwritable = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("writing the manual page: {}", menshen_os::error::describe(&error)))
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(unwritable)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let name = format!("menshen {}", subcommand.get_name());
        let man = clap_mangen::Man::new(subcommand.clone().name(name.clone()).display_name(name.clone()));
        page.extend(format!(".SH \"{}\"\n", name.to_uppercase()).into_bytes());
        man.render_synopsis_section(&mut page).map_err(unwritable)?;
        man.render_description_section(&mut page).map_err(unwritable)?;
        man.render_options_section(&mut page).map_err(unwritable)?;
        man.render_extra_section(&mut page).map_err(unwritable)?;
    }
    output::raw(&page);
    Ok(Exit::Done)
}
