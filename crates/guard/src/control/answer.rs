//! Answers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use menshen_api::{Problem, problem::MEDIA_TYPE};
use serde::Serialize;
use std::convert::Infallible;

/// An answer, whole or as a stream.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

/// A value as JSON, with a status.
pub(super) fn json_with(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).unwrap_or_default();
    whole(status, "application/json", body.into())
}

/// An error.
pub(super) fn problem(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    whole(status, MEDIA_TYPE, serde_json::to_vec(problem).unwrap_or_default().into())
}

/// A text of a media type.
pub(super) fn text(media_type: &'static str, text: String) -> Answer {
    whole(StatusCode::OK, media_type, text.into())
}

/// What comes piece by piece.
pub(super) fn stream(
    media_type: &'static str,
    body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> Answer {
    build(StatusCode::OK, media_type, body.boxed_unsync())
}

/// A whole answer.
pub(super) fn whole(status: StatusCode, media_type: &'static str, body: Bytes) -> Answer {
    build(status, media_type, Full::new(body).boxed_unsync())
}

fn build(status: StatusCode, media_type: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // Nothing on the way may keep what was true a moment ago.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
