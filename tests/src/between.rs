//! Somebody between the callers of a guard and the guard, who passes on what they say, or does not.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::bed::Bed;

/// More than a request of the command has.
const REQUEST_BYTES_MAX: usize = 8192;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The guard gets it, and the caller what that answers.
    Passed,
    /// Its connection ends, as if the guard had ended before it read that.
    Lost,
    /// Nobody answers it.
    Unanswered,
}

/// It stands between until it is dropped.
#[derive(Debug)]
pub struct Between {
    socket: PathBuf,
    behind: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Between {
    /// Takes the place of a bed's guard. `fate` says what becomes of a request, of which it is given the first line.
    ///
    /// # Panics
    /// When its socket cannot be made.
    pub fn of(bed: &Bed, fate: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        let (socket, behind) = (bed.control_socket(), bed.control_socket().with_extension("behind"));
        fs::rename(&socket, &behind).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let between = Self { socket, behind: behind.clone(), requests: Arc::default() };
        let (requests, fate) = (Arc::clone(&between.requests), Arc::new(fate));
        // It ends with the process.
        std::thread::spawn(move || {
            while let Ok((caller, _)) = listener.accept() {
                let Ok(guard) = UnixStream::connect(&behind) else { continue };
                let (requests, fate) = (Arc::clone(&requests), Arc::clone(&fate));
                let fate = move |line: &str| {
                    requests.lock().unwrap().push(line.to_owned());
                    fate(line)
                };
                std::thread::spawn(move || serve(caller, guard, fate));
            }
        });
        between
    }

    /// The first lines of all requests so far.
    ///
    /// # Panics
    /// When its thread has panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        // The guard has its place again, if it is still there.
        let _ = fs::rename(&self.behind, &self.socket);
    }
}

/// Passes on what both say, but for what is not to be. A caller says nothing new before it is answered, and each request at once.
fn serve(mut caller: UnixStream, mut guard: UnixStream, fate: impl Fn(&str) -> Fate) {
    let (Ok(mut answers), Ok(mut answered)) = (guard.try_clone(), caller.try_clone()) else { return };
    std::thread::spawn(move || {
        // Either may be gone.
        let _ = io::copy(&mut answers, &mut answered);
        let _ = answered.shutdown(Shutdown::Both);
    });
    let mut said = vec![0; REQUEST_BYTES_MAX];
    while let Ok(length @ 1..) = caller.read(&mut said) {
        let line = String::from_utf8_lossy(&said[..length]).lines().next().unwrap_or_default().to_owned();
        let is_request = line.ends_with(" HTTP/1.1");
        match if is_request { fate(&line) } else { Fate::Passed } {
            Fate::Passed if guard.write_all(&said[..length]).is_ok() => {}
            Fate::Passed | Fate::Lost => break,
            Fate::Unanswered => {}
        }
    }
    let _ = guard.shutdown(Shutdown::Both);
}
