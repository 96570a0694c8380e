//! Bodies and durations of requests: from text to the types of the contract.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use menshen_api::{Problem, ProblemCode};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The longest body taken, in bytes; the largest real one has a few dozen.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a caller may take to send it: whoever sends half of one must not keep a connection for good.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body is none of the contract.
#[derive(Debug, Error)]
pub(super) enum BodyError {
    /// It has too many bytes.
    #[error("a body may have {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// Not all of it came.
    #[error("the body did not come within {}", menshen_plan::duration::format(BODY_TIMEOUT))]
    TooSlow,
    /// It is not what is asked for.
    #[error("the body cannot be read: {0}")]
    Unreadable(serde_json::Error),
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge => ProblemCode::TooLarge,
            BodyError::TooSlow | BodyError::Unreadable(_) => ProblemCode::BadRequest,
        };
        Self::new(code, error.to_string())
    }
}

/// A body as JSON of the contract.
pub(super) async fn body<T: DeserializeOwned>(body: Incoming) -> Result<T, BodyError> {
    serde_json::from_slice(&collect(body).await?).map_err(BodyError::Unreadable)
}

async fn collect(body: Incoming) -> Result<Bytes, BodyError> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let collected = collected.map_err(|_| BodyError::TooSlow)?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|_| BodyError::TooLarge)
}

/// A duration.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    menshen_plan::duration::parse(text).map_err(|error| bad(error.to_string()))
}

pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}
