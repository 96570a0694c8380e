//! On which processor output is moved.
//!
//! Whoever moves output wakes the program that waits for room in its pipe. The kernel has it run on a processor that idles, but
//! not where that one may not be there: in a virtual machine a processor that idles is given back to the host. Then the program
//! runs where it was woken, and whoever woke it waits until the pipe is full again: both share one processor, beside another
//! that idles, until the kernel balances its load. A third of the time goes by in that way.
//!
//! So a thread that is pushed off its processor again and again leaves it to whoever pushes.

use std::cell::Cell;

use rustix::thread::{sched_getaffinity, sched_getcpu, sched_setaffinity};

/// So many steps are looked at together.
const STEPS: u32 = 16;
/// With so many of them a thread must have been pushed off to leave.
const PUSHED_OFF_MIN: u32 = 12;
/// Where it is no better elsewhere, it is left after twice as many steps each time, up to so many.
const STEPS_MAX: u32 = 4096;

/// How a thread is crowded where it is.
#[derive(Debug)]
pub(super) struct Crowding {
    /// How often it was pushed off in all.
    pushed_off: Cell<u64>,
    /// The steps since it was last decided, and those of them with which it was pushed off.
    steps: Cell<(u32, u32)>,
    /// So many steps are looked at before the next decision.
    patience: Cell<u32>,
}

impl Crowding {
    pub(super) const fn new() -> Self {
        Self { pushed_off: Cell::new(0), steps: Cell::new((0, 0)), patience: Cell::new(STEPS) }
    }

    /// The thread has done a step, in which it has woken somebody.
    pub(super) fn step(&self) {
        if self.is_pushed_around(pushed_off()) {
            leave();
        }
    }

    /// Whether it is time to leave, by how often the thread was pushed off in all.
    fn is_pushed_around(&self, pushed_off: u64) -> bool {
        let is_again = pushed_off > self.pushed_off.replace(pushed_off);
        let (steps, of_them) = self.steps.get();
        let (steps, of_them) = (steps + 1, of_them + u32::from(is_again));
        let patience = self.patience.get();
        if steps < patience {
            self.steps.set((steps, of_them));
            return false;
        }
        self.steps.set((0, 0));
        let is_pushed_around = u64::from(of_them) * u64::from(STEPS) >= u64::from(patience) * u64::from(PUSHED_OFF_MIN);
        self.patience.set(if is_pushed_around { (patience * 2).min(STEPS_MAX) } else { STEPS });
        is_pushed_around
    }
}

/// How often this thread was taken off its processor while it had something to do.
fn pushed_off() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    #[expect(unsafe_code, reason = "no crate wraps getrusage of a thread")]
    // SAFETY: the kernel fills all of what it is given, which is as large as it takes it for, or leaves the zeroes.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    u64::try_from(usage.ru_nivcsw).unwrap_or(0)
}

/// Goes to another processor of those the thread may be on, if there is one; from there it may go wherever it might before. It
/// does not follow when the guard is allowed more later: the next guard does.
fn leave() {
    let Ok(all) = sched_getaffinity(None) else { return };
    let mut others = all;
    others.unset(sched_getcpu());
    if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
        // Who may not stay where it is may be anywhere it was allowed to be.
        let _ = sched_setaffinity(None, &all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many steps it is time to leave, if each pushes the thread off for which this says so.
    fn leaves(crowding: &Crowding, pushed_off: &mut u64, steps: u32, pushes: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut step = |number: u32| {
            *pushed_off += u64::from(pushes(number));
            crowding.is_pushed_around(*pushed_off)
        };
        (1..=steps).filter(|number| step(*number)).collect()
    }

    #[test]
    fn it_is_left_at_once_where_one_is_pushed_off_and_ever_later_where_that_is_no_better() {
        let (crowding, mut pushed_off) = (Crowding::new(), 7);
        assert!(leaves(&crowding, &mut pushed_off, 100, |_| false).is_empty(), "nobody pushes");
        let crowding = Crowding::new();
        assert_eq!(leaves(&crowding, &mut pushed_off, 200, |_| true), [16, 48, 112]);
        let count = leaves(&crowding, &mut pushed_off, 100_000, |_| true).len();
        assert!((24..40).contains(&count), "every 4,096 steps in the end: {count}");
        // A while in peace, and it is as if nothing had been.
        assert!(leaves(&crowding, &mut pushed_off, 2 * STEPS_MAX, |_| false).is_empty());
        assert_eq!(leaves(&crowding, &mut pushed_off, 16 + STEPS, |_| true).len(), 1);
    }

    #[test]
    fn a_push_now_and_then_is_no_reason_to_leave() {
        let (crowding, mut pushed_off) = (Crowding::new(), 0);
        assert!(leaves(&crowding, &mut pushed_off, 10_000, |number| number % 2 == 0).is_empty());
    }

    #[test]
    fn who_is_pushed_off_with_nearly_every_step_is_on_another_processor_after_them() {
        let has_left = |_: &u32| {
            let crowding = Crowding { steps: Cell::new((STEPS - 1, STEPS - 1)), ..Crowding::new() };
            let before = sched_getcpu();
            crowding.step();
            sched_getcpu() != before
        };
        let can_leave = sched_getaffinity(None).unwrap().count() > 1;
        // The kernel may bring it back at once, but not each time.
        assert_eq!((1..=100).filter(has_left).count() > 50, can_leave);
    }

    #[test]
    fn who_has_left_may_be_wherever_it_might_before() {
        let mask = || sched_getaffinity(None).unwrap();
        let before = mask();
        for _ in 0..100 {
            leave();
            assert_eq!(mask(), before);
        }
    }

    #[test]
    fn who_is_pushed_off_is_counted() {
        let before = pushed_off();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // More that have something to do than there are processors.
        let threads = 2 * std::thread::available_parallelism().unwrap().get();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            while pushed_off() == before && std::time::Instant::now() < end {}
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert!(pushed_off() > before);
    }
}
