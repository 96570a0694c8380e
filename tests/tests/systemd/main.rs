//! The guard under a real systemd, as docs/systemd.md describes it.

#[cfg(test)]
mod boot;
#[cfg(test)]
mod greeter;
#[cfg(test)]
mod install;
#[cfg(test)]
mod life_cycle;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod native;
#[cfg(test)]
mod unit;
#[cfg(test)]
mod user;

#[cfg(test)]
use menshen_tests::files::{Except, Files};
#[cfg(test)]
use menshen_tests::machine::Machine;

/// What systemd notes of itself, whatever units there are.
#[cfg(test)]
const NOTES: [Except; 5] = [
    Except("/var/log/journal", "journald's"),
    Except("/run/log/journal", "journald's"),
    Except("/run/systemd/journal", "journald's"),
    Except("/run/user/*/dbus-1", "a user's D-Bus begins when it is first spoken to"),
    Except("/run/user/*/systemd/units/invocation:dbus.service", "the same"),
];

/// All there is on a machine, to see that nothing is left behind or taken away.
#[cfg(test)]
fn files_of(machine: &Machine) -> Files {
    Files::of(|words| machine.run(words), &NOTES)
}
