//! Carries a plan out: all of it, or nothing.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::manager::{Difference, ManagerError};
use super::permissions;
use super::plan::{Call, MARK, Ownership, Plan, Step};

/// What came of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was so already.
    Unchanged,
    /// Some of it was not, and is now.
    Changed,
}

type Tell<'a> = &'a dyn Fn(&Call) -> Result<(), ManagerError>;
type Compare<'a> = &'a dyn Fn(&Call) -> Result<Vec<Difference>, ManagerError>;
type Undo<'a> = &'a dyn Fn(&Call) -> Result<Option<Call>, ManagerError>;

/// How a manager is told what is in a plan.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    /// Tells it something.
    pub tell: Tell<'a>,
    /// What of it is not so yet.
    pub compare: Compare<'a>,
    /// What takes it back, as far as that depends on how things are before.
    pub undo: Undo<'a>,
}

/// Carries a plan out of which every step says itself what takes it back.
pub(super) fn carry_out(plan: &Plan, tell: Tell<'_>, compare: Compare<'_>) -> Result<Outcome, ManagerError> {
    carry_out_by(plan, Means { tell, compare, undo: &|_| Ok(None) })
}

/// Carries a plan out. When a step fails, those before it are taken back in reverse order.
pub(super) fn carry_out_by(plan: &Plan, means: Means<'_>) -> Result<Outcome, ManagerError> {
    let mut undo = Vec::new();
    let mut outcome = Outcome::Unchanged;
    for step in &plan.steps {
        match one(step, means, &mut undo) {
            Ok(Outcome::Unchanged) => {}
            Ok(Outcome::Changed) => outcome = Outcome::Changed,
            Err(failed) => return Err(take_back(plan, undo, means.tell, failed)),
        }
    }
    for back in undo {
        if let Back::Kept { path: _, aside } = back {
            fs::remove_dir_all(&aside).map_err(failed("removing", &aside))?;
        }
    }
    // What was set aside kept these from being empty.
    for step in &plan.steps {
        if let Step::NoEmptyFolder { path } = step {
            remove_empty(path)?;
        }
    }
    Ok(outcome)
}

/// That every file of a plan that has to be ours is. What is not there is nobody's.
pub(super) fn hold_all_ours(plan: &Plan) -> Result<(), ManagerError> {
    for step in &plan.steps {
        match step {
            Step::File { path, ownership, .. } | Step::NoFile { path, ownership } => {
                hold_ours(path, &look(path)?, *ownership)?;
            }
            Step::Folder { .. }
            | Step::Link { .. }
            | Step::NoFolder { .. }
            | Step::NoEmptyFolder { .. }
            | Step::Call { .. } => {}
        }
    }
    Ok(())
}

/// That a path, or the folder of a service there, is not that of somebody else's. A link that leads nowhere is nobody's.
pub(super) fn hold_no_stranger(path: &Path) -> Result<(), ManagerError> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed("reading", path))?,
    };
    let file = if metadata.is_dir() { path.join("run") } else { path.to_owned() };
    // Nothing else can be read to its end.
    let is_file = fs::metadata(&file).is_ok_and(|metadata| metadata.is_file());
    let content = if is_file { fs::read(&file).map_err(failed("reading", &file))? } else { Vec::new() };
    if is_marked(&content) { Ok(()) } else { Err(ManagerError::Namesake { path: path.to_owned() }) }
}

