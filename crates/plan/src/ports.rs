//! The ports a command seems to listen on, as far as a definition tells.

use std::collections::BTreeSet;

use crate::command_line::CommandLine;
use crate::definition::Target;

/// The flags whose value is a port or an address to listen on. `-p` is left out: it means too many things.
const LISTEN_FLAGS: [&str; 8] =
    ["--port", "--http-port", "--listen", "--listen-address", "--bind", "--addr", "--address", "--http"];

/// The ports named by flags that say where to listen: `--port 8080`, `--listen=0.0.0.0:80`.
pub(crate) fn listened_by(command: &CommandLine) -> BTreeSet<u16> {
    let words = command.arguments();
    let mut ports = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), words.get(index + 1).map(String::as_str)),
        };
        if LISTEN_FLAGS.contains(&flag) {
            ports.extend(value.and_then(port_of));
        }
    }
    ports
}

/// The port of `8080`, `:8080`, `0.0.0.0:8080`, `http://127.0.0.1:8080/x`.
pub(crate) fn port_of(text: &str) -> Option<u16> {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = text.split(['/', '?']).next()?;
    let port = authority.rsplit_once(':').map_or(authority, |(_, port)| port);
    port.parse().ok().filter(|port| *port != 0)
}

/// The port of a URL or address, when its host is this machine.
pub(crate) fn local_port(target: &Target) -> Option<u16> {
    let local = matches!(target.host.as_str(), "127.0.0.1" | "localhost" | "::1" | "0.0.0.0" | "::");
    local.then_some(target.port)
}

/// The host and port of a URL.
pub(crate) fn url_target(url: &str) -> Option<Target> {
    let uri: http::Uri = url.parse().ok()?;
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Target { host, port: uri.port_u16().unwrap_or(default) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_flags_that_say_where_to_listen() {
        let words = ["x", "--port", "8080", "--listen=0.0.0.0:81", "--db", "db:5432", "-p", "9", "--addr", ":7"];
        let command = CommandLine(words.map(str::to_owned).to_vec());
        assert_eq!(listened_by(&command), BTreeSet::from([7, 81, 8080]));
    }
}
