//! One HTTP request to another program: a probe, or an alert's webhook. A new connection each time, as a caller of the
//! service would make; no redirects, no proxies, no cookies.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use menshen_os::error::{describe, is_shortage};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The most of an answer's body that is read, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct HttpCall {
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub status: u16,
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Error)]
pub(crate) enum HttpError {
    #[error("'{0}' is not a URL that can be called")]
    BadUrl(String),
    #[error("{0} cannot be sent")]
    BadRequest(&'static str),
    #[error("cannot connect to {address}: {}", describe(.source))]
    Connect { address: String, source: io::Error },
    #[error("no TLS with {address}: {}", describe(.source))]
    Tls { address: String, source: io::Error },
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    #[error("the answer's body cannot be read: {0}")]
    Body(String),
    #[error("no answer within {}", menshen_plan::duration::format(*.0))]
    Timeout(Duration),
}

impl HttpError {
    /// Whether the call was not even made, because something was wanting here.
    pub(crate) fn is_shortage(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if is_shortage(source))
    }
}

/// Makes a call that takes no longer than this.
pub(crate) async fn call_within(call: &HttpCall, timeout: Duration) -> Result<HttpAnswer, HttpError> {
    tokio::time::timeout(timeout, self::call(call)).await.unwrap_or(Err(HttpError::Timeout(timeout)))
}

/// Makes a call, however long it takes.
pub(crate) async fn call(call: &HttpCall) -> Result<HttpAnswer, HttpError> {
    let bad_url = || HttpError::BadUrl(call.url.clone());
    let uri: Uri = call.url.parse().map_err(|_| bad_url())?;
    let host = uri.host().ok_or_else(bad_url)?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let request = request(call, &uri)?;
    let stream = connect(&host, port).await?;
    if !tls {
        return exchange(stream, request).await;
    }
    let address = format!("{host}:{port}");
    let name = ServerName::try_from(host).map_err(|_| bad_url())?;
    let connector = TlsConnector::from(Arc::clone(tls_config()));
    let stream = connector.connect(name, stream).await.map_err(|source| HttpError::Tls { address, source })?;
    exchange(stream, request).await
}

/// Connects, and says where it could not.
pub(crate) async fn connect(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| {
        // Whoever looks up a name does not say what it lacked.
        let source = if error.raw_os_error().is_none() { lacks_descriptors().unwrap_or(error) } else { error };
        HttpError::Connect { address: format!("{host}:{port}"), source }
    })?;
    // A connection that closes at once must not linger in TIME_WAIT for each probe; answers are small anyway.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The error, if no descriptor can be had now.
fn lacks_descriptors() -> Option<io::Error> {
    std::fs::File::open("/dev/null").err().filter(is_shortage)
}

fn request(call: &HttpCall, uri: &Uri) -> Result<Request<Full<Bytes>>, HttpError> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let method = Method::from_bytes(call.method.as_bytes()).map_err(|_| HttpError::BadRequest("the method"))?;
    let mut request = Request::new(Full::new(Bytes::from(call.body.clone())));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| HttpError::BadUrl(call.url.clone()))?;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| HttpError::BadRequest("a header"));
    let headers = request.headers_mut();
    headers.insert(http::header::HOST, text(authority)?);
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(concat!("menshen/", env!("CARGO_PKG_VERSION"))));
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &call.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HttpError::BadRequest("a header"))?;
        headers.insert(name, text(value)?);
    }
    Ok(request)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<HttpAnswer, HttpError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Broken)?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(HttpError::Broken)?;
        let status = response.status().as_u16();
        Ok(HttpAnswer { status, body: beginning(response.into_body()).await? })
    };
    let answer = answer.await;
    driver.abort();
    answer
}

/// A body, or as much of it as is read: the answer has been given by then, however much follows.
async fn beginning(mut body: Incoming) -> Result<Bytes, HttpError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::Body(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = BODY_BYTES_MAX - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() >= room {
            break;
        }
    }
    Ok(read.freeze())
}

/// The machine's own certificate authorities, read when they are needed first.
fn tls_config() -> &'static Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    })
}
