//! What the system reports.

use crate::notify_socket::Datagram;

/// A name for a process or socket, chosen by the caller and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// The signal of this number killed it.
    Signal(i32),
    /// The system does not tell.
    Unknown,
}

/// Whether anything of a tree is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeState {
    /// Nothing.
    Empty,
    /// Some process lives.
    Alive,
}

/// Something that happened to a process, a socket, or the guard itself.
#[derive(Debug)]
pub enum OsEvent {
    /// A program runs: its file has been executed.
    Started {
        /// Which.
        token: Token,
        /// Its process.
        pid: u32,
    },
    /// A program could not be executed; nothing of it is left.
    StartFailed {
        /// Which.
        token: Token,
        /// Why, with what was being done.
        error: std::io::Error,
    },
    /// A main process ended.
    Exited {
        /// Which.
        token: Token,
        /// How.
        exit: Exit,
        /// Whether its memory limit killed it.
        oom: bool,
        /// Whether others of its tree live; if so, `TreeEmpty` follows.
        tree: TreeState,
        /// The last of its output, where it was started with [`Output::Tail`](crate::Output::Tail).
        tail: Vec<u8>,
    },
    /// Nothing is left of a tree whose main process had ended.
    TreeEmpty {
        /// Whose.
        token: Token,
    },
    /// A tree is frozen.
    Frozen {
        /// Whose.
        token: Token,
    },
    /// The process that holds for the next guard has ended; see [`System::begin_to_hold`](crate::System::begin_to_hold).
    HolderEnded {
        /// How long it had been there.
        after: std::time::Duration,
    },
    /// A program said something over its notify socket.
    Notified {
        /// The socket's.
        token: Token,
        /// What it said.
        datagram: Datagram,
    },
    /// Somebody asks the guard itself for something.
    Asked(Ask),
}

/// What somebody asks the guard itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To end (SIGTERM).
    Terminate,
    /// To end (Ctrl-C).
    Interrupt,
    /// To read its definition again (SIGHUP).
    Reload,
    /// To end, because the terminal it was started in is gone (SIGHUP, too).
    Hangup,
}
