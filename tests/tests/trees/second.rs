//! A machine whose control groups are those of version 2 and no others: its kernel holds services to their limits.

use menshen_tests::computer::Computer;
use menshen_tests::wait::until;
use menshen_tests::{Service, State};

/// The most processes a bomb gets.
const TASKS_MAX: u64 = 40;
/// The most that what works gets.
const WORKS_TASKS_MAX: u64 = 30;
/// One that works, one that forks as fast as it can, and one that takes memory until it gets no more. A shell that cannot fork
/// gives up, unless the command that should have been run is itself within one.
const DEFINITION: &str = r#"
[guard]
name = "second"
[check]
allow = ["M024", "M028"]
[service.works]
command = ["sh", "-c", "while :; do echo round >> /works; sleep 0.1; done"]
# later: limits.tasks = 30
[service.bomb]
command = ["sh", "/bomb"]
start = "manual"
stop.timeout = "200ms"
limits.tasks = 40
[service.hungry]
command = ["awk", 'BEGIN { x = "x"; while (1) x = x x }']
start = "manual"
limits.memory = "20MiB"
restart = { delay = "1h", max = "1h", jitter = 0.0 }
"#;
const BOMB: &str = "while :; do command eval 'sh /bomb & sh /bomb &'; done 2> /dev/null\n";

/// What a file of a control group says: a service's, or one of its programs'.
fn text(computer: &Computer, group: &str, file: &str) -> String {
    computer.run(&format!("cat /sys/fs/cgroup/menshen.*/{group}/{file}")).text()
}

/// The number it says.
fn number(computer: &Computer, group: &str, file: &str) -> u64 {
    let said = text(computer, group, file);
    said.trim().parse().unwrap_or_else(|error| panic!("{error}: {group} {file}: {said:?}"))
}

/// What works goes on as the process it is.
fn works_on(computer: &Computer, works: &Service) {
    let rounds = || computer.run("wc -l < /works").text().trim().parse::<u64>().unwrap();
    let before = rounds();
    until("what works goes on", || rounds() > before + 2);
    let now = computer.service("works");
    assert_eq!((now.pid, now.restarts_total), (works.pid, works.restarts_total));
}

#[test]
fn limits_hold_where_there_are_control_groups_of_version_2_only() {
    let Some(computer) = Computer::boot(&[("menshen.toml", DEFINITION), ("bomb", BOMB)]) else { return };
    assert_eq!(computer.run("grep -c ' - cgroup ' /proc/self/mountinfo").text().trim(), "0", "no group of version 1");
    computer.start_guard();
    until("one works", || computer.service("works").ready);
    let works = computer.service("works");

    // A limit for what runs already, which the next guard lifts.
    let members = |program: &str| text(&computer, program, "cgroup.procs");
    let pid_of = |service: &Service| service.pid.map(|pid| pid.to_string()).unwrap_or_default();
    assert!(members("works@main").lines().any(|pid| pid == pid_of(&works)));
    computer.run("sed -i 's/^# later: //' /menshen.toml && menshen reload").done();
    assert_eq!(number(&computer, "works@main", "pids.max"), WORKS_TASKS_MAX);
    computer.run("menshen down --leave && sed -i 's/^limits.tasks = 30/# later: &/' /menshen.toml").done();
    computer.start_guard();
    assert_eq!(text(&computer, "works@main", "pids.max").trim(), "max");
    works_on(&computer, &works);
    // From its next start on it has it together with whatever else is run for it.
    computer.run("sed -i 's/^# later: //' /menshen.toml && menshen reload").done();
    computer.run("menshen restart works").done();
    let works = computer.service("works");
    assert_eq!(number(&computer, "works", "pids.max"), WORKS_TASKS_MAX);
    assert!(members("works/main").lines().any(|pid| pid == pid_of(&works)));
    assert_eq!(computer.run("ls -d /sys/fs/cgroup/menshen.*/works@main").text(), "", "nobody lives there");

    // A bomb below the limit of tasks.
    computer.run("menshen start bomb --no-wait").done();
    until("it has gone off", || number(&computer, "bomb", "pids.current") > TASKS_MAX / 2);
    assert_eq!(number(&computer, "bomb", "pids.max"), TASKS_MAX);
    works_on(&computer, &works);
    computer.run("menshen stop bomb --no-wait").done();
    until("it is stopped", || computer.service("bomb").state == State::Stopped);
    let left = computer.run("grep -l /bomb /proc/[0-9]*/cmdline 2> /dev/null | grep -v self").text();
    let left: Vec<&str> = left.lines().filter(|path| !is_of_the_search(&computer, path)).collect();
    assert!(left.is_empty(), "{left:?}");

    // More memory than there is to be had.
    computer.run("menshen start hungry --no-wait").done();
    until("it is ended for want of memory", || computer.service("hungry").state == State::Backoff);
    let hungry = computer.service("hungry");
    assert!(hungry.reason.contains("out of memory"), "{hungry:?}");
    works_on(&computer, &works);

    // The guard itself has no memory left.
    let guard = computer.run("cat /run/menshen/second.lock").text();
    computer.run("mkdir /sys/fs/cgroup/less && echo +memory > /sys/fs/cgroup/cgroup.subtree_control").done();
    computer.run(&format!("echo {guard} > /sys/fs/cgroup/less/cgroup.procs")).done();
    computer.run("echo 0 > /sys/fs/cgroup/less/memory.max").done();
    until("the kernel ends it", || computer.run("menshen status").code == 6);
    assert!(computer.run("grep '^oom_kill ' /sys/fs/cgroup/less/memory.events").text().trim() != "oom_kill 0");
    computer.start_guard();
    works_on(&computer, &works);
    let told = format!("the guard before this one (process {guard}) ended without a word");
    assert!(computer.events().iter().any(|event| event.reason.starts_with(&told)), "{told}");
}

