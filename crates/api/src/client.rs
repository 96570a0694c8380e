//! The Rust client. How a connection is made is the caller's business: a Unix socket, a named pipe, or a test's own.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::percent;
use crate::problem::{Problem, ProblemCode};
use crate::query;
use crate::types::Event;

/// The longest answer that is read whole, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest line of an answer that comes line by line, in bytes.
const LINE_BYTES_MAX: usize = 4 << 20;

/// So much of an answer is taken from the connection at once, in bytes: that of a guard with a hundred services whole.
const READ_BYTES: usize = 64 << 10;

/// A connection that nobody has used for this long is not used again: guards close those.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// How long an answer is waited for before the guard is asked whether it works.
const PATIENCE: Duration = Duration::from_secs(5);
/// A guard that works says so at once, whatever else it is asked.
const HEALTH_WITHIN: Duration = Duration::from_secs(5);

/// What a connection can do.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection for T {}

type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send>>;

type Sender = http1::SendRequest<Full<Bytes>>;

/// Speaks to one guard.
pub struct Client {
    instance: String,
    connect: Box<dyn Fn() -> Connecting + Send + Sync>,
    idle: Mutex<Option<Idle>>,
}

/// A connection whose last call was answered whole.
struct Idle {
    sender: Sender,
    since: Instant,
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No guard listens there, or the caller may not connect.
    #[error("cannot reach the guard")]
    Unreachable(#[source] io::Error),
    /// The guard answered with a problem.
    #[error(transparent)]
    Problem(Problem),
    /// The guard is there, and does not even say that it works.
    #[error("the guard '{instance}' does not answer")]
    Silent {
        /// Its name.
        instance: String,
    },
    /// The connection broke.
    #[error("the connection to the guard broke")]
    Broken(#[source] hyper::Error),
    /// The answer is not what the contract says.
    #[error("the guard's answer cannot be read: {0}")]
    Unreadable(String),
}

impl ClientError {
    /// The problem the guard answered with, if it did.
    #[must_use]
    pub const fn problem(&self) -> Option<&Problem> {
        if let Self::Problem(problem) = self { Some(problem) } else { None }
    }
}

impl Client {
    /// A client of the guard of this name, that connects for its first call. What only reads goes over the same connection as
    /// the call just before it. An answer is waited for as long as the guard says that it works.
    pub fn new<F, C>(instance: impl Into<String>, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<C>> + Send + 'static,
        C: Connection,
    {
        let connect = move || -> Connecting {
            let connecting = connect();
            Box::pin(async move { connecting.await.map(|connection| Box::new(connection) as Box<dyn Connection>) })
        };
        Self { instance: instance.into(), connect: Box::new(connect), idle: Mutex::new(None) }
    }

    /// Calls an endpoint and reads its answer.
    ///
    /// # Errors
    /// When the guard cannot be reached or answers with a problem.
    pub async fn call<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ClientError> {
        let body = self.whole(call).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Unreadable(error.to_string()))
    }

    /// Calls an endpoint, and does not read what it answers.
    ///
    /// # Errors
    /// When the guard cannot be reached or answers with a problem.
    pub async fn unread(&self, call: &Call<'_>) -> Result<Bytes, ClientError> {
        self.whole(call).await
    }

    /// Calls an endpoint that answers line by line, without an end if it follows.
    ///
    /// # Errors
    /// When the guard cannot be reached or answers with a problem.
    pub async fn lines(&self, call: &Call<'_>) -> Result<Lines, ClientError> {
        let (response, _) = self.patiently(self.send(call, None)).await?;
        Ok(Lines { body: response.into_body(), buffer: Vec::new(), ended: false })
    }

    /// Follows the guard's events: what the query asks for of the past, then what happens.
    ///
    /// # Errors
    /// When the guard cannot be reached or answers with a problem.
    pub async fn events(&self, call: &Call<'_>) -> Result<Events, ClientError> {
        let (response, _) = self.patiently(self.send(call, Some("text/event-stream"))).await?;
        Ok(Events(Lines { body: response.into_body(), buffer: Vec::new(), ended: false }))
    }

    async fn whole(&self, call: &Call<'_>) -> Result<Bytes, ClientError> {
        let answer = async {
            let (response, sender) = self.send(call, None).await?;
            Ok((read_whole(response.into_body()).await?, sender))
        };
        let (body, sender) = self.patiently(answer).await?;
        *self.idle() = Some(Idle { sender, since: Instant::now() });
        Ok(body)
    }

    /// Waits for an answer as long as the guard says that it works.
    async fn patiently<T>(&self, answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let mut answer = pin!(answer);
        loop {
            if let Ok(answer) = timeout(PATIENCE, answer.as_mut()).await {
                return answer;
            }
            let call = Call::new(Endpoint::GetHealth);
            let silent = timeout(HEALTH_WITHIN, self.send_anew(&call, None)).await.is_err();
            if silent {
                return Err(ClientError::Silent { instance: self.instance.clone() });
            }
        }
    }

    async fn send(
        &self,
        call: &Call<'_>,
        accept: Option<&str>,
    ) -> Result<(http::Response<Incoming>, Sender), ClientError> {
        let idle = self.idle().take().filter(|idle| call.only_reads() && idle.since.elapsed() < IDLE_MAX);
        if let Some(Idle { mut sender, .. }) = idle {
            // The guard may have closed it meanwhile, or be another by now; to ask twice changes nothing.
            if let Ok(response) = sender.send_request(call.request(accept)?).await {
                return Ok((successful(call, response).await?, sender));
            }
        }
        self.send_anew(call, accept).await
    }

    async fn send_anew(
        &self,
        call: &Call<'_>,
        accept: Option<&str>,
    ) -> Result<(http::Response<Incoming>, Sender), ClientError> {
        let connection = (self.connect)().await.map_err(ClientError::Unreachable)?;
        let mut handshake = http1::Builder::new();
        handshake.read_buf_exact_size(Some(READ_BYTES));
        let (mut sender, driver) = handshake.handshake(TokioIo::new(connection)).await.map_err(ClientError::Broken)?;
        // What goes wrong with the connection shows up in the call that uses it.
        drop(tokio::spawn(driver));
        let response = sender.send_request(call.request(accept)?).await.map_err(ClientError::Broken)?;
        Ok((successful(call, response).await?, sender))
    }

    /// A panic elsewhere does not make it unusable.
    fn idle(&self) -> MutexGuard<'_, Option<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer, if it is no problem.
async fn successful(
    call: &Call<'_>,
    response: http::Response<Incoming>,
) -> Result<http::Response<Incoming>, ClientError> {
    let status = response.status();
    let not_ready = call.endpoint == Endpoint::GetReadiness && status == StatusCode::SERVICE_UNAVAILABLE;
    if status.is_success() || not_ready {
        return Ok(response);
    }
    let body = read_whole(response.into_body()).await?;
    let problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
        Problem::new(ProblemCode::Internal, format!("status {status}: {}", String::from_utf8_lossy(&body)))
    });
    Err(ClientError::Problem(problem))
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    endpoint: Endpoint,
    name: Option<&'a str>,
    query: String,
    body: Vec<u8>,
    idempotency_key: Option<String>,
}

impl<'a> Call<'a> {
    /// A call of an endpoint.
    #[must_use]
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, name: None, query: String::new(), body: Vec::new(), idempotency_key: None }
    }

    /// A call about a service.
    #[must_use]
    pub const fn about(endpoint: Endpoint, name: &'a str) -> Self {
        Self { endpoint, name: Some(name), query: String::new(), body: Vec::new(), idempotency_key: None }
    }

    /// With query parameters: a type of the contract.
    ///
    /// # Errors
    /// When it cannot be written as a query.
    pub fn query(mut self, query: &impl Serialize) -> Result<Self, ClientError> {
        self.query = query::write(query).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(self)
    }

    /// With a JSON body.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn body(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        self.body = serde_json::to_vec(body).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok(self)
    }

    /// With a key, so that it is carried out once however often it is sent.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    fn only_reads(&self) -> bool {
        self.endpoint.contract().method == Method::GET
    }

    fn request(&self, accept: Option<&str>) -> Result<Request<Full<Bytes>>, ClientError> {
        let separator = if self.query.is_empty() { "" } else { "?" };
        let uri = format!("{}{separator}{}", self.endpoint.path(self.name.map(percent::encode).as_deref()), self.query);
        let mut request =
            Request::builder().method(self.endpoint.contract().method).uri(uri).header(http::header::HOST, "menshen");
        if let Some(accept) = accept {
            request = request.header(http::header::ACCEPT, accept);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if !self.body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(Bytes::from(self.body.clone())))
            .map_err(|error| ClientError::Unreadable(error.to_string()))
    }
}

