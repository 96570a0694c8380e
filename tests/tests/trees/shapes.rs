//! Processes that leave their parents, sessions, groups and everything else that could tell where they come from.

use menshen_tests::events::Mark;
use menshen_tests::{Bed, Process, Signal, State, require, wait, with_both_trees};

/// What all of them share: each process that is to be found says its number in a file of its own, and ignores what it can.
const PRELUDE: &str = r#"
import ctypes, os, signal, sys, time

def stay(name):
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    with open(name + '.new', 'w') as file:
        file.write(f'{os.getpid()}\n')
    os.rename(name + '.new', name)
    while True:
        time.sleep(1000)

def child(act):
    if os.fork() == 0:
        act()
        os._exit(0)
"#;

/// A main process with what it starts; the last of them is called `last`.
const SHAPES: [(&str, &str); 6] = [
    ("two forks and a session", "child(lambda: (os.setsid(), child(lambda: stay('last'))))\nstay('main')"),
    ("a group of its own", "child(lambda: (os.setpgid(0, 0), stay('last')))\nstay('main')"),
    (
        "orphans that come to another than the guard",
        "def keep():\n    ctypes.CDLL(None).prctl(36, 1)\n    child(lambda: child(lambda: (os.setsid(), stay('last'))))\n    \
         stay('keeper')\nchild(keep)\nstay('main')",
    ),
    (
        "a program without environment, files and folder",
        "def bare():\n    os.setsid()\n    os.closerange(0, 100)\n    \
         os.execve(sys.executable, [sys.executable, '-c', open('bare.py').read()], {})\nchild(bare)\nstay('main')",
    ),
    (
        "a chain of generations, each gone when the next is there",
        "def generation(left):\n    os.setsid()\n    \
         stay('last') if left == 0 else child(lambda: generation(left - 1))\nchild(lambda: generation(20))\nstay('main')",
    ),
    (
        "one that stops itself",
        "def halt():\n    with open('last', 'w') as file:\n        file.write(f'{os.getpid()}\\n')\n    \
         os.kill(os.getpid(), signal.SIGSTOP)\n    stay('last')\nchild(halt)\nstay('main')",
    ),
];

fn bed(trees: menshen_tests::Trees, shape: &str) -> Option<Bed> {
    let python = require::program("python3")?;
    let bed = Bed::new(trees, "");
    bed.write("bare.py", format!("{PRELUDE}\nos.chdir({:?})\nstay('last')\n", bed.folder().to_str().unwrap()));
    bed.write("shape.py", format!("{PRELUDE}\n{shape}\n"));
    let definition = format!(
        "[service.hostile]\ncommand = [\"{}\", \"shape.py\"]\nstop.timeout = \"200ms\"\nrestart.delay = \"20ms\"\n",
        python.display()
    );
    Some(bed.and(&definition).up())
}

/// Everything that was started, once all of it is there.
fn grown(bed: &Bed, shape: &str) -> Vec<Process> {
    let names = ["main", "keeper", "last"].into_iter().filter(|name| shape.contains(&format!("'{name}'")));
    names.map(|name| bed.await_process(name)).collect()
}

fn nothing_lives(what: &str, tree: &[Process]) {
    let left: Vec<&Process> = tree.iter().filter(|process| process.lives()).collect();
    assert!(left.is_empty(), "{what}: {left:?} of {tree:?} lives");
}

with_both_trees! {
    fn stop_ends_when_the_last_of_a_hostile_tree_is_gone(trees: Trees) {
        for (what, shape) in SHAPES {
            let Some(bed) = bed(trees, shape) else { return };
            let tree = grown(&bed, shape);
            bed.menshen(["stop", "hostile", "--no-wait"]).done();
            bed.await_entry(Mark::BEGIN, "hostile", State::Stopped);
            nothing_lives(what, &tree);
        }
    }

    fn a_hostile_tree_without_its_main_process_is_gone_before_the_next_run(trees: Trees) {
        for (what, shape) in SHAPES {
            let Some(bed) = bed(trees, shape) else { return };
            let (tree, before) = (grown(&bed, shape), bed.mark());
            assert!(bed.main_process("hostile").signal(Signal::KILL));
            bed.await_entry(before, "hostile", State::Starting);
            nothing_lives(what, &tree);
        }
    }

    fn a_hostile_tree_that_went_to_the_first_process_is_stopped_by_the_next_guard(trees: Trees) {
        for (what, shape) in SHAPES {
            let Some(mut bed) = bed(trees, shape) else { return };
            let tree = grown(&bed, shape);
            bed.kill_guard();
            bed.start_guard();
            bed.menshen(["stop", "hostile", "--no-wait"]).done();
            bed.await_entry(Mark::BEGIN, "hostile", State::Stopped);
            nothing_lives(what, &tree);
        }
    }

    fn a_tree_that_grows_when_it_is_asked_to_end_is_stopped(trees: Trees) {
        // Whoever hears the signal starts two more, in sessions of their own, and is gone.
        let hydra = "def grow(*_):\n    for _ in range(2):\n        child(live)\n    os._exit(0)\n\
                     def live():\n    os.setsid()\n    signal.signal(signal.SIGTERM, grow)\n    \
                     open('heads', 'a').write(f'{os.getpid()}\\n')\n    \
                     while True:\n        time.sleep(1000)\n\
                     signal.signal(signal.SIGTERM, grow)\nchild(live)\nopen('main', 'w').write(f'{os.getpid()}\\n')\n\
                     while True:\n    time.sleep(1000)";
        let Some(bed) = bed(trees, hydra) else { return };
        bed.await_file("main");
        bed.await_file("heads");
        bed.menshen(["stop", "hostile", "--no-wait"]).done();
        bed.await_entry(Mark::BEGIN, "hostile", State::Stopped);
        let heads = bed.await_file("heads");
        let alive: Vec<Process> =
            heads.lines().filter_map(|pid| Process::find(pid.parse().unwrap())).filter(Process::lives).collect();
        let ours: Vec<Process> = bed.processes().into_iter().filter(|process| alive.contains(process)).collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert!(heads.lines().count() > 1, "it grew: {heads}");
        wait::until("nothing else is left", || bed.service("hostile").service.pid.is_none());
    }
}