/// What carrying a plan out would change.
pub(super) fn differences(plan: &Plan, compare: Compare<'_>) -> Result<Vec<Difference>, ManagerError> {
    let mut differences = Vec::new();
    for step in &plan.steps {
        let difference = |what: &Path, installed: Option<String>, wanted: Option<String>| {
            let differs = installed != wanted;
            differs.then(|| Difference { what: what.display().to_string(), installed, wanted })
        };
        match step {
            // They come and go with what is in them.
            Step::Folder { .. } | Step::NoEmptyFolder { .. } => {}
            Step::File { path, content, .. } => {
                differences.extend(difference(path, text_of(path)?, Some(content.clone())));
            }
            Step::Link { path, target } => {
                let there = fs::read_link(path).ok().map(|target| target.display().to_string());
                differences.extend(difference(path, there, Some(target.display().to_string())));
            }
            Step::NoFile { path, .. } => differences.extend(difference(path, text_of(path)?, None)),
            Step::NoFolder { path } => {
                differences.extend(difference(path, path.is_dir().then(|| "a folder".to_owned()), None));
            }
            Step::Call { call, undo: _ } => differences.extend(compare(call)?),
        }
    }
    Ok(differences)
}

/// What takes a step back.
enum Back {
    /// The file or link that was there is put back, or what was made is removed.
    File { path: PathBuf, before: Before },
    /// A folder that was made is removed.
    Folder(PathBuf),
    /// An empty folder that was removed is made again.
    Emptied { path: PathBuf, mode: u32 },
    /// A folder that was removed, and waits under another name until everything is done.
    Kept { path: PathBuf, aside: PathBuf },
    /// The manager is told otherwise.
    Call(Call),
}

/// What was at a path.
enum Before {
    Nothing,
    File { content: Vec<u8>, mode: u32 },
    Link(PathBuf),
}

/// Tells a manager something that is not so yet. What was told may be done in part when it fails, so what takes it back is noted
/// before.
fn call_one(call: &Call, back: Option<&Call>, means: Means<'_>, undo: &mut Vec<Back>) -> Result<Outcome, ManagerError> {
    if (means.compare)(call)?.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    let as_before = (means.undo)(call)?;
    undo.extend(back.cloned().into_iter().chain(as_before).map(Back::Call));
    (means.tell)(call).map(|()| Outcome::Changed)
}

/// Does one step, and notes what takes it back.
fn one(step: &Step, means: Means<'_>, undo: &mut Vec<Back>) -> Result<Outcome, ManagerError> {
    let back = match step {
        Step::Folder { path, mode } => make_folder(path, *mode)?,
        Step::File { path, mode, content, ownership } => write(path, *mode, content, *ownership)?,
        Step::Link { path, target } => link(path, target)?,
        Step::NoFile { path, ownership } => remove(path, *ownership)?,
        Step::NoFolder { path } => set_aside(path)?,
        Step::NoEmptyFolder { path } => remove_empty(path)?,
        Step::Call { call, undo: back } => return call_one(call, back.as_ref(), means, undo),
    };
    let outcome = if back.is_some() { Outcome::Changed } else { Outcome::Unchanged };
    undo.extend(back);
    Ok(outcome)
}

fn make_folder(path: &Path, mode: u32) -> Result<Option<Back>, ManagerError> {
    if path.is_dir() {
        return Ok(None);
    }
    fs::create_dir(path).and_then(|()| permissions::set(path, mode)).map_err(failed("making", path))?;
    Ok(Some(Back::Folder(path.to_owned())))
}

fn write(path: &Path, mode: u32, content: &str, ownership: Ownership) -> Result<Option<Back>, ManagerError> {
    let before = look(path)?;
    if let Before::File { content: there, mode: mode_there } = &before
        && there == content.as_bytes()
        && permissions::same(*mode_there, mode)
    {
        return Ok(None);
    }
    hold_ours(path, &before, ownership)?;
    replace(path, content.as_bytes(), mode).map_err(failed("writing", path))?;
    Ok(Some(Back::File { path: path.to_owned(), before }))
}

fn link(path: &Path, target: &Path) -> Result<Option<Back>, ManagerError> {
    let before = look(path)?;
    match &before {
        Before::Link(there) if there == target => return Ok(None),
        Before::File { .. } => return Err(ManagerError::Foreign { path: path.to_owned() }),
        Before::Nothing | Before::Link(_) => {}
    }
    let beside = beside(path);
    let moved = permissions::link(target, &beside).and_then(|()| fs::rename(&beside, path));
    moved.map_err(failed("linking", path))?;
    Ok(Some(Back::File { path: path.to_owned(), before }))
}

