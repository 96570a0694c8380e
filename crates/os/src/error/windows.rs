//! The numbers of errors on Windows.

use windows_sys::Win32::Foundation::{
    ERROR_COMMITMENT_LIMIT, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_ENOUGH_QUOTA,
    ERROR_OUTOFMEMORY, ERROR_TOO_MANY_OPEN_FILES,
};
use windows_sys::Win32::Networking::WinSock::{WSAEADDRNOTAVAIL, WSAEMFILE, WSAENOBUFS};

/// What is lacking and comes back by itself.
pub(super) const SHORTAGES: &[i32] = &[
    ERROR_TOO_MANY_OPEN_FILES.cast_signed(),
    ERROR_NOT_ENOUGH_MEMORY.cast_signed(),
    ERROR_OUTOFMEMORY.cast_signed(),
    ERROR_NO_SYSTEM_RESOURCES.cast_signed(),
    ERROR_NOT_ENOUGH_QUOTA.cast_signed(),
    ERROR_COMMITMENT_LIMIT.cast_signed(),
    WSAEMFILE,
    WSAENOBUFS,
    WSAEADDRNOTAVAIL,
];
