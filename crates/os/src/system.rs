//! Starts programs, waits for whatever happens to them, ends them.
//!
//! There is one [`System`] in a guard, and nothing else in it waits for processes.

#[cfg(target_os = "linux")]
#[path = "system/linux/system.rs"]
pub(crate) mod platform;
#[cfg(windows)]
#[path = "system/windows/system.rs"]
pub(crate) mod platform;

pub use platform::{
    Running, System, Unnoted, Waker, exists, hold_signals, is_alive, leave_terminal, make_room, say_into,
};

use std::path::PathBuf;

use crate::event::{Exit, TreeState};

/// How to set the system up.
#[derive(Debug, Clone)]
pub struct SystemConfig {
    /// The guard's name.
    pub instance: String,
    /// What tells it from guards of the same name elsewhere, as [`Paths::mark`](crate::paths::Paths::mark) has it: its trees
    /// and processes carry both.
    pub mark: String,
    /// The folder of its sockets.
    pub run_folder: PathBuf,
    /// How trees are told apart.
    pub trees: TreeMode,
}

/// How trees are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TreeMode {
    /// By the best means there is.
    #[default]
    Auto,
    /// By cgroups, or not at all.
    Cgroup,
    /// Without cgroups, even where there are some.
    Walk,
}

/// Which processes of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The main one.
    Main,
    /// All but the main one.
    Rest,
    /// All.
    Tree,
}

/// A main process an earlier guard looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub pid: u32,
    /// When it started: with the number, what tells it from all others of this boot.
    pub start_time: u64,
    /// The process the program was started as, with its start time, if that one has named another main process.
    pub first: Option<(u32, u64)>,
    /// The folder of its tree, where it has one. It need not be where this guard would make it: an earlier guard may have
    /// been started from elsewhere.
    pub folder: Option<PathBuf>,
}

impl Earlier {
    /// A program that was being started when the guard died: nobody knows its process, or whether there is one. What is found
    /// of it is what its tree tells.
    pub const UNKNOWN: Self = Self { pid: 0, start_time: 0, first: None, folder: None };
}

/// What became of a process an earlier guard started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It runs, and is looked after from now on.
    Alive,
    /// It has ended.
    Ended {
        /// How, if the system still knows.
        exit: Exit,
        /// Whether others of its tree live; if so, `TreeEmpty` follows.
        tree: TreeState,
    },
}
