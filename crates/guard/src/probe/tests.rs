//! Probes against small servers on this machine.

use std::net::SocketAddr;

use bytes::Bytes;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that answers every connection with the same bytes.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn check(address: SocketAddr) -> HttpCheck {
    HttpCheck {
        url: format!("http://{address}/healthz"),
        method: "GET".into(),
        headers: vec![],
        status: vec![],
        body: None,
    }
}

fn target(address: SocketAddr) -> Target {
    Target { host: address.ip().to_string(), port: address.port() }
}

/// What was wrong with a service that was asked.
fn text(miss: Miss) -> String {
    match miss {
        Miss::Failed(text) => text,
        Miss::NotAsked(_) => panic!("it was asked: {miss:?}"),
    }
}

#[tokio::test]
async fn a_status_from_200_to_399_is_a_success() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Ok(())),
        ("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", Ok(())),
        (
            "HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\nno\x1bdb left",
            Err(Miss::Failed("status 503: no db lef".to_owned())),
        ),
        ("HTTP/1.0 200 OK\r\n\r\n", Ok(())),
    ] {
        let answer = ask(&ProbeCheck::Http(Box::new(check(server(answer).await)))).await;
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn the_expected_status_and_body_can_be_said() {
    let address = server("HTTP/1.1 404 No\r\ncontent-length: 11\r\n\r\nstate: fine").await;
    let mut check = check(address);
    check.status = vec![StatusMatch(404..=404)];
    check.body = Some("state: (fine|good)".into());
    assert_eq!(http(&check).await, Ok(()));
    check.body = Some("bad".into());
    assert_eq!(http(&check).await, Err(Miss::Failed("the body does not match 'bad': state: fine".into())));
}

#[tokio::test]
async fn headers_and_method_are_sent_as_planned() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let mut check = check(address);
    check.method = "HEAD".into();
    check.headers = vec![("X-Probe".into(), "yes".into()), ("Host".into(), "shop.example".into())];
    assert_eq!(http(&check).await, Ok(()));
    let seen = seen.await.unwrap().to_lowercase();
    assert!(seen.starts_with("head /healthz http/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-probe: yes\r\n") && seen.contains("host: shop.example\r\n"), "{seen}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_talks_nonsense_fails_with_the_reason() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = ask(&ProbeCheck::Http(Box::new(check(free)))).await.map_err(text).unwrap_err();
    assert_eq!(error, format!("cannot connect to {free}: connection refused"));
    let error = ask(&ProbeCheck::Tcp(target(free))).await.map_err(text).unwrap_err();
    assert!(error.contains("connection refused"), "{error}");
    let error = http(&check(server("SMTP ready\r\n").await)).await.map_err(text).unwrap_err();
    assert!(error.starts_with("the connection broke"), "{error}");
}

#[tokio::test]
async fn a_port_that_accepts_is_a_success() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(ask(&ProbeCheck::Tcp(target(listener.local_addr().unwrap()))).await, Ok(()));
}

#[tokio::test]
async fn a_file_must_be_there_and_young() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("beat");
    let probe = |younger_than| ProbeCheck::File { path: path.clone(), younger_than };
    assert!(ask(&probe(None)).await.map_err(text).unwrap_err().ends_with("no such file or directory"));
    std::fs::write(&path, "").unwrap();
    assert_eq!(ask(&probe(Some(Duration::from_secs(60)))).await, Ok(()));
    let old = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
    assert!(
        ask(&probe(Some(Duration::from_secs(60)))).await.map_err(text).unwrap_err().contains("is 1h old, more than 1m")
    );
    assert_eq!(ask(&probe(None)).await, Ok(()));
}

/// A server of `grpc.health.v1` that gives one answer.
async fn grpc_server(status: Option<i32>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let response = http::Response::builder().header("content-type", "application/grpc");
            match status {
                Some(status) => {
                    let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
                    stream.send_data(grpc::frame(&grpc::HealthCheckResponse { status }), false).unwrap();
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    stream.send_trailers(trailers).unwrap();
                }
                None => {
                    let response = response.header("grpc-status", "12").header("grpc-message", "unimplemented");
                    respond.send_response(response.body(()).unwrap(), true).unwrap();
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn a_grpc_server_must_say_that_it_serves() {
    for (status, expected) in [
        (Some(1), Ok(())),
        (Some(2), Err("it says NOT_SERVING".to_owned())),
        (None, Err("grpc status 12 unimplemented".to_owned())),
    ] {
        let target = target(grpc_server(status).await);
        assert_eq!(ask(&ProbeCheck::Grpc { target, service: String::new() }).await.map_err(text), expected);
    }
}

#[tokio::test]
async fn a_grpc_probe_of_something_else_fails_with_the_reason() {
    let target = target(server("HTTP/1.1 400 Bad Request\r\n\r\n").await);
    assert!(ask(&ProbeCheck::Grpc { target, service: "shop".into() }).await.is_err());
}

#[test]
fn the_messages_are_those_of_the_protocol() {
    let frame = grpc::frame(&grpc::HealthCheckRequest { service: "shop".into() });
    assert_eq!(frame, Bytes::from_static(b"\0\0\0\0\x06\n\x04shop"));
    assert_eq!(grpc::HealthCheckResponse::decode(&b"\x08\x01"[..]).unwrap().status, grpc::SERVING);
}
