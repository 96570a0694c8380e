//! Servers nobody here wrote, each with what it needs in a bed.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::bed::Bed;
use crate::command::Ran;
use crate::{port, require};

/// How often a server is asked, and what it may take to answer on a busy machine.
const PROBE: &str = r#"interval = "100ms", timeout = "5s""#;
/// The account PostgreSQL runs as where the guard is root, which it refuses to be.
const POSTGRES_USER: &str = "postgres";

/// A server that has been made ready to run.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens on the loopback address.
    pub port: u16,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The account it must run as.
    pub user: Option<&'static str>,
    /// What is asked to know whether it can be used: `http = "…"`.
    pub check: String,
    /// What is asked to know whether it still works; not answered by the kernel in the place of a server that hangs.
    pub liveness_check: String,
}

/// Makes a server ready to run in a bed; `None` if it is not installed.
pub type Prepare = fn(&Bed) -> Option<Server>;

/// Every server here.
pub const ALL: [(&str, Prepare); 3] =
    [("nginx", Server::nginx), ("redis", Server::redis), ("postgres", Server::postgres)];

impl Server {
    /// nginx with one worker, which answers every request with its port.
    #[must_use]
    pub fn nginx(bed: &Bed) -> Option<Self> {
        let nginx = require::program("nginx")?;
        let port = port::free();
        fs::create_dir_all(bed.path("nginx")).unwrap();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("    {kind}_temp_path {kind};\n"))
            .concat();
        let configuration = format!(
            "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{temporary}    \
             access_log off;\n    server {{ listen 127.0.0.1:{port}; return 200 '{port}'; }}\n}}\n"
        );
        bed.write("nginx/nginx.conf", configuration);
        let folder = text(&bed.path("nginx"));
        let command = [&text(&nginx), "-p", &folder, "-c", "nginx.conf", "-e", "stderr"].map(str::to_owned).to_vec();
        let check = format!("http = \"http://127.0.0.1:{port}/\"");
        Some(Self { port, command, user: None, liveness_check: check.clone(), check })
    }

    /// Redis that keeps nothing.
    #[must_use]
    pub fn redis(bed: &Bed) -> Option<Self> {
        let (redis, client) = (require::program("redis-server")?, require::program("redis-cli")?);
        let port = port::free();
        fs::create_dir_all(bed.path("redis")).unwrap();
        let (port_text, folder) = (port.to_string(), text(&bed.path("redis")));
        let settings = ["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--dir", &folder];
        let command = std::iter::once(text(&redis)).chain(settings.map(str::to_owned)).collect();
        let liveness_check = format!("exec = [\"{}\", \"-p\", \"{port}\", \"ping\"]", client.display());
        Some(Self { port, command, user: None, check: format!("tcp = \"127.0.0.1:{port}\""), liveness_check })
    }

    /// PostgreSQL with an empty database, asked with its own `pg_isready`.
    #[must_use]
    pub fn postgres(bed: &Bed) -> Option<Self> {
        let (postgres, initdb, is_ready) =
            (require::program("postgres")?, require::program("initdb")?, require::program("pg_isready")?);
        let port = port::free();
        let user = require::is_root().then_some(POSTGRES_USER);
        let data = bed.path("postgres");
        fs::create_dir_all(&data).unwrap();
        if let Some(user) = user {
            let mut chown = Command::new("chown");
            Ran::of(chown.arg(user).arg(&data)).done();
        }
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = as_user(user, &initdb);
        command.arg("--pgdata").arg(&data).args(["--auth=trust", "--no-sync", "--no-locale", "--username=postgres"]);
        command.args(["--no-instructions", "--encoding=UTF8"]).current_dir("/");
        Ran::of(&command).done();
        let (port_text, data) = (port.to_string(), text(&data));
        // All it writes goes below its own folder, and it listens on no socket but that of the port.
        let settings = ["-D", &data, "-h", "127.0.0.1", "-p", &port_text, "-k", "", "-c", "fsync=off"];
        let command = std::iter::once(text(&postgres)).chain(settings.map(str::to_owned)).collect();
        let check = format!("exec = [\"{}\", \"-q\", \"-h\", \"127.0.0.1\", \"-p\", \"{port}\"]", is_ready.display());
        Some(Self { port, command, user, liveness_check: check.clone(), check })
    }

    /// The definition of a service that runs it and knows by asking whether it can be used; `more` are further lines of it.
    #[must_use]
    pub fn service(&self, name: &str, more: &str) -> String {
        self.service_with(name, &self.command, more)
    }

    /// The same, started by a shell script that finds the server's own command in `"$@"`.
    #[must_use]
    pub fn service_in_script(&self, name: &str, script: &str, more: &str) -> String {
        let shell = ["sh", "-c", script, "sh"].map(str::to_owned);
        let command: Vec<String> = shell.into_iter().chain(self.command.iter().cloned()).collect();
        self.service_with(name, &command, more)
    }

    fn service_with(&self, name: &str, command: &[String], more: &str) -> String {
        // What Rust writes as a text in quotes, TOML reads as the same text. A dollar begins a placeholder; two are one.
        let mut definition = format!("[service.{name}]\ncommand = {command:?}\n").replace('$', "$$");
        if let Some(user) = self.user {
            let _ = writeln!(definition, "user = \"{user}\"");
        }
        let _ = writeln!(definition, "probe.readiness = {{ {}, {PROBE} }}\n{more}", self.check);
        definition
    }

    /// A probe that has a server that hangs restarted.
    #[must_use]
    pub fn liveness(&self) -> String {
        let check = &self.liveness_check;
        format!("probe.liveness = {{ {check}, interval = \"100ms\", timeout = \"1s\", failure = 3 }}")
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("the paths of tests are text").to_owned()
}

/// A command that runs as somebody else if it has to.
fn as_user(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--init-groups"]).arg(program);
    command
}
