//! Small servers on the loopback address that answer as a test wants them to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use menshen_tests::wait::DEADLINE;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a server answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then more and more of them.
    Endless(Vec<u8>),
    /// Nothing, while the connection stays open.
    Hang,
}

/// An HTTP server, or one that is something else.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub port: u16,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

#[derive(Debug)]
struct Shared {
    answer: Answer,
    seen: Vec<Request>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads one; `None` if nobody speaks.
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut request = Self::default();
        reader.read_line(&mut request.line).ok().filter(|count| *count > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
        request.line = request.line.trim_end().to_owned();
        Some(request)
    }
}

impl Answer {
    /// An HTTP answer.
    pub(crate) fn http(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(format!("HTTP/1.1 {status} It\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes())
    }

    fn send(&self, mut stream: &TcpStream) {
        match self {
            Self::Bytes(bytes) => drop(stream.write_all(bytes)),
            Self::Endless(bytes) => while stream.write_all(bytes).is_ok() {},
            // Until the client has had enough.
            Self::Hang => drop(stream.read(&mut [0; 1])),
        }
    }
}

impl Server {
    /// Listens on a port that is free.
    pub(crate) fn start(answer: Answer) -> Self {
        Self::start_at(0, answer)
    }

    pub(crate) fn start_at(port: u16, answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared { answer, seen: Vec::new() };
        let server = Self { port, shared: Arc::new((Mutex::new(shared), Condvar::new())) };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(&stream));
            }
        });
        server
    }

    fn serve(&self, stream: &TcpStream) {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let (shared, news) = &*self.shared;
        let request = Request::read(stream);
        let answer = {
            let mut shared = shared.lock().unwrap();
            shared.seen.extend(request);
            news.notify_all();
            shared.answer.clone()
        };
        answer.send(stream);
    }

    /// From now on it answers like this.
    pub(crate) fn answer(&self, answer: Answer) {
        self.shared.0.lock().unwrap().answer = answer;
    }

    /// Everything that was asked so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.shared.0.lock().unwrap().seen.clone()
    }

    /// Waits until so many requests have come; all of them.
    pub(crate) fn await_requests(&self, count: usize) -> Vec<Request> {
        let (shared, news) = &*self.shared;
        let end = Instant::now() + DEADLINE;
        let mut shared = shared.lock().unwrap();
        while shared.seen.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            assert!(left > Duration::ZERO, "{} of {count} requests came: {:#?}", shared.seen.len(), shared.seen);
            shared = news.wait_timeout(shared, left).unwrap().0;
        }
        shared.seen.clone()
    }
}