fn remove(path: &Path, ownership: Ownership) -> Result<Option<Back>, ManagerError> {
    let before = look(path)?;
    if matches!(before, Before::Nothing) {
        return Ok(None);
    }
    hold_ours(path, &before, ownership)?;
    fs::remove_file(path).map_err(failed("removing", path))?;
    Ok(Some(Back::File { path: path.to_owned(), before }))
}

/// It is removed when every other step is done.
fn set_aside(path: &Path) -> Result<Option<Back>, ManagerError> {
    if !path.is_dir() {
        return Ok(None);
    }
    let aside = beside(path);
    // One that is left from a removal that was broken off is of no use to anybody.
    let _ = fs::remove_dir_all(&aside);
    fs::rename(path, &aside).map_err(failed("removing", path))?;
    Ok(Some(Back::Kept { path: path.to_owned(), aside }))
}

fn remove_empty(path: &Path) -> Result<Option<Back>, ManagerError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.map_err(failed("reading", path))?,
    };
    match fs::remove_dir(path) {
        Ok(()) => Ok(Some(Back::Emptied { path: path.to_owned(), mode: permissions::of(&metadata) })),
        // Somebody needs it.
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed("removing", path)(error)),
    }
}

fn hold_ours(path: &Path, before: &Before, ownership: Ownership) -> Result<(), ManagerError> {
    let is_ours = match (before, ownership) {
        (Before::Nothing, _) | (_, Ownership::ByPlace) => true,
        (Before::File { content, .. }, Ownership::Marked) => is_marked(content),
        (Before::Link(_), Ownership::Marked) => false,
    };
    if is_ours { Ok(()) } else { Err(ManagerError::Foreign { path: path.to_owned() }) }
}

fn is_marked(content: &[u8]) -> bool {
    content.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

fn take_back(plan: &Plan, undo: Vec<Back>, tell: Tell<'_>, failed: ManagerError) -> ManagerError {
    let mut left = Vec::new();
    let is_nothing = undo.is_empty();
    for back in undo.into_iter().rev() {
        left.extend(put_back(back, tell).err());
    }
    if !is_nothing {
        left.extend(plan.after_undo.iter().filter_map(|call| tell(call).err()).map(|error| error.to_string()));
    }
    if left.is_empty() { failed } else { ManagerError::LeftBehind { failed: Box::new(failed), left } }
}

fn put_back(back: Back, tell: Tell<'_>) -> Result<(), String> {
    let told = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| format!("{path}: {error}")
    };
    match back {
        Back::Folder(path) => fs::remove_dir(&path).map_err(told(&path)),
        Back::Emptied { path, mode } => {
            fs::create_dir(&path).and_then(|()| permissions::set(&path, mode)).map_err(told(&path))
        }
        Back::File { path, before: Before::Nothing } => fs::remove_file(&path).map_err(told(&path)),
        Back::File { path, before: Before::File { content, mode } } => {
            replace(&path, &content, mode).map_err(told(&path))
        }
        Back::File { path, before: Before::Link(target) } => {
            let beside = beside(&path);
            permissions::link(&target, &beside).and_then(|()| fs::rename(&beside, &path)).map_err(told(&path))
        }
        Back::Kept { path, aside } => fs::rename(&aside, &path).map_err(told(&path)),
        Back::Call(call) => tell(&call).map_err(|error| error.to_string()),
    }
}

/// Writes a file beside and moves it to its place, so that it is there whole or not at all, also after a loss of power.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = beside(path);
    let written = (|| {
        // One that is left from a time that was broken off may be somebody else's to read.
        if let Err(error) = fs::remove_file(&beside)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = permissions::create(&beside)?;
        file.write_all(content)?;
        permissions::set(&beside, mode)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        // What is left beside would only take space; that it cannot be removed changes nothing about the error.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A name beside a path that managers do not take for a service: it begins with a dot.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.menshen-new"))
}

fn look(path: &Path) -> Result<Before, ManagerError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Before::Nothing),
        found => found.map_err(failed("reading", path))?,
    };
    if metadata.is_symlink() {
        return fs::read_link(path).map(Before::Link).map_err(failed("reading", path));
    }
    let content = fs::read(path).map_err(failed("reading", path))?;
    Ok(Before::File { content, mode: permissions::of(&metadata) })
}

