//! Just enough HTTP for a shop with four customers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// How long a customer may take to say what they want.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest line of a request that is read, in bytes.
const LINE_BYTES_MAX: u64 = 8192;

/// A status with a body.
pub type Answer = (u16, String);

/// Serves every request with what `answer` says to its method and path, one thread for each connection.
///
/// # Errors
/// When nothing can be served on the port.
pub fn serve(port: u16, answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Result<(), String> {
    let listener =
        TcpListener::bind(("127.0.0.1", port)).map_err(|error| format!("cannot listen on port {port}: {error}"))?;
    crate::say::out(format_args!("listening on 127.0.0.1:{port}"));
    std::thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let answer = &answer;
            scope.spawn(move || {
                // A customer who leaves in the middle is not the shop's trouble.
                let _ = one(&stream, answer);
            });
        }
    });
    Ok(())
}

fn one(stream: &TcpStream, answer: &(impl Fn(&str, &str) -> Answer + Sync)) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new(stream).take(LINE_BYTES_MAX);
    let mut line = String::new();
    request.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (status, body) = match (words.next(), words.next()) {
        (Some(method), Some(path)) => answer(method, path),
        (_, None) | (None, _) => (400, "what?\n".to_owned()),
    };
    let reason = if status < 400 { "OK" } else { "Sorry" };
    let length = body.len();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} {reason}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// Asks another program of the shop.
///
/// # Errors
/// When it does not answer.
pub fn get(port: u16, path: &str) -> std::io::Result<Answer> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other("no HTTP"))
}
