//! The program that the suite installs: a service written with the library, which notes what becomes of it.

use std::num::NonZeroU8;
use std::process::ExitCode;

use menshen::service::{self, Context, Failure, Main, Request, Service};
use menshen_life_cycle::program::{self, FAILURE, Notes, Role, Way};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const NAME: &str = "menshen-life-cycle";

fn main() -> Result<ExitCode, Failure> {
    match program::role()? {
        Role::Service => Ok(Main::new(NAME.parse()?).reloads().pauses().run(Sample)),
        Role::Child => Ok(program::be_child().map(|()| ExitCode::SUCCESS)?),
    }
}

struct Sample;

impl Service for Sample {
    async fn run(self, mut context: Context) -> Result<(), Failure> {
        let notes = program::begin()?;
        // The others stay open as long as it lives.
        let mut sockets = context.sockets()?;
        if let Some(socket) = sockets.take(program::WEB) {
            tokio::spawn(answer(socket.tcp_listener()?));
        }
        match notes.way {
            Way::Fail => {
                let code = NonZeroU8::new(FAILURE).ok_or("a failure has a code")?;
                return Err(service::ExitCode::new(code, "it was told to fail").into());
            }
            Way::NeverReady => {}
            Way::Work | Way::WorkWithStubbornChild => {
                context.watch(async || service::Health::Well);
                context.ready();
            }
            Way::Silent => context.ready(),
        }
        serve(notes, context).await
    }
}

/// Tells whoever connects which process this is.
async fn answer(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        // Who has gone away hears nothing.
        let _ = stream.write_all(std::process::id().to_string().as_bytes()).await;
    }
}

/// Does as it is told, until it is told to stop.
async fn serve(notes: Notes, mut context: Context) -> Result<(), Failure> {
    loop {
        match context.next().await {
            Request::Stop(_) => return Ok(notes.stop()?),
            Request::Reload(pending) => {
                notes.told("reload")?;
                pending.done();
            }
            Request::Pause(pending) => {
                notes.told("pause")?;
                pending.done();
            }
            Request::Continue(pending) => {
                notes.told("continue")?;
                pending.done();
            }
            Request::Session(_) | Request::Power(_) => {}
        }
    }
}
