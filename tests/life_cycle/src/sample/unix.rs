//! Told by signals.

use std::io;

use menshen_life_cycle::program::{self, Service, Way};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

/// Does as it is told, until it is told to stop.
pub(crate) fn serve(service: Service) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGTERM])?;
    for signal in &mut signals {
        if signal == SIGHUP {
            service.note("reload")?;
        } else {
            return service.stop(program::way().unwrap_or(Way::Work));
        }
    }
    Ok(())
}
