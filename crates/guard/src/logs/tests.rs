//! What a service's log does, with time passed in, and no threads.

mod bed;
mod bytes;
mod formats;
mod listening;
mod reading;
mod room;
mod rotation;
