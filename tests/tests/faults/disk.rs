//! Disks that are full, have no room for files, or are read-only: the one of what is remembered, the one of the logs and the
//! one of sockets and pipes, each by itself.

use menshen_tests::served::Fault;
use menshen_tests::{Bed, Disk, Signal, State, Trouble, WORKER, Worker, require, wait, with_both_trees};

use crate::told::{ALERTS, begun, over};

const FLAKY: &str = "[service.flaky]\ncommand = \"sleep 1000\"\nrestart.delay = \"20ms\"\n";

/// Programs that wait for a file before they end, each in a way after which it is not to run again.
const ENDS: &str = r#"
    [service.job]
    type = "oneshot"
    start = "manual"
    command = ["sh", "-c", "echo run >> job-runs; until [ -e go ]; do sleep 0.01; done"]
    [service.fin]
    command = ["sh", "-c", "echo run >> fin-runs; until [ -e go ]; do sleep 0.01; done; exit 64"]
    restart.on_exit = { 64 = "stop" }
"#;

/// A way for a disk to have no room.
type Fill = fn(&Disk);

/// A service that writes numbered lines until there is a file `enough`, and then the last number into `last`. Its log is
/// closed again and again, and nothing of it goes.
fn counter(format: &str) -> String {
    let script = "n=0; while [ ! -e enough ]; do n=$$((n+1)); echo line $$n; [ $$((n % 100)) = 0 ] && sleep 0.01; done; \
                  echo $$n > last; exec sleep 1000";
    format!(
        "[service.counter]\ncommand = [\"sh\", \"-c\", '{script}']\n\
         log = {{ format = \"{format}\", rotate = {{ size = \"256KiB\", keep = 0, total = \"0B\", compress = \"none\" }} }}\n"
    )
}

/// The same, but slowly, and it halts within each line.
fn halting(format: &str) -> String {
    let script = "n=0; while [ ! -e enough ]; do n=$$((n+1)); printf 'line '; sleep 0.005; echo $$n; done; \
                  echo $$n > last; exec sleep 1000";
    format!(
        "[service.counter]\nstart = \"manual\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n\
         log = {{ format = \"{format}\", rotate = {{ size = \"256KiB\", keep = 0, total = \"0B\", compress = \"none\" }} }}\n"
    )
}

/// The numbers of the lines in the log.
fn counted(bed: &Bed) -> Vec<u64> {
    let text = bed.menshen(["logs", "counter", "-n", "all"]).ended_with(0).text();
    let number = |line: &str| line.strip_prefix("line ").and_then(|number| number.parse().ok());
    text.lines().map(|line| number(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Has the counter end, and sees that each of its lines is there once, and in order.
fn every_line_is_there(bed: &Bed, of: &str) {
    bed.write("enough", "");
    let last: u64 = bed.await_file("last").trim().parse().unwrap();
    wait::until("the last line is there", || counted(bed).last() == Some(&last));
    assert!(counted(bed).into_iter().eq(1..=last), "{of}");
}

/// What the file of a service says that an operator asked for.
fn remembers(bed: &Bed, service: &str, wanted: &str) -> bool {
    let file = bed.home().join(format!("state/{}/services/{service}.json", bed.instance()));
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("\"wanted\":\"{wanted}\"")))
}

/// That they ran once, and are at rest.
fn ended_once(bed: &Bed) {
    bed.await_state("job", State::Completed);
    assert_eq!(bed.await_state("fin", State::Stopped).service.last_exit.as_deref(), Some("exit 64"));
    for name in ["job-runs", "fin-runs"] {
        assert_eq!(bed.await_file(name), "run\n", "{name}");
    }
}

/// What `menshen --json` lists.
#[derive(Debug, serde::Deserialize)]
struct Listed {
    services: Vec<serde_json::Value>,
    #[serde(default)]
    troubles: Vec<Trouble>,
}

/// What does not work, as `menshen status` has it.
fn troubles(bed: &Bed) -> Vec<Trouble> {
    bed.menshen(["status", "--json"]).json::<Listed>().troubles
}

/// That no event is missing or comes twice.
fn events_are_whole(bed: &Bed) {
    let sequences: Vec<u64> = bed.events().iter().map(|event| event.sequence).collect();
    assert!(sequences.is_sorted_by(|before, next| before + 1 == *next), "{sequences:?}");
}

/// How it is told.
const fn text_of(fault: Fault) -> &'static str {
    match fault {
        Fault::ReadOnly => "read-only",
        Fault::Broken => "error",
    }
}

