//! The manual page.

use menshen_tests::{Bed, Trees};

#[test]
fn the_manual_has_the_sections_that_manuals_have() {
    let page = Bed::new(Trees::Walk, "").menshen(["man"]).ended_with(0).text();
    let headings: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix(".SH ")).map(|name| name.trim_matches('"')).collect();
    for heading in ["NAME", "SYNOPSIS", "OPTIONS", "MENSHEN UP", "EXIT STATUS", "FILES", "ENVIRONMENT"] {
        assert!(headings.contains(&heading), "{heading}: {headings:?}");
    }
    assert!(!headings.contains(&"EXTRA"), "{headings:?}");
    for told in [
        "MENSHEN_HOME",
        "MENSHEN_ACCOUNT_PASSWORD",
        "/var/lib/menshen/installed",
        "/etc/menshen/installed",
        "it differs",
    ] {
        assert!(page.contains(told), "{told} is not in it");
    }
    // There is one page.
    assert!(!page.contains("menshen\\-run(1)"));
}
