//! Asking services how they are. Commands are started by the loop, which alone starts processes; everything else is asked
//! from here.

mod grpc;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use menshen_os::error::{describe, is_shortage};
use menshen_plan::definition::{StatusMatch, Target};
use menshen_plan::duration::format;
use menshen_plan::plan::{HttpCheck, ProbeCheck};

use crate::http_call::{HttpCall, HttpError, call, connect};

/// The most of a body that is shown when it does not match, in characters.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// Why a probe has no success to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The service was asked, and this was wrong.
    Failed(String),
    /// It could not be asked, because this was wanting. That says nothing of the service.
    NotAsked(String),
}

impl Miss {
    /// From an error of the system.
    pub(crate) fn of(error: &io::Error) -> Self {
        Self::with(is_shortage(error), describe(error))
    }

    fn with(is_shortage: bool, text: String) -> Self {
        if is_shortage { Self::NotAsked(text) } else { Self::Failed(text) }
    }

    /// The same in other words.
    pub(crate) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Failed(text) => Self::Failed(change(text)),
            Self::NotAsked(text) => Self::NotAsked(change(text)),
        }
    }
}

impl From<String> for Miss {
    fn from(text: String) -> Self {
        Self::Failed(text)
    }
}

impl From<HttpError> for Miss {
    fn from(error: HttpError) -> Self {
        Self::with(error.is_shortage(), error.to_string())
    }
}

/// Asks once, however long it takes; the core keeps the time. The answer is success, or why there is none.
pub(crate) async fn ask(check: &ProbeCheck) -> Result<(), Miss> {
    match check {
        ProbeCheck::Http(check) => http(check).await,
        ProbeCheck::Tcp(target) => tcp(target).await,
        ProbeCheck::Grpc { target, service } => grpc::health(target, service).await,
        ProbeCheck::File { path, younger_than } => file(path, *younger_than).await,
        ProbeCheck::Exec(_) | ProbeCheck::Notify | ProbeCheck::Log(_) => {
            Err("this is not asked from here".to_owned().into())
        }
    }
}

async fn http(check: &HttpCheck) -> Result<(), Miss> {
    let request = HttpCall {
        url: check.url.clone(),
        method: check.method.clone(),
        headers: check.headers.clone(),
        body: Vec::new(),
    };
    let answer = call(&request).await?;
    if !is_success(&check.status, answer.status) {
        return Err(format!("status {}{}", answer.status, shown(&answer.body)).into());
    }
    let Some(pattern) = &check.body else { return Ok(()) };
    let pattern = regex::bytes::Regex::new(pattern).map_err(|error| error.to_string())?;
    if pattern.is_match(&answer.body) {
        Ok(())
    } else {
        Err(format!("the body does not match '{pattern}'{}", shown(&answer.body)).into())
    }
}

fn is_success(wanted: &[StatusMatch], status: u16) -> bool {
    if wanted.is_empty() {
        (200..=399).contains(&status)
    } else {
        wanted.iter().any(|StatusMatch(range)| range.contains(&status))
    }
}

/// The beginning of a body, for people.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARACTERS_MAX).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

async fn tcp(target: &Target) -> Result<(), Miss> {
    Ok(connect(&target.host, target.port).await.map(drop)?)
}

async fn file(path: &Path, younger_than: Option<Duration>) -> Result<(), Miss> {
    let of_path = |error| Miss::of(&error).map(|text| format!("{}: {text}", path.display()));
    let metadata = tokio::fs::metadata(path).await.map_err(of_path)?;
    let Some(limit) = younger_than else { return Ok(()) };
    let modified = metadata.modified().map_err(|error| describe(&error))?;
    // A file from the future (the clock was set back) is young.
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age <= limit {
        return Ok(());
    }
    let age = Duration::from_secs(age.as_secs());
    Err(format!("{} is {} old, more than {}", path.display(), format(age), format(limit)).into())
}
