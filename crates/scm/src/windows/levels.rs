//! The settings that came to Windows one after the other, each a level of `ChangeServiceConfig2W`.

use std::io;
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::ERROR_INVALID_LEVEL;
use windows_sys::Win32::System::Services::{
    ChangeServiceConfig2W, QueryServiceConfig2W, SC_ACTION, SC_ACTION_RESTART, SERVICE_CONFIG_DELAYED_AUTO_START_INFO,
    SERVICE_CONFIG_DESCRIPTION, SERVICE_CONFIG_FAILURE_ACTIONS, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG,
    SERVICE_CONFIG_PRESHUTDOWN_INFO, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, SERVICE_CONFIG_SERVICE_SID_INFO,
    SERVICE_CONFIG_TRIGGER_INFO, SERVICE_DELAYED_AUTO_START_INFO, SERVICE_DESCRIPTIONW, SERVICE_FAILURE_ACTIONS_FLAG,
    SERVICE_FAILURE_ACTIONSW, SERVICE_PRESHUTDOWN_INFO, SERVICE_REQUIRED_PRIVILEGES_INFOW, SERVICE_SID_INFO,
    SERVICE_SID_TYPE_NONE, SERVICE_SID_TYPE_UNRESTRICTED, SERVICE_TRIGGER, SERVICE_TRIGGER_ACTION_SERVICE_START,
    SERVICE_TRIGGER_INFO,
};
use windows_sys::core::GUID;

use crate::manager::{Handle, is};
use crate::service::{filled, succeeded};
use crate::settings::{FailureKinds, Failures, Settings, Sid, Start};
use crate::text::{text, texts, wide, wide_list};
use crate::triggers::{Guid, Trigger, TriggerKind};

/// `RPC_X_INVALID_TAG`: the manager is asked over RPC, and that knows no such level.
const INVALID_TAG: u32 = 1733;
/// Failures are never forgotten.
const NEVER: u32 = u32::MAX;
/// Windows' `SERVICE_SID_TYPE_RESTRICTED`: unrestricted, and one bit more.
const SID_RESTRICTED: u32 = 3;
/// How long Windows gives before a shutdown when nobody says otherwise: since Windows 10 1703, and before.
const PRESHUTDOWN_DEFAULTS: [u32; 2] = [10_000, 180_000];

/// Reads every level. What the manager takes and does not tell (Wine's) stays as it is; of what it does not know at all there is
/// nothing.
pub(crate) fn read(service: &Handle, settings: &mut Settings) -> io::Result<()> {
    if let Some(raw) = query::<SERVICE_DESCRIPTIONW>(service, SERVICE_CONFIG_DESCRIPTION)? {
        // SAFETY: the text belongs to the answer.
        settings.description = unsafe { text(raw.head().lpDescription) };
    }
    read_delay(service, settings)?;
    let sid = query::<SERVICE_SID_INFO>(service, SERVICE_CONFIG_SERVICE_SID_INFO)?;
    settings.sid = sid.map_or(Sid::None, |raw| match raw.head().dwServiceSidType {
        SERVICE_SID_TYPE_NONE => Sid::None,
        SERVICE_SID_TYPE_UNRESTRICTED => Sid::Unrestricted,
        _ => Sid::Restricted,
    });
    let privileges = query::<SERVICE_REQUIRED_PRIVILEGES_INFOW>(service, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO)?;
    // SAFETY: the texts belong to the answer.
    let privileges = privileges.map(|raw| unsafe { texts(raw.head().pmszRequiredPrivileges) });
    settings.required_privileges = privileges.unwrap_or_default();
    if let Some(raw) = query::<SERVICE_PRESHUTDOWN_INFO>(service, SERVICE_CONFIG_PRESHUTDOWN_INFO)? {
        let timeout = raw.head().dwPreshutdownTimeout;
        let is_default = settings.preshutdown.is_none() && PRESHUTDOWN_DEFAULTS.contains(&timeout);
        settings.preshutdown = (!is_default).then(|| Duration::from_millis(timeout.into()));
    }
    read_failures(service, settings)?;
    read_triggers(service, settings)
}

