//! The life-cycle suite, and a program that installs itself.

use menshen_tests::windows::{FOLDER, Windows};
use serde_json::Value;

use super::{key_of, source_of};

#[test]
fn a_service_of_windows_lives_as_it_must() {
    let Some(wine) = Windows::start(&["life-cycle", "life-cycle-sample"]) else { return };
    let services = r"HKLM\System\CurrentControlSet\Services";
    let before = wine.below(services);
    let (program, folder) = (format!(r"--program={FOLDER}\life-cycle-sample.exe"), format!(r"--folder={FOLDER}\notes"));
    // Wine starts nothing again that failed.
    let ran = wine.run(&["life-cycle.exe", "--manager=scm", &program, &folder, "--restart=nobody"]);
    let steps: Vec<Value> = ran.json_lines();
    for step in &steps {
        println!("{step}");
    }
    ran.done();
    assert!(before.contains("Eventlog"), "{before}");
    assert_eq!(wine.below(services), before, "the registry is as before");
}

#[test]
fn a_program_with_the_librarys_subcommands_installs_itself() {
    let Some(wine) = Windows::start(&["greeter"]) else { return };
    let greeter = |words: &[&str]| wine.run(&[&["greeter.exe"][..], words].concat());
    greeter(&["status"]).ended_with(4);
    let said = greeter(&["install", "--start", "delayed"]).ended_with(0).text();
    // Wine's manager does not; Windows' does.
    assert!(said.contains("scm does not know the failure flag"), "{said}");
    assert_eq!(wine.registry(&key_of("greeter"), "DelayedAutoStart").as_deref(), Some("0x1"));
    greeter(&["status"]).ended_with(3);
    greeter(&["start"]).done();
    let status: Value = greeter(&["status", "--json"]).ended_with(0).json();
    assert_eq!(status["state"], "running", "{status}");
    greeter(&["restart"]).done();
    greeter(&["stop"]).done();
    greeter(&["status"]).ended_with(3);
    greeter(&["uninstall"]).done();
    assert_eq!(wine.below(&key_of("greeter")) + &wine.below(&source_of("greeter")), "");
}
