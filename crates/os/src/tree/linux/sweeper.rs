//! Removing the folders of trees beside everything else: the kernel takes its time for each, and while many services end the
//! guard has better things to do.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::cgroup::{Leaf, remove_tree};

/// So many services wait for the thread at most; whoever gives more removes those.
const QUEUE_MAX: usize = 1024;

/// What is to be removed, and the thread that does so. There is none before something is.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    /// What was given since the thread was last woken.
    waiting: Vec<Swept>,
    thread: Option<Thread>,
}

/// A service of which nothing lives and nothing will.
#[derive(Debug)]
struct Swept {
    /// The folder of the service, if it has one.
    folder: Option<PathBuf>,
    leaves: Vec<Leaf>,
}

#[derive(Debug)]
struct Thread {
    sender: SyncSender<Swept>,
    queue: Queue,
    handle: JoinHandle<()>,
}

/// What is to be removed, for everybody who removes.
#[derive(Debug, Clone)]
struct Queue(Arc<Mutex<Receiver<Swept>>>);

impl Sweeper {
    /// Has the folders of a service's trees removed, and its own if it has one, once it is told to [go on](Self::go_on).
    pub(crate) fn give(&mut self, folder: Option<PathBuf>, leaves: Vec<Leaf>) {
        self.waiting.push(Swept { folder, leaves });
    }

    /// Has removed what was given until now.
    pub(crate) fn go_on(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.thread.is_none() {
            self.thread = Thread::begin();
        }
        for swept in self.waiting.drain(..) {
            match &self.thread {
                Some(thread) => thread.give(swept),
                None => swept.remove(),
            }
        }
    }

    /// Returns when everything is removed.
    pub(crate) fn finish(&mut self) {
        self.go_on();
        if let Some(thread) = self.thread.take() {
            thread.finish();
        }
    }
}

impl Thread {
    /// `None` where the system has no thread for it.
    fn begin() -> Option<Self> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE_MAX);
        let queue = Queue(Arc::new(Mutex::new(receiver)));
        let own = queue.clone();
        let sweep = move || {
            // It begins when the loop has let them through for itself.
            crate::system::hold_signals();
            own.remove_all();
        };
        let handle = thread::Builder::new().name("sweeper".to_owned()).spawn(sweep).ok()?;
        Some(Self { sender, queue, handle })
    }

    fn give(&self, swept: Swept) {
        if let Err(TrySendError::Full(swept) | TrySendError::Disconnected(swept)) = self.sender.try_send(swept) {
            swept.remove();
        }
    }

    /// Who waits helps.
    fn finish(self) {
        let Self { sender, queue, handle } = self;
        drop(sender);
        queue.remove_all();
        // What it did not remove is removed with all the rest.
        let _ = handle.join();
    }
}

impl Queue {
    /// Removes what there is, and what comes, until nothing can come any more.
    fn remove_all(&self) {
        while let Some(swept) = self.next() {
            swept.remove();
        }
    }

    fn next(&self) -> Option<Swept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}

impl Swept {
    fn remove(self) {
        for leaf in self.leaves {
            // One that is in use stays.
            remove_tree(leaf.path());
        }
        if let Some(folder) = self.folder {
            remove_tree(&folder);
        }
    }
}
