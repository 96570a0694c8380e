//! Accepting connections: as many as are good for the guard, and none that keeps others out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use menshen_api::{Problem, ProblemCode, Role};
use menshen_os::error::{describe, is_shortage};
use menshen_os::local_socket::{Caller, Listener, ServerStream};
use tokio::sync::oneshot;

use super::Shared;
use super::access::Access;
use super::answer::{Answer, problem};
use super::farewells::Farewells;
use super::handle::handle;
use super::heard::{Heard, Unanswered};
use super::idempotency::Idempotency;
use super::reader::named;
use crate::guard::input::{ControlTrouble, Input};

/// How many connections may be open at once. Each costs a descriptor and a few KiB.
const CONNECTIONS_MAX: usize = 512;
/// And no more than this part of the descriptors the guard may have: starting and watching programs takes some, too.
const DESCRIPTORS_SHARE: u64 = 4;
/// One connection in so many is kept for administrators, however many others come.
const ADMINISTRATORS_SHARE: usize = 8;
/// How many of them one process may have, so that it cannot keep others out.
const CONNECTIONS_PER_PROCESS_MAX: usize = 64;
/// How long a caller may take to send the head of a request, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a connection could not be accepted (no descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Tells whoever waits for it that a connection is over: everything that was to be said over it has been said.
#[derive(Debug, Clone)]
pub(super) struct Parting {
    over: Arc<Mutex<Option<oneshot::Sender<()>>>>,
    farewells: Farewells,
}

impl Parting {
    /// Ends when the connection does.
    pub(super) fn wait(&self) -> oneshot::Receiver<()> {
        let (over, heard) = oneshot::channel();
        // It is never sent: it is dropped with the connection.
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = Some(over);
        heard
    }

    /// The guard does not end before the connection does.
    pub(super) fn be_waited_for(&self) {
        self.farewells.add(self.wait());
    }

