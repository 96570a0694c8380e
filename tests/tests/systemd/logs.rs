//! What services of a guard write, in the journal of the machine.

use menshen_tests::machine::Machine;
use menshen_tests::wait::until_some;
use serde_json::Value;

const DEFINITION: &str = r#"
[guard]
name = "shop"
[service.web]
command = ["sh", "/shared/program"]
log.also = ["journald"]
[service.silent]
command = ["sh", "/shared/program"]
"#;
/// It writes to both streams: text, nothing, several words of a field's, and bytes that are no text.
const PROGRAM: &str = "\
echo 'serving 门'
echo
echo 'PRIORITY=0' >&2
printf 'raw \\377 bytes\\n'
exec sleep 3600
";
/// How many lines that are.
const LINES: usize = 4;

fn entries(machine: &Machine, field: &str) -> Vec<Value> {
    machine.run(&["journalctl", "--output=json", "--all", field]).json_lines()
}

#[test]
fn lines_that_also_go_to_journald_are_there_with_their_service_and_priority() {
    let Some(machine) = Machine::boot(&[("shop.toml", DEFINITION), ("program", PROGRAM)]) else { return };
    machine.run(&["menshen", "up", "--detach", "--wait", "--file", "/shared/shop.toml"]).done();
    let entries = until_some("every line is in the journal", || {
        Some(entries(&machine, "MENSHEN_SERVICE=web")).filter(|entries| entries.len() >= LINES)
    });
    assert_eq!(entries.len(), LINES, "{entries:#?}");
    for entry in &entries {
        assert_eq!(
            (&entry["MENSHEN_INSTANCE"], &entry["SYSLOG_IDENTIFIER"]),
            (&"shop".into(), &"web".into()),
            "{entry:#}"
        );
    }
    // Each stream in its own order.
    let of = |priority: &str| -> Vec<&Value> {
        entries.iter().filter(|entry| entry["PRIORITY"] == priority).map(|entry| &entry["MESSAGE"]).collect()
    };
    assert_eq!(of("3"), ["PRIORITY=0"]);
    // What is no text journalctl shows as the numbers of its bytes.
    let raw: Value = b"raw \xff bytes".to_vec().into();
    assert_eq!(of("6"), [&"serving 门".into(), &"".into(), &raw]);
    // What is also there is in the guard's own log as it was, and who did not ask for it is not in the journal.
    assert_eq!(
        machine.run(&["menshen", "logs", "web", "--stderr"]).ended_with(0).text().matches("PRIORITY=0").count(),
        1
    );
    assert!(self::entries(&machine, "MENSHEN_SERVICE=silent").is_empty());
    machine.run(&["menshen", "down"]).done();
}
