//! `menshen down`.

use std::time::Duration;

use menshen_api::client::Call;
use menshen_api::types::{Accepted, GuardInfo, ShutdownQuery};
use menshen_api::{ClientError, Endpoint};

use crate::args::{Arguments, Down};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, wait_for};
use crate::output;

/// How often a guard that is ending is asked whether it has ended.
const ASK_AGAIN: Duration = Duration::from_millis(50);

pub(super) fn down(arguments: &Arguments, down: &Down) -> Result<Exit, Failure> {
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let guard = guards.one()?;
        let _: Accepted =
            guard.client.call(&Call::new(Endpoint::Shutdown).query(&ShutdownQuery { now: down.now })?).await?;
        await_end(guard).await;
        output::note(format_args!("{}: stopped", guard.instance));
        Ok(Exit::Done)
    })
}

/// A guard has ended when nobody answers any more; how long that takes is up to its services.
async fn await_end(guard: &Guard) {
    loop {
        let answer: Result<GuardInfo, ClientError> = guard.client.call(&Call::new(Endpoint::GetGuard)).await;
        if matches!(answer, Err(ClientError::Unreachable(_) | ClientError::Broken(_))) {
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
