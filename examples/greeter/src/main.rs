//! A service written with the library. By hand it is a program in the foreground, which Ctrl-C stops; `greeter install` makes it a
//! service of the machine, whichever service manager that has.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use menshen::service::{Command, Context, Failure, Health, Main, RegistrationOption, Request, Service, ServiceName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{info, warn};

/// Greets whoever connects.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    service: Option<Command>,

    /// Where to listen, unless its manager has opened a socket for it.
    #[arg(long, default_value = "127.0.0.1:7755")]
    listen: SocketAddr,

    /// The file of the greeting; it is read again when the service is reloaded.
    #[arg(long)]
    greeting: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let name: ServiceName = "greeter".parse().expect("letters are a name");
    let main = Main::new(name).reloads().pauses().logs().stops_within(Duration::from_secs(5)).registered(
        |registration, manager| {
            registration.description = Some("Greets whoever connects".to_owned());
            // Where nobody listens, nobody is told that it is well.
            if manager.honours(RegistrationOption::Watchdog).is_ok() {
                registration.watchdog = Some(WATCHDOG);
            }
        },
    );
    let greeter = Greeter { listen: arguments.listen, file: arguments.greeting };
    main.run_or(arguments.service.as_ref(), greeter)
}

/// How long nobody may hear that it is well before it is started anew.
const WATCHDOG: Duration = Duration::from_secs(30);

struct Greeter {
    listen: SocketAddr,
    file: Option<std::path::PathBuf>,
}

/// Whether somebody who connects is greeted, or waits until the service goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Greeting,
    Silent,
}

impl Service for Greeter {
    async fn run(self, mut context: Context) -> Result<(), Failure> {
        let listener = self.listener(&mut context).await?;
        let greeting = Arc::new(watch::Sender::new(self.read()?));
        let mood = watch::Sender::new(Mood::Greeting);
        context.watch(async || Health::Well);
        context.ready();
        info!(listen = %listener.local_addr()?, "greeting whoever connects");
        loop {
            tokio::select! {
                connection = listener.accept() => {
                    let (stream, from) = connection?;
                    info!(%from, "greeted");
                    tokio::spawn(greet(stream, Arc::clone(&greeting), mood.subscribe()));
                }
                request = context.next() => match request {
                    Request::Stop(stop) => {
                        info!(reason = ?stop.reason, "stopping");
                        return Ok(());
                    }
                    Request::Reload(pending) => {
                        match self.read() {
                            Ok(new) => _ = greeting.send_replace(new),
                            Err(error) => warn!("the greeting stays as it was: {error}"),
                        }
                        pending.done();
                    }
                    Request::Pause(pending) => {
                        mood.send_replace(Mood::Silent);
                        pending.done();
                    }
                    Request::Continue(pending) => {
                        mood.send_replace(Mood::Greeting);
                        pending.done();
                    }
                    Request::Session(_) | Request::Power(_) => {}
                },
            }
        }
    }
}

impl Greeter {
    /// The socket that its manager has opened, or one of its own.
    async fn listener(&self, context: &mut Context) -> Result<TcpListener, Failure> {
        match context.sockets()?.into_iter().next() {
            Some(socket) => Ok(socket.tcp_listener()?),
            None => Ok(TcpListener::bind(self.listen).await.map_err(|error| format!("{}: {error}", self.listen))?),
        }
    }

    fn read(&self) -> Result<String, Failure> {
        match &self.file {
            None => Ok("welcome\n".to_owned()),
            Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into()),
        }
    }
}

/// Greets once the service is in the mood. Whoever does not listen is not waited for.
async fn greet(mut stream: TcpStream, greeting: Arc<watch::Sender<String>>, mut mood: watch::Receiver<Mood>) {
    if mood.wait_for(|mood| *mood == Mood::Greeting).await.is_ok() {
        let text = greeting.borrow().clone();
        // Who has gone away cannot be greeted.
        let _ = stream.write_all(text.as_bytes()).await;
    }
}