    /// Nobody has to wait for it any more.
    pub(super) fn let_go(&self) {
        drop(self.over.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What every connection shares.
struct Server {
    shared: Arc<Shared>,
    access: Arc<RwLock<Access>>,
    farewells: Farewells,
    open: Mutex<HashMap<u32, usize>>,
    refusals: AtomicUsize,
    /// Held while it is told of, so that it is told in the order it happens.
    crowd: tokio::sync::Mutex<Crowd>,
    idempotency: Idempotency,
}

/// Whether connections were refused lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowd {
    /// There is room for whoever comes.
    Away,
    /// There was none, and is not much.
    There,
}

/// Accepts until it is ended.
pub(super) async fn serve(
    listener: Listener,
    shared: Arc<Shared>,
    (access, farewells): (Arc<RwLock<Access>>, Farewells),
) {
    let idempotency = Idempotency::default();
    let (open, refusals) = (Mutex::default(), AtomicUsize::new(0));
    let crowd = tokio::sync::Mutex::new(Crowd::Away);
    let server = Arc::new(Server { shared, access, farewells, open, refusals, crowd, idempotency });
    let mut in_trouble = false;
    loop {
        match listener.accept().await {
            Ok((stream, caller)) => {
                if std::mem::take(&mut in_trouble) {
                    let text = "connections to the control socket are accepted again".to_owned();
                    server.shared.inputs.send(Input::TroubleOver(ControlTrouble::Accepting, text)).await;
                }
                let server = Arc::clone(&server);
                tokio::spawn(async move { server.connection(stream, caller).await });
            }
            Err(error) => {
                // A caller that is gone already is no trouble.
                if is_shortage(&error) && !std::mem::replace(&mut in_trouble, true) {
                    let text = format!("no connection to the control socket can be accepted: {}", describe(&error));
                    server.shared.inputs.send(Input::Trouble(ControlTrouble::Accepting, text)).await;
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Somebody has not said all of what he wants.
pub(super) fn half_a_request(caller: &Caller) -> Input {
    let within = menshen_plan::duration::format(HEAD_TIMEOUT);
    Input::CallerTrouble(format!("{} has sent half a request and not the rest within {within}", named(caller)))
}

/// How many connections may be open at once, and how many more to be told that there are too many. Those beyond are not even
/// told.
fn connections_max() -> usize {
    let share = menshen_os::host::descriptors_max() / DESCRIPTORS_SHARE;
    usize::try_from(share).map_or(CONNECTIONS_MAX, |share| share.min(CONNECTIONS_MAX))
}

impl Server {
    async fn connection(&self, stream: ServerStream, caller: Caller) {
        let role = self.access.read().unwrap_or_else(PoisonError::into_inner).role_of(&caller);
        let admitted = self.admit(caller.pid, role);
        let refused_before = if admitted { 0 } else { self.refusals.fetch_add(1, Ordering::Relaxed) };
        if !admitted {
            self.tell_of_crowd(&caller).await;
        }
        if refused_before < connections_max() {
            self.speak(stream, &caller, admitted).await;
        }
        if admitted {
            self.leave(caller.pid);
            self.tell_of_room().await;
        } else {
            self.refusals.fetch_sub(1, Ordering::Relaxed);
        }
    }

    async fn speak(&self, stream: ServerStream, caller: &Caller, admitted: bool) {
        let (parting, unanswered) = (self.parting(), Unanswered::default());
        let service = service_fn(async |request| {
            let answer = self.answer(request, (caller, &parting), admitted).await;
            unanswered.answered();
            answer
        });
        let mut connection = http1::Builder::new();
        connection
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .keep_alive(admitted)
            .max_buf_size(64 << 10);
        let stream = TokioIo::new(Heard::new(stream, unanswered.clone()));
        // What else goes wrong with a connection is the caller's to notice.
        if connection.serve_connection(stream, service).await.is_err_and(|error| error.is_timeout())
            && unanswered.is_there()
        {
            self.shared.inputs.send(half_a_request(caller)).await;
        }
    }

    fn parting(&self) -> Parting {
        Parting { over: Arc::default(), farewells: self.farewells.clone() }
    }

    /// Tells, once, that connections are refused.
    async fn tell_of_crowd(&self, refused: &Caller) {
        let mut crowd = self.crowd.lock().await;
        if std::mem::replace(&mut *crowd, Crowd::There) == Crowd::Away {
            let (all, of_process) = self.count(refused.pid);
            let text = format!(
                "connections to the control socket are refused: {all} are open, {of_process} of them by {}",
                named(refused)
            );
            self.shared.inputs.send(Input::Trouble(ControlTrouble::Crowded, text)).await;
        }
    }

    /// Tells that they are not any more, once half of what there may be is not open: who stays at the brink is told of once.
    async fn tell_of_room(&self) {
        let mut crowd = self.crowd.lock().await;
        if *crowd == Crowd::There && self.has_much_room() {
            *crowd = Crowd::Away;
            let text = "there is room again for connections to the control socket".to_owned();
            self.shared.inputs.send(Input::TroubleOver(ControlTrouble::Crowded, text)).await;
        }
    }

    /// How many connections are open, and how many of them a process has.
    fn count(&self, pid: u32) -> (usize, usize) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (open.values().sum(), open.get(&pid).copied().unwrap_or(0))
    }

    fn has_much_room(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let half = |count: usize, most: usize| count * 2 <= most;
        half(open.values().sum(), connections_max())
            && open.values().all(|count| half(*count, CONNECTIONS_PER_PROCESS_MAX))
    }

    /// Whether there is room for one more connection of this process.
    fn admit(&self, pid: u32, role: Option<Role>) -> bool {
        let most = connections_max();
        let most = if role == Some(Role::Admin) { most } else { most - most / ADMINISTRATORS_SHARE };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_process = open.get(&pid).copied().unwrap_or(0);
        let room = open.values().sum::<usize>() < most && of_process < CONNECTIONS_PER_PROCESS_MAX;
        if room {
            open.insert(pid, of_process + 1);
        }
        room
    }

    fn leave(&self, pid: u32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&pid) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(open.remove(&pid)),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        (caller, parting): (&Caller, &Parting),
        admitted: bool,
    ) -> Result<Answer, Infallible> {
        if !admitted {
            return Ok(problem(&Problem::new(ProblemCode::Busy, "too many connections are open")));
        }
        let role = self.access.read().unwrap_or_else(PoisonError::into_inner).role_of(caller);
        let answer = handle(request, (caller, parting), role, &self.shared, &self.idempotency).await;
        Ok(answer.unwrap_or_else(|error| problem(&error)))
    }
}