async fn read_whole(body: Incoming) -> Result<Bytes, ClientError> {
    let limited = http_body_util::Limited::new(body, ANSWER_BYTES_MAX);
    let collected = limited.collect().await.map_err(|error| ClientError::Unreadable(error.to_string()))?;
    Ok(collected.to_bytes())
}

/// The lines of an answer.
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    ended: bool,
}

impl Lines {
    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks, or a line is longer than anything the contract allows.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return text(&line[..end]).map(Some);
            }
            if self.ended {
                let rest = std::mem::take(&mut self.buffer);
                return if rest.is_empty() { Ok(None) } else { text(&rest).map(Some) };
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(ClientError::Unreadable("a line is too long".to_owned()));
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(frame) => {
                    if let Ok(data) = frame.map_err(ClientError::Broken)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// The next line as a value of the contract; `None` at the end.
    ///
    /// # Errors
    /// As [`Self::next`], and when the line is not such a value.
    pub async fn next_as<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        let Some(line) = self.next().await? else { return Ok(None) };
        serde_json::from_str(&line).map(Some).map_err(|error| ClientError::Unreadable(error.to_string()))
    }
}

fn text(bytes: &[u8]) -> Result<String, ClientError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| ClientError::Unreadable(error.to_string()))
}

/// Server-sent events.
pub struct Events(Lines);