with_both_trees! {
    fn what_is_remembered_has_no_room(trees: Trees) {
        if !require::root() {
            return;
        }
        for fill in [Disk::fill as Fill, Disk::fill_inodes] {
            let late = "[service.late]\nstart = \"manual\"\ncommand = \"sleep 1000\"\n";
            let mut bed = Bed::new(trees, WORKER).and(FLAKY).and(late).and(ALERTS);
            let disk = bed.mount("home/state", "size=2m,nr_inodes=60");
            let bed = bed.up();
            bed.await_ready("flaky");
            let worker = Worker::of(&bed);
            let before = bed.mark();
            fill(&disk);
            let started = bed.menshen(["start", "late"]).ended_with(0);
            assert!(started.stderr.contains("cannot be remembered: writing"), "{}", started.stderr);
            let started: Listed = bed.menshen(["start", "late", "--json"]).ended_with(0).json();
            assert!(started.services[0]["unremembered"].as_str().is_some_and(|why| why.contains("no space left")));
            // What is there already is written over.
            let stopped = bed.menshen(["stop", "flaky"]).ended_with(0);
            assert_eq!((stopped.stderr.as_str(), remembers(&bed, "flaky", "down")), ("", true));
            begun(&bed, before, "no space left");
            let of_guard = |trouble: &Trouble| trouble.service.is_none() && trouble.text.contains("no space left");
            assert!(troubles(&bed).iter().any(of_guard), "{:?}", troubles(&bed));
            assert!(bed.service("flaky").troubles.iter().any(of_guard));
            assert!(bed.menshen(["status"]).text().contains("trouble the guard"));
            // What happens meanwhile happens, and can be asked for.
            bed.menshen(["restart", "flaky"]).done();
            bed.main_process("flaky").signal(Signal::KILL);
            bed.await_entry(before, "flaky", State::Backoff);
            bed.await_ready("flaky");
            bed.menshen(["stop", "flaky"]).done();
            assert_eq!(bed.events().last().map(|event| event.reason.clone()), bed.history_after(before).last().map(|event| event.reason.clone()));
            worker.works_undisturbed(&bed);
            disk.make_room();
            over(&bed, before, "can be written again");
            wait::until("the start is remembered", || remembers(&bed, "late", "up"));
            assert_eq!(troubles(&bed), []);
            let stopped = bed.menshen(["stop", "flaky"]).ended_with(0);
            assert_eq!(stopped.stderr, "");
            events_are_whole(&bed);
            worker.works_undisturbed(&bed);
        }
    }

    fn what_is_remembered_is_read_only_when_a_guard_takes_over(trees: Trees) {
        if !require::root() {
            return;
        }
        let mut bed = Bed::new(trees, WORKER).and(FLAKY).and(ALERTS);
        let disk = bed.mount("home/state", "size=2m");
        let mut bed = bed.up();
        bed.await_ready("flaky");
        let (worker, before) = (Worker::of(&bed), bed.mark());
        bed.kill_guard();
        // Nobody has a file of it open now, without which the kernel would refuse this.
        disk.make_read_only();
        bed.start_guard();
        begun(&bed, before, "read");
        bed.menshen(["stop", "flaky"]).done();
        worker.works_undisturbed(&bed);
        disk.make_writable();
        over(&bed, before, "can be written again");
        wait::until("the stop is remembered", || remembers(&bed, "flaky", "down"));
        worker.works_undisturbed(&bed);
        bed.kill_guard();
        bed.start_guard();
        assert_eq!(bed.service("flaky").service.state, State::Stopped);
        worker.works_undisturbed(&bed);
    }

    fn what_is_remembered_cannot_be_written_for_a_while(trees: Trees) {
        if !require::fuse() {
            return;
        }
        for fault in [Fault::ReadOnly, Fault::Broken] {
            let mut bed = Bed::new(trees, WORKER).and(FLAKY).and(ALERTS);
            let disk = bed.mount_served("home/state");
            let mut bed = bed.up();
            bed.await_ready("flaky");
            let (worker, before) = (Worker::of(&bed), bed.mark());
            disk.fail(fault);
            let stopped = bed.menshen(["stop", "flaky"]).ended_with(0);
            assert!(stopped.stderr.contains("cannot be remembered: writing"), "{fault:?}: {}", stopped.stderr);
            let told = begun(&bed, before, "what the guard remembers cannot be written");
            assert!(told.reason.contains(text_of(fault)), "{told:?}");
            // What happens meanwhile happens, and can be asked for.
            bed.menshen(["start", "flaky"]).done();
            assert!(bed.main_process("flaky").signal(Signal::KILL));
            bed.await_entry(before, "flaky", State::Backoff);
            bed.await_ready("flaky");
            bed.menshen(["stop", "flaky"]).ended_with(0);
            worker.works_undisturbed(&bed);
            disk.work();
            over(&bed, before, "can be written again");
            wait::until("the last stop is remembered", || remembers(&bed, "flaky", "down"));
            wait::until("nothing is in trouble", || troubles(&bed).is_empty());
            events_are_whole(&bed);
            bed.kill_guard();
            bed.start_guard();
            assert_eq!(bed.service("flaky").service.state, State::Stopped, "{fault:?}");
            events_are_whole(&bed);
            worker.works_undisturbed(&bed);
        }
    }

    fn how_a_program_ended_is_known_to_the_next_guard_though_it_could_not_be_noted(trees: Trees) {
        if !require::fuse() || !require::remembered_exits() {
            return;
        }
        for fault in [Fault::ReadOnly, Fault::Broken] {
            let mut bed = Bed::new(trees, WORKER).and(ENDS);
            let disk = bed.mount_served("home/state");
            let mut bed = bed.up();
            bed.menshen(["start", "job", "--no-wait"]).done();
            wait::until("both run", || ["job-runs", "fin-runs"].iter().all(|name| bed.path(name).exists()));
            let worker = Worker::of(&bed);
            disk.fail(fault);
            bed.write("go", "");
            bed.await_state("job", State::Completed);
            bed.await_state("fin", State::Stopped);
            wait::until("it was tried to note it", || !troubles(&bed).is_empty());
            bed.kill_guard();
            disk.work();
            bed.start_guard();
            ended_once(&bed);
            worker.works_undisturbed(&bed);
        }
    }

    fn logs_cannot_be_written_for_a_while(trees: Trees) {
        if !require::fuse() {
            return;
        }
        for (fault, format) in [(Fault::ReadOnly, "raw"), (Fault::Broken, "raw"), (Fault::ReadOnly, "json"), (Fault::Broken, "json")] {
            let mut bed = Bed::new(trees, WORKER).and(&counter(format)).and(ALERTS);
            let disk = bed.mount_served("home/logs");
            let bed = bed.up();
            bed.await_ready("counter");
            let (worker, counter, before) = (Worker::of(&bed), bed.main_process("counter"), bed.mark());
            wait::until("something is written", || counted(&bed).len() > 100);
            disk.fail(fault);
            begun(&bed, before, text_of(fault));
            worker.works_undisturbed(&bed);
            assert!(counter.lives());
            disk.work();
            over(&bed, before, "again");
            every_line_is_there(&bed, &format!("{fault:?} {format}"));
            assert_eq!(bed.service("counter").service.restarts_total, 0);
            wait::until("nothing is in trouble", || troubles(&bed).is_empty());
        }
    }

    fn logs_have_no_room(trees: Trees) {
        if !require::root() {
            return;
        }
        for (fill, format) in [(Disk::fill as Fill, "raw"), (Disk::fill, "json"), (Disk::fill_inodes, "raw")] {
            let mut bed = Bed::new(trees, WORKER).and(&counter(format)).and(ALERTS);
            let disk = bed.mount("home/logs", "size=8m,nr_inodes=60");
            let bed = bed.up();
            bed.await_ready("counter");
            let (worker, counter, before) = (Worker::of(&bed), bed.main_process("counter"), bed.mark());
            fill(&disk);
            begun(&bed, before, "no space left");
            let of_log = |trouble: &Trouble| trouble.service.as_deref() == Some("counter");
            assert!(troubles(&bed).iter().any(of_log), "{:?}", troubles(&bed));
            worker.works_undisturbed(&bed);
            // It waits for room, if it has to wait at all.
            assert!(counter.lives());
            disk.make_room();
            over(&bed, before, "again");
            every_line_is_there(&bed, format);
            assert_eq!(bed.service("counter").service.restarts_total, 0);
            wait::until("nothing is in trouble", || troubles(&bed).is_empty());
        }
    }

    fn logs_have_no_room_when_a_guard_takes_over(trees: Trees) {
        if !require::root() {
            return;
        }
        for (fill, format) in [(Disk::fill as Fill, "text"), (Disk::fill, "json"), (Disk::fill_inodes, "raw")] {
            let mut bed = Bed::new(trees, WORKER).and(&counter(format)).and(ALERTS);
            let disk = bed.mount("home/logs", "size=8m,nr_inodes=60");
            let mut bed = bed.up();
            bed.await_ready("counter");
            let (worker, counter, before) = (Worker::of(&bed), bed.main_process("counter"), bed.mark());
            fill(&disk);
            begun(&bed, before, "no space left");
            let killed = bed.mark();
            bed.kill_guard();
            bed.start_guard();
            begun(&bed, killed, "no space left");
            worker.works_undisturbed(&bed);
            assert!(counter.lives());
            disk.make_room();
            over(&bed, killed, "again");
            every_line_is_there(&bed, format);
            assert_eq!(bed.service("counter").service.restarts_total, 0);
        }
    }

    fn logs_are_read_only_when_a_guard_takes_over(trees: Trees) {
        if !require::root() {
            return;
        }
        let mut bed = Bed::new(trees, WORKER).and(&counter("raw")).and(ALERTS);
        let disk = bed.mount("home/logs", "size=8m");
        let mut bed = bed.up();
        bed.await_ready("counter");
        let (worker, counter, before) = (Worker::of(&bed), bed.main_process("counter"), bed.mark());
        bed.kill_guard();
        disk.make_read_only();
        bed.start_guard();
        begun(&bed, before, "read-only");
        worker.works_undisturbed(&bed);
        disk.make_writable();
        over(&bed, before, "again");
        assert!(counter.lives());
        every_line_is_there(&bed, "");
    }

    fn sockets_and_pipes_have_no_room(trees: Trees) {
        if !require::root() {
            return;
        }
        for (fill, format) in [(Disk::fill as Fill, "text"), (Disk::fill_inodes, "json")] {
            let mut bed = Bed::new(trees, WORKER).and(FLAKY).and(&halting(format)).and(ALERTS);
            let disk = bed.mount("home/run", "size=1m,nr_inodes=60");
            let mut bed = bed.up();
            bed.await_ready("flaky");
            let (worker, before) = (Worker::of(&bed), bed.mark());
            fill(&disk);
            bed.menshen(["start", "counter"]).done();
            begun(&bed, before, "no space left");
            // Whatever cannot be noted, programs are looked after, by this guard and by the next.
            bed.menshen(["restart", "flaky"]).done();
            let counter = bed.main_process("counter");
            worker.works_undisturbed(&bed);
            bed.kill_guard();
            worker.works(&bed);
            bed.start_guard();
            bed.menshen(["restart", "flaky"]).done();
            assert_eq!(bed.main_process("counter"), counter, "{format}");
            let before = bed.mark();
            disk.make_room();
            over(&bed, before, "again");
            bed.write("enough", "");
            let last: u64 = bed.await_file("last").trim().parse().unwrap();
            let log = || bed.menshen(["logs", "counter", "-n", "all"]).ended_with(0).text();
            wait::until("the last line is there", || log().ends_with(&format!("line {last}\n")));
            // Of a guard that is killed while it says that it cannot keep it, the next one does not know what a line began with.
            let (log, begin) = (log(), "line ");
            assert!(log.lines().filter(|line| !line.starts_with(begin)).count() <= 1, "{format}: {log}");
            let numbers = log.lines().map(|line| line.strip_prefix(begin).unwrap_or(line).parse::<u64>().ok());
            assert!(numbers.eq((1..=last).map(Some)), "{format}: {log}");
            wait::until("nothing is in trouble", || troubles(&bed).is_empty());
        }
    }

    fn a_service_comes_to_be_while_there_is_no_room_for_its_pipes(trees: Trees) {
        if !require::root() {
            return;
        }
        let mut bed = Bed::new(trees, WORKER).and(FLAKY).and(ALERTS);
        let disk = bed.mount("home/run", "size=1m,nr_inodes=60");
        let bed = bed.up();
        bed.await_ready("flaky");
        let (worker, before) = (Worker::of(&bed), bed.mark());
        disk.fill_inodes();
        let bed = bed.and("[service.late]\ncommand = [\"sh\", \"-c\", \"echo here I am; exec sleep 1000\"]\nrestart.max = \"1s\"\nbreaker.failures = 0\n");
        bed.menshen(["reload"]).done();
        begun(&bed, before, "the log of late cannot be kept");
        let failed = bed.await_entry(before, "late", State::Backoff);
        assert!(failed.reason.contains("no space left"), "{failed:?}");
        // What is there goes on as ever.
        bed.menshen(["restart", "flaky"]).done();
        worker.works_undisturbed(&bed);
        disk.make_room();
        over(&bed, before, "the log of late is kept again");
        bed.await_ready("late");
        wait::until("what it says is kept", || {
            bed.menshen(["logs", "late", "-n", "all"]).text().contains("here I am")
        });
        worker.works_undisturbed(&bed);
    }

    fn pipes_that_somebody_removed_are_made_anew_for_the_next_start(trees: Trees) {
        let bed = Bed::new(trees, "[service.web]\ncommand = [\"sh\", \"-c\", \"echo here I am; exec sleep 1000\"]\n").up();
        bed.await_ready("web");
        std::fs::remove_dir_all(bed.home().join("run").join(bed.instance())).unwrap();
        std::fs::create_dir(bed.home().join("run").join(bed.instance())).unwrap();
        let said = || bed.menshen(["logs", "web", "-n", "all"]).text().matches("here I am").count();
        wait::until("what it said first is kept", || said() == 1);
        bed.menshen(["restart", "web"]).done();
        wait::until("what it says then is kept, too", || said() == 2);
    }

    fn sockets_and_pipes_are_on_a_disk_that_is_read_only(trees: Trees) {
        if !require::root() {
            return;
        }
        let mut bed = Bed::new(trees, WORKER).and(&counter("raw"));
        let disk = bed.mount("home/run", "size=1m");
        let mut bed = bed.up();
        bed.await_ready("counter");
        let (worker, counter) = (Worker::of(&bed), bed.main_process("counter"));
        bed.kill_guard();
        disk.make_read_only();
        let name = format!("guard.name={}", bed.instance());
        let refused = bed.menshen(["up", "--set", &name]).ended_with(1);
        assert!(refused.stderr.contains("read-only"), "{}", refused.stderr);
        worker.works(&bed);
        assert!(counter.lives());
        disk.make_writable();
        bed.start_guard();
        worker.works(&bed);
        every_line_is_there(&bed, "");
    }

    fn sockets_and_pipes_cannot_be_made_or_removed_for_a_while(trees: Trees) {
        if !require::root() {
            return;
        }
        // It writes slowly, so that what wakes the guard is not its lines.
        let mut bed = Bed::new(trees, WORKER).and(FLAKY).and(&halting("text")).and(ALERTS);
        let disk = bed.mount("home/run", "size=1m");
        let bed = bed.up();
        bed.await_ready("flaky");
        bed.menshen(["start", "counter"]).done();
        let (worker, before) = (Worker::of(&bed), bed.mark());
        let cover = disk.cover_read_only();
        let bed = bed.and(
            "[service.late]\ncommand = [\"sleep\", \"1000\"]\nrestart.max = \"1s\"\nbreaker.failures = 0\n",
        );
        bed.menshen(["reload"]).done();
        begun(&bed, before, "the log of late cannot be kept");
        let failed = bed.await_entry(before, "late", State::Backoff);
        assert!(failed.reason.contains("read-only"), "{failed:?}");
        // What is there is asked, ended and started as ever.
        bed.menshen(["restart", "flaky"]).done();
        assert!(bed.main_process("flaky").signal(Signal::KILL));
        bed.await_entry(before, "flaky", State::Backoff);
        bed.await_ready("flaky");
        worker.works_undisturbed(&bed);
        drop(cover);
        over(&bed, before, "the log of late is kept again");
        bed.await_ready("late");
        every_line_is_there(&bed, "");
        wait::until("nothing is in trouble", || troubles(&bed).is_empty());
        worker.works_undisturbed(&bed);
    }
}
