//! Fail-points that kill.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{FailPoint, VARIABLE};

/// The point that kills, and how often it is still to be reached.
#[derive(Debug)]
struct Armed {
    name: String,
    left: AtomicU32,
}

/// What the variable said when the guard first came by a point.
static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// The guard comes by a point. It does not get further if that is the one, and this the time.
pub fn reach(point: FailPoint) {
    let Some(armed) = ARMED.get_or_init(read).as_ref().filter(|armed| armed.name == point.name()) else { return };
    if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        crate::system::platform::end_at_once();
        loop {
            std::thread::park();
        }
    }
}

/// `NAME:COUNT`; anything else arms nothing.
fn read() -> Option<Armed> {
    let text = std::env::var(VARIABLE).ok()?;
    let (name, count) = text.split_once(':')?;
    Some(Armed { name: name.to_owned(), left: AtomicU32::new(count.parse().ok()?) })
}
