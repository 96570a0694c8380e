//! Rules about the text of files.

use super::{File, Finding, is_below};

/// What must not be in a source file, with the reason. The words are put together here so that this file does not find
/// itself.
fn forbidden() -> Vec<(String, &'static str)> {
    let word = |parts: &[&str]| parts.concat();
    vec![
        (word(&["TO", "DO"]), "an issue is the place for what is not done"),
        (word(&["FIX", "ME"]), "an issue is the place for what is not done"),
        (word(&["XX", "X"]), "an issue is the place for what is not done"),
        (word(&["#[all", "ow("]), "#[expect] complains when its reason is gone"),
        (word(&["#![all", "ow("]), "#[expect] complains when its reason is gone"),
        (word(&["unbounded", "_channel"]), "every queue has a bound"),
        (word(&["#[ign", "ore"]), "a test that is not run is not a test"),
        (word(&["/work", "/"]), "no machine's paths"),
        (word(&["/root", "/."]), "no machine's paths"),
        (word(&["/home", "/"]), "no machine's paths"),
    ]
}

/// Where siblings for platforms may be.
const PLATFORMS: [&str; 5] = ["crates/activation", "crates/os", "crates/scm", "crates/menshen", "tests/life_cycle"];

/// Files of tables of contents: what a crate or module is made of, and nothing else.
const CONTENTS: [&str; 2] = ["/lib.rs", "/mod.rs"];

/// Holds one file against the rules about single files.
pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    if !file.path.ends_with(".rs") {
        return;
    }
    let mut find = |line: usize, what: String| findings.push(Finding { path: file.path.clone(), line, what });
    if !file.text.starts_with("//!") && !is_below(&file.path, "fuzz/fuzz_targets") {
        find(1, "the file does not begin with what it is for (`//!`)".to_owned());
    }
    let forbidden = forbidden();
    for (number, line) in (1..).zip(file.text.lines()) {
        for (word, reason) in forbidden.iter().filter(|(word, _)| line.contains(word.as_str())) {
            find(number, format!("'{word}': {reason}"));
        }
    }
    check_platform_cfg(file, &mut find);
    check_contents(file, &mut find);
    if is_below(&file.path, "crates/core/src") {
        check_state_changes(file, &mut find);
    }
}

/// `cfg` for a platform stands on `mod` lines only: in the os crate, and in the library for authors and its suite, which do not
/// know it.
fn check_platform_cfg(file: &File, find: &mut dyn FnMut(usize, String)) {
    let platform = ["target_os", "cfg(unix", "cfg(windows", "target_family", "cfg!(unix", "cfg!(windows"];
    let lines: Vec<&str> = file.text.lines().collect();
    for (index, line) in
        lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[cfg") || line.contains("cfg!("))
    {
        if !platform.iter().any(|word| line.contains(word)) || is_below(&file.path, "xtask") {
            continue;
        }
        let mut next = lines[index + 1..].iter().map(|line| line.trim()).skip_while(|line| line.starts_with("#["));
        let on_mod = next
            .next()
            .is_some_and(|line| ["mod ", "pub mod ", "pub(crate) mod "].iter().any(|start| line.starts_with(start)));
        if !on_mod {
            find(index + 1, "a platform is chosen on `mod` lines only: siblings of the same name".to_owned());
        } else if !PLATFORMS.iter().any(|folder| is_below(&file.path, folder)) {
            find(index + 1, "what differs between platforms belongs into the os crate".to_owned());
        }
    }
}

/// `lib.rs` and `mod.rs` are tables of contents.
fn check_contents(file: &File, find: &mut dyn FnMut(usize, String)) {
    let is_library = CONTENTS.iter().any(|name| file.path.ends_with(name)) && file.path.contains("/src/");
    if !is_library {
        return;
    }
    let logic = ["fn ", "impl ", "struct ", "enum ", "trait ", "static "];
    for (number, line) in (1..).zip(file.text.lines()) {
        let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        if logic.iter().any(|word| line.starts_with(word)) {
            find(number, "lib.rs and mod.rs are tables of contents".to_owned());
        }
    }
}

/// A service's state changes in one place.
fn check_state_changes(file: &File, find: &mut dyn FnMut(usize, String)) {
    let assignment = ["life.state", " = "].concat();
    for (number, line) in (1..).zip(file.text.lines()).filter(|(_, line)| line.contains(&assignment)) {
        let in_enter = file.path.ends_with("core/src/service.rs") && line.trim() == "self.life.state = to;";
        if !in_enter {
            find(number, "a service's state changes in `Service::enter` only".to_owned());
        }
    }
}

/// Holds all files together against the rules about them.
pub(super) fn check_all(files: &[File], findings: &mut Vec<Finding>) {
    check_links(files, findings);
    check_pages(files, findings);
}

/// A link to a file of the repository leads somewhere.
fn check_links(files: &[File], findings: &mut Vec<Finding>) {
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in (1..).zip(file.text.lines()) {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !outside && !crate::shell::root().join(folder).join(target).exists() {
                    findings.push(Finding {
                        path: file.path.clone(),
                        line: number,
                        what: format!("there is no {target}"),
                    });
                }
            }
        }
    }
}

/// Every rule has a page, and every page a rule.
fn check_pages(files: &[File], findings: &mut Vec<Finding>) {
    let pages =
        files.iter().filter_map(|file| file.path.strip_prefix("crates/plan/src/check/explain/")?.strip_suffix(".md"));
    for page in pages {
        if !menshen_plan::Code::ALL.iter().any(|code| code.as_str() == page) {
            findings.push(Finding {
                path: format!("crates/plan/src/check/explain/{page}.md"),
                line: 0,
                what: "this page has no rule".to_owned(),
            });
        }
    }
}