fn text_of(path: &Path) -> Result<Option<String>, ManagerError> {
    Ok(match look(path)? {
        Before::Nothing => None,
        Before::File { content, .. } => Some(String::from_utf8_lossy(&content).into_owned()),
        Before::Link(target) => Some(format!("a link to {}", target.display())),
    })
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ManagerError {
    let path = path.to_owned();
    move |source| ManagerError::File { what, path, source }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::service::manager::ManagerKind;

    /// A manager that remembers what it was told, and refuses one thing.
    struct Told {
        told: RefCell<Vec<String>>,
        refused: &'static str,
    }

    impl Told {
        fn refusing(refused: &'static str) -> Self {
            Self { told: RefCell::default(), refused }
        }

        fn carry_out(&self, plan: &Plan) -> Result<Outcome, ManagerError> {
            let tell = |call: &Call| {
                let Call::Command { program, .. } = call else { panic!("{call}") };
                if program == self.refused {
                    let told = "no".to_owned();
                    return Err(ManagerError::Call { manager: ManagerKind::Runit, call: program.clone(), told });
                }
                self.told.borrow_mut().push(program.clone());
                Ok(())
            };
            let compare = |call: &Call| {
                let is_so = self.told.borrow().contains(&call.to_string().replace("run ", ""));
                let wanted = Some(call.to_string());
                Ok(if is_so { vec![] } else { vec![Difference { what: "told".to_owned(), installed: None, wanted }] })
            };
            carry_out(plan, &tell, &compare)
        }
    }

    fn plan(folder: &Path) -> Plan {
        let steps = vec![
            Step::Folder { path: folder.join("web"), mode: 0o755 },
            Step::file(folder.join("web/run"), 0o755, format!("# {MARK} x\nrun\n")),
            Step::Link { path: folder.join("link"), target: folder.join("web/run") },
            Step::Call { call: Call::command("enable", &[]), undo: Some(Call::command("disable", &[])) },
            Step::call(Call::command("last", &[])),
        ];
        Plan { steps, after_undo: vec![Call::command("settle", &[])] }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_plan_that_is_carried_out_twice_changes_nothing_the_second_time() {
        let folder = tempfile::tempdir().unwrap();
        let manager = Told::refusing("");
        assert_eq!(manager.carry_out(&plan(folder.path())).unwrap(), Outcome::Changed);
        assert_eq!(*manager.told.borrow(), ["enable", "last"]);
        assert_eq!(names(folder.path()), ["link", "web"]);
        assert_eq!(names(&folder.path().join("web")), ["run"], "nothing is left beside what was written");
        assert_eq!(manager.carry_out(&plan(folder.path())).unwrap(), Outcome::Unchanged);
        assert_eq!(manager.told.borrow().len(), 2);
    }

    #[test]
    fn when_a_step_fails_everything_is_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let manager = Told::refusing("last");
        let error = manager.carry_out(&plan(folder.path())).unwrap_err();
        assert!(matches!(error, ManagerError::Call { .. }), "{error}");
        assert_eq!(*manager.told.borrow(), ["enable", "disable", "settle"]);
        assert_eq!(names(folder.path()), Vec::<String>::new());

        fs::create_dir(folder.path().join("web")).unwrap();
        let before = format!("# {MARK} an older one\n");
        fs::write(folder.path().join("web/run"), &before).unwrap();
        Told::refusing("last").carry_out(&plan(folder.path())).unwrap_err();
        assert_eq!(fs::read_to_string(folder.path().join("web/run")).unwrap(), before);
        assert_eq!(names(folder.path()), ["web"]);
    }

    #[test]
    fn what_ran_before_it_was_told_to_stop_runs_again_when_a_later_step_fails() {
        let told = RefCell::new(Vec::new());
        let tell = |call: &Call| {
            told.borrow_mut().push(call.to_string());
            let told = "no".to_owned();
            let is_refused = call.to_string() == "run last";
            let refused = ManagerError::Call { manager: ManagerKind::Systemd, call: call.to_string(), told };
            if is_refused { Err(refused) } else { Ok(()) }
        };
        let compare = |call: &Call| Ok(vec![Difference::undone(call)]);
        let undo = |call: &Call| Ok((call.to_string() == "run stop").then(|| Call::command("start", &["what ran"])));
        let steps = vec![Step::call(Call::command("stop", &[])), Step::call(Call::command("last", &[]))];
        let plan = Plan { steps, after_undo: vec![Call::command("settle", &[])] };
        let failed = carry_out_by(&plan, Means { tell: &tell, compare: &compare, undo: &undo }).unwrap_err();
        assert!(matches!(failed, ManagerError::Call { .. }), "{failed}");
        assert_eq!(*told.borrow(), ["run stop", "run last", "run start what ran", "run settle"]);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("web")).unwrap();
        let theirs = folder.path().join("web/run");
        fs::write(&theirs, "theirs").unwrap();
        let error = Told::refusing("").carry_out(&plan(folder.path())).unwrap_err();
        assert!(matches!(&error, ManagerError::Foreign { path } if *path == theirs), "{error}");
        let removal = Plan {
            steps: vec![Step::NoFile { path: theirs.clone(), ownership: Ownership::Marked }],
            after_undo: vec![],
        };
        assert!(matches!(Told::refusing("").carry_out(&removal), Err(ManagerError::Foreign { .. })));
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
    }

    #[test]
    fn a_removed_folder_comes_back_when_a_later_step_fails() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("web")).unwrap();
        fs::write(folder.path().join("web/run"), "x").unwrap();
        let steps = vec![Step::NoFolder { path: folder.path().join("web") }, Step::call(Call::command("forget", &[]))];
        let plan = Plan { steps, after_undo: vec![] };
        Told::refusing("forget").carry_out(&plan).unwrap_err();
        assert_eq!(fs::read_to_string(folder.path().join("web/run")).unwrap(), "x");
        Told::refusing("").carry_out(&plan).unwrap();
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_folder_goes_only_when_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let (needed, empty) = (folder.path().join("needed"), folder.path().join("empty"));
        fs::create_dir(&needed).unwrap();
        fs::create_dir(&empty).unwrap();
        fs::write(needed.join("x"), "x").unwrap();
        let none = [&needed, &empty].map(|path| Step::NoEmptyFolder { path: path.clone() });
        let steps = none.into_iter().chain([Step::call(Call::command("forget", &[]))]).collect();
        let plan = Plan { steps, after_undo: vec![] };
        Told::refusing("forget").carry_out(&plan).unwrap_err();
        assert_eq!(names(folder.path()), ["empty", "needed"]);
        let manager = Told::refusing("");
        assert_eq!(manager.carry_out(&plan).unwrap(), Outcome::Changed);
        assert_eq!(names(folder.path()), ["needed"]);
        assert_eq!(manager.carry_out(&plan).unwrap(), Outcome::Unchanged);
    }

    #[test]
    fn differences_are_what_would_change() {
        let folder = tempfile::tempdir().unwrap();
        let compare = |_: &Call| Ok(vec![]);
        let found = differences(&plan(folder.path()), &compare).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        Told::refusing("").carry_out(&plan(folder.path())).unwrap();
        assert_eq!(differences(&plan(folder.path()), &compare).unwrap(), vec![]);
        fs::write(folder.path().join("web/run"), "edited").unwrap();
        let found = differences(&plan(folder.path()), &compare).unwrap();
        assert_eq!(found[0].installed.as_deref(), Some("edited"));
    }
}
