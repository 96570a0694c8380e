//! Who is sent one piece after another, and is told of if he does not read: he is waited for all the same, and by nobody but
//! the task that sends to him.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::Sender;
use menshen_os::local_socket::Caller;
use tokio::sync::oneshot;

use crate::guard::input::{Input, Inputs};

/// How many pieces may wait for a caller that does not read; then whoever sends them waits, not the guard.
pub(super) const PIECES_MAX: usize = 16;
/// How long somebody who follows may leave a piece unread before that is told.
const READS_WITHIN: Duration = Duration::from_secs(5);

/// Somebody who reads what comes as it comes.
pub(super) struct Reader {
    sender: Sender<Bytes>,
    inputs: Inputs,
    /// `process 12 (root), which follows the events`; nobody if he may take his time.
    who: Option<String>,
}

impl Reader {
    /// One who follows, and is to keep up.
    pub(super) fn following(sender: Sender<Bytes>, inputs: Inputs, caller: &Caller, what: &str) -> Self {
        Self { sender, inputs, who: Some(format!("{}, which follows {what}", named(caller))) }
    }

    /// One who reads what there is, page by page.
    pub(super) const fn paging(sender: Sender<Bytes>, inputs: Inputs) -> Self {
        Self { sender, inputs, who: None }
    }

    /// Waits as long as it takes. An error means that he is gone.
    pub(super) async fn send(&mut self, piece: Bytes) -> Result<(), ()> {
        let Some(who) = &self.who else { return self.sender.send_data(piece).await.map_err(drop) };
        let sending = self.sender.send_data(piece);
        tokio::pin!(sending);
        if let Ok(sent) = tokio::time::timeout(READS_WITHIN, &mut sending).await {
            return sent.map_err(drop);
        }
        let within = menshen_plan::duration::format(READS_WITHIN);
        let (told, is_told) = oneshot::channel();
        let text = format!("{who}, has read nothing for {within}");
        self.inputs.send(Input::FollowerTrouble { text, told }).await;
        let sent = sending.await.map_err(drop);
        let now = if sent.is_ok() { "reads on" } else { "is gone" };
        // Of many at once only some are told of.
        if is_told.await.unwrap_or(false) {
            self.inputs.send(Input::FollowerTroubleOver(format!("{who}, {now}"))).await;
        }
        sent
    }
}

/// Somebody who calls, for people.
pub(super) fn named(caller: &Caller) -> String {
    format!("process {} ({})", caller.pid, caller.name())
}
