//! Bodies and durations of requests: from text to the types of the contract.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use menshen_api::{Problem, ProblemCode};
use serde::de::DeserializeOwned;

/// The longest body taken, in bytes; the largest real one has a few dozen.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a caller may take to send it: whoever sends half of one must not keep a connection for good.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body as JSON of the contract.
pub(super) async fn body<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let bytes = collect(body).await?;
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("the body cannot be read: {error}")))
}

async fn collect(body: Incoming) -> Result<Bytes, Problem> {
    let too_large = |_| Problem::new(ProblemCode::TooLarge, format!("a body may have {BODY_BYTES_MAX} bytes"));
    let too_slow = |_| bad(format!("the body did not come within {}", menshen_plan::duration::format(BODY_TIMEOUT)));
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    collected.map_err(too_slow)?.map(http_body_util::Collected::to_bytes).map_err(too_large)
}

/// A duration.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    menshen_plan::duration::parse(text).map_err(|error| bad(error.to_string()))
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}
