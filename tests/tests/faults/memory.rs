//! The guard has no memory left.

use std::os::unix::process::ExitStatusExt as _;

use menshen_tests::control_group::Resource;
use menshen_tests::events::Mark;
use menshen_tests::{Bed, ControlGroup, Signal, WORKER, Worker, with_both_trees};

use crate::told::heard;

with_both_trees! {
    fn a_guard_that_the_kernel_ends_for_want_of_memory_leaves_its_programs_at_work(trees: Trees) {
        let bed = Bed::new(trees, WORKER);
        let Some(group) = ControlGroup::new(Resource::Memory, bed.instance()) else { return };
        let mut bed = bed.up();
        let (worker, guard) = (Worker::of(&bed), bed.guard());
        // What it has is not counted, what it takes from now on is.
        group.take(bed.guard());
        group.limit("256K");
        let mut callers = Vec::new();
        while let Ok(stream) = std::os::unix::net::UnixStream::connect(bed.control_socket())
            && bed.guard().lives()
        {
            callers.push(stream);
        }
        assert_eq!(bed.await_guard_end().signal(), Some(Signal::KILL.as_raw()));
        worker.works(&bed);
        bed.start_guard();
        let told = heard(&bed, Mark::BEGIN, "ended without a word", false);
        assert!(told.reason.contains(&format!("(process {})", guard.pid)), "{told:?}");
        worker.works_undisturbed(&bed);
    }
}
