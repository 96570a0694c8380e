//! What commands do, one file each.

mod act;
mod check;
mod config;
mod diff;
mod down;
mod edit;
mod enable;
mod events;
mod first_moments;
mod foreground;
mod hold;
mod import;
mod install;
mod killed;
mod logs;
mod manual;
mod native;
mod overseen;
mod reload;
mod run;
mod settled;
mod status;
mod steps;
mod uninstall;
mod up;
mod upgrade;

use std::time::Duration;

use menshen::service::Verb;

use crate::args::{Arguments, Command};
use crate::complete;
use crate::failure::{Exit, Failure};
use crate::output;

/// Does what was typed.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Run(run) => run::run(arguments, run),
        Command::Up(up) => up::up(arguments, up),
        Command::Down(down) => down::down(arguments, down),
        Command::Check(check) => check::check(arguments, check),
        Command::Config(config) => config::config(arguments, config),
        Command::Import(import) => import::import(arguments, import),
        Command::Schema => {
            output::json(&menshen_plan::schema::schema());
            Ok(Exit::Done)
        }
        Command::Reload(reload) => reload::reload(arguments, reload),
        Command::Hold(hold) => hold::hold(hold),
        Command::Upgrade(upgrade) => upgrade::upgrade(arguments, upgrade),
        Command::Status(status) => status::status(arguments, status),
        Command::Start(act) => act::act(arguments, act::Verb::Start, act),
        Command::Stop(act) => act::act(arguments, act::Verb::Stop, act),
        Command::Restart(act) => act::act(arguments, act::Verb::Restart, act),
        Command::Pause(act) => act::act(arguments, act::Verb::Pause, act),
        Command::Continue(act) => act::act(arguments, act::Verb::Continue, act),
        Command::Reset(act) => act::act(arguments, act::Verb::Reset, act),
        Command::Signal(signal) => act::signal(arguments, signal),
        Command::Logs(logs) => logs::logs(arguments, logs),
        Command::Events(events) => events::events(arguments, events),
        Command::Install(install) => install::install(arguments, install),
        Command::Uninstall(uninstall) => uninstall::uninstall(arguments, uninstall),
        Command::Edit(edit) => edit::edit(arguments, edit),
        Command::Diff(installed) => diff::diff(arguments, installed),
        Command::Enable(enable) => enable::enable(arguments, enable, Verb::Enable),
        Command::Disable(enable) => enable::enable(arguments, enable, Verb::Disable),
        Command::Completions { shell } => {
            output::raw(&complete::script(*shell)?);
            Ok(Exit::Done)
        }
        Command::Man => manual::manual(),
    }
}

/// The time-out somebody typed.
fn time_out(typed: &str) -> Result<Duration, Failure> {
    menshen_plan::duration::parse(typed).map_err(|error| Failure::new(Exit::Usage, format!("--timeout: {error}")))
}
