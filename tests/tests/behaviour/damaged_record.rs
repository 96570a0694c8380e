//! A note of an installation that cannot be read keeps nobody from what has nothing to do with it.

use std::fs;

use menshen_tests::{Bed, Trees};

#[test]
fn who_asks_for_everything_is_told_of_it_and_gets_the_rest() {
    let bed = Bed::new(Trees::Walk, "[service.web]\ncommand = \"sleep 3600\"\n").up();
    bed.await_ready("web");
    let folder = bed.home().join("state/installed");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("other.json"), "half of a rec").unwrap();
    for words in [&["status"][..], &["restart", "--all"], &["down"]] {
        let ran = bed.menshen(words).ended_with(0);
        assert!(ran.stderr.contains("passed over") && ran.stderr.contains("other.json"), "{words:?}: {}", ran.stderr);
        assert!(words != ["status"] || ran.text().contains("web"), "{}", ran.text());
    }
}
