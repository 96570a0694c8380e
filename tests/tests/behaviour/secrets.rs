//! Secrets reach the program and nobody else.

use menshen_tests::{Bed, Trees};

const SECRET: &str = "correct-horse-battery";

#[test]
fn a_credential_reaches_the_program_and_is_masked_everywhere_else() {
    let definition = r#"
        [service.web]
        command = ["sh", "-c", "echo \"$PASSWORD\" > seen; echo ready; exec sleep 1000"]
        environment = { PASSWORD = { credential = "file:secret" } }
        probe.readiness = { exec = ["sh", "-c", "echo probing with $PASSWORD; test -e seen"], interval = "100ms" }
        probe.liveness  = { exec = ["sh", "-c", "echo failing with $PASSWORD >&2; exit 1"], interval = "100ms", failure = 1000 }
    "#;
    let bed = Bed::new(Trees::Walk, definition);
    bed.write("secret", format!("{SECRET}\n"));
    std::fs::set_permissions(bed.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut bed = bed;
    bed.start_guard();
    bed.await_ready("web");
    assert_eq!(bed.await_file("seen"), format!("{SECRET}\n"));
    bed.await_service("web", "failing its probe", |service| service.healthy == Some(false) || service.restarts == 0);
    let file = bed.path("menshen.toml");
    let file = file.to_str().unwrap();
    for arguments in [
        &["config", "--file", file][..],
        &["config", "--file", file, "--json"],
        &["check", "--file", file, "--format", "json"],
        &["status", "web"],
        &["status", "--json"],
        &["status", "web", "--json"],
        &["events", "--json"],
        &["reload", "--dry-run"],
    ] {
        let ran = bed.menshen(arguments);
        assert!(!format!("{}{}", ran.text(), ran.stderr).contains(SECRET), "{arguments:?} shows it: {ran:?}");
    }
    for pid in bed.tree("web") {
        let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.pid)).unwrap_or_default();
        assert!(!command.contains(SECRET), "{command}");
    }
    // What the guard remembers is on disk; none of it is the secret.
    let ran = std::process::Command::new("grep").args(["-rlF", SECRET]).arg(bed.home()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "", "these files have it");
}

#[test]
fn a_secret_given_as_a_setting_is_masked_where_the_plan_is_shown() {
    let definition =
        "[service.web]\ncommand = \"sleep 1000\"\nenvironment = { API_TOKEN = \"${TOKEN}\", NAME = \"shown\" }\n";
    let bed = Bed::new(Trees::Walk, definition).set("TOKEN", SECRET).up();
    let file = bed.path("menshen.toml");
    let ran =
        bed.menshen(["config", "--file", file.to_str().unwrap(), "--set", &format!("TOKEN={SECRET}")]).ended_with(0);
    assert!(ran.text().contains("shown") && !ran.text().contains(SECRET), "{}", ran.text());
    let plain = format!("[service.web]\ncommand = \"sleep 1000\"\nenvironment = {{ DB_PASSWORD = \"{SECRET}\" }}\n");
    bed.write("plain.toml", plain);
    let ran = bed.menshen(["check", "--file", "plain.toml"]).ended_with(0);
    let shown = format!("{}{}", ran.text(), ran.stderr);
    assert!(shown.contains("plain text") && !shown.contains(SECRET), "{shown}");
    let plan = bed.menshen(["status", "web", "--json"]);
    assert!(!plan.text().contains(SECRET));
}
