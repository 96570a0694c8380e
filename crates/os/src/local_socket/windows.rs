//! A named pipe. Its security descriptor says who may connect; who did is what the token says that the system lends for it.

use std::io;
use std::os::windows::io::{AsRawHandle as _, IntoRawHandle as _, OwnedHandle};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer, PipeMode, ServerOptions};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use windows_sys::Win32::Foundation::{ERROR_PIPE_BUSY, HANDLE};
use windows_sys::Win32::Security::{RevertToSelf, TOKEN_QUERY};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_OVERLAPPED, FILE_READ_ATTRIBUTES, FILE_READ_DATA, FILE_WRITE_ATTRIBUTES, FILE_WRITE_DATA,
    OPEN_EXISTING, SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT, SYNCHRONIZE,
};
use windows_sys::Win32::System::Pipes::{GetNamedPipeClientProcessId, ImpersonateNamedPipeClient};
use windows_sys::Win32::System::Threading::{GetCurrentThread, OpenThreadToken};

use super::Admits;
use crate::account::platform::{Credentials, name_of};
use crate::account::{GroupId, UserId, current, group_id};
use crate::error::context;
use crate::handover::Kept;
use crate::handover::platform::nobody;
use crate::win32::{Permissions, checked, owned, wide};

/// A connection as the caller sees it.
pub type ClientStream = NamedPipeClient;

/// What a caller needs of the pipe: to read and to write, and not to make another end of its own.
const CALLERS_RIGHTS: u32 =
    FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE;
/// How long a caller may take to say its first word; only then the system says who it is.
const FIRST_WORD_WITHIN: Duration = Duration::from_secs(10);
/// How many callers may wait for somebody to listen to them.
const ACCEPTED_MAX: usize = 32;
/// How long it takes until all ends that were busy are tried again, and how often that is done.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
const BUSY_MAX: u32 = 100;
/// The first bytes of a connection, at most.
const FIRST_BYTES_MAX: usize = 4096;

/// Who is at the other end, as the system knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub user: UserId,
    /// Every group that counts for it.
    pub groups: Vec<GroupId>,
    /// Process.
    pub pid: u32,
    name: String,
    is_master: bool,
}

impl Caller {
    /// Its user.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// The name of its user, or its SID.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Every group it is in.
    pub fn every_group(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.iter()
    }

    /// Whether it may do everything on this machine.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.is_master
    }
}

/// A connection as the guard sees it.
#[derive(Debug)]
pub struct ServerStream {
    pipe: NamedPipeServer,
    /// What was read before it was known who speaks.
    first: Vec<u8>,
}

