//! `grpc.health.v1.Health/Check`: one unary call over HTTP/2.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Method, Request, Version};
use menshen_plan::definition::Target;
use prost::Message;

use super::Miss;
use crate::http_call::connect;

/// The messages of `grpc/health/v1/health.proto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub service: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

pub(super) const SERVING: i32 = 1;
/// The header of a message: one byte for compression, four for the length.
const FRAME_HEADER_BYTES: usize = 5;
/// The longest answer read, in bytes; the real one has two.
const ANSWER_BYTES_MAX: usize = 4096;

/// Asks a server about a service of it, or, with an empty name, about itself.
pub(super) async fn health(target: &Target, service: &str) -> Result<(), Miss> {
    let stream = connect(&target.host, target.port).await?;
    let (client, connection) = h2::client::handshake(stream).await.map_err(|error| format!("no HTTP/2: {error}"))?;
    let driver = tokio::spawn(connection);
    let answer = check(client, target, service).await;
    driver.abort();
    match answer? {
        SERVING => Ok(()),
        0 => Err("it says UNKNOWN".to_owned().into()),
        2 => Err("it says NOT_SERVING".to_owned().into()),
        3 => Err(format!("it does not know the service '{service}'").into()),
        other => Err(format!("it says {other}, which is no health status").into()),
    }
}

async fn check(client: h2::client::SendRequest<Bytes>, target: &Target, service: &str) -> Result<i32, String> {
    let broken = |error: h2::Error| format!("the call failed: {error}");
    let mut client = client.ready().await.map_err(broken)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{target}/grpc.health.v1.Health/Check"))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let (response, mut sender) = client.send_request(request, false).map_err(broken)?;
    sender.send_data(frame(&HealthCheckRequest { service: service.to_owned() }), true).map_err(broken)?;
    let response = response.await.map_err(broken)?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("status {}", response.status().as_u16()));
    }
    if let Some(error) = grpc_error(response.headers()) {
        return Err(error);
    }
    let mut body = response.into_body();
    let mut data = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(broken)?;
        // What was read makes room for more; that this fails only means that the server closed already.
        let _ = body.flow_control().release_capacity(chunk.len());
        data.put(chunk);
        if data.len() > ANSWER_BYTES_MAX {
            return Err("the answer is too long".to_owned());
        }
    }
    let trailers = body.trailers().await.map_err(broken)?.unwrap_or_default();
    if let Some(error) = grpc_error(&trailers) {
        return Err(error);
    }
    let message = data.get(FRAME_HEADER_BYTES..).ok_or("the answer is empty")?;
    HealthCheckResponse::decode(message)
        .map(|answer| answer.status)
        .map_err(|error| format!("the answer cannot be read: {error}"))
}

pub(super) fn frame(message: &impl Message) -> Bytes {
    let mut data = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.encoded_len());
    data.put_u8(0);
    data.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    data.extend_from_slice(&message.encode_to_vec());
    data.freeze()
}

/// What `grpc-status` says, unless it says OK.
fn grpc_error(headers: &http::HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?.to_str().ok()?;
    let message = headers.get("grpc-message").and_then(|message| message.to_str().ok()).unwrap_or_default();
    (status != "0").then(|| format!("grpc status {status} {message}").trim_end().to_owned())
}
