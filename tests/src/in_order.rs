//! Two services that write down in the shared folder of a machine in which order they start and end.

/// The second needs the first. The first takes its time for its end, and the second leaves somebody behind who hears of no signal.
pub const DEFINITION: &str = r#"
[guard]
name = "shop"
[service.db]
command = ["sh", "/shared/program", "db", "3"]
stop.timeout = "20s"
probe.readiness.log = "up"
[service.web]
command = ["sh", "/shared/program", "web", "0"]
depends_on = { db = "ready" }
stop.timeout = "1s"
"#;

/// What both execute, with a name and how long their end takes.
pub const PROGRAM: &str = r#"
echo "$1 starts" >> /shared/notes
end() { sleep "$2"; echo "$1 ends" >> /shared/notes; exit 0; }
trap 'end "$1" "$2"' TERM
echo up
test "$1" = web && (trap '' TERM; exec sleep 3600) &
while :; do sleep 0.1; done
"#;

/// What they have written once both are up.
pub const STARTED: [&str; 2] = ["db starts", "web starts"];

/// What they have written once both were stopped in order.
pub const STOPPED: [&str; 4] = ["db starts", "web starts", "web ends", "db ends"];
