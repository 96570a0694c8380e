//! The descriptor by which a service tells s6 and dinit that it is ready.
//!
//! Both wait for a line on a pipe. The registration puts the number of its descriptor into a variable, so that the program
//! need not be told on its command line.

/// The variable that has the descriptor's number.
pub const VARIABLE: &str = "MENSHEN_READY_FD";
/// The number it has where the manager lets us choose; 0 to 2 are taken.
pub const DESCRIPTOR: u32 = 3;

/// Says that this program is ready, if whoever started it wants to know. The descriptor is opened anew by its name, so that
/// nobody's is closed who has the number by mistake.
///
/// # Errors
/// When it cannot be said.
pub fn announce() -> std::io::Result<()> {
    let Ok(descriptor) = std::env::var(VARIABLE) else { return Ok(()) };
    let descriptor: u32 = descriptor.parse().map_err(std::io::Error::other)?;
    std::fs::write(format!("/dev/fd/{descriptor}"), "\n")
}
