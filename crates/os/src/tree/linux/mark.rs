//! What every process of a run carries, so that it is known wherever it goes.
//!
//! A program may write over its environment (PostgreSQL, nginx and others do, to show a title in `ps`), or start a daemon
//! with an empty one, in a session of its own, and with no parent. What it does not touch is a limit it does not know of:
//! the one on how long a process with real-time priority may compute without a pause. A value of 2^62 microseconds and more
//! limits nothing, is inherited by whatever is started, and can be read by anybody in `/proc/PID/limits`.

use std::path::PathBuf;

use crate::hash;
use crate::program::Place;

/// The variable that marks every process of a run, for people and where the limit cannot be set.
const VARIABLE: &str = "MENSHEN_RUN";
/// What all limits that are marks have in common; a limit anybody means is shorter than 146 000 years.
const LIMIT_BASE: u64 = 1 << 62;
/// The number of the main process takes the lowest bits; no kernel has higher ones (see `PID_MAX_LIMIT`).
const PID_BITS: u32 = 22;

/// Whose marks they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub instance: String,
    /// What tells it from guards of the same name elsewhere.
    pub mark: String,
    /// The folder of its sockets.
    pub run_folder: PathBuf,
}

impl Owner {
    /// The variable of a program's runs, up to the number of the run.
    fn variable(&self, place: &Place) -> String {
        format!("{VARIABLE}={}/{}/{}/", self.mark, place.service, place.role)
    }

    /// The limit of a program's runs, but for the number of the main process.
    pub(crate) fn limit(&self, place: &Place) -> u64 {
        if self.mark == self.instance {
            return self.limit_before_marks(place);
        }
        limit(&format!("{}/{}/{}", self.mark, place.service, place.role))
    }

    /// The limits by which a program's runs are known: that of today, and that of guards of before, which told guards of the
    /// same name apart by the folder of their sockets as it was given. One that begins nowhere in particular tells nothing.
    pub(crate) fn limits(&self, place: &Place) -> impl Iterator<Item = u64> + use<> {
        let before = self.run_folder.is_absolute().then(|| self.limit_before_marks(place));
        std::iter::once(self.limit(place)).chain(before)
    }

    fn limit_before_marks(&self, place: &Place) -> u64 {
        limit(&format!("{}/{}/{}/{}", self.run_folder.display(), self.instance, place.service, place.role))
    }
}

/// The program a limit marks, as [`Owner::limit`] has it, and the main process of its run; `None` if it is nobody's mark.
pub(crate) fn read(limit: Option<u64>) -> Option<(u64, u32)> {
    let limit = limit.filter(|limit| (LIMIT_BASE..LIMIT_BASE << 1).contains(limit))?;
    let of = limit >> PID_BITS << PID_BITS;
    Some((of, u32::try_from(limit - of).ok()?))
}

/// The mark of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The variable with its value, as it stands in the environment; unknown of a run that an earlier guard began and
    /// whose main process is gone.
    variable: Option<String>,
    /// The limit, but for the number of the main process, which nobody knows before it is there.
    limit: u64,
    /// That of a guard of before, where an earlier guard began the run.
    limit_before: Option<u64>,
}

impl Mark {
    /// Of a run that is about to begin: the how manieth of this guard.
    pub(crate) fn new(owner: &Owner, place: &Place, number: u64) -> Self {
        let variable = format!("{}{number}", owner.variable(place));
        Self { variable: Some(variable), limit: owner.limit(place), limit_before: None }
    }

    /// Of a run that an earlier guard began; `leader` is the environment of its main process, if that is still there.
    pub(crate) fn of_earlier(owner: &Owner, place: &Place, leader: Option<&[u8]>) -> Self {
        let begin = owner.variable(place);
        let mut entries = leader.unwrap_or_default().split(|byte| *byte == 0);
        let variable = entries.find(|entry| entry.starts_with(begin.as_bytes()));
        let variable = variable.map(|entry| String::from_utf8_lossy(entry).into_owned());
        let limit = owner.limit(place);
        Self { variable, limit, limit_before: owner.limits(place).find(|before| *before != limit) }
    }

