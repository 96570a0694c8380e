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
#[cfg(test)]
mod told;
