//! The log of events of Windows.
//!
//! What is shown of an event is a text of its source's message file, in which the event's own text stands for `%1`.

use std::io;
use std::ptr;

use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::EventLog::{DeregisterEventSource, RegisterEventSourceW, ReportEventW};

use crate::event::{self, Id, Level};
use crate::registry::{found, opened};
use crate::text::wide;

const SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
const MESSAGE_FILE_VALUE: &str = "EventMessageFile";
const TYPES_VALUE: &str = "TypesSupported";

/// The key of a source.
#[must_use]
pub fn path_of(source: &str) -> String {
    format!(r"{SOURCES}\{source}")
}

/// The message file of a source; `None` if it is not registered.
///
/// # Errors
/// When it cannot be read.
pub fn message_file(source: &str) -> io::Result<Option<String>> {
    let key = found(LOCAL_MACHINE.open(path_of(source)))?;
    key.map_or(Ok(None), |key| found(key.get_string(MESSAGE_FILE_VALUE)))
}

/// Registers a source with a message file, whose path may have variables.
///
/// # Errors
/// When whoever asks may not do this.
pub fn register(source: &str, message_file: &str) -> io::Result<()> {
    let key = opened(&path_of(source))?;
    let all = [Level::Error, Level::Warning, Level::Information].map(Level::number).into_iter().sum::<u16>();
    key.set_expand_string(MESSAGE_FILE_VALUE, message_file).map_err(crate::registry::told)?;
    key.set_u32(TYPES_VALUE, all.into()).map_err(crate::registry::told)
}

/// Forgets a source; one that is not there is forgotten.
///
/// # Errors
/// When whoever asks may not do this.
pub fn forget(source: &str) -> io::Result<()> {
    let sources = found(LOCAL_MACHINE.options().read().write().open(SOURCES))?;
    sources.map_or(Ok(None), |sources| found(sources.remove_tree(source))).map(drop)
}

/// A source of events.
#[derive(Debug)]
pub struct Source(HANDLE);

// SAFETY: a handle is a number to the log, which takes it from any thread.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

impl Source {
    /// Opens a source. One that is not registered writes all the same, with a remark of Windows' about it.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub fn open(name: &str) -> io::Result<Self> {
        let name = wide(name)?;
        // SAFETY: null is this machine, and the name ends with a zero.
        let handle = unsafe { RegisterEventSourceW(ptr::null(), name.as_ptr()) };
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }

    /// Writes an event, with its text as [`event::text`] has it.
    ///
    /// # Errors
    /// When the log does not take it.
    pub fn report(&self, level: Level, id: Id, text: &str) -> io::Result<()> {
        let (kind, id, text) = (level.number(), id.number().into(), event::text(text));
        let texts = [text.as_ptr()];
        // SAFETY: the source is open, and there is one text, which ends with a zero.
        let done = unsafe { ReportEventW(self.0, kind, 0, id, ptr::null_mut(), 1, 0, texts.as_ptr(), ptr::null()) };
        crate::service::succeeded(done)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody uses it any more.
        unsafe { DeregisterEventSource(self.0) };
    }
}
