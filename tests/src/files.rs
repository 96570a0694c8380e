//! All there is in a machine's file system, to see that somebody who was there has left nothing behind and taken nothing away.

use std::collections::BTreeMap;

use crate::command::Ran;

/// Something that is not looked at: what it is, as `find -path` takes it, and why it may change.
#[derive(Debug, Clone, Copy)]
pub struct Except(pub &'static str, pub &'static str);

/// What is no part of any machine's disk, or is the test's.
const NO_FILES: [Except; 4] = [
    Except("/proc", "the kernel's"),
    Except("/sys", "the kernel's"),
    Except("/dev", "the kernel's"),
    Except("/shared", "the test's"),
];
/// What menshen leaves on purpose.
const OURS: [Except; 2] = [
    Except("/run/menshen", "the folder of guards' sockets and locks stays as long as the machine runs"),
    Except("/run/user/*/menshen", "a user's stays as long as they are there"),
];

/// Paths, and what is there: its kind, permissions, owner, where a link leads and what is in a file. Of what belongs to the system
/// itself, in `/usr`, nobody changes anything at all: there the time of the last change stands for the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// Those of the machine in which this runs commands, but for these.
    ///
    /// # Panics
    /// When they cannot be listed.
    #[must_use]
    pub fn of(run: impl Fn(&[&str]) -> Ran, but: &[Except]) -> Self {
        let excepted: Vec<&str> = NO_FILES.iter().chain(&OURS).chain(but).map(|except| except.0).collect();
        let mut prune = vec!["("];
        for (index, path) in excepted.into_iter().enumerate() {
            prune.extend(if index == 0 { &["-path"][..] } else { &["-o", "-path"] });
            prune.push(path);
        }
        prune.extend([")", "-prune", "-o"]);
        let list = |find: &[&str]| {
            let listed = run(&[&["find", "/"], &prune[..], find].concat());
            assert!(!listed.stdout.is_empty(), "{listed:?}");
            let texts = listed.stdout.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>()
        };
        // The path comes last: it may have anything in it.
        let listed = list(&["-printf", "%y %m %U:%G %l\t%p\\0"]);
        let of_system = ["-path", "/usr/*", "!", "-path", "/usr/local/*", "-type", "f"];
        let changed = list(&[&of_system[..], &["-printf", " of %s bytes, changed at %C@\t%p\\0"]].concat());
        let elsewhere = ["(", "!", "-path", "/usr/*", "-o", "-path", "/usr/local/*", ")", "-type", "f"];
        let hashed = list(&[&elsewhere[..], &["-exec", "sha256sum", "--zero", "{}", "+"]].concat());
        let mut files = BTreeMap::new();
        let mut add = |text: &str, separator: &str| {
            let (what, path) = text.split_once(separator).unwrap_or_else(|| panic!("{text}"));
            files.entry(path.to_owned()).or_insert_with(String::new).push_str(what);
        };
        listed.iter().chain(&changed).for_each(|text| add(text, "\t"));
        hashed.iter().for_each(|text| add(text, "  "));
        Self(files)
    }

    /// That these are those of later.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn assert_same(&self, later: &Self) {
        let changes = self.changes(later);
        assert!(changes.is_empty(), "{changes:#?}");
    }

    /// In what these differ from those of later, a line for each path.
    fn changes(&self, later: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|(path, _)| !later.0.contains_key(*path));
        let gone = gone.map(|(path, was)| format!("{path} is gone: {was}"));
        let other = later.0.iter().filter_map(|(path, is)| match self.0.get(path) {
            Some(was) if was == is => None,
            Some(was) => Some(format!("{path} was {was}, and is {is}")),
            None => Some(format!("{path} is left: {is}")),
        });
        gone.chain(other).collect()
    }
}
