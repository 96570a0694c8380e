//! A Unix stream socket.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::Admits;
use crate::account::platform::name_of;
use crate::account::{GroupId, UserId};
use crate::error::context;
use crate::fail_point::{FailPoint, reach};
use crate::handover::Kept;

/// The longest path of a socket, in bytes (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// Who is at the other end, as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub user: UserId,
    /// Main group.
    pub gid: u32,
    /// Process.
    pub pid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Caller {
    /// Its user.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// The name of its user, or its number. The machine's accounts are asked, which may be kept on another machine and take their
    /// time.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(self.user.0)
    }

    /// Every group it is in.
    pub fn every_group(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.iter().chain([&self.gid])
    }

    /// Whether it may do everything on this machine.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.user.0 == 0
    }
}

/// A connection as the guard sees it.
pub type ServerStream = UnixStream;
/// A connection as the caller sees it.
pub type ClientStream = UnixStream;

/// The guard's end.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    door: Door,
}

/// Decides who may connect, while somebody else listens.
#[derive(Debug, Clone)]
pub struct Door {
    path: PathBuf,
}

impl Door {
    /// From now on these may connect.
    ///
    /// # Errors
    /// When the permissions cannot be set.
    pub fn admit(&self, admits: &Admits) -> io::Result<()> {
        match admits {
            Admits::Members(group) => crate::file::platform::set_group_access(&self.path, 0o660, Some(group)),
            Admits::Everybody => crate::file::platform::set_group_access(&self.path, 0o666, None),
        }
    }

    /// Nobody can connect any more.
    pub fn close(&self) {
        // A socket that is gone already is as it should be.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Listens at a path, in the place of what an earlier guard left there; the instance's lock says that it is gone.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn bind(path: &Path, admits: &Admits) -> io::Result<Self> {
        let what = || context(format!("listening on {}", path.display()));
        match std::fs::remove_file(path) {
            Ok(()) => reach(FailPoint::SocketCleared),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(what()(error)),
        }
        let listener = check_length(path).and_then(|()| UnixListener::bind(path)).map_err(what())?;
        reach(FailPoint::SocketBound);
        let door = Door { path: path.to_owned() };
        door.admit(admits).map_err(what())?;
        Ok(Self { listener, door })
    }

    /// Goes on listening where the program before this one did, in the same process: whoever has connected since waits there.
    ///
    /// # Errors
    /// When it is no listening socket, or the permissions cannot be set.
    pub fn kept(descriptor: Kept, path: &Path, admits: &Admits) -> io::Result<Self> {
        let what = || context(format!("going on listening on {}", path.display()));
        let listener = std::os::unix::net::UnixListener::from(descriptor);
        listener.set_nonblocking(true).map_err(what())?;
        let listener = UnixListener::from_std(listener).map_err(what())?;
        let door = Door { path: path.to_owned() };
        door.admit(admits).map_err(what())?;
        Ok(Self { listener, door })
    }

    /// What decides who may connect.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// The same socket once more, to be kept for the next program.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn share(&self) -> io::Result<Kept> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// The next connection, with who is at its other end.
    ///
    /// # Errors
    /// When the system has no descriptors left, or the caller is gone already.
    pub async fn accept(&self) -> io::Result<(ServerStream, Caller)> {
        let (stream, _) = self.listener.accept().await?;
        let caller = caller(&stream)?;
        Ok((stream, caller))
    }
}

/// The names of the guards that listen, or have listened, in a folder.
#[must_use]
pub fn instances(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let sockets =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "sock"));
    let mut names: Vec<String> =
        sockets.filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

/// Connects to a guard.
///
/// # Errors
/// When nobody listens, or the caller may not connect.
pub async fn connect(path: &Path) -> io::Result<ClientStream> {
    UnixStream::connect(path).await
}

fn caller(stream: &UnixStream) -> io::Result<Caller> {
    let credentials = stream.peer_cred()?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let groups = peer_groups(stream).unwrap_or_default();
    Ok(Caller { user: UserId(credentials.uid()), gid: credentials.gid(), pid, groups })
}

/// The supplementary groups the caller had when it connected (`SO_PEERGROUPS`).
#[expect(unsafe_code, reason = "no crate wraps SO_PEERGROUPS")]
fn peer_groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    /// The most groups a process can have (`NGROUPS_MAX`).
    const GROUPS_MAX: usize = 65_536;
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice())).unwrap_or(0);
        // SAFETY: the descriptor is open for as long as `stream` is borrowed, and `groups` has `length` bytes to write to.
        let result = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).unwrap_or(0) / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > GROUPS_MAX {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// The kernel's own word for a path that is too long does not tell what is wrong.
fn check_length(path: &Path) -> io::Result<()> {
    let length = path.as_os_str().len();
    if length <= PATH_BYTES_MAX {
        return Ok(());
    }
    let why = format!("a path of {length} bytes is too long for a socket, which may have one of {PATH_BYTES_MAX}");
    Err(io::Error::new(io::ErrorKind::InvalidFilename, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_may_be_as_long_as_the_kernel_takes_it_and_it_is_said_how_long_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let of_length = |length: usize| folder.path().join("s".repeat(length - folder.path().as_os_str().len() - 1));
        Listener::bind(&of_length(PATH_BYTES_MAX), &Admits::Everybody).unwrap();
        let error = Listener::bind(&of_length(PATH_BYTES_MAX + 1), &Admits::Everybody).unwrap_err();
        assert!(error.to_string().contains("a path of 108 bytes is too long for a socket"), "{error}");
    }

    #[tokio::test]
    async fn the_kernel_says_who_calls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let listener = Listener::bind(&path, &Admits::Members("no-such-group")).unwrap();
        let (accepted, _client) = tokio::join!(listener.accept(), connect(&path));
        let (_, caller) = accepted.unwrap();
        let me = crate::account::current();
        assert_eq!((caller.user(), caller.pid), (&me.id(), std::process::id()));
        assert_eq!(caller.name(), me.name);
    }
}
