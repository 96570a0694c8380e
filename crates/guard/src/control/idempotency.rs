//! `Idempotency-Key`: the same key with the same request is carried out once and answered the same again.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use menshen_api::{Problem, ProblemCode};
use menshen_os::account::UserId;

/// How many keys are remembered; the oldest go first.
const KEYS_MAX: usize = 1024;
/// The longest key, in bytes.
pub(super) const KEY_BYTES_MAX: usize = 255;

/// Answers by who asked with which key; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Idempotency(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    answers: HashMap<(UserId, String), Entry>,
    order: VecDeque<(UserId, String)>,
}

#[derive(Debug, Clone)]
struct Entry {
    request: String,
    answer: Option<(StatusCode, Bytes)>,
}

/// What a key means for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new: carry the request out, then tell with [`Idempotency::answered`].
    New,
    /// It was answered before.
    Answered(StatusCode, Bytes),
}

impl Idempotency {
    /// Looks a key up.
    pub(super) fn look(&self, user: &UserId, key: &str, request: &str) -> Result<Verdict, Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (user.clone(), key.to_owned());
        if let Some(entry) = known.answers.get(&id) {
            return match &entry.answer {
                _ if entry.request != request => {
                    let detail = format!("the key '{key}' was used for {}", entry.request);
                    Err(Problem::new(ProblemCode::IdempotencyMismatch, detail))
                }
                Some((status, body)) => Ok(Verdict::Answered(*status, body.clone())),
                None => Err(Problem::new(ProblemCode::Busy, "the first request with this key is still being answered")),
            };
        }
        if known.order.len() >= KEYS_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.answers.remove(&oldest);
        }
        known.order.push_back(id.clone());
        known.answers.insert(id, Entry { request: request.to_owned(), answer: None });
        Ok(Verdict::New)
    }

    /// Keeps the answer of a key; without one, the key is forgotten and may be tried again.
    pub(super) fn answered(&self, user: &UserId, key: &str, answer: Option<(StatusCode, Bytes)>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (user.clone(), key.to_owned());
        match (answer, known.answers.get_mut(&id)) {
            (Some(answer), Some(entry)) => entry.answer = Some(answer),
            (None, Some(_)) => {
                known.answers.remove(&id);
                known.order.retain(|other| *other != id);
            }
            (Some(_) | None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &'static str) -> Option<(StatusCode, Bytes)> {
        Some((StatusCode::OK, Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn the_same_key_is_answered_the_same_again() {
        let keys = Idempotency::default();
        assert_eq!(keys.look(&UserId(1), "k", "POST /a"), Ok(Verdict::New));
        assert!(keys.look(&UserId(1), "k", "POST /a").is_err(), "while the first is under way");
        keys.answered(&UserId(1), "k", ok("x"));
        assert_eq!(
            keys.look(&UserId(1), "k", "POST /a"),
            Ok(Verdict::Answered(StatusCode::OK, Bytes::from_static(b"x")))
        );
        assert_eq!(keys.look(&UserId(1), "k", "POST /b").unwrap_err().code, ProblemCode::IdempotencyMismatch);
        assert_eq!(keys.look(&UserId(2), "k", "POST /b"), Ok(Verdict::New), "another user's key is another key");
    }

    #[test]
    fn what_was_not_carried_out_may_be_tried_again() {
        let keys = Idempotency::default();
        keys.look(&UserId(1), "k", "POST /a").unwrap();
        keys.answered(&UserId(1), "k", None);
        assert_eq!(keys.look(&UserId(1), "k", "POST /a"), Ok(Verdict::New));
    }

    #[test]
    fn the_oldest_keys_go_first() {
        let keys = Idempotency::default();
        for number in 0..=KEYS_MAX {
            keys.look(&UserId(1), &number.to_string(), "POST /a").unwrap();
            keys.answered(&UserId(1), &number.to_string(), ok("x"));
        }
        assert_eq!(keys.look(&UserId(1), "0", "POST /a"), Ok(Verdict::New));
        assert!(matches!(keys.look(&UserId(1), "5", "POST /a"), Ok(Verdict::Answered(..))));
    }
}
