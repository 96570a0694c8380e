//! Room for descriptors.
//!
//! The kernel's table of a process's descriptors grows in steps. In a process of several threads each step waits until no
//! processor looks at the old table any more, which takes about as long as starting twenty programs.

use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the guard has open for itself.
const OWN: u64 = 128;
/// And for each service: two pipes, a process, its folder of cgroups, a socket, and while it starts another pipe.
const PER_SERVICE: u64 = 6;

/// Has the kernel make room for the descriptors of so many services, all at once. To be called before the first thread is
/// started. Where there cannot be so many, the room is made when it is needed.
pub fn make_room(services: usize) {
    let files = getrlimit(Resource::Nofile);
    let Rlimit { maximum, .. } = files;
    let wanted = OWN + PER_SERVICE * services as u64;
    let highest = wanted.min(maximum.unwrap_or(u64::MAX).saturating_sub(1));
    // Whatever of this does not work costs time, later, and nothing else.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let (Ok(null), Ok(highest)) =
        (rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()), i32::try_from(highest))
    {
        drop(fcntl_dupfd_cloexec(null, highest));
    }
    let _ = setrlimit(Resource::Nofile, files);
}
