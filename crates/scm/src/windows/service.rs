//! One service: its settings, how it is, and what it is told.

use std::io;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_INVALID_LEVEL, ERROR_MORE_DATA};
use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;
use windows_sys::Win32::System::Services::{
    ChangeServiceConfigW, ControlService, DeleteService, ENUM_SERVICE_STATUSW, EnumDependentServicesW,
    QUERY_SERVICE_CONFIGW, QueryServiceConfigW, QueryServiceObjectSecurity, QueryServiceStatusEx,
    SC_STATUS_PROCESS_INFO, SERVICE_ACTIVE, SERVICE_AUTO_START, SERVICE_CONTINUE_PENDING, SERVICE_CONTROL_CONTINUE,
    SERVICE_CONTROL_PARAMCHANGE, SERVICE_CONTROL_PAUSE, SERVICE_CONTROL_STOP, SERVICE_DEMAND_START, SERVICE_DISABLED,
    SERVICE_NO_CHANGE, SERVICE_PAUSE_PENDING, SERVICE_PAUSED, SERVICE_RUNNING, SERVICE_START_PENDING, SERVICE_STATUS,
    SERVICE_STATUS_PROCESS, SERVICE_STOP_PENDING, SERVICE_STOPPED, SetServiceObjectSecurity, StartServiceW,
};

use crate::account::is_own;
use crate::changes::Change;
use crate::levels;
use crate::manager::{Handle, is};
use crate::registry;
use crate::security::{self, Descriptor};
use crate::settings::{Failures, Settings, Start};
use crate::text::{text, texts, wide, wide_list};

/// A security descriptor by which nobody may do anything.
const NOBODY: &str = "D:";

/// A service that is open.
#[derive(Debug)]
pub struct Service {
    name: String,
    handle: Handle,
}

/// What a service can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// To end.
    Stop,
    /// To do nothing, but to stay.
    Pause,
    /// To go on.
    Continue,
    /// To read its configuration again.
    ParamChange,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its state.
    pub state: State,
    /// What it said of its end: 0 is well, 1066 that `specific_exit` says it, 1067 that its process ended without a word, 1077
    /// that it was never started since boot.
    pub exit: u32,
    /// A code of its own.
    pub specific_exit: u32,
    /// It grows with each step of a change of state.
    pub checkpoint: u32,
    /// The next step, or the end of the change, comes within this.
    pub wait_hint: Duration,
    /// Its process; none where it does not run.
    pub pid: Option<u32>,
}

/// The states of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does not run.
    Stopped,
    /// It is being started.
    StartPending,
    /// It is being stopped.
    StopPending,
    /// It runs.
    Running,
    /// It is being continued.
    ContinuePending,
    /// It is being paused.
    PausePending,
    /// It is paused.
    Paused,
}

impl Service {
    pub(crate) fn new(name: &str, handle: Handle) -> Self {
        Self { name: name.to_owned(), handle }
    }

