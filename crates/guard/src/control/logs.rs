//! Logs over the control socket: read by threads of their own, because files are read with patience, and followed without
//! any thread waiting.

use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::channel::Channel;
use menshen_api::types::{LogLine, LogQuery};
use menshen_api::{Problem, ProblemCode};
use menshen_os::local_socket::Caller;

use super::answer::{Answer, stream};
use super::body::bad;
use super::reader::{self, PIECES_MAX};
use super::{NO_ANSWER, Shared};
use crate::guard::input::Request;
use crate::guard::{log_id, no_such_service};
use crate::logs::read::{Query, Reader};
use crate::logs::{Change, Follow};

/// Lines are sent together up to this many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The lines a query asks for, one JSON object each.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    caller: &Caller,
    name: &str,
    query: LogQuery,
) -> Result<Answer, Problem> {
    let follows = query.follow;
    // Taken before the first line is read: what is written meanwhile is not missed.
    let follow = if follows { shared.logs.follow(id_of(shared, name).await?) } else { None };
    let reader = open(shared, name, &query).await?;
    let (sender, body) = Channel::new(PIECES_MAX);
    let inputs = shared.inputs.clone();
    let whom = if follows {
        reader::Reader::following(sender, inputs, caller, &format!("the log of {name}"))
    } else {
        reader::Reader::paging(sender, inputs)
    };
    tokio::spawn(send(reader, whom, follow));
    Ok(stream("application/x-ndjson", body))
}

/// The last lines of a service.
pub(super) async fn last_lines(shared: &Shared, name: &str, query: LogQuery) -> Result<Vec<LogLine>, Problem> {
    let mut reader = open(shared, name, &query).await?;
    let read = tokio::task::spawn_blocking(move || {
        // A log that cannot be read must not keep the rest of the screen from being shown.
        std::iter::from_fn(|| reader.read_line().ok().flatten()).collect()
    });
    read.await.map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))
}

async fn id_of(shared: &Shared, name: &str) -> Result<crate::logs::LogId, Problem> {
    let owned = name.to_owned();
    let found = shared.inputs.ask(|reply| Request::Find(owned, reply)).await;
    let found = found.ok_or_else(|| Problem::new(ProblemCode::ShuttingDown, NO_ANSWER))?;
    found.map(log_id).ok_or_else(|| no_such_service(name))
}

async fn open(shared: &Shared, name: &str, query: &LogQuery) -> Result<Reader, Problem> {
    id_of(shared, name).await?;
    let query = Query::parse(query, menshen_os::clock::wall_ms()).map_err(|error| bad(error.to_string()))?;
    let folder: PathBuf = shared.logs_folder.join(name);
    let opened = tokio::task::spawn_blocking(move || Reader::open(&folder, query)).await;
    let internal = |text: String| Problem::new(ProblemCode::Internal, text);
    opened
        .map_err(|error| internal(error.to_string()))?
        .map_err(|error| internal(format!("the log of '{name}': {}", menshen_os::error::describe(&error))))
}

/// Sends what there is and, to those who follow, what comes.
async fn send(mut reader: Reader, mut whom: reader::Reader, mut follow: Option<Follow>) {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let piece = next_piece(&mut reader);
            (reader, piece)
        });
        let Ok((returned, Ok(piece))) = read.await else { return };
        reader = returned;
        if !piece.is_empty() {
            if whom.send(piece.into()).await.is_err() {
                return;
            }
            continue;
        }
        match &mut follow {
            None => return,
            Some(follow) => match follow.changed().await {
                Change::Written => {}
                Change::RunEnded => reader.end_run(),
                Change::Detached => return,
            },
        }
    }
}

/// Some lines; nothing at the end, or at the end for now.
fn next_piece(reader: &mut Reader) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    while piece.len() < PIECE_BYTES
        && let Some(line) = reader.read_line()?
    {
        piece.extend(serde_json::to_vec(&line).unwrap_or_default());
        piece.push(b'\n');
    }
    Ok(piece)
}
