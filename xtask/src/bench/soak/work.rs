//! What goes on during a soak.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value as Json;

use super::super::guarded::{Guarded, Menshen, Service};

const PROGRAMS: usize = 200;
/// Small enough to be full while the guard warms up.
pub(super) const JOURNAL: &str = "journal.size = \"1MiB\"";
/// Between two commands.
const REST_MS_MAX: u64 = 300;
/// Fewer are no soak. There are some seven times as many.
const RESTARTS_A_MINUTE_MIN: u64 = 100;
/// The longest request that is read at once; more is not needed to answer.
const REQUEST_BYTES: usize = 4096;

/// Small logs, short delays, a breaker that opens now and then.
const COMMON: &str = "restart = { policy = \"always\", delay = \"100ms\", max = \"2s\", reset_after = \"5s\" }\n\
    breaker = { failures = 4, within = \"20s\", open_for = \"3s\", max_open = \"6s\", close_after = \"2s\" }\n\
    log.rotate = { size = \"64KiB\", keep = 2 }\nstop.timeout = \"5s\"\n";

/// The programs: each dies by itself after a while; every kind of probe asks some of them.
pub(super) fn services(menshen: &Menshen, random: &mut fastrand::Rng, port: u16) -> Vec<Service<'static>> {
    let probes = [
        String::new(),
        format!("probe.readiness = {{ tcp = \"127.0.0.1:{port}\", interval = \"2s\", timeout = \"2s\" }}\n"),
        format!("probe.liveness = {{ http = \"http://127.0.0.1:{port}/\", interval = \"2s\", timeout = \"2s\" }}\n"),
        "probe.readiness = { exec = [\"true\"], interval = \"5s\", timeout = \"4s\" }\n".to_owned(),
        "probe.startup = { log = \"x\", interval = \"1s\", timeout = \"1s\", failure = 30 }\n".to_owned(),
    ];
    let formats = ["raw", "text", "json"];
    let mut service = |number: usize| {
        let seed = random.u64(..).to_string();
        let format = formats[number % formats.len()];
        Service {
            name: format!("s{number}"),
            command: menshen.program.words(&["wander", &seed]),
            more: format!("{COMMON}log.format = \"{format}\"\n{}", probes[number % probes.len()]).into(),
        }
    };
    (0..PROGRAMS).map(&mut service).collect()
}

/// Tells the guard something, and rests. That a service cannot do it just now is an answer, too.
pub(super) fn command(guard: &Guarded<'_>, random: &mut fastrand::Rng) -> Result<(), String> {
    let name = format!("s{}", random.usize(..PROGRAMS));
    let words: &[&str] = match random.u8(..12) {
        0 | 1 => &["restart", &name, "--no-wait"],
        2 => &["stop", &name, "--no-wait"],
        3..=5 => &["start", &name, "--no-wait"],
        6 => &["reset", &name, "--no-wait"],
        7 => &["signal", "TERM", &name],
        8 => &["logs", &name, "--lines", "100"],
        9 => &["events", "--since", "10s"],
        10 => &["status", &name],
        _ => &["status", "--json"],
    };
    let status = guard.menshen(words).status().map_err(|error| format!("menshen {}: {error}", words.join(" ")))?;
    if matches!(status.code(), Some(2 | 4..=6) | None) {
        return Err(format!("menshen {} ended with {status}", words.join(" ")));
    }
    std::thread::sleep(Duration::from_millis(random.u64(..REST_MS_MAX)));
    Ok(())
}

/// How much happened within so many minutes; fails where that was too little to tell anything.
pub(super) fn told(guard: &Guarded<'_>, minutes: u32) -> Result<String, String> {
    let status = guard.menshen(&["status", "--json"]).stdout(std::process::Stdio::piped()).output();
    let status = status.map_err(|error| format!("menshen status: {error}"))?;
    let status: Json = serde_json::from_slice(&status.stdout).map_err(|error| format!("menshen status: {error}"))?;
    let services = status["services"].as_array().ok_or("menshen status lists no services")?;
    let restarts: u64 = services.iter().filter_map(|service| service["restarts_total"].as_u64()).sum();
    if restarts < RESTARTS_A_MINUTE_MIN * u64::from(minutes) {
        return Err(format!("only {restarts} restarts in {minutes} minutes: that the guard held out tells nothing"));
    }
    Ok(format!("{PROGRAMS} programs, {restarts} restarts"))
}

/// Answers probes. It ends with this.
#[derive(Debug)]
pub(super) struct Listener {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub(super) fn start() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("listening on the loopback address: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let answer = move || {
            for mut caller in listener.incoming().take_while(|_| !stopped.load(Ordering::Acquire)).flatten() {
                // A caller that has had enough, or only wanted to connect, is none of ours.
                let _ = caller.set_read_timeout(Some(Duration::from_millis(500)));
                if caller.read(&mut [0; REQUEST_BYTES]).is_ok_and(|length| length > 0) {
                    let _ = caller.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                }
            }
        };
        Ok(Self { port, stop, thread: Some(std::thread::spawn(answer)) })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The last caller is this one.
        if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
