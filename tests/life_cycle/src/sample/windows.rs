//! Told by nobody: without a manager's protocol it is ended.

use std::io;

use menshen_life_cycle::program::Service;

/// Works until it is ended.
pub(crate) fn serve(_service: Service) -> io::Result<()> {
    loop {
        std::thread::park();
    }
}
