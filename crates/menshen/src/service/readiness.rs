//! The descriptor by which a service tells s6 and dinit that it is ready.
//!
//! Both wait for a line on a pipe. The registration puts the number of its descriptor into a variable, so that the program
//! need not be told on its command line.

/// The variable that has the descriptor's number.
pub const VARIABLE: &str = "MENSHEN_READY_FD";
/// The number it has where the manager lets us choose; 0 to 2 are taken.
pub const DESCRIPTOR: u32 = 3;