impl AsyncRead for ServerStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(to.remaining());
            to.put_slice(&self.first[..count]);
            self.first.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.pipe).poll_read(context, to) {
            // The other end was closed: there is nothing more to come.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
            polled @ (Poll::Ready(_) | Poll::Pending) => polled,
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

/// The guard's end.
#[derive(Debug)]
pub struct Listener {
    door: Door,
    accepted: tokio::sync::Mutex<mpsc::Receiver<io::Result<(ServerStream, Caller)>>>,
}

/// Decides who may connect, while somebody else listens.
#[derive(Debug, Clone)]
pub struct Door {
    admits: Arc<Mutex<Admits>>,
    accepting: AbortHandle,
}

impl Door {
    /// From now on these may connect: whoever does next has the ends after it made for them.
    ///
    /// # Errors
    /// Never.
    pub fn admit(&self, admits: &Admits) -> io::Result<()> {
        *self.admits.lock().unwrap_or_else(PoisonError::into_inner) = admits.clone();
        Ok(())
    }

    /// Nobody can connect any more.
    pub fn close(&self) {
        self.accepting.abort();
    }
}

impl Listener {
    /// Listens at the pipe of this name.
    ///
    /// # Errors
    /// When somebody else has a pipe of this name, or the system has none left.
    pub fn bind(path: &Path, admits: &Admits) -> io::Result<Self> {
        let what = || context(format!("listening on {}", path.display()));
        let first = end(path, admits, ServerOptions::new().first_pipe_instance(true)).map_err(what())?;
        let admits = Arc::new(Mutex::new(admits.clone()));
        let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
        let accepting = tokio::spawn(accept_all(path.to_owned(), first, Arc::clone(&admits), sender)).abort_handle();
        let accepted = tokio::sync::Mutex::new(receiver);
        Ok(Self { door: Door { admits, accepting }, accepted })
    }

    /// Goes on listening where the program before this one did; there is none.
    ///
    /// # Errors
    /// Always.
    pub fn kept(_kept: Kept, _path: &Path, _admits: &Admits) -> io::Result<Self> {
        Err(nobody())
    }

    /// What decides who may connect.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Something to be kept for the next program, which there is none of.
    ///
    /// # Errors
    /// When the system has no handles left.
    pub fn share(&self) -> io::Result<Kept> {
        Ok(std::fs::File::open("NUL")?.into())
    }

    /// The next connection, with who is at its other end.
    ///
    /// # Errors
    /// When the system has no handles left, or the caller is gone already.
    pub async fn accept(&self) -> io::Result<(ServerStream, Caller)> {
        let next = self.accepted.lock().await.recv().await;
        match next {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }
}

type Sender = mpsc::Sender<io::Result<(ServerStream, Caller)>>;

/// Has an end ready for the next caller, always; each is heard by itself.
async fn accept_all(path: PathBuf, first: NamedPipeServer, admits: Arc<Mutex<Admits>>, sender: Sender) {
    let mut waiting = first;
    loop {
        let connected = waiting.connect().await;
        let next = loop {
            let admits = admits.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match end(&path, &admits, &mut ServerOptions::new()) {
                Ok(next) => break next,
                Err(error) => {
                    if sender.send(Err(error)).await.is_err() {
                        return;
                    }
                }
            }
        };
        let caller = std::mem::replace(&mut waiting, next);
        if connected.is_ok() {
            let sender = sender.clone();
            tokio::spawn(async move {
                if let Ok(Ok(heard)) = tokio::time::timeout(FIRST_WORD_WITHIN, hear(caller)).await {
                    // If nobody listens any more, nobody answers.
                    let _ = sender.send(Ok(heard)).await;
                }
            });
        }
    }
}

fn end(path: &Path, admits: &Admits, options: &mut ServerOptions) -> io::Result<NamedPipeServer> {
    let permissions = Permissions::of(&descriptor(admits))?;
    options.reject_remote_clients(true).pipe_mode(PipeMode::Byte);
    // SAFETY: the attributes are whole and live on until the pipe is made.
    unsafe { options.create_with_security_attributes_raw(path, permissions.attributes().cast_mut().cast()) }
}

/// Nobody from the network; the system, administrators and the guard's own user everything; others what callers need.
fn descriptor(admits: &Admits) -> String {
    let own = current().sid;
    let others = match admits {
        Admits::Members(group) => group_id(group),
        Admits::Everybody => Some("AU".to_owned()),
    };
    let others = others.map(|sid| format!("(A;;{CALLERS_RIGHTS:#x};;;{sid})")).unwrap_or_default();
    format!("D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;{own}){others}")
}

/// Waits for the first word of a caller, and asks the system who it is.
async fn hear(mut pipe: NamedPipeServer) -> io::Result<(ServerStream, Caller)> {
    let mut first = vec![0; FIRST_BYTES_MAX];
    let count = pipe.read(&mut first).await?;
    first.truncate(count);
    let caller = caller(pipe.as_raw_handle())?;
    Ok((ServerStream { pipe, first }, caller))
}

fn caller(pipe: HANDLE) -> io::Result<Caller> {
    let mut pid = 0;
    // SAFETY: the pipe is open, and the number is there to be written to.
    checked(unsafe { GetNamedPipeClientProcessId(pipe, &raw mut pid) })?;
    let credentials = Credentials::of(&lent_token(pipe)?)?;
    let name = name_of(&credentials.user);
    let is_master = credentials.is_master();
    Ok(Caller { user: credentials.user, groups: credentials.groups, pid, name, is_master })
}

/// The token of whoever has connected, as it was then. Meanwhile this thread is that caller, and does nothing as such.
fn lent_token(pipe: HANDLE) -> io::Result<OwnedHandle> {
    let mut token = ptr::null_mut();
    // SAFETY: the pipe is open and the token is there to be written to; whatever happens, the thread is itself again.
    let answer = unsafe {
        checked(ImpersonateNamedPipeClient(pipe))?;
        let answer = OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, 1, &raw mut token);
        let error = checked(answer);
        checked(RevertToSelf())?;
        error
    };
    answer?;
    owned(token)
}

/// The names of the guards that listen, or have listened, in a folder: each has a lock there.
#[must_use]
pub fn instances(run: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    let locks =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|extension| extension == "lock"));
    let mut names: Vec<String> =
        locks.filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

/// Connects to a guard.
///
/// # Errors
/// When nobody listens, or the caller may not connect.
pub async fn connect(path: &Path) -> io::Result<ClientStream> {
    let mut tries = 0;
    loop {
        match open(path) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY.cast_signed()) && tries < BUSY_MAX => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

fn open(path: &Path) -> io::Result<ClientStream> {
    let name = wide(path);
    let flags = FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION;
    // SAFETY: the name ends with a zero; what comes back is a pipe's end for calls that do not wait, and nobody else has it.
    unsafe {
        let handle = CreateFileW(name.as_ptr(), CALLERS_RIGHTS, 0, ptr::null(), OPEN_EXISTING, flags, ptr::null_mut());
        NamedPipeClient::from_raw_handle(owned(handle)?.into_raw_handle())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_system_says_who_calls() {
        let path = PathBuf::from(format!(r"\\.\pipe\menshen-test-{}", std::process::id()));
        let listener = Listener::bind(&path, &Admits::Members("no-such-group")).unwrap();
        let mut client = connect(&path).await.unwrap();
        client.write_all(b"word").await.unwrap();
        let (mut stream, caller) = listener.accept().await.unwrap();
        assert_eq!((caller.user, caller.pid), (current().sid, std::process::id()));
        let mut said = [0; 4];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"word");
    }
}