    /// The variable with its value.
    pub(crate) fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// The limit, to which the main process adds its own number.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether this limit is the mark of the run with this main process, or of any run of the program where that process is
    /// not known (0); `None` if it is nobody's mark.
    pub(crate) fn is_limit(&self, limit: Option<u64>, leader: u32) -> Option<bool> {
        let (of, main) = read(limit)?;
        Some((of == self.limit || Some(of) == self.limit_before) && (leader == 0 || main == leader))
    }
}

/// The number of a name, cut to what fits between the base and the number of the process.
fn limit(name: &str) -> u64 {
    LIMIT_BASE | (hash::of(name.as_bytes()) << PID_BITS & (LIMIT_BASE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(service: &str) -> Place {
        Place { service: service.to_owned(), role: "main".to_owned() }
    }

    fn owner(instance: &str) -> Owner {
        Owner { instance: instance.to_owned(), mark: instance.to_owned(), run_folder: "/run/menshen".into() }
    }

    fn elsewhere(mark: &str) -> Owner {
        Owner { mark: mark.to_owned(), run_folder: "/run/a".into(), ..owner("shop") }
    }

    #[test]
    fn a_limit_is_the_mark_of_one_run_and_of_no_other() {
        let web = Mark::new(&owner("shop"), &place("web"), 1);
        assert_eq!(web.is_limit(Some(web.limit() + 4_194_303), 4_194_303), Some(true));
        assert_eq!(web.is_limit(Some(web.limit() + 12), 13), Some(false));
        assert_eq!(Mark::new(&owner("shop"), &place("db"), 1).is_limit(Some(web.limit() + 12), 12), Some(false));
        assert_eq!(Mark::new(&owner("other"), &place("web"), 1).is_limit(Some(web.limit() + 12), 12), Some(false));
        let (one, other) = (elsewhere("shop@1"), elsewhere("shop@2"));
        for owner in [&one, &other] {
            assert_eq!(Mark::new(owner, &place("web"), 1).is_limit(Some(web.limit() + 12), 0), Some(false));
        }
        let of_one = Mark::new(&one, &place("web"), 1).limit() + 12;
        assert_eq!(Mark::of_earlier(&other, &place("web"), None).is_limit(Some(of_one), 0), Some(false));
        assert_eq!(web.is_limit(Some(web.limit() + 12), 0), Some(true), "any run of it");
        assert_eq!(Mark::new(&owner("shop"), &place("db"), 1).is_limit(Some(web.limit() + 12), 0), Some(false));
        for no_mark in [None, Some(u64::MAX), Some(200_000)] {
            assert_eq!(web.is_limit(no_mark, 12), None);
        }
    }

    #[test]
    fn the_mark_of_an_earlier_run_is_known_from_its_main_process() {
        let mark = Mark::new(&owner("shop"), &place("web"), 7);
        let environment = format!("PATH=/bin\0{}\0", mark.variable().unwrap());
        assert_eq!(Mark::of_earlier(&owner("shop"), &place("web"), Some(environment.as_bytes())), mark);
        let without = Mark::of_earlier(&owner("shop"), &place("web"), None);
        assert_eq!((without.variable(), without.limit()), (None, mark.limit()));
    }

    #[test]
    fn a_run_of_a_guard_that_had_no_mark_is_known_by_the_folder_of_its_sockets() {
        let before = elsewhere("shop");
        let run = Mark::new(&before, &place("web"), 1).limit() + 12;
        assert_eq!(Mark::of_earlier(&elsewhere("shop@1"), &place("web"), None).is_limit(Some(run), 12), Some(true));
        let other = Owner { run_folder: "/run/b".into(), ..elsewhere("shop@2") };
        assert_eq!(Mark::of_earlier(&other, &place("web"), None).is_limit(Some(run), 12), Some(false));
        let nowhere = |mark: &str| Owner { run_folder: "run".into(), ..elsewhere(mark) };
        let run = Mark::new(&nowhere("shop"), &place("web"), 1).limit() + 12;
        assert_eq!(Mark::of_earlier(&nowhere("shop@1"), &place("web"), None).is_limit(Some(run), 12), Some(false));
    }
}
