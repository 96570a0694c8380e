//! What a shell offers for TAB: the script that has it ask, and the names of what runs and what is installed, which no script could
//! know. Whoever presses it is not kept waiting, and hears of no mistake.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::Shell;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use menshen_api::Endpoint;
use menshen_api::client::Call;
use menshen_os::local_socket;
use serde::Deserialize;

use crate::definition::places;
use crate::failure::{Exit, Failure};
use crate::guards::{Listed, client, read, wait_for};
use crate::registering::record::{Form, Record};

/// The variable by which a shell asks, and says which shell it is.
const VARIABLE: &str = "MENSHEN_COMPLETE";
/// How long guards are waited for, all together.
const LOOK_WITHIN: Duration = Duration::from_millis(700);

/// If it is a shell that asks, answers it and ends.
pub(crate) fn answer_shell(command: fn() -> clap::Command) {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(command).var(VARIABLE).complete();
    }
}

/// The script by which a shell asks.
pub(crate) fn script(shell: Shell) -> Result<Vec<u8>, Failure> {
    let mut script = Vec::new();
    let unable = |why: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("no script for {shell}: {why}"));
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).ok_or_else(|| unable(&"it is not known"))?;
    let written = completer.write_registration(VARIABLE, "menshen", "menshen", "menshen", &mut script);
    written.map_err(|error| unable(&error))?;
    Ok(script)
}

/// Services that guards have, and those that are installed without one. Where guards have the same name, the guard's is before it.
pub(crate) fn services(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let asked = asked_guard(std::env::args_os().map(|word| word.to_string_lossy().into_owned()));
    let of_guards = listed(asked.as_deref());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    of_guards.iter().for_each(|(_, service)| *counts.entry(&service.name).or_default() += 1);
    let name = |(guard, service): &(String, Named)| {
        let is_one = counts.get(service.name.as_str()) == Some(&1) && !typed.contains('/');
        let name = if is_one { service.name.clone() } else { format!("{guard}/{}", service.name) };
        (name, service.state.clone())
    };
    let of_manager = installed_records().into_iter().filter(|record| record.form == Form::Native && asked.is_none());
    let of_manager = of_manager.map(|record| (record.name, "installed without a guard".to_owned()));
    candidates(of_guards.iter().map(name).chain(of_manager), &typed)
}

/// The names of guards that are there.
pub(crate) fn guards(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = places().into_iter().flat_map(|place| {
        local_socket::instances(&place.paths.run).into_iter().filter(move |guard| place.may_have(guard))
    });
    candidates(names.map(|name| (name, "guard".to_owned())), &typed.to_string_lossy())
}

/// The names under which something was installed.
pub(crate) fn installed(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(installed_records().into_iter().map(|record| (record.name, record.manager)), &typed.to_string_lossy())
}

fn candidates(all: impl Iterator<Item = (String, String)>, typed: &str) -> Vec<CompletionCandidate> {
    let begun = all.filter(|(name, _)| name.starts_with(typed));
    begun.map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into()))).collect()
}

fn installed_records() -> Vec<Record> {
    Record::all().unwrap_or_default()
}

/// What has to be known of a service.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    state: String,
}

/// Of everything that is said nothing else.
#[derive(Debug, Deserialize)]
struct Nothing {}

/// The services of this guard, or of all, as far as they answer in time.
fn listed(asked: Option<&str>) -> Vec<(String, Named)> {
    let mut found = Vec::new();
    let look = async {
        for place in places() {
            let paths = &place.paths;
            for guard in local_socket::instances(&paths.run) {
                if !place.may_have(&guard) || asked.is_some_and(|asked| asked != guard) {
                    continue;
                }
                let client = client(&guard, paths.control(&guard));
                // One that may not be asked, or is not there any more, has nothing to offer.
                let Ok(said) = client.unread(&Call::new(Endpoint::ListServices)).await else { continue };
                let Ok(page) = read::<Listed<Named, Nothing>>(&said) else { continue };
                found.extend(page.services.into_iter().map(|service| (guard.clone(), service)));
            }
        }
    };
    let in_time = wait_for(async { Ok(tokio::time::timeout(LOOK_WITHIN, look).await) });
    // What was found in time is better than nothing.
    drop(in_time);
    found
}

/// The guard that was named in what was typed so far.
fn asked_guard(mut words: impl Iterator<Item = String>) -> Option<String> {
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--instance=") {
            return Some(name.to_owned());
        }
        if word == "--instance" || word == "-i" {
            return words.next();
        }
    }
    std::env::var("MENSHEN_INSTANCE").ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_that_is_named_is_the_one_that_is_meant() {
        let asked = |words: &[&str]| asked_guard(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(asked(&["menshen", "--", "menshen", "-i", "shop", "stop", ""]).as_deref(), Some("shop"));
        assert_eq!(asked(&["menshen", "stop", "--instance", "shop"]).as_deref(), Some("shop"));
        assert_eq!(asked(&["menshen", "--instance=shop", "stop"]).as_deref(), Some("shop"));
        assert_eq!(asked(&["menshen", "stop", "-i"]), None);
    }

    #[test]
    fn every_shell_has_a_script_that_asks() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let script = String::from_utf8(script(shell).unwrap()).unwrap();
            assert!(script.contains(VARIABLE) && script.contains("menshen"), "{shell}: {script}");
        }
    }
}