/// Whether an automatic start is a delayed one.
pub(crate) fn read_delay(service: &Handle, settings: &mut Settings) -> io::Result<()> {
    let raw = query::<SERVICE_DELAYED_AUTO_START_INFO>(service, SERVICE_CONFIG_DELAYED_AUTO_START_INFO)?;
    if settings.start == Start::Auto && raw.is_some_and(|raw| raw.head().fDelayedAutostart != 0) {
        settings.start = Start::Delayed;
    }
    Ok(())
}

/// What happens when it fails.
pub(crate) fn read_failures(service: &Handle, settings: &mut Settings) -> io::Result<()> {
    if let Some(raw) = query::<SERVICE_FAILURE_ACTIONSW>(service, SERVICE_CONFIG_FAILURE_ACTIONS)? {
        let head = raw.head();
        let actions: Vec<SC_ACTION> = (0..head.cActions as usize)
            // SAFETY: there are so many, and they belong to the answer.
            .map(|index| unsafe { *head.lpsaActions.add(index) })
            .collect();
        let restarts = actions.iter().filter(|action| action.Type == SC_ACTION_RESTART);
        settings.failures.restart_after = restarts.map(|action| Duration::from_millis(action.Delay.into())).collect();
        let is_forgotten = head.dwResetPeriod != NEVER && !actions.is_empty();
        settings.failures.reset = is_forgotten.then(|| Duration::from_secs(head.dwResetPeriod.into()));
    }
    if let Some(raw) = query::<SERVICE_FAILURE_ACTIONS_FLAG>(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG)? {
        let all = raw.head().fFailureActionsOnNonCrashFailures != 0;
        settings.failures.kinds = if all { FailureKinds::CrashesAndErrors } else { FailureKinds::Crashes };
    }
    Ok(())
}

/// Whether the manager knows that an end with an error code can be a failure, too. Every Windows there is does; Wine does not.
pub(crate) fn knows_failure_flag(service: &Handle) -> io::Result<bool> {
    query::<SERVICE_FAILURE_ACTIONS_FLAG>(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG).map(|known| known.is_some())
}

fn read_triggers(service: &Handle, settings: &mut Settings) -> io::Result<()> {
    settings.triggers.clear();
    let Some(raw) = query::<SERVICE_TRIGGER_INFO>(service, SERVICE_CONFIG_TRIGGER_INFO)? else { return Ok(()) };
    let head = raw.head();
    // SAFETY: there are so many, and they and their identifiers belong to the answer.
    let triggers = (0..head.cTriggers as usize).map(|index| unsafe { &*head.pTriggers.add(index) });
    let starting = triggers.filter(|trigger| trigger.dwAction == SERVICE_TRIGGER_ACTION_SERVICE_START);
    settings.triggers = starting
        .map(|trigger| {
            // SAFETY: as above.
            let subtype = unsafe { *trigger.pTriggerSubtype };
            Trigger { kind: TriggerKind::of(trigger.dwTriggerType), subtype: guid_of(&subtype) }
        })
        .collect();
    Ok(())
}

