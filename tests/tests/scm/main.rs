//! Against a real service control manager of Windows: Wine's.

#[cfg(test)]
mod events;
#[cfg(test)]
mod life_cycle;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod running;

use menshen_tests::command::Ran;
use menshen_tests::windows::{FOLDER, Windows};

/// The program with which services are installed, and which they are.
const SAMPLE: &str = "scm-sample";
/// What the service is called, too.
const SERVICE: &str = SAMPLE;

/// A Windows with that program.
fn windows() -> Option<Windows> {
    Windows::start(&[SAMPLE])
}

/// Has it do something with the service.
fn sample(wine: &Windows, words: &[&str]) -> Ran {
    wine.run(&[&["scm-sample.exe"][..], words].concat())
}

/// Has it do something with the service as it is installed with these options.
fn sample_with(wine: &Windows, task: &str, options: &str, way: &str) -> Ran {
    sample(wine, &[task, options, FOLDER, way])
}

fn key_of(service: &str) -> String {
    format!(r"HKLM\System\CurrentControlSet\Services\{service}")
}

fn source_of(service: &str) -> String {
    format!(r"HKLM\System\CurrentControlSet\Services\EventLog\Application\{service}")
}