    /// Its settings. What the manager takes and does not tell (so it is with Wine's) is taken to be as in `otherwise`, and so
    /// is what has no value that could be compared: who may do what, and how long it has before a shutdown, where nothing
    /// special is wanted.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn settings(&self, otherwise: &Settings) -> io::Result<Settings> {
        let mut settings = otherwise.clone();
        self.read_base(&mut settings)?;
        levels::read(&self.handle, &mut settings)?;
        if settings.dependencies.is_empty() {
            // Wine keeps them, and does not tell.
            settings.dependencies = registry::dependencies(&self.name)?;
        }
        if otherwise.security.is_some() {
            // Where nobody may do anything, nobody could ask: who answers so (Wine) does not know.
            let told = Some(self.security()?).filter(|told| told != NOBODY);
            settings.security = told.or(settings.security);
        }
        settings.environment = registry::environment(&self.name)?;
        for parameter in &mut settings.parameters {
            parameter.value = registry::parameter(&self.name, parameter.name)?;
        }
        Ok(settings)
    }

    /// Makes one of the [`changes`](crate::changes) between how it is and how it should be.
    ///
    /// # Errors
    /// When Windows refuses it.
    pub fn change(&self, change: Change, from: &Settings, to: &Settings, password: Option<&str>) -> io::Result<()> {
        match change {
            Change::Base => self.change_base(to),
            Change::Levels => levels::change(&self.handle, from, to),
            Change::Security => to.security.as_ref().map_or(Ok(()), |sddl| self.set_security(sddl)),
            Change::Environment => registry::set_environment(&self.name, &to.environment),
            Change::Parameters => {
                let mut changed = to.parameters.iter().filter(|parameter| !from.parameters.contains(parameter));
                changed.try_for_each(|parameter| registry::set_parameter(&self.name, parameter))
            }
            Change::Account => self.change_account(to, password),
        }
    }

    /// When it is started, and nothing else of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn start_type(&self) -> io::Result<Start> {
        let mut settings = Settings::new(String::new(), String::new());
        self.read_base(&mut settings)?;
        levels::read_delay(&self.handle, &mut settings)?;
        Ok(settings.start)
    }

    /// What happens when it fails, and nothing else of it. A manager that does not tell does nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn failures(&self) -> io::Result<Failures> {
        let mut settings = Settings::new(String::new(), String::new());
        levels::read_failures(&self.handle, &mut settings)?;
        Ok(settings.failures)
    }

    /// Whether the manager keeps which ends of it are failures.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn knows_failure_flag(&self) -> io::Result<bool> {
        levels::knows_failure_flag(&self.handle)
    }

    /// Changes when it is started, and nothing else of it. An automatic start stays a delayed one if it was.
    ///
    /// # Errors
    /// When Windows refuses.
    pub fn set_start(&self, start: Start) -> io::Result<()> {
        let (same, number) = (ptr::null(), start_number(start));
        // SAFETY: the handle is open; null changes nothing.
        let done = unsafe {
            ChangeServiceConfigW(
                self.handle.raw(),
                SERVICE_NO_CHANGE,
                number,
                SERVICE_NO_CHANGE,
                same,
                same,
                ptr::null_mut(),
                same,
                same,
                same,
                same,
            )
        };
        succeeded(done)
    }

    /// How it is.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn status(&self) -> io::Result<Status> {
        let mut raw = SERVICE_STATUS_PROCESS::default();
        let size = u32::try_from(size_of_val(&raw)).map_err(io::Error::other)?;
        let mut needed = 0;
        // SAFETY: the buffer is what this kind of question wants, and as long as is said.
        let done = unsafe {
            QueryServiceStatusEx(
                self.handle.raw(),
                SC_STATUS_PROCESS_INFO,
                (&raw mut raw).cast(),
                size,
                &raw mut needed,
            )
        };
        succeeded(done)?;
        Ok(Status {
            state: state_of(raw.dwCurrentState)?,
            exit: raw.dwWin32ExitCode,
            specific_exit: raw.dwServiceSpecificExitCode,
            checkpoint: raw.dwCheckPoint,
            wait_hint: Duration::from_millis(raw.dwWaitHint.into()),
            pid: (raw.dwProcessId != 0).then_some(raw.dwProcessId),
        })
    }

    /// Starts it, and does not wait until it runs.
    ///
    /// # Errors
    /// When it cannot be started, or runs.
    pub fn start(&self) -> io::Result<()> {
        // SAFETY: the handle is open; there are no arguments.
        succeeded(unsafe { StartServiceW(self.handle.raw(), 0, ptr::null()) })
    }

    /// Tells it something, and does not wait until it is done.
    ///
    /// # Errors
    /// When it cannot be told this, now or ever.
    pub fn control(&self, control: Control) -> io::Result<()> {
        let number = match control {
            Control::Stop => SERVICE_CONTROL_STOP,
            Control::Pause => SERVICE_CONTROL_PAUSE,
            Control::Continue => SERVICE_CONTROL_CONTINUE,
            Control::ParamChange => SERVICE_CONTROL_PARAMCHANGE,
        };
        let mut status = SERVICE_STATUS::default();
        // SAFETY: the handle is open, and the status is whole.
        succeeded(unsafe { ControlService(self.handle.raw(), number, &raw mut status) })
    }

    /// Has the manager forget it. It is gone once nobody has it open any more.
    ///
    /// # Errors
    /// When whoever asks may not do this, or it is to be forgotten already.
    pub fn delete(&self) -> io::Result<()> {
        // SAFETY: the handle is open.
        succeeded(unsafe { DeleteService(self.handle.raw()) })
    }

    /// The services that run and need it.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn running_dependents(&self) -> io::Result<Vec<String>> {
        let (mut buffer, mut needed, mut count) = (Vec::<u64>::new(), 0, 0);
        loop {
            let size = u32::try_from(size_of_val(buffer.as_slice())).map_err(io::Error::other)?;
            // SAFETY: the buffer is as long as is said.
            let done = unsafe {
                let buffer = buffer.as_mut_ptr().cast();
                EnumDependentServicesW(self.handle.raw(), SERVICE_ACTIVE, buffer, size, &raw mut needed, &raw mut count)
            };
            match succeeded(done) {
                Ok(()) => break,
                Err(error) if is(&error, ERROR_MORE_DATA) && needed > size => buffer = room(needed),
                Err(error) => return Err(error),
            }
        }
        let first: *const ENUM_SERVICE_STATUSW = buffer.as_ptr().cast();
        // SAFETY: there are so many, each with a name that ends with a zero.
        Ok((0..count as usize).map(|index| unsafe { text((*first.add(index)).lpServiceName) }).collect())
    }

    fn read_base(&self, settings: &mut Settings) -> io::Result<()> {
        let buffer = filled(|buffer, size, needed| {
            // SAFETY: the buffer is as long as is said.
            unsafe { QueryServiceConfigW(self.handle.raw(), buffer.cast(), size, needed) }
        })?;
        let Some(buffer) = buffer else { return Ok(()) };
        let raw: *const QUERY_SERVICE_CONFIGW = buffer.as_ptr().cast();
        // SAFETY: the manager has filled the buffer with this and its texts.
        unsafe {
            settings.command_line = text((*raw).lpBinaryPathName);
            settings.display_name = text((*raw).lpDisplayName);
            settings.load_order_group = text((*raw).lpLoadOrderGroup);
            settings.dependencies = texts((*raw).lpDependencies);
            settings.account = text((*raw).lpServiceStartName);
            settings.start = start_of((*raw).dwStartType)?;
        }
        Ok(())
    }

    fn change_base(&self, to: &Settings) -> io::Result<()> {
        let display_name = wide(&to.display_name)?;
        let command_line = wide(&to.command_line)?;
        let group = wide(&to.load_order_group)?;
        let dependencies = wide_list(&to.dependencies)?;
        // SAFETY: every text ends with a zero and the list with two; null changes nothing.
        let done = unsafe {
            ChangeServiceConfigW(
                self.handle.raw(),
                SERVICE_NO_CHANGE,
                start_number(to.start),
                SERVICE_NO_CHANGE,
                command_line.as_ptr(),
                group.as_ptr(),
                ptr::null_mut(),
                dependencies.as_ptr(),
                ptr::null(),
                ptr::null(),
                display_name.as_ptr(),
            )
        };
        succeeded(done)
    }

    /// An account of Windows' own has an empty password, which has to be said when it takes the place of a user; one whose
    /// password Windows keeps itself must not be given any. What the
    /// service depends on is said again, for Wine would forget it.
    fn change_account(&self, to: &Settings, password: Option<&str>) -> io::Result<()> {
        let password = password.or(is_own(&to.account).then_some("")).map(wide).transpose()?;
        let account = wide(&to.account)?;
        let dependencies = wide_list(&to.dependencies)?;
        let same = ptr::null();
        // SAFETY: the handle is open, both texts end with a zero and the list with two, and null changes nothing.
        let done = unsafe {
            ChangeServiceConfigW(
                self.handle.raw(),
                SERVICE_NO_CHANGE,
                SERVICE_NO_CHANGE,
                SERVICE_NO_CHANGE,
                same,
                same,
                ptr::null_mut(),
                dependencies.as_ptr(),
                account.as_ptr(),
                password.as_ref().map_or(ptr::null(), Vec::as_ptr),
                same,
            )
        };
        succeeded(done)
    }

    fn security(&self) -> io::Result<String> {
        let buffer = filled(|buffer, size, needed| {
            let descriptor = buffer.cast();
            // SAFETY: the buffer is as long as is said.
            unsafe {
                QueryServiceObjectSecurity(self.handle.raw(), DACL_SECURITY_INFORMATION, descriptor, size, needed)
            }
        })?;
        // SAFETY: the manager has filled the buffer with a whole descriptor.
        buffer.map_or_else(|| Ok(String::new()), |mut buffer| unsafe { security::text_of(buffer.as_mut_ptr().cast()) })
    }

    fn set_security(&self, sddl: &str) -> io::Result<()> {
        let descriptor = Descriptor::parse(sddl)?;
        // SAFETY: handle and descriptor are whole while this runs.
        succeeded(unsafe { SetServiceObjectSecurity(self.handle.raw(), DACL_SECURITY_INFORMATION, descriptor.raw()) })
    }
}

