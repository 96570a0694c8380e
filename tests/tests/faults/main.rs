//! Things go wrong around the guard. Programs live on, the guard goes on when the fault goes, and events and alerts tell of
//! its begin and its end.

#[cfg(test)]
mod clients;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod standstill;
// Of what can be emulated, only a PC falls asleep and is woken by its clock.
#[cfg(all(test, target_arch = "x86_64"))]
mod suspend;
#[cfg(test)]
mod told;
