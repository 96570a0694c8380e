//! The guard under a real systemd, as docs/systemd.md describes it.

#[cfg(test)]
mod boot;
#[cfg(test)]
mod greeter;
#[cfg(test)]
mod install;
#[cfg(test)]
mod life_cycle;
#[cfg(test)]
mod native;
#[cfg(test)]
mod unit;
#[cfg(test)]
mod user;
