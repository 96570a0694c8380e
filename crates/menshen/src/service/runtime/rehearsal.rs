//! A manager for an author's tests: it asks a service everything a real one could, and hears what it says.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::author::Service;
use super::door::{Ability, Asked, Door, Ended, Report};
use super::life;
use super::origin::Origin;
use super::request::{PowerEvent, SessionChange, StopReason};
use super::sockets::{Sockets, SocketsError};
use super::start::Main;

/// A service that runs in a test, in the test's own runtime.
///
/// ```
/// use std::time::Duration;
///
/// use menshen::service::{Context, Failure, Main, Rehearsal, Report, Service, StopReason};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     async fn run(self, context: Context) -> Result<(), Failure> {
///         context.ready();
///         context.stopped().await;
///         Ok(())
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let main = Main::new("greeter".parse()?);
/// let mut rehearsal = Rehearsal::of(main, Greeter);
/// assert!(rehearsal.hears(&Report::Ready, Duration::from_secs(5)).await);
/// rehearsal.stop(StopReason::Shutdown).await;
/// assert_eq!(rehearsal.end().await, Ok(()));
/// # Ok::<(), menshen::service::Failure>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Rehearsal {
    stage: Arc<Stage>,
    life: JoinHandle<Ended>,
}

impl Rehearsal {
    /// Begins to run a service as its `main` would.
    #[must_use]
    pub fn of<S: Service>(main: Main, service: S) -> Self {
        Self::handing(Sockets::default(), main, service)
    }

    /// The same by a manager that has opened sockets for the service.
    #[must_use]
    pub fn handing<S: Service>(sockets: Sockets, main: Main, service: S) -> Self {
        let stage = Arc::new(Stage::new(sockets));
        let door = Arc::clone(&stage);
        let life = tokio::spawn(async move { life::run(service, &main.manner(), door).await });
        Self { stage, life }
    }

    /// Asks it to stop.
    pub async fn stop(&self, reason: StopReason) {
        self.ask(Asked::Stop(reason)).await;
    }

    /// Asks it to read its configuration again. Whether it wants to be asked.
    pub async fn reload(&self) -> bool {
        self.ask_if(Ability::Reload, Asked::Reload).await
    }

    /// Asks it to pause. Whether it wants to be asked.
    pub async fn pause(&self) -> bool {
        self.ask_if(Ability::Pause, Asked::Pause).await
    }

    /// Asks it to go on. Whether it wants to be asked.
    pub async fn go_on(&self) -> bool {
        self.ask_if(Ability::Pause, Asked::Continue).await
    }

    /// Tells it of a user's session. Whether it wants to be told.
    pub async fn session(&self, change: SessionChange) -> bool {
        self.ask_if(Ability::Sessions, Asked::Session(change)).await
    }

    /// Tells it of the machine's power. Whether it wants to be told.
    pub async fn power(&self, event: PowerEvent) -> bool {
        self.ask_if(Ability::Power, Asked::Power(event)).await
    }

    /// Everything it said so far.
    #[must_use]
    pub fn said(&self) -> Vec<Report> {
        self.stage.said.borrow().clone()
    }

    /// Waits until it has said something. Whether it did.
    pub async fn hears(&mut self, report: &Report, within: Duration) -> bool {
        let mut said = self.stage.said.subscribe();
        let heard = said.wait_for(|said| said.contains(report));
        matches!(tokio::time::timeout(within, heard).await, Ok(Ok(_)))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The exit code, when it failed.
    pub async fn end(self) -> Result<(), u8> {
        match self.life.await {
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::Failed(code)) => Err(code),
            // The life itself never panics; a service that does is its failure.
            Err(_) => Err(101),
        }
    }

    async fn ask_if(&self, ability: Ability, asked: Asked) -> bool {
        // What it wants to be asked is known once it listens.
        let mut wants = self.stage.abilities.subscribe();
        let wants = wants
            .wait_for(Option::is_some)
            .await
            .is_ok_and(|wants| wants.as_ref().is_some_and(|abilities| abilities.contains(&ability)));
        if wants {
            self.ask(asked).await;
        }
        wants
    }

