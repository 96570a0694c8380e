//! Jobs: what systemd has been asked to do with a unit, until it is done.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;

use futures_core::Stream as _;
use zbus::{MatchRule, Message, MessageStream, OwnedObjectPath};

use super::connection::{Bus, Failure, MANAGER};
use super::properties::{Job, Properties};
use crate::service::deadline::Deadline;
use crate::service::status::State;

/// Ends of jobs that wait to be looked at. Only those of one unit are.
const QUEUED_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");

impl Bus {
    /// Has a job done, and waits until it is, or the deadline has come. A unit may have no time-outs of its own.
    pub(super) async fn run_job(&self, method: &'static str, unit: &str, deadline: Deadline) -> Result<(), Failure> {
        self.hear().await?;
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .interface(MANAGER)
            .member("JobRemoved")
            .arg(2, unit)
            .build()?;
        let ended = MessageStream::for_match_rule(rule, &self.connection, Some(QUEUED_MAX)).await?;
        let answer = self.manager(method, &(unit, "replace")).await?;
        let job: OwnedObjectPath = answer.body().deserialize()?;
        match tokio::time::timeout(deadline.left(), result_of(&job, ended)).await {
            Ok(result) => self.judge(unit, &result?).await,
            Err(_) => Err(Failure::Overdue(self.doing(unit, &job).await?)),
        }
    }

    /// What becomes of a unit that has a job.
    async fn doing(&self, unit: &str, job: &OwnedObjectPath) -> Result<Doing, Failure> {
        // It may end while it is asked for.
        let job = self.all::<Job>(job).await.ok();
        let doing = self.doing_without_job(unit).await?;
        Ok(Doing { job: job.as_ref().map(JobDoing::of), ..doing })
    }

    /// What becomes of a unit that is told something by no job.
    pub(super) async fn doing_without_job(&self, unit: &str) -> Result<Doing, Failure> {
        let properties = self.load(unit).await?;
        let text = if unit.ends_with(".service") { self.service(unit).await?.text() } else { None };
        Ok(Doing { state: properties.state(), words: properties.words(), text, job: None })
    }

    /// A result is a word.
    async fn judge(&self, unit: &str, result: &str) -> Result<(), Failure> {
        let told = match result {
            "done" | "skipped" => return Ok(()),
            "canceled" => "somebody asked for something else meanwhile".to_owned(),
            "timeout" => "it took too long".to_owned(),
            "dependency" => "something it depends on failed".to_owned(),
            "assert" => "an assertion of its unit does not hold".to_owned(),
            other => match self.loaded(unit).await? {
                Some(_) if unit.ends_with(".service") => {
                    let service = self.service(unit).await?;
                    format!("{other} ({})", service.result())
                }
                Some(_) | None => other.to_owned(),
            },
        };
        Err(Failure::Told(format!("{told}; `journalctl --unit {unit}` may say more")))
    }
}

/// What becomes of a unit while it is told something.
#[derive(Debug)]
pub(super) struct Doing {
    /// Its state.
    pub state: State,
    /// The same in systemd's own words.
    words: String,
    /// What the service says it is doing.
    text: Option<String>,
    /// What is to be done with it; nothing, once it is over.
    job: Option<JobDoing>,
}

/// What becomes of a job.
#[derive(Debug)]
struct JobDoing {
    kind: String,
    progress: String,
}

impl JobDoing {
    fn of(job: &Properties<Job>) -> Self {
        Self { kind: job.kind(), progress: job.progress() }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the unit is {}", self.words)?;
        match &self.job {
            Some(JobDoing { kind, progress }) => write!(formatter, ", its job {kind} is {progress}")?,
            None => formatter.write_str(", and has no job")?,
        }
        match &self.text {
            Some(text) => write!(formatter, "; it says: {text}"),
            None => Ok(()),
        }
    }
}

async fn result_of(job: &OwnedObjectPath, mut ended: MessageStream) -> Result<String, Failure> {
    loop {
        let message = next(&mut ended).await?;
        let (_, path, _, result): (u32, OwnedObjectPath, String, String) = message.body().deserialize()?;
        if path == *job {
            return Ok(result);
        }
    }
}

async fn next(messages: &mut MessageStream) -> Result<Message, Failure> {
    match poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await {
        Some(message) => message.map_err(Failure::from),
        None => Err(Failure::Told("systemd has hung up".to_owned())),
    }
}
