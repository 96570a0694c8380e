//! The guard under a real systemd, as docs/systemd.md describes it.

#[cfg(test)]
mod unit;
