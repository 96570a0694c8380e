//! The guard stands still, by itself or together with what it guards. That is what a machine that slept looks like from within,
//! but for the monotonic clock, which goes on here: it is the harder case.

use std::net::TcpListener;

use menshen_tests::{Bed, Process, Signal, WORKER, Worker, with_both_trees};

/// Asked often, and with less patience than the guard stands still.
fn probed(port: u16) -> String {
    format!(
        "[service.probed]\ncommand = \"sleep 1000\"\n\
         probe.liveness = {{ tcp = \"127.0.0.1:{port}\", interval = \"100ms\", timeout = \"500ms\", failure = 3 }}\n"
    )
}

/// A bed with a service that is asked, and a worker of another bed to tell the time by.
fn beds(trees: menshen_tests::Trees) -> (Bed, Bed, Worker) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the tests.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let bed = Bed::new(trees, WORKER).and(&probed(port)).up();
    bed.await_service("probed", "healthy", |service| service.healthy == Some(true));
    let other = Bed::new(trees, WORKER).up();
    let clock = Worker::of(&other);
    (bed, other, clock)
}

fn signal_all(processes: &[Process], signal: Signal) {
    assert!(processes.iter().all(|process| process.signal(signal)));
}

with_both_trees! {
    fn a_guard_that_stood_still_for_longer_than_its_timeouts_ends_no_program(trees: Trees) {
        let (bed, other, clock) = beds(trees);
        let (probed, worker) = (bed.main_process("probed"), Worker::of(&bed));
        for together in [false, true] {
            let mut all = vec![bed.guard()];
            all.extend(if together { vec![probed, bed.main_process("worker")] } else { Vec::new() });
            signal_all(&all, Signal::STOP);
            clock.works(&other);
            signal_all(&all, Signal::CONT);
            worker.works_undisturbed(&bed);
            assert_eq!(bed.main_process("probed"), probed);
            assert_eq!(bed.service("probed").service.restarts_total, 0);
        }
    }
}