/// Who may do what, as Windows writes it: what is written in another order or with other names for the same is the same.
///
/// # Errors
/// When it is no security descriptor.
pub fn canonical_security(sddl: &str) -> io::Result<String> {
    Descriptor::parse(sddl)?.text()
}

/// The number of Windows. That a start is delayed is said apart.
pub(crate) const fn start_number(start: Start) -> u32 {
    match start {
        Start::Auto | Start::Delayed => SERVICE_AUTO_START,
        Start::Manual => SERVICE_DEMAND_START,
        Start::Disabled => SERVICE_DISABLED,
    }
}

fn start_of(number: u32) -> io::Result<Start> {
    match number {
        SERVICE_AUTO_START => Ok(Start::Auto),
        SERVICE_DEMAND_START => Ok(Start::Manual),
        SERVICE_DISABLED => Ok(Start::Disabled),
        other => Err(io::Error::other(format!("a service is not started by type {other}; this is a driver"))),
    }
}

fn state_of(number: u32) -> io::Result<State> {
    Ok(match number {
        SERVICE_STOPPED => State::Stopped,
        SERVICE_START_PENDING => State::StartPending,
        SERVICE_STOP_PENDING => State::StopPending,
        SERVICE_RUNNING => State::Running,
        SERVICE_CONTINUE_PENDING => State::ContinuePending,
        SERVICE_PAUSE_PENDING => State::PausePending,
        SERVICE_PAUSED => State::Paused,
        other => return Err(io::Error::other(format!("{other} is no state of a service"))),
    })
}

/// What a function fills a buffer with, which it is asked for twice: how long, and what. `None` where the manager does not know
/// what it is asked.
pub(crate) fn filled(mut fill: impl FnMut(*mut u8, u32, *mut u32) -> i32) -> io::Result<Option<Vec<u64>>> {
    let (mut buffer, mut needed) = (Vec::<u64>::new(), 0);
    loop {
        let size = u32::try_from(size_of_val(buffer.as_slice())).map_err(io::Error::other)?;
        match succeeded(fill(buffer.as_mut_ptr().cast(), size, &raw mut needed)) {
            Ok(()) => return Ok(Some(buffer)),
            Err(error) if is(&error, ERROR_INSUFFICIENT_BUFFER) && needed > size => buffer = room(needed),
            Err(error) if is(&error, ERROR_INVALID_LEVEL) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Where the manager can put structures: so many bytes, aligned as they want.
fn room(bytes: u32) -> Vec<u64> {
    vec![0; (bytes as usize).div_ceil(size_of::<u64>())]
}

pub(crate) fn succeeded(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
