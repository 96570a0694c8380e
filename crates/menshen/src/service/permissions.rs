//! Permission bits and symbolic links, where there are some.

#[cfg(unix)]
#[path = "permissions/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "permissions/windows.rs"]
mod platform;

pub(super) use platform::{create, link, of, same, set};