impl Events {
    /// The next event; `None` when the guard ends.
    ///
    /// # Errors
    /// When the connection breaks or the event cannot be read.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        while let Some(line) = self.0.next().await? {
            // The event's number and comments come on lines of their own; the number is in the data, too.
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data.trim_start())
                    .map(Some)
                    .map_err(|error| ClientError::Unreadable(error.to_string()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use hyper::server::conn::http1 as server;
    use hyper::service::service_fn;

    use super::*;
    use crate::types::{LogQuery, Stream};

    /// A client of a guard that answers every call with the number of its connection.
    fn client(keeps_connections: bool) -> Client {
        let connections = Arc::new(AtomicU32::new(0));
        Client::new("test", move || {
            let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                let (near, far) = tokio::io::duplex(1 << 16);
                let answer = move |_: Request<Incoming>| async move {
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(number.to_string()))))
                };
                let mut guard = server::Builder::new();
                let guard = guard.keep_alive(keeps_connections).serve_connection(TokioIo::new(far), service_fn(answer));
                drop(tokio::spawn(guard));
                Ok(near)
            }
        })
    }

    #[tokio::test]
    async fn what_only_reads_goes_over_the_connection_of_the_call_before() {
        let client = client(true);
        let mut connections: Vec<u32> = Vec::new();
        let (read, change) = (Call::new(Endpoint::GetHealth), Call::about(Endpoint::StopService, "web"));
        for call in [&read, &read, &change, &read, &change] {
            connections.push(client.call(call).await.unwrap());
        }
        assert_eq!(connections, [1, 1, 2, 2, 3]);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_made_anew() {
        let client = client(false);
        let mut connections: Vec<u32> = Vec::new();
        for _ in 0..3 {
            connections.push(client.call(&Call::new(Endpoint::GetHealth)).await.unwrap());
        }
        assert_eq!(connections, [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_waited_for_as_long_as_the_guard_says_that_it_works() {
        let answer = |health: Duration| async move {
            let connect = move || async move {
                let (near, far) = tokio::io::duplex(1 << 16);
                let answer = move |request: Request<Incoming>| async move {
                    let is_health = request.uri().path() == "/healthz";
                    tokio::time::sleep(if is_health { health } else { Duration::from_secs(60) }).await;
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from("1"))))
                };
                let guard = server::Builder::new().serve_connection(TokioIo::new(far), service_fn(answer));
                drop(tokio::spawn(guard));
                Ok(near)
            };
            Client::new("shop", connect).call::<u32>(&Call::about(Endpoint::StartService, "web")).await
        };
        assert_eq!(answer(Duration::ZERO).await.unwrap(), 1);
        let silent = answer(Duration::from_secs(3600)).await.unwrap_err();
        assert_eq!(silent.to_string(), "the guard 'shop' does not answer");
    }

    #[test]
    fn queries_leave_out_what_is_not_asked_for_and_escape_the_rest() {
        let query = LogQuery {
            grep: Some("a b&c=ä".into()),
            stream: Some(Stream::Stderr),
            tail: Some(5),
            ..LogQuery::default()
        };
        let call = Call::about(Endpoint::GetLogs, "web").query(&query).unwrap();
        let request = call.request(None).unwrap();
        assert_eq!(request.uri(), "/v1/services/web/logs?grep=a%20b%26c%3D%C3%A4&stream=stderr&tail=5");
    }

    #[test]
    fn a_name_cannot_break_out_of_the_path() {
        let request = Call::about(Endpoint::StopService, "../x?y").request(None).unwrap();
        assert_eq!(request.uri(), "/v1/services/..%2Fx%3Fy/stop");
    }
}
