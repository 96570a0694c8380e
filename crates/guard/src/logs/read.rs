//! Reading logs back: the lines of both streams, oldest first, from closed, compressed and current files, whether or not a
//! guard is writing them. Plain blocking code.
//!
//! [`Reader::read_line`] gives one line after the other. When it gives none, a reader that follows asks again after
//! [`Follow`](super::Follow) has told of a change; it may be as slow as it likes.

mod bounds;
mod content;
mod lane;
mod position;
mod shelf;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use menshen_api::Time;
use menshen_api::types::{LogLine, LogQuery, Stream};
use regex::bytes::Regex;
use thiserror::Error;

use super::index::PAIR_EVERY_MS;
use super::names::Stem;
use crate::since::{self, SinceError};
use content::Meter;
use lane::{Lane, Picker};
pub use position::Position;
use shelf::Shelf;

/// What a log says of the time of a line may be so much too early, in milliseconds.
pub const EARLY_MS_MAX: i64 = PAIR_EVERY_MS;

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only what was written at this time or later, in milliseconds since 1970, or at an unknown time.
    pub since_ms: Option<i64>,
    /// Only lines that match.
    pub grep: Option<Regex>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Only what comes after this position, which says where to begin in the place of a time or a count.
    pub after: Option<Position>,
    /// What is written later is asked for, too; else the end is what is there now.
    pub follow: bool,
    /// What is written later is asked of another reader.
    pub so_far: bool,
}

/// Why a query makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// It is neither a duration nor a time.
    #[error(transparent)]
    Since(#[from] SinceError),
    /// It is not what a line says of its position.
    #[error("'{0}' is not the position of a line")]
    After(String),
    /// It is no regular expression.
    #[error("'{text}' is not a regular expression: {reason}")]
    Grep {
        /// What was asked for.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Query {
    /// From what the contract has, at a point in time in milliseconds since 1970.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn parse(query: &LogQuery, now_ms: i64) -> Result<Self, QueryError> {
        let now = Time::from_ms(now_ms);
        let since = query.since.as_deref().map(|text| since::parse(text, now)).transpose()?;
        let grep = query.grep.as_deref().map(parse_grep).transpose()?;
        let after = query.after.as_deref().map(|text| text.parse().map_err(|_| QueryError::After(text.to_owned())));
        let after = after.transpose()?;
        let tail = query.tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX));
        let LogQuery { follow, so_far, stream, .. } = *query;
        Ok(Self { since_ms: since.map(Time::as_ms), grep, stream, tail, after, follow, so_far })
    }
}

fn parse_grep(text: &str) -> Result<Regex, QueryError> {
    Regex::new(text).map_err(|error| {
        // The last line says what; those before draw where, which no longer fits one line.
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        QueryError::Grep { text: text.to_owned(), reason }
    })
}

/// A closed log that could not be read to its end; what comes after it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Which: its path as far as its number.
    pub log: PathBuf,
    /// Why.
    pub text: String,
}

/// Reads the lines a query asks for.
pub struct Reader {
    lanes: Vec<Lane>,
    /// The last lines, if only those were asked for and they have not all been given.
    tail: VecDeque<LogLine>,
    /// This reader or another one reads on after what it gives.
    is_read_on: bool,
    meter: Meter,
}

impl Reader {
    /// Begins to read the logs in a folder. One that is not there is empty.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(folder: &Path, query: Query) -> io::Result<Self> {
        let meter = Meter::default();
        let query = Arc::new(query);
        let wanted = |stem: &Stem| match query.stream {
            Some(stream) => [Stem::of(stream), Stem::Output].contains(stem),
            None => true,
        };
        let lane = |stem| {
            let shelf = Shelf { folder: folder.to_owned(), stem, meter: meter.clone() };
            let picker = Picker::new(stem, Arc::clone(&query));
            let end = bounds::end_of(&shelf)?;
            if let Some(after) = &query.after {
                return Ok(Lane::after(shelf, picker, after.of(stem), end));
            }
            let mut start = bounds::start_since(&shelf, query.since_ms, end)?;
            if let Some(tail) = query.tail {
                start = bounds::start_of_tail(&shelf, &picker, tail, (start, end))?;
            }
            Ok(Lane::new(shelf, picker, start, end))
        };
        let lanes = Stem::ALL.into_iter().filter(wanted).map(lane).collect::<io::Result<Vec<Lane>>>()?;
        let mut reader = Self { lanes, tail: VecDeque::new(), is_read_on: query.follow || query.so_far, meter };
        if let Some(tail) = query.tail.filter(|_| query.after.is_none()) {
            reader.fill_tail(tail)?;
        }
        if query.follow {
            reader.lanes.iter_mut().try_for_each(Lane::go_on)?;
        }
        Ok(reader)
    }

    fn fill_tail(&mut self, lines: usize) -> io::Result<()> {
        while let Some(line) = self.merge()? {
            self.tail.push_back(line);
            if self.tail.len() > lines {
                self.tail.pop_front();
            }
        }
        Ok(())
    }

    /// The next line; `None` at the end, which is the end for now if the query follows.
    ///
    /// # Errors
    /// When the folder cannot be read any more.
    pub fn read_line(&mut self) -> io::Result<Option<LogLine>> {
        match self.tail.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.merge(),
        }
    }

    /// Lets go of lines that have not ended: the program's run is over, and they do not go on. Lines that follow give them.
    pub fn end_run(&mut self) {
        self.lanes.iter_mut().for_each(Lane::give_unfinished);
    }

    /// The earliest line of all lanes. What was written at an unknown time comes as soon as possible.
    fn merge(&mut self) -> io::Result<Option<LogLine>> {
        let Some(lane) = self.earliest()? else {
            if self.is_read_on {
                return Ok(None);
            }
            self.end_run();
            return Ok(self.earliest()?.and_then(|lane| self.take(lane)));
        };
        Ok(self.take(lane))
    }

    /// The next line of a lane. Those who read on are told how far they have read with it.
    fn take(&mut self, lane: usize) -> Option<LogLine> {
        let line = self.lanes[lane].take()?.into_log_line();
        let position = self.is_read_on.then(|| Position::of_all(&self.lanes).to_string());
        Some(LogLine { position, ..line })
    }

    /// What was not there just now is not looked for between any two lines of what is.
    fn earliest(&mut self) -> io::Result<Option<usize>> {
        match self.earliest_of(|lane| !lane.was_absent_just_now())? {
            Some(lane) => Ok(Some(lane)),
            None => self.earliest_of(|_| true),
        }
    }

    fn earliest_of(&mut self, is_meant: impl Fn(&Lane) -> bool) -> io::Result<Option<usize>> {
        let mut earliest = None;
        for (number, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| is_meant(lane)) {
            if let Some(order_ms) = lane.look()?
                && earliest.is_none_or(|(least_ms, _)| order_ms < least_ms)
            {
                earliest = Some((order_ms, number));
            }
        }
        Ok(earliest.map(|(_, number)| number))
    }

    /// The closed logs that could not be read to their end, so far.
    pub fn unreadable(&self) -> impl Iterator<Item = &Unreadable> {
        self.lanes.iter().flat_map(|lane| &lane.unreadable)
    }

    /// How many bytes were read from files, so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.meter.bytes()
    }
}
