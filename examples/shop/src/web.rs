//! The front: answers customers, and `/healthz` to whoever wants to know.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use shop::arguments::{port, value};
use shop::http::{Answer, get, serve};
use shop::say::{err, out};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            err(error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let payment: u16 = value("--payment", "8081").parse().map_err(|_| "--payment takes a port".to_owned())?;
    let schema = PathBuf::from(value("--state", ".")).join("schema");
    let customers = AtomicU64::new(0);
    serve(port(8080)?, move |method, path| match (method, path) {
        ("GET", "/healthz") => health(&schema),
        ("GET", "/") => welcome(&customers, payment),
        _ => (404, format!("there is no {path} in this shop\n")),
    })
}

/// Well as long as the database has the schema this front was written for.
fn health(schema: &PathBuf) -> Answer {
    match std::fs::read_to_string(schema) {
        Ok(version) if version.trim() == "3" => (200, "ok\n".to_owned()),
        Ok(version) => (503, format!("the schema has version {}\n", version.trim())),
        Err(error) => (503, format!("no schema: {error}\n")),
    }
}

fn welcome(customers: &AtomicU64, payment: u16) -> Answer {
    let number = customers.fetch_add(1, Ordering::Relaxed) + 1;
    let paying = match get(payment, "/") {
        Ok((200, body)) => format!("You can pay: {}", body.trim()),
        Ok((status, body)) => format!("You cannot pay now ({status}): {}", body.trim()),
        Err(error) => format!("You cannot pay now: {error}"),
    };
    out(format_args!("customer {number}: {paying}"));
    (200, format!("Welcome, customer {number}.\n{paying}\n"))
}
