//! What differs between the systems, by itself.

use menshen_tests::GuardedWindows;

/// Runs unit tests, of which one is there on Windows alone.
fn hold(package: &str, modules: &[&str], one: &str) {
    let Some(windows) = GuardedWindows::start("") else { return };
    let Some(said) = windows.unit_tests(package, modules) else { return };
    assert!(said.contains(&format!("{one} ... ok")), "{said}");
}

#[test]
fn the_unit_tests_of_the_os_crate_pass_there() {
    hold("menshen-os", &[], "what_is_put_together_is_taken_apart_to_the_same");
}

#[test]
fn the_unit_tests_of_the_scm_crate_pass_there() {
    hold("menshen-scm", &[], "what_the_manager_asks_reaches_the_listener_as_it_was_meant");
}

/// The others are the same everywhere, and look for files of the sources.
#[test]
fn the_unit_tests_of_being_a_service_pass_there() {
    hold("menshen", &["service::runtime::platform", "service::log"], "everything_that_is_asked_means_one_thing");
}
