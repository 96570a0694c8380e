//! The manager itself: services are made and looked for here.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_SERVICE_DOES_NOT_EXIST;
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, CreateServiceW, OpenSCManagerW, OpenServiceW, SC_HANDLE, SC_MANAGER_CONNECT,
    SC_MANAGER_CREATE_SERVICE, SERVICE_ALL_ACCESS, SERVICE_ENUMERATE_DEPENDENTS, SERVICE_ERROR_NORMAL,
    SERVICE_INTERROGATE, SERVICE_PAUSE_CONTINUE, SERVICE_QUERY_CONFIG, SERVICE_QUERY_STATUS, SERVICE_START,
    SERVICE_STOP, SERVICE_WIN32_OWN_PROCESS,
};

use crate::service::{Service, start_number};
use crate::settings::Settings;
use crate::text::{wide, wide_list};

/// The service control manager of this machine.
#[derive(Debug)]
pub struct Manager(Handle);

/// What the manager is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// How services are, and to do something.
    Use,
    /// To make some, too, which only administrators may.
    Make,
}

/// What is to be done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// To look at it.
    Look,
    /// To start, stop, pause and continue it, too.
    Tell,
    /// Everything.
    All,
}

impl Manager {
    /// Connects to it.
    ///
    /// # Errors
    /// When it cannot be reached, or whoever asks may not do this.
    pub fn connect(purpose: Purpose) -> io::Result<Self> {
        let access = match purpose {
            Purpose::Use => SC_MANAGER_CONNECT,
            Purpose::Make => SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE,
        };
        // SAFETY: null is this machine, and its active services.
        Handle::of(unsafe { OpenSCManagerW(ptr::null(), ptr::null(), access) }).map(Self)
    }

    /// A service; `None` if there is none of this name.
    ///
    /// # Errors
    /// When whoever asks may not do this.
    pub fn open(&self, name: &str, rights: Rights) -> io::Result<Option<Service>> {
        const LOOK: u32 =
            SERVICE_QUERY_CONFIG | SERVICE_QUERY_STATUS | SERVICE_ENUMERATE_DEPENDENTS | SERVICE_INTERROGATE;
        let access = match rights {
            Rights::Look => LOOK,
            Rights::Tell => LOOK | SERVICE_START | SERVICE_STOP | SERVICE_PAUSE_CONTINUE,
            Rights::All => SERVICE_ALL_ACCESS,
        };
        let wide_name = wide(name)?;
        // SAFETY: the manager's handle is open, and the name ends with a zero.
        let handle = Handle::of(unsafe { OpenServiceW(self.0.raw(), wide_name.as_ptr(), access) });
        match handle {
            Ok(handle) => Ok(Some(Service::new(name, handle))),
            Err(error) if is(&error, ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a service in a process of its own. Of the settings it has those that it is made with; for the others,
    /// [`Service::change`] follows.
    ///
    /// # Errors
    /// When there is one of this name, or Windows refuses a setting.
    pub fn create(&self, name: &str, settings: &Settings, password: Option<&str>) -> io::Result<Service> {
        let wide_name = wide(name)?;
        let display_name = wide(&settings.display_name)?;
        let command_line = wide(&settings.command_line)?;
        let group = wide(&settings.load_order_group)?;
        let dependencies = wide_list(&settings.dependencies)?;
        let account = wide(&settings.account)?;
        let password = password.map(wide).transpose()?;
        // SAFETY: every text ends with a zero and the list with two; without a group no tag is asked for.
        let handle = unsafe {
            CreateServiceW(
                self.0.raw(),
                wide_name.as_ptr(),
                display_name.as_ptr(),
                SERVICE_ALL_ACCESS,
                SERVICE_WIN32_OWN_PROCESS,
                start_number(settings.start),
                SERVICE_ERROR_NORMAL,
                command_line.as_ptr(),
                group.as_ptr(),
                ptr::null_mut(),
                dependencies.as_ptr(),
                account.as_ptr(),
                password.as_ref().map_or(ptr::null(), Vec::as_ptr),
            )
        };
        Ok(Service::new(name, Handle::of(handle)?))
    }
}

/// Whether an error is one of Windows'.
pub(crate) fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error().and_then(|raw| u32::try_from(raw).ok()) == Some(code)
}

/// An open handle of the manager's.
#[derive(Debug)]
pub(crate) struct Handle(SC_HANDLE);

// SAFETY: a handle is a number to the manager, which takes it from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    fn of(raw: SC_HANDLE) -> io::Result<Self> {
        if raw.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(raw)) }
    }

    pub(crate) const fn raw(&self) -> SC_HANDLE {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody uses it any more.
        unsafe { CloseServiceHandle(self.0) };
    }
}
