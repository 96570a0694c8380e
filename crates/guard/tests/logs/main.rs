//! Logs through their public door, with real pipes, real programs and real kills.

mod bed;
mod full_disk;
mod handle;
mod killed;
mod load;