    async fn ask(&self, asked: Asked) {
        let mut listens = self.stage.abilities.subscribe();
        if listens.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let sender = self.stage.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sender) = sender {
            // A service that has ended is asked nothing.
            let _ = sender.send(asked).await;
        }
    }
}

/// The door of a test.
#[derive(Debug)]
struct Stage {
    said: watch::Sender<Vec<Report>>,
    abilities: watch::Sender<Option<Vec<Ability>>>,
    asked: Mutex<Option<mpsc::Sender<Asked>>>,
    sockets: Mutex<Sockets>,
}

impl Stage {
    fn new(sockets: Sockets) -> Self {
        let sockets = Mutex::new(sockets);
        Self { said: watch::Sender::default(), abilities: watch::Sender::default(), asked: Mutex::default(), sockets }
    }
}

impl Door for Stage {
    fn origin(&self) -> Origin {
        Origin::Interactive
    }

    fn tell(&self, report: &Report) {
        self.said.send_modify(|said| said.push(report.clone()));
    }

    fn start_arguments(&self) -> Vec<OsString> {
        Vec::new()
    }

    fn sockets(&self) -> Result<Sockets, SocketsError> {
        Ok(std::mem::take(&mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn watchdog(&self) -> Option<Duration> {
        None
    }

    fn listen(&self, abilities: &[Ability], asked: mpsc::Sender<Asked>) -> io::Result<()> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        self.abilities.send_replace(Some(abilities.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::service::runtime::author::{self, Failure};
    use crate::service::runtime::context::Context;
    use crate::service::runtime::request::{Request, SessionKind};

    const SOON: Duration = Duration::from_secs(10);

    fn rehearse<F: Future<Output = ()>>(play: F) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play);
    }

    fn main() -> Main {
        Main::new("test".parse().unwrap())
    }

    /// What it is asked it says, and ends as it is told.
    struct Parrot(Result<(), Failure>);

    impl Service for Parrot {
        async fn run(self, mut context: Context) -> Result<(), Failure> {
            context.ready();
            loop {
                match context.next().await {
                    Request::Stop(stop) => {
                        context.status(format!("{:?}", stop.reason));
                        return self.0;
                    }
                    Request::Session(change) => context.status(format!("{change:?}")),
                    Request::Power(event) => context.status(format!("{event:?}")),
                    Request::Reload(pending) | Request::Pause(pending) | Request::Continue(pending) => pending.done(),
                }
            }
        }
    }

    #[test]
    fn everything_that_is_asked_is_heard_and_answered_in_order() {
        rehearse(async {
            let main = main().reloads().pauses().hears_power().hears_sessions();
            let mut rehearsal = Rehearsal::of(main, Parrot(Ok(())));
            assert!(rehearsal.reload().await && rehearsal.pause().await && rehearsal.go_on().await);
            assert!(rehearsal.power(PowerEvent::Resumed).await);
            assert!(rehearsal.session(SessionChange { session: 2, kind: SessionKind::Locked }).await);
            assert!(rehearsal.hears(&Report::Continued, SOON).await);
            let last = Report::Status("SessionChange { session: 2, kind: Locked }".to_owned());
            assert!(rehearsal.hears(&last, SOON).await);
            rehearsal.stop(StopReason::Preshutdown).await;
            assert!(rehearsal.hears(&Report::Status("Preshutdown".to_owned()), SOON).await);
            let said = rehearsal.said();
            let wanted = [
                Report::Ready,
                Report::Reloading,
                Report::Reloaded,
                Report::Pausing,
                Report::Paused,
                Report::Continuing,
                Report::Continued,
                Report::Status("Resumed".to_owned()),
                last,
                Report::Stopping(Duration::from_secs(10)),
                Report::Status("Preshutdown".to_owned()),
            ];
            assert_eq!(said, wanted);
            assert_eq!(rehearsal.end().await, Ok(()));
        });
    }

    #[test]
    fn what_a_service_does_not_want_to_be_asked_it_is_not_asked() {
        rehearse(async {
            let rehearsal = Rehearsal::of(main(), Parrot(Ok(())));
            assert!(!rehearsal.pause().await && !rehearsal.reload().await && !rehearsal.power(PowerEvent::Other).await);
            rehearsal.stop(StopReason::Manager).await;
            rehearsal.end().await.unwrap();
        });
    }

    #[test]
    fn a_failure_has_its_exit_code_and_its_whole_story() {
        rehearse(async {
            let code = author::ExitCode::new(NonZeroU8::new(64).unwrap(), "no configuration");
            let mut rehearsal = Rehearsal::of(main(), Parrot(Err(Box::new(code))));
            rehearsal.stop(StopReason::Manager).await;
            assert!(rehearsal.hears(&Report::Status("no configuration".to_owned()), SOON).await);
            assert_eq!(rehearsal.end().await, Err(64));
        });
    }

    /// It takes what it is handed, and finds nothing the second time.
    struct Listens;

    impl Service for Listens {
        async fn run(self, mut context: Context) -> Result<(), Failure> {
            let mut sockets = context.sockets()?;
            let listener = sockets.take("web").ok_or("there is no such socket")?.tcp_listener()?;
            let second = context.sockets()?;
            context.status(format!("{} and {}", sockets.len(), second.len()));
            drop(listener.accept().await?);
            let other = sockets.take("admin").ok_or("there is no such socket")?;
            Err(other.udp_socket().expect_err("it is one for TCP").into())
        }
    }

    #[test]
    fn what_was_opened_for_a_service_is_handed_over_once() {
        rehearse(async {
            let listeners = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
            let address = listeners[1].local_addr().unwrap();
            let sockets = Sockets::of_listeners(["admin", "web"].into_iter().zip(listeners));
            let mut rehearsal = Rehearsal::handing(sockets, main(), Listens);
            assert!(rehearsal.hears(&Report::Status("1 and 0".to_owned()), SOON).await);
            drop(tokio::net::TcpStream::connect(address).await.unwrap());
            let why = Report::Status("the socket 'admin' that was handed over is no socket for UDP".to_owned());
            assert!(rehearsal.hears(&why, SOON).await, "{:?}", rehearsal.said());
            assert_eq!(rehearsal.end().await, Err(1));
        });
    }

    struct Panics;

    impl Service for Panics {
        async fn run(self, context: Context) -> Result<(), Failure> {
            assert!(context.stop().is_some(), "it panics on purpose");
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_a_failure_like_others() {
        rehearse(async {
            assert_eq!(Rehearsal::of(main(), Panics).end().await, Err(101));
        });
    }

    struct Refuses;

    impl Service for Refuses {
        async fn run(self, context: Context) -> Result<(), Failure> {
            context.ready();
            context.stopped().await;
            context.more_time(Duration::from_millis(300));
            std::future::pending().await
        }
    }

    #[test]
    fn a_service_that_does_not_stop_is_ended_at_its_deadline_and_not_before() {
        rehearse(async {
            let begun = std::time::Instant::now();
            let rehearsal = Rehearsal::of(main().stops_within(Duration::from_millis(20)), Refuses);
            rehearsal.stop(StopReason::Manager).await;
            assert_eq!(rehearsal.end().await, Err(1));
            assert!(begun.elapsed() >= Duration::from_millis(300), "it asked for more time");
        });
    }

    #[test]
    fn a_second_interrupt_ends_it_at_once() {
        rehearse(async {
            let rehearsal = Rehearsal::of(main().stops_within(Duration::from_secs(3600)), Refuses);
            rehearsal.stop(StopReason::Interrupt).await;
            rehearsal.stop(StopReason::Interrupt).await;
            let end = tokio::time::timeout(SOON, rehearsal.end()).await;
            assert_eq!(end.expect("it ends long before its deadline"), Err(1));
        });
    }
}