#[test]
fn a_guard_moves_out_of_the_way_of_limits_in_the_control_group_it_was_given() {
    // Nothing is limited when it begins: its holder is there before it has to move.
    let (works, _) = DEFINITION.split_once("[service.bomb]").unwrap();
    let Some(computer) = Computer::boot(&[("menshen.toml", works)]) else { return };
    computer.run("mkdir /sys/fs/cgroup/unit && echo '+pids +memory' > /sys/fs/cgroup/cgroup.subtree_control").done();
    computer.start("sh -c 'echo $$ > /sys/fs/cgroup/unit/cgroup.procs && exec menshen up --file /menshen.toml'");
    until("one works", || computer.run("menshen status works").code == 0);
    let works = computer.service("works");
    computer.run("sed -i 's/^# later: //' /menshen.toml && menshen reload").done();
    let limit = || computer.run("cat /sys/fs/cgroup/unit/menshen.*/works@main/pids.max").text();
    assert_eq!(limit().trim(), WORKS_TASKS_MAX.to_string());
    let aside = computer
        .run("grep -h . $(sed 's|^|/proc/|; s|$|/comm|' /sys/fs/cgroup/unit/menshen.guard/cgroup.procs)")
        .text();
    assert_eq!(aside.lines().collect::<Vec<_>>(), ["menshen", "menshen-holder"]);
    works_on(&computer, &works);
    computer.run("menshen restart works").done();
    let pid = computer.service("works").pid.unwrap().to_string();
    let members = computer.run("cat /sys/fs/cgroup/unit/menshen.*/works/main/cgroup.procs").text();
    assert!(members.lines().any(|member| member == pid), "{members}");
}

#[test]
fn a_guard_stays_in_the_control_group_in_which_systemd_would_start_the_next() {
    let Some(computer) = Computer::boot(&[("menshen.toml", DEFINITION)]) else { return };
    // As it is with `Delegate=` where systemd knows no `DelegateSubgroup=`.
    let unit = "/sys/fs/cgroup/menshen.service";
    computer.run(&format!("mkdir {unit} && echo '+pids +memory' > /sys/fs/cgroup/cgroup.subtree_control")).done();
    let begin = || {
        computer.start(&format!("sh -c 'echo $$ > {unit}/cgroup.procs && exec menshen up --file /menshen.toml'"));
        until("one works", || computer.run("menshen status works").code == 0);
    };
    begin();
    let works = computer.service("works");
    computer.run("sed -i 's/^# later: //' /menshen.toml && menshen reload").done();
    assert_eq!(computer.run(&format!("cat {unit}/cgroup.subtree_control")).text().trim(), "");
    computer.run("kill -9 $(cat /run/menshen/second.lock)").done();
    until("no guard is there", || computer.run("menshen status").code == 6);
    begin();
    works_on(&computer, &works);
}

/// Whether it is not a process of the bomb: whoever looks for one has its name in the command.
fn is_of_the_search(computer: &Computer, path: &str) -> bool {
    computer.run(&format!("grep -q 'sh./bomb' {path}")).code != 0
}