/// Changes the levels that differ.
pub(crate) fn change(service: &Handle, from: &Settings, to: &Settings) -> io::Result<()> {
    if from.description != to.description {
        let mut description = wide(&to.description)?;
        let raw = SERVICE_DESCRIPTIONW { lpDescription: description.as_mut_ptr() };
        set(service, SERVICE_CONFIG_DESCRIPTION, &raw)?;
    }
    if (from.start == Start::Delayed) != (to.start == Start::Delayed) {
        let raw = SERVICE_DELAYED_AUTO_START_INFO { fDelayedAutostart: i32::from(to.start == Start::Delayed) };
        set(service, SERVICE_CONFIG_DELAYED_AUTO_START_INFO, &raw)?;
    }
    if from.sid != to.sid {
        let kind = match to.sid {
            Sid::None => SERVICE_SID_TYPE_NONE,
            Sid::Unrestricted => SERVICE_SID_TYPE_UNRESTRICTED,
            Sid::Restricted => SID_RESTRICTED,
        };
        set(service, SERVICE_CONFIG_SERVICE_SID_INFO, &SERVICE_SID_INFO { dwServiceSidType: kind })?;
    }
    if from.required_privileges != to.required_privileges {
        let mut privileges = wide_list(&to.required_privileges)?;
        let raw = SERVICE_REQUIRED_PRIVILEGES_INFOW { pmszRequiredPrivileges: privileges.as_mut_ptr() };
        set(service, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, &raw)?;
    }
    if from.preshutdown != to.preshutdown {
        let timeout = to.preshutdown.map_or(PRESHUTDOWN_DEFAULTS[0], milliseconds);
        set(service, SERVICE_CONFIG_PRESHUTDOWN_INFO, &SERVICE_PRESHUTDOWN_INFO { dwPreshutdownTimeout: timeout })?;
    }
    change_failures(service, &from.failures, &to.failures)?;
    if from.triggers != to.triggers { change_triggers(service, &to.triggers) } else { Ok(()) }
}

fn change_failures(service: &Handle, from: &Failures, to: &Failures) -> io::Result<()> {
    if (&from.restart_after, from.reset) != (&to.restart_after, to.reset) {
        let mut actions = actions(to);
        let raw = SERVICE_FAILURE_ACTIONSW {
            dwResetPeriod: reset_s(to),
            lpRebootMsg: ptr::null_mut(),
            lpCommand: ptr::null_mut(),
            cActions: u32::try_from(actions.len()).map_err(io::Error::other)?,
            // No actions and no null take away those that are there.
            lpsaActions: actions.as_mut_ptr(),
        };
        set(service, SERVICE_CONFIG_FAILURE_ACTIONS, &raw)?;
    }
    if from.kinds != to.kinds {
        let all = i32::from(to.kinds == FailureKinds::CrashesAndErrors);
        let raw = SERVICE_FAILURE_ACTIONS_FLAG { fFailureActionsOnNonCrashFailures: all };
        match set(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &raw) {
            // Whoever installs is told, see `knows_failure_flag`: without it a service is as good as it can be there.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            done => done?,
        }
    }
    Ok(())
}

/// What is done after each failure; the last goes for all that follow.
fn actions(failures: &Failures) -> Vec<SC_ACTION> {
    let restart = |after: &Duration| SC_ACTION { Type: SC_ACTION_RESTART, Delay: milliseconds(*after) };
    failures.restart_after.iter().map(restart).collect()
}

/// After how many seconds without a failure those before are forgotten.
fn reset_s(failures: &Failures) -> u32 {
    failures.reset.map_or(NEVER, |reset| u32::try_from(reset.as_secs()).unwrap_or(NEVER))
}

fn change_triggers(service: &Handle, wanted: &[Trigger]) -> io::Result<()> {
    let mut subtypes: Vec<GUID> = wanted.iter().map(|trigger| GUID::from_u128(trigger.subtype.0)).collect();
    let raw_trigger = |(trigger, subtype): (&Trigger, &mut GUID)| SERVICE_TRIGGER {
        dwTriggerType: trigger.kind.number(),
        dwAction: SERVICE_TRIGGER_ACTION_SERVICE_START,
        pTriggerSubtype: ptr::from_mut(subtype),
        cDataItems: 0,
        pDataItems: ptr::null_mut(),
    };
    let mut triggers: Vec<SERVICE_TRIGGER> = wanted.iter().zip(&mut subtypes).map(raw_trigger).collect();
    let raw = SERVICE_TRIGGER_INFO {
        cTriggers: u32::try_from(triggers.len()).map_err(io::Error::other)?,
        pTriggers: if triggers.is_empty() { ptr::null_mut() } else { triggers.as_mut_ptr() },
        pReserved: ptr::null_mut(),
    };
    set(service, SERVICE_CONFIG_TRIGGER_INFO, &raw)
}

