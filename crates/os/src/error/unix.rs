//! The numbers of errors on Unix.

/// What is lacking and comes back by itself.
pub(super) const SHORTAGES: &[i32] =
    &[libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EAGAIN, libc::EADDRNOTAVAIL];
