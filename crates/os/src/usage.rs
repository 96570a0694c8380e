//! What a tree uses.

use std::time::Duration;

/// A sample of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time of all its runs, also of what has ended, where the system counts it; else that of what runs. A new guard
    /// may know less of what ended under the one before.
    pub cpu: Duration,
    /// Memory in bytes. Where the system does not count it for the tree, the sum of what its processes have resident, in
    /// which shared pages count more than once.
    pub memory_bytes: u64,
    /// Processes.
    pub processes: u32,
    /// Processes and threads.
    pub tasks: u32,
    /// Open file descriptors.
    pub files: u64,
}

/// What a tree may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time in cores.
    pub cpu_cores: Option<f64>,
    /// Processes and threads.
    pub tasks: Option<u32>,
}

/// Which limits the system itself enforces. What it does not, the caller must sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enforced {
    /// The memory limit, or there is none.
    pub memory: bool,
    /// The processor limit, or there is none.
    pub cpu: bool,
    /// The limit of tasks, or there is none.
    pub tasks: bool,
}
