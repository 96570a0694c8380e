//! What the shop's programs share. None of them knows that it is guarded: that is the point.

pub mod arguments;
pub mod http;
pub mod say;
