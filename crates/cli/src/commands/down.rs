//! `menshen down`.

use std::time::{Duration, Instant};

use menshen_api::client::Call;
use menshen_api::types::{Accepted, GuardInfo, ShutdownQuery};
use menshen_api::{ClientError, Endpoint};

use crate::args::{Arguments, Down};
use crate::failure::{Exit, Failure};
use crate::guards::{Guard, Guards, is_held, wait_for};
use crate::output;

/// How often a guard that is ending is asked whether it has ended.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long a guard that no longer answers may take to let go of its lock: it writes its last events meanwhile.
const LOCK_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn down(arguments: &Arguments, down: &Down) -> Result<Exit, Failure> {
    wait_for(async {
        let guards = Guards::find(arguments).await;
        let guard = guards.one()?;
        let _: Accepted =
            guard.client.call(&Call::new(Endpoint::Shutdown).query(&ShutdownQuery { now: down.now })?).await?;
        await_end(guard).await;
        await_lock(&guard.instance).await;
        output::note(format_args!("{}: stopped", guard.instance));
        Ok(Exit::Done)
    })
}

/// The lock is the last a guard lets go; from then on another one can begin.
async fn await_lock(instance: &str) {
    let end = Instant::now() + LOCK_WITHIN;
    while is_held(instance) && Instant::now() < end {
        tokio::time::sleep(ASK_AGAIN).await;
    }
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
