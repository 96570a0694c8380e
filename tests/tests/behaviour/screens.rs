//! What people see, whole: any change of it is looked at.

use insta::{assert_snapshot, with_settings};
use menshen_tests::command::Ran;
use menshen_tests::{Bed, State, Trees};

/// What differs from run to run, and what stands for it.
const VARYING: [(&str, &str); 8] = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[time]"),
    (r"/tmp/menshen-[A-Za-z0-9]+", "[folder]"),
    (r"test-\d+-\d+", "[guard]"),
    (r"process \d+", "process [pid]"),
    (r"\(pid \d+\)", "(pid [pid])"),
    (r"(?m)^(\S+ running )\d+ ", "$1[pid] "),
    (r"\d+(\.\d+)?(ms|s)( ago|\))", "[short]$3"),
    (r" 0 \d+s ", " 0 [short] "),
];

fn screen(name: &str, ran: &Ran) {
    screen_of(name, &format!("exit code {}\n{}{}", ran.code, ran.text(), ran.stderr));
}

/// A table, whose columns are as wide as what varies.
fn table(name: &str, ran: &Ran) {
    let rows =
        ran.text().lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect::<String>();
    screen_of(name, &format!("exit code {}\n{rows}{}", ran.code, ran.stderr));
}

fn screen_of(name: &str, shown: &str) {
    with_settings!({ filters => VARYING.to_vec(), omit_expression => true, prepend_module_to_snapshot => false }, {
        assert_snapshot!(name, shown);
    });
}

const MISTAKES: &str = r#"[service.web]
command = "./web --port ${PORT}"
depend_on = ["db"]
restart.delay = "10 parsecs"

[service.db]
command = ""
depends_on = ["cache"]

[service.cache]
command = "sleep 1000"
depends_on = ["db", "queue"]
user = "nobody-at-all"

[check]
allow = ["M028"]
"#;

#[test]
fn mistakes_in_a_definition() {
    let bed = Bed::new(Trees::Walk, MISTAKES);
    screen("check", &bed.menshen(["check"]));
    screen("up_refused", &bed.menshen(["up"]));
    screen("explain", &bed.menshen(["check", "--explain", "M012"]));
}

#[test]
fn a_service_that_has_failed_and_its_neighbours() {
    let definition = r#"
        [service.db]
        command = ["sh", "-c", "echo cannot open the data folder: permission denied >&2; exit 3"]
        description = "Keeps the orders"
        restart.policy = "never"
        probe.readiness = { exec = ["true"], delay = "1h" }

        [service.web]
        command = "sleep 1000"
        depends_on = { db = "ready" }

        [service.cache]
        command = "sleep 1000"

        [check]
        allow = ["M028"]
    "#;
    // Where trees are walked, a busy machine may take a second look to see that all has ended, and the events tell of that.
    let bed = Bed::new(Trees::Cgroup, definition).up();
    bed.await_state("db", State::Failed);
    bed.await_state("web", State::Waiting);
    bed.await_ready("cache");
    table("status", &bed.menshen(["status"]));
    screen("status_of_one", &bed.menshen(["status", "db"]));
    screen("events", &bed.menshen(["events", "--service", "db"]));
    screen("refused_command", &bed.menshen(["continue", "cache"]));
    screen("no_such_service", &bed.menshen(["stop", "cash"]));
    bed.write("menshen.toml", definition.replace("sleep 1000", "sleep 2000").replace("never", "always"));
    screen("reload_dry_run", &bed.menshen(["reload", "--dry-run"]));
    let file = bed.path("menshen.toml");
    screen(
        "config",
        &bed.menshen(["config", "--file", file.to_str().unwrap(), "--set", "service.cache.stop.timeout=3s"]),
    );
}
