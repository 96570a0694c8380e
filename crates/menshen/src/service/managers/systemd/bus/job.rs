//! Jobs: what systemd has been asked to do with a unit, until it is done.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;

use futures_core::Stream as _;
use zbus::{MatchRule, Message, MessageStream, OwnedObjectPath};

use super::connection::{Bus, Failure, MANAGER};

/// Ends of jobs that wait to be looked at. Only those of one unit are.
const QUEUED_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");

impl Bus {
    /// Has a job done, and waits until it is. How long that may take is in the unit: its time-outs end every job.
    pub(super) async fn run_job(&self, method: &'static str, unit: &str) -> Result<(), Failure> {
        self.hear().await?;
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .interface(MANAGER)
            .member("JobRemoved")
            .arg(2, unit)
            .build()?;
        let ended = MessageStream::for_match_rule(rule, &self.connection, Some(QUEUED_MAX)).await?;
        let answer = self.manager(method, &(unit, "replace")).await?;
        let result = result_of(&answer.body().deserialize()?, ended).await?;
        self.judge(unit, &result).await
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
