//! The guard has no file descriptors left.

use std::net::TcpListener;
use std::process::Stdio;

use menshen_tests::{Bed, Signal, State, WORKER, Worker, wait, with_both_trees};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::told::{ALERTS, heard, over};

/// Services that are asked in a way that takes a descriptor, and are restarted if they fail once. The end of a command that was
/// under way is not seen before there are descriptors again, so that one may fail.
fn probed(port: u16) -> String {
    let liveness = "interval = \"100ms\", timeout = \"20s\", failure = 1 }";
    let patient = "interval = \"100ms\", timeout = \"20s\", failure = 5 }";
    format!(
        "[service.by-address]\ncommand = \"sleep 1000\"\nprobe.liveness = {{ tcp = \"127.0.0.1:{port}\", {liveness}\n\
         [service.by-name]\ncommand = \"sleep 1000\"\nprobe.liveness = {{ tcp = \"localhost:{port}\", {liveness}\n\
         [service.by-command]\ncommand = \"sleep 1000\"\nprobe.liveness = {{ exec = [\"true\"], {patient}\n"
    )
}

/// A service whose main process leaves one behind that ignores the signal to end.
const LEAVES_A_CHILD: &str = r#"
    [service.leaves]
    command = ["sh", "-c", 'sh -c "trap \"\" TERM; echo \$$\$$ > child; while :; do sleep 1; done" & exec sleep 1000']
    stop.timeout = "300ms"
    restart.delay = "20ms"
"#;

with_both_trees! {
    fn the_guard_has_no_descriptors_left(trees: Trees) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // It ends with the tests.
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let bed = Bed::new(trees, WORKER).and(&probed(port)).and(LEAVES_A_CHILD).and(ALERTS).up();
        let services = ["by-address", "by-name", "by-command"];
        for name in services {
            bed.await_service(name, "healthy", |service| service.healthy == Some(true));
        }
        let before = services.map(|name| bed.main_process(name));
        let (main, child) = (bed.main_process("leaves"), bed.await_process("child"));
        let (worker, mark) = (Worker::of(&bed), bed.mark());
        let guard = Pid::from_raw(bed.guard().pid.cast_signed()).unwrap();

        // Fewer than it has open: it gets no more.
        let none = Rlimit { current: Some(3), maximum: getrlimit(Resource::Nofile).maximum };
        let enough = prlimit(Some(guard), Resource::Nofile, none).unwrap();
        for name in ["by-address", "by-name"] {
            let cannot_be_asked = |event: &menshen_tests::Event| {
                event.service.as_deref() == Some(name) && event.reason.contains("cannot be asked")
            };
            bed.await_event(mark, &format!("{name} is not asked"), cannot_be_asked);
        }
        let mut status = bed.command().args(["status", "worker"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        heard(&bed, mark, "no connection to the control socket can be accepted", false);
        assert!(main.signal(Signal::KILL));
        bed.await_entry(mark, "leaves", State::Stopping);
        worker.works_undisturbed(&bed);
        assert!(child.lives(), "nobody could have found it");
        assert_eq!(bed.history_after(mark).iter().filter(|event| leaves_stopping(event)).count(), 0, "while {child:?} lives");

        prlimit(Some(guard), Resource::Nofile, enough).unwrap();
        over(&bed, mark, "accepted again");
        over(&bed, mark, "liveness probe is asked again");
        // It was answered, or has given up waiting for that.
        status.wait().unwrap();
        bed.await_entry(mark, "leaves", State::Starting);
        assert!(!child.lives(), "it lives beside the next run");
        bed.await_ready("leaves");
        wait::until("it is started anew", || bed.await_process("child") != child);
        assert_eq!(services.map(|name| bed.main_process(name)), before, "they worked all the time");
        worker.works_undisturbed(&bed);
    }
}

/// The service is said to have ended.
fn leaves_stopping(event: &menshen_tests::Event) -> bool {
    event.service.as_deref() == Some("leaves") && event.details.get("from").is_some_and(|from| from == "stopping")
}
