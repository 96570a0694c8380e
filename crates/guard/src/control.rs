//! The control socket: HTTP for programs of this machine. Who calls is known from the kernel; what they may do is decided
//! here; what they ask is answered by the loop, the journal or the logs.

pub(crate) mod access;
mod answer;
mod body;
mod events;
mod farewells;
mod handle;
mod heard;
mod idempotency;
mod logs;
mod metrics;
mod reader;
pub(crate) mod reload;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use menshen_os::handover::Kept;
use menshen_os::local_socket::{Door, Listener};
use menshen_plan::definition::Access as AccessPlan;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::definition::DefinitionSource;
use crate::disk::DiskHandle;
use crate::guard::input::Inputs;
use crate::hub::Hub;
use crate::logs::Logs;
use access::Access;

pub(crate) use farewells::{Farewell, Farewells};

/// What is said where no answer comes.
const NO_ANSWER: &str = "the guard is ending, or its disk does not keep up; what was asked may have been done";

/// What requests are answered with.
pub(crate) struct Shared {
    pub instance: String,
    pub source: DefinitionSource,
    pub inputs: Inputs,
    pub hub: Hub,
    pub disk: DiskHandle,
    pub logs: Logs,
    pub logs_folder: PathBuf,
}

/// The open control socket.
pub(crate) struct Control {
    access: Arc<RwLock<Access>>,
    door: Door,
    server: AbortHandle,
    farewells: Farewells,
    /// The socket once more, for a next version.
    socket: Kept,
}

impl Control {
    /// Opens the socket, or goes on with the one of the version before, and serves it.
    pub(crate) fn start(
        tasks: &Handle,
        (path, inherited): (&Path, Option<Kept>),
        plan: &AccessPlan,
        shared: Shared,
    ) -> std::io::Result<Self> {
        let access = Arc::new(RwLock::new(Access::new(plan)));
        // Registering the socket needs the tasks' reactor.
        let listener = {
            let _inside = tasks.enter();
            let admits = Access::admits(plan);
            match inherited {
                Some(socket) => Listener::kept(socket, path, &admits)?,
                None => Listener::bind(path, &admits)?,
            }
        };
        let (socket, door) = (listener.share()?, listener.door());
        let farewells = Farewells::default();
        let server = tasks.spawn(server::serve(listener, Arc::new(shared), (Arc::clone(&access), farewells.clone())));
        Ok(Self { access, door, server: server.abort_handle(), farewells, socket })
    }

    /// From now on these may do that.
    ///
    /// # Errors
    /// When the socket's permissions cannot be changed; the roles hold all the same.
    pub(crate) fn set_access(&self, plan: &AccessPlan) -> std::io::Result<()> {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Access::new(plan);
        self.door.admit(&Access::admits(plan))
    }

    /// Answers nobody new: who calls from now on waits for the next version, which gets the socket.
    pub(crate) fn leave(&self) -> &Kept {
        self.server.abort();
        &self.socket
    }

    /// Answers nobody new, and removes the socket. Whoever asked for that is to get the answer first.
    pub(crate) fn close(&self) -> Farewell {
        self.server.abort();
        self.door.close();
        self.farewells.take()
    }
}
