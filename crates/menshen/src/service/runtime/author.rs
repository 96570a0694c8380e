//! What an author writes.

use std::fmt;
use std::future::Future;

use super::context::Context;

/// Why a service ended that should not have.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A service: one method, from its start to its end.
///
/// ```no_run
/// use menshen::service::{Context, Failure, Service};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     async fn run(self, mut context: Context) -> Result<(), Failure> {
///         let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
///         context.ready();
///         loop {
///             tokio::select! {
///                 _ = context.stopped() => return Ok(()),
///                 connection = listener.accept() => drop(connection?),
///             }
///         }
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     menshen::service::main("greeter", Greeter)
/// }
/// ```
pub trait Service: Send + 'static {
    /// Runs until it has nothing more to do, it fails, or it is asked to stop. It says
    /// [`ready`](super::context::Handle::ready) once it can be used.
    ///
    /// # Errors
    /// When it failed; the manager is told so, and what it then does is what the service was registered with. An
    /// [`ExitCode`] chooses the exit code, which is 1 for every other error.
    fn run(self, context: Context) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A failure with an exit code, which restart rules of managers can go by.
#[derive(Debug)]
pub struct ExitCode {
    code: std::num::NonZeroU8,
    why: String,
}

impl ExitCode {
    /// Ends with this code, for this reason. Code 0 is no failure, so it cannot be given.
    #[must_use]
    pub fn new(code: std::num::NonZeroU8, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.code.get()
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.why)
    }
}

impl std::error::Error for ExitCode {}
