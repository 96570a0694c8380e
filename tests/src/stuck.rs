//! A file system whose server has stopped answering, as an NFS server does that is gone. Whoever asks it for anything sleeps
//! where no signal wakes it, not even SIGKILL. It needs root and FUSE.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountFlags, mount};

use crate::process::Process;

/// See <linux/fuse.h>: every request begins with its length, its kind and its number, and says who makes it.
const KIND: Range<usize> = 4..8;
const NUMBER: Range<usize> = 8..16;
const CALLER: Range<usize> = 32..36;
/// The first request, and the only one that is answered.
const INIT: u32 = 26;
/// `struct fuse_out_header` and `struct fuse_init_out`.
const INIT_ANSWER_BYTES: usize = 16 + 64;
/// More than the kernel wants a server to be able to read.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// The server of a file system that hangs until this is dropped; then whoever waits for it gets an error.
#[derive(Debug)]
pub struct Stuck {
    stop: Option<UnixStream>,
    /// Who has asked for something.
    callers: Arc<Mutex<BTreeSet<u32>>>,
    server: Option<JoinHandle<()>>,
}

impl Stuck {
    /// Mounts it in the place of a folder.
    pub(crate) fn mount(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other\0", device.as_raw_fd());
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).unwrap();
        mount("menshen-test", folder, "fuse", MountFlags::empty(), options).unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let callers = Arc::<Mutex<BTreeSet<u32>>>::default();
        let known = Arc::clone(&callers);
        let server = std::thread::spawn(move || serve(device, &stopped, &known));
        Self { stop: Some(stop), callers, server: Some(server) }
    }

    /// Whether a process has asked for something: it waits for the answer then.
    ///
    /// # Panics
    /// When the server has.
    #[must_use]
    pub fn is_asked_by(&self, process: Process) -> bool {
        self.callers.lock().unwrap().contains(&process.pid)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            // What it panicked of has been said.
            let _ = server.join();
        }
    }
}

/// Takes every request. One that was taken is waited for, whatever happens to whoever made it.
fn serve(mut device: File, stopped: &UnixStream, callers: &Mutex<BTreeSet<u32>>) {
    let mut request = vec![0; REQUEST_BYTES_MAX];
    loop {
        let mut ready = [
            PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
        ];
        poll(&mut ready, None).unwrap();
        if !ready[1].revents().is_empty() {
            return;
        }
        // A request may be taken back before it is read; and when the file system is unmounted, there are no more.
        let Ok(length) = device.read(&mut request) else { return };
        let number_at = |place: Range<usize>| u32::from_ne_bytes(request[..length][place].try_into().unwrap());
        if number_at(KIND) == INIT {
            device.write_all(&init_answer(&request[NUMBER])).unwrap();
        } else {
            callers.lock().unwrap().insert(number_at(CALLER));
        }
    }
}

/// No error, version 7.31, and nothing but what has to be said.
fn init_answer(number: &[u8]) -> [u8; INIT_ANSWER_BYTES] {
    let mut answer = [0; INIT_ANSWER_BYTES];
    let length = u32::try_from(INIT_ANSWER_BYTES).unwrap();
    answer[..4].copy_from_slice(&length.to_ne_bytes());
    answer[8..16].copy_from_slice(number);
    answer[16..20].copy_from_slice(&7_u32.to_ne_bytes());
    answer[20..24].copy_from_slice(&31_u32.to_ne_bytes());
    // The longest piece that is written at once.
    answer[36..40].copy_from_slice(&4096_u32.to_ne_bytes());
    answer
}