/// An answer of the manager's: a structure, and behind it what it points to.
struct Answer<T> {
    buffer: Vec<u64>,
    head: std::marker::PhantomData<T>,
}

impl<T> Answer<T> {
    fn head(&self) -> &T {
        // SAFETY: `query` has seen that there is as much, and the manager has filled it with this.
        unsafe { &*self.buffer.as_ptr().cast() }
    }
}

fn query<T>(service: &Handle, level: u32) -> io::Result<Option<Answer<T>>> {
    let buffer = filled(|buffer, size, needed| {
        // SAFETY: the buffer is as long as is said.
        unsafe { QueryServiceConfig2W(service.raw(), level, buffer, size, needed) }
    })?;
    let whole = buffer.filter(|buffer| size_of_val(buffer.as_slice()) >= size_of::<T>());
    Ok(whole.map(|buffer| Answer { buffer, head: std::marker::PhantomData }))
}

fn set<T>(service: &Handle, level: u32, raw: &T) -> io::Result<()> {
    // SAFETY: the structure is the level's, and it and all it points to are whole while this runs.
    let done = succeeded(unsafe { ChangeServiceConfig2W(service.raw(), level, ptr::from_ref(raw).cast()) });
    done.map_err(|error| {
        if !is(&error, ERROR_INVALID_LEVEL) && !is(&error, INVALID_TAG) {
            return error;
        }
        let told = format!("the manager knows no {} (level {level})", name_of(level));
        io::Error::new(io::ErrorKind::Unsupported, told)
    })
}

const fn name_of(level: u32) -> &'static str {
    match level {
        SERVICE_CONFIG_DESCRIPTION => "description",
        SERVICE_CONFIG_FAILURE_ACTIONS | SERVICE_CONFIG_FAILURE_ACTIONS_FLAG => "failure actions",
        SERVICE_CONFIG_DELAYED_AUTO_START_INFO => "delayed start",
        SERVICE_CONFIG_SERVICE_SID_INFO => "security identifier of services",
        SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO => "required privileges",
        SERVICE_CONFIG_PRESHUTDOWN_INFO => "preshutdown time-out",
        SERVICE_CONFIG_TRIGGER_INFO => "triggers",
        _ => "such setting",
    }
}

fn guid_of(raw: &GUID) -> Guid {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&raw.data1.to_be_bytes());
    bytes[4..6].copy_from_slice(&raw.data2.to_be_bytes());
    bytes[6..8].copy_from_slice(&raw.data3.to_be_bytes());
    bytes[8..].copy_from_slice(&raw.data4);
    Guid(u128::from_be_bytes(bytes))
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wine takes them and does not tell them again, so they are looked at before.
    #[test]
    fn failures_are_restarts_in_milliseconds_and_are_forgotten_after_seconds() {
        let restart_after = vec![Duration::from_millis(100), Duration::from_secs(10)];
        let reset = Some(Duration::from_secs(600));
        let failures = Failures { restart_after, reset, kinds: FailureKinds::CrashesAndErrors };
        let told: Vec<(i32, u32)> = actions(&failures).iter().map(|action| (action.Type, action.Delay)).collect();
        assert_eq!(told, [(SC_ACTION_RESTART, 100), (SC_ACTION_RESTART, 10_000)]);
        assert_eq!(reset_s(&failures), 600);
        assert_eq!(reset_s(&Failures { reset: None, ..failures }), u32::MAX, "they are never forgotten");
    }

    #[test]
    fn a_class_of_devices_is_the_same_there_and_back() {
        let class = Guid(0x4d36_e972_e325_11ce_bfc1_0800_2be1_0318);
        assert_eq!(guid_of(&GUID::from_u128(class.0)), class);
    }
}
