//! What the registry of Windows has of a service.

#[cfg(unix)]
#[path = "registry/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "registry/windows.rs"]
mod platform;

pub use platform::{key_of, service};

/// A value of a service's key, or of one below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The key it is in, below the service's own: `Parameters\AppExit`.
    pub subkey: String,
    /// Its name; empty for the key's default.
    pub name: String,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// `REG_SZ`, and `REG_EXPAND_SZ` as it is written.
    Text(String),
    /// `REG_MULTI_SZ`.
    Texts(Vec<String>),
    /// `REG_DWORD` and `REG_QWORD`.
    Number(u64),
    /// Anything else.
    Bytes(Vec<u8>),
}
