//! What differs between the systems, by itself.

use menshen_tests::GuardedWindows;

#[test]
fn the_unit_tests_of_the_os_crate_pass_there() {
    let Some(windows) = GuardedWindows::start("") else { return };
    let Some(said) = windows.unit_tests("menshen_os") else { return };
    // Of the many, one that is there on Windows alone.
    assert!(said.contains("what_is_put_together_is_taken_apart_to_the_same ... ok"), "{said}");
}
