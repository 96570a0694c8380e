//! Starting programs exactly as planned, and hearing how they end.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use menshen_os::error::is_shortage;
use menshen_os::notify_socket::NotifySocket;
use menshen_os::output::Descriptor;
use menshen_os::system::Earlier;
use menshen_os::{Exit, Identity, Input, OsEvent, Target, Token, TreeMode, TreeState};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bed::{BOTH, Bed, has};

#[test]
fn a_program_that_exits_is_reported_with_its_code() {
    let mut bed = Bed::new(TreeMode::Auto);
    let token = bed.spawn(&bed.shell("echo out; echo err >&2; exit 7"));
    let ended = bed.end_of(token);
    assert_eq!((ended.exit, ended.oom), (Exit::Code(7), false));
    bed.await_empty(token, ended.tree);
    assert_eq!(ended.tail, "out\nerr\n");
}

#[test]
fn a_program_killed_by_any_signal_is_reported_with_its_number() {
    let mut bed = Bed::new(TreeMode::Auto);
    for signal in [9, 15, 11, 34, 40] {
        let (token, _) = bed.start(&bed.program(&["sleep", "100"]));
        bed.system.signal(token, Target::Main, signal);
        assert_eq!(bed.end_of(token).exit, Exit::Signal(signal));
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_reported_with_the_reason() {
    let mut bed = Bed::new(TreeMode::Auto);
    std::fs::write(bed.folder.path().join("text"), "x").unwrap();
    for (command, expected) in [
        ("no-such-program", "executing no-such-program: no such file or directory"),
        ("./missing", "executing ./missing: no such file or directory"),
        ("./text", "executing ./text: permission denied"),
    ] {
        let token = bed.spawn(&bed.program(&[command]));
        let error = bed.wait_for(|event| match event {
            OsEvent::StartFailed { token: failed, error } if *failed == token => Some(error.to_string()),
            OsEvent::Started { .. } => panic!("{command} started"),
            _ => None,
        });
        assert_eq!(error, expected);
    }
}

#[test]
fn a_missing_directory_is_the_reason_given() {
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.program(&["true"]);
    program.directory = "/no/such/folder".into();
    let token = bed.spawn(&program);
    let error = bed.wait_for(|event| match event {
        OsEvent::StartFailed { token: failed, error } if *failed == token => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(error, "changing to its directory /no/such/folder: no such file or directory");
}

#[test]
fn what_cannot_be_an_argument_is_refused_before_anything_is_started() {
    let mut bed = Bed::new(TreeMode::Auto);
    let program = bed.program(&["true", "a\0b"]);
    let error = bed.system.spawn(Token(77), &Bed::place("main"), 1, &program).unwrap_err();
    assert!(error.to_string().contains("NUL"), "{error}");
    let error = bed.system.spawn(Token(78), &Bed::place("main"), 1, &bed.program(&[])).unwrap_err();
    assert!(error.to_string().contains("empty"), "{error}");
}

#[test]
fn the_environment_is_the_planned_one_and_nothing_else() {
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.program(&["env"]);
    program.environment.push(("GREETING".into(), "hello = world".into()));
    let ended = bed.run(&program);
    let mut lines: Vec<&str> = ended.tail.lines().filter(|line| !line.starts_with("MENSHEN_RUN=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GREETING=hello = world", "PATH=/usr/local/bin:/usr/bin:/bin"]);
}

#[test]
fn stdin_is_at_its_end_at_once() {
    let mut bed = Bed::new(TreeMode::Auto);
    let ended = bed.run(&bed.shell("if read answer; then echo got; else echo end; fi"));
    assert_eq!(ended.tail, "end\n");
}

#[test]
fn stdin_can_be_given() {
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.program(&["cat"]);
    program.input = Input::Bytes(b"{\"a\":1}".to_vec());
    assert_eq!(bed.run(&program).tail, "{\"a\":1}");
}

#[test]
fn directory_mask_priority_and_files_are_the_planned_ones() {
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.shell("pwd; umask; nice; ulimit -n; ulimit -Hn; touch made");
    program.umask = Some(0o027);
    program.nice = Some(7);
    program.files = Some(123);
    let ended = bed.run(&program);
    let folder = bed.folder.path().canonicalize().unwrap();
    assert_eq!(ended.tail.lines().collect::<Vec<_>>(), [folder.to_str().unwrap(), "0027", "7", "123", "123"]);
    assert_eq!(bed.folder.path().join("made").metadata().unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_program_gets_the_guards_own_limit_of_files_not_the_raised_one() {
    let before = std::process::Command::new("sh").args(["-c", "ulimit -n"]).output().unwrap().stdout;
    let mut bed = Bed::new(TreeMode::Auto);
    let ended = bed.run(&bed.shell("ulimit -n"));
    assert_eq!(ended.tail.as_bytes(), before);
}

#[test]
fn a_program_leads_its_own_session() {
    let mut bed = Bed::new(TreeMode::Auto);
    let ended = bed.run(&bed.shell("echo $$ $(cut -d' ' -f5,6 /proc/$$/stat)"));
    let numbers: Vec<&str> = ended.tail.split_whitespace().collect();
    assert_eq!(numbers, [numbers[0]; 3], "process, group and session");
}

#[test]
fn no_signal_is_ignored_or_blocked_in_a_program() {
    let mut bed = Bed::new(TreeMode::Auto);
    let ended = bed.run(&bed.program(&["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]));
    for line in ended.tail.lines() {
        assert_eq!(line.split_whitespace().nth(1), Some("0000000000000000"), "{line}");
    }
    assert_eq!(ended.tail.lines().count(), 2);
}

#[test]
fn a_program_has_no_descriptors_but_its_own() {
    let mut bed = Bed::new(TreeMode::Auto);
    let ended = bed.run(&bed.program(&["ls", "/proc/self/fd"]));
    assert_eq!(ended.tail, "0\n1\n2\n3\n", "3 is that of ls itself");
}

#[test]
fn passed_descriptors_begin_at_three_and_are_announced() {
    let mut bed = Bed::new(TreeMode::Auto);
    let mut program = bed.shell("echo $$ $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES; cat <&3; cat <&4");
    for (name, text) in [("first", "one\n"), ("second", "two\n")] {
        std::fs::write(bed.folder.path().join(name), text).unwrap();
        let file = std::fs::File::open(bed.folder.path().join(name)).unwrap();
        program.passed.push((name.to_owned(), std::sync::Arc::new(Descriptor::from_file(file))));
    }
    let ended = bed.run(&program);
    let lines: Vec<&str> = ended.tail.lines().collect();
    let announced: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!(announced[0].parse::<u32>().unwrap(), announced[1].parse::<u32>().unwrap());
    assert_eq!(&announced[2..], ["2", "first:second"]);
    assert_eq!(&lines[1..], ["one", "two"]);
}

#[test]
fn any_number_of_descriptors_arrives_with_and_without_a_user() {
    let mut bed = Bed::new(TreeMode::Auto);
    let users = if crate::bed::is_root() { vec![None, Some(12_345)] } else { vec![None] };
    for (user, count) in users.into_iter().flat_map(|user| [0, 1, 9, 40].map(|count| (user, count))) {
        let script = "opendir D, '/proc/self/fd'; my @own = grep { /[0-9]/ } readdir D; for (1 .. $ENV{LISTEN_FDS} // 0) { open F, '<&=', $_ + 2; print scalar <F> } print scalar @own";
        let mut program = bed.program(&["perl", "-e", script]);
        for number in 0..count {
            let path = bed.folder.path().join(format!("{number}"));
            std::fs::write(&path, format!("{number}\n")).unwrap();
            let file = std::fs::File::open(path).unwrap();
            program.passed.push((format!("n{number}"), std::sync::Arc::new(Descriptor::from_file(file))));
        }
        program.identity = user.map(|uid| Identity { uid, gid: uid, groups: vec![] });
        program.directory = "/".into();
        let numbers: Vec<u32> = bed.run(&program).tail.split_whitespace().map(|word| word.parse().unwrap()).collect();
        // Its own three, those it was passed, and the folder it looks into.
        let expected: Vec<u32> = (0..count).chain([count + 4]).collect();
        assert_eq!(numbers, expected, "{count} as {user:?}");
    }
}

#[test]
fn a_child_that_is_held_back_from_its_first_step_is_given_up() {
    let mut bed = Bed::new(TreeMode::Auto);
    let (token, _) = bed.start(&bed.program(&["sleep", "1000"]));
    let folder = bed.system.folder(token);
    if !has("cgroup that can be made", || folder.is_some()) {
        return;
    }
    let folder = folder.unwrap();
    bed.system.kill(token, Target::Tree);
    bed.end_of(token);
    // Somebody freezes all that the service starts.
    let freezer = folder.parent().unwrap().join("cgroup.freeze");
    std::fs::write(&freezer, "1").unwrap();
    let place = Bed::place("main");
    bed.system.spawn(Token(77), &place, 1, &bed.program(&["sleep", "1000"])).unwrap();
    let error = bed.wait_for(|event| match event {
        OsEvent::StartFailed { token, error } if *token == Token(77) => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(error, "the new process was ended before it had descriptors of its own");
    std::fs::write(&freezer, "0").unwrap();
    bed.until("nothing of it is left", |bed| bed.system.usage("web").processes == 0);
    assert_eq!(bed.run(&bed.program(&["true"])).exit, Exit::Code(0));
}

#[test]
fn output_goes_into_a_pipe_that_is_still_there_when_the_program_is_not() {
    let mut bed = Bed::new(TreeMode::Auto);
    let (pipe, program) = bed.with_pipe("out", bed.shell("printf 'a\\000b\\n\\n'; echo no-newline | tr -d '\\n'"));
    bed.run(&program);
    let mut buffer = [0; 64];
    let count = pipe.read(&mut buffer).unwrap().unwrap();
    assert_eq!(&buffer[..count], b"a\0b\n\nno-newline");
    assert_eq!(pipe.read(&mut buffer).unwrap(), None);
}

#[test]
fn more_output_than_a_pipe_holds_does_not_block_what_only_keeps_the_tail() {
    let mut bed = Bed::new(TreeMode::Auto);
    let ended = bed.run(&bed.shell("seq 1 100000; echo last"));
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(ended.tail.ends_with("100000\nlast\n") && ended.tail.len() <= 2048);
}

#[test]
fn what_a_program_says_over_its_socket_comes_with_who_it_is() {
    let mut bed = Bed::new(TreeMode::Auto);
    let path = bed.folder.path().join("notify");
    bed.system.add_socket(Token(900), NotifySocket::bind(&path).unwrap()).unwrap();
    let script = "import os,socket; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(b'READY=1',os.environ['NOTIFY_SOCKET']); print(os.getpid())";
    let mut program = bed.program(&["python3", "-c", script]);
    program.environment.push(("NOTIFY_SOCKET".into(), path.into_os_string()));
    let token = bed.spawn(&program);
    let sender = bed.wait_for(|event| match event {
        OsEvent::Notified { token, datagram } if *token == Token(900) => Some((datagram.bytes.clone(), datagram.pid)),
        _ => None,
    });
    let ended = bed.end_of(token);
    assert_eq!(sender, (b"READY=1".to_vec(), ended.tail.trim().parse().unwrap()));
}

#[test]
fn what_a_program_said_comes_before_its_end_though_another_has_to_be_reaped() {
    let mut bed = Bed::new(TreeMode::Auto);
    let path = bed.folder.path().join("notify");
    bed.system.add_socket(Token(900), NotifySocket::bind(&path).unwrap()).unwrap();
    let script = "import os, socket, time\n\
                  while not os.path.exists('go'): time.sleep(0.01)\n\
                  socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])";
    let mut program = bed.program(&["python3", "-c", script]);
    program.environment.push(("NOTIFY_SOCKET".into(), path.into_os_string()));
    let (talks, pid) = bed.start(&program);
    bed.run(&bed.program(&["true"]));
    std::fs::write(bed.folder.path().join("go"), "").unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while crate::bed::lives(pid) {
        assert!(std::time::Instant::now() < end, "it has not ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let said = bed.wait_for(|event| match event {
        OsEvent::Notified { .. } => Some(true),
        OsEvent::Exited { token, .. } if *token == talks => Some(false),
        _ => None,
    });
    assert!(said, "its end was told first");
    bed.end_of(talks);
}

#[test]
fn in_peace_nothing_is_told_of_a_start_until_the_program_has_ended() {
    let mut bed = Bed::new(TreeMode::Auto);
    let wait_in_peace = |bed: &mut Bed, enough: &dyn Fn(&OsEvent) -> bool| {
        let mut events = Vec::new();
        for _ in 0..200 {
            bed.system.wait_in_peace(std::time::Duration::from_millis(100), &mut events).unwrap();
            if events.iter().any(enough) {
                break;
            }
        }
        events
    };
    let ends = bed.spawn(&bed.program(&["true"]));
    let events = wait_in_peace(&mut bed, &|event| matches!(event, OsEvent::Exited { .. }));
    let [OsEvent::Started { token, .. }, OsEvent::Exited { token: ended, .. }] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((token, ended), (ends, ends));
    bed.spawn(&bed.program(&["no-such-program"]));
    let events = wait_in_peace(&mut bed, &|event| matches!(event, OsEvent::StartFailed { .. }));
    assert!(matches!(events[..], [OsEvent::StartFailed { .. }]), "{events:?}");
    let stays = bed.spawn(&bed.program(&["sleep", "1000"]));
    let mut events = Vec::new();
    bed.system.wait_in_peace(std::time::Duration::from_millis(100), &mut events).unwrap();
    assert!(events.is_empty(), "{events:?}");
    bed.wait_for(|event| matches!(event, OsEvent::Started { token, .. } if *token == stays).then_some(()));
}

#[test]
fn a_signal_for_what_has_ended_reaches_nobody() {
    for trees in BOTH {
        let mut bed = Bed::new(trees);
        let token = bed.spawn(&bed.shell("sleep 1000 &"));
        assert_eq!(bed.end_of(token).tree, TreeState::Alive);
        let gone = Earlier { pid: 4_194_305, start_time: 1, first: None, folder: bed.system.folder(token) };
        let adopted = bed.system.adopt(Token(50), &Bed::place("main"), 2, &gone).unwrap();
        assert_eq!(adopted, menshen_os::system::Adopted::Ended { exit: Exit::Unknown, tree: TreeState::Alive });
        // Whoever is signalled ends of it, this process, too.
        bed.system.signal(Token(50), Target::Main, menshen_os::signal::number("SIGUSR1").unwrap());
        bed.system.kill(Token(50), Target::Tree);
        bed.wait_empty(Token(50));
    }
}

#[test]
fn a_wait_without_anything_to_wait_for_ends_with_its_time_or_the_waker() {
    let mut bed = Bed::new(TreeMode::Auto);
    let mut events = Vec::new();
    bed.system.wait(Some(std::time::Duration::from_millis(1)), &mut events).unwrap();
    let waker = bed.system.waker();
    std::thread::spawn(move || waker.wake());
    bed.system.wait(None, &mut events).unwrap();
    assert!(events.is_empty());
}

#[test]
fn a_hundred_short_programs_are_all_reported() {
    let mut bed = Bed::new(TreeMode::Auto);
    let tokens: Vec<Token> = (0..100).map(|number| bed.spawn(&bed.shell(&format!("exit {}", number % 50)))).collect();
    let mut ended = std::collections::BTreeMap::new();
    while ended.len() < tokens.len() {
        let (token, exit) = bed.wait_for(|event| match event {
            OsEvent::Exited { token, exit, .. } => Some((*token, *exit)),
            _ => None,
        });
        ended.insert(token, exit);
    }
    for (number, token) in (0..).zip(&tokens) {
        assert_eq!(ended[token], Exit::Code(number % 50));
    }
}

#[test]
fn an_adopted_process_is_looked_after_like_one_of_our_own() {
    // A process that is the child of another, which also reaps it: an earlier guard's, as far as we are concerned. Whoever
    // has a system holds the signal without which no shell reaps anything, and so would what it starts as any program does.
    let mut parent = std::process::Command::new("sh")
        .args(["-c", "sh -c 'sleep 1; exit 3' & echo $!; wait"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut bed = Bed::new(TreeMode::Walk);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line).unwrap();
    let pid: u32 = line.trim().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let adopted = bed
        .system
        .adopt(Token(50), &Bed::place("main"), 1, &Earlier { pid, start_time: start, first: None, folder: None })
        .unwrap();
    assert_eq!(adopted, menshen_os::system::Adopted::Alive);
    assert_eq!(bed.end_of(Token(50)).exit, Exit::Code(3), "the kernel remembers the exit of what others reaped");
    bed.until("its parent has reaped it", |_| !std::path::Path::new(&format!("/proc/{pid}")).exists());
    let gone = bed
        .system
        .adopt(Token(51), &Bed::place("main"), 1, &Earlier { pid, start_time: start, first: None, folder: None })
        .unwrap();
    let menshen_os::system::Adopted::Ended { exit: Exit::Unknown, tree } = gone else { panic!("{gone:?}") };
    bed.await_empty(Token(51), tree);
    // The system reaps every child of this process, so there may be nothing left to wait for.
    let _ = parent.wait();
}

/// A shell with a child that ends with 3 when it is told to, and the number of that child; what the shell does then is given.
fn parent_of_one(then: &str) -> (std::process::Child, u32) {
    let mut parent = std::process::Command::new("sh")
        .args(["-c", &format!("exec 3<&0; sh -c 'read line; exit 3' <&3 & echo $!; {then}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.stdout.take().unwrap()), &mut line).unwrap();
    (parent, line.trim().parse().unwrap())
}

#[test]
fn what_has_ended_and_was_not_reaped_is_not_adopted_as_alive() {
    // Its parent lives and reaps nothing, from the moment that it is no shell any more: the child ends when it is told to.
    let (mut parent, pid) = parent_of_one("exec sleep 1000");
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut bed = Bed::new(TreeMode::Walk);
    let comm = format!("/proc/{}/comm", parent.id());
    bed.until("its parent is no shell", |_| std::fs::read_to_string(&comm).unwrap() == "sleep\n");
    std::io::Write::write_all(parent.stdin.as_mut().unwrap(), b"end\n").unwrap();
    bed.until("it waits to be reaped", |_| stat().contains(") Z "));
    let start_time: u64 = stat().rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let adopted = bed
        .system
        .adopt(Token(50), &Bed::place("main"), 1, &Earlier { pid, start_time, first: None, folder: None })
        .unwrap();
    let menshen_os::system::Adopted::Ended { exit: Exit::Code(3), tree } = adopted else { panic!("{adopted:?}") };
    bed.await_empty(Token(50), tree);
    parent.kill().unwrap();
    // The system reaps every child of this process, so there may be nothing left to wait for.
    let _ = parent.wait();
}

#[test]
fn a_process_that_cannot_be_looked_at_for_lack_of_descriptors_is_not_taken_for_ended() {
    let limit =
        |current: u64| setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..getrlimit(Resource::Nofile) });
    let enough = getrlimit(Resource::Nofile).current.unwrap();
    for trees in BOTH {
        let mut bed = Bed::new(trees);
        let (token, pid) = bed.start(&bed.program(&["sleep", "1000"]));
        let start_time = bed.system.start_time(token).unwrap();
        let earlier = Earlier { pid, start_time, first: None, folder: bed.system.folder(token) };
        let mut next = bed.namesake("", bed.config.run_folder.to_str().unwrap());
        // Each one that is lacking is lacking once.
        let mut refused = 0;
        let adopted = (3..enough).find_map(|files| {
            limit(files).unwrap();
            let adopted = next.system.adopt(Token(50), &Bed::place("main"), 1, &earlier);
            let lives = next.system.lives(&earlier);
            limit(enough).unwrap();
            assert!(lives);
            refused += u32::from(adopted.as_ref().is_err_and(is_shortage));
            adopted.ok()
        });
        assert_eq!(adopted, Some(menshen_os::system::Adopted::Alive));
        assert!(refused > 1, "{refused}");
        next.system.kill(Token(50), Target::Tree);
        assert_eq!(next.end_of(Token(50)).exit, Exit::Signal(9));
    }
}

/// How many ledgers of this process have a row of another.
fn rows_of(pid: u32) -> usize {
    /// As a row is in memory: which program, which run of it, the process, its descriptor.
    const ROW_BYTES: usize = 24;
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path());
    let is_ledger =
        |path: &PathBuf| std::fs::read_link(path).is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:ledger"));
    let rows = open.filter(is_ledger).flat_map(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.chunks_exact(ROW_BYTES).map(|row| row[16..20].to_vec()).collect::<Vec<_>>()
    });
    rows.filter(|row| *row == pid.to_ne_bytes()).count()
}

#[test]
fn what_cannot_be_looked_at_yet_is_held_for_the_next_and_handed_over_as_what_runs_is() {
    // Who reaps it is no guard.
    let (mut parent, pid) = parent_of_one("wait");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start_time: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let earlier = Earlier { pid, start_time, first: None, folder: None };
    let place = Bed::place("main");
    let mut bed = Bed::new(TreeMode::Walk);
    bed.system.adopt(Token(50), &place, 7, &earlier).unwrap();
    let mut next = bed.namesake("", bed.config.run_folder.to_str().unwrap());
    let strangers = bed.system.strangers();
    let held: Vec<_> = strangers.iter().map(|(process, _)| *process).collect();
    assert_eq!((held.len(), held[0].run, held[0].pid), (1, 7, pid));
    next.system.take_strangers(
        strangers.iter().map(|(process, pidfd)| (*process, pidfd.try_clone_to_owned().unwrap())).collect(),
    );
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
    let missed = next.system.adopt(Token(50), &place, 7, &earlier);
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(missed.as_ref().is_err_and(is_shortage), "{missed:?}");
    assert_eq!(rows_of(pid), 2, "one for each of the two");
    let handed: Vec<_> = next.system.strangers().into_iter().map(|(process, _)| process).collect();
    assert_eq!(handed, held);

    drop(parent.stdin.take());
    next.until("it is gone", |_| !std::fs::exists(format!("/proc/{pid}")).unwrap());
    let adopted = next.system.adopt(Token(50), &place, 7, &earlier).unwrap();
    assert!(matches!(adopted, menshen_os::system::Adopted::Ended { .. }), "{adopted:?}");
    assert_eq!(next.system.strangers().len(), 0, "it has been looked at");
    // The system reaps every child of this process, so there may be nothing left to wait for.
    let _ = parent.wait();
}

#[test]
fn a_recycled_number_is_never_adopted() {
    let mut bed = Bed::new(TreeMode::Walk);
    let me = std::process::id();
    let adopted = bed
        .system
        .adopt(Token(50), &Bed::place("main"), 1, &Earlier { pid: me, start_time: 1, first: None, folder: None })
        .unwrap();
    assert!(matches!(adopted, menshen_os::system::Adopted::Ended { .. }));
    bed.system.kill(Token(50), Target::Tree);
}
