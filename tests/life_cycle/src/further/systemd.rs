//! What only systemd has. Each step installs what it needs and leaves nothing behind.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use menshen::service::registration::{
    Account, Children, Dependency, HardeningLevel, Listen, Registration, Reload, RestartPolicy, Socket, StartType,
};
use menshen::service::status::Exit;
use menshen::service::{Deadline, ManagerError, Outcome, ServiceName, State, Verb};

use crate::program::{WEB, Way};
use crate::sample::Noted;
use crate::suite::{Came, Steps, World, held, nothing_is_left, told};
use crate::until::{DEADLINE, until_some};

pub(crate) const STEPS: Steps = &[
    ("each state is shown as what it is", states),
    ("one that says that it is well lives on", a_fed_watchdog),
    ("one that does not is killed", a_missed_watchdog),
    ("a start that takes too long has failed", a_start_that_takes_too_long),
    ("what is not done by a deadline is not waited for", a_deadline),
    ("the wait between restarts grows", growing_waits),
    ("its sockets are opened for it, and stay open while it is restarted", sockets),
    ("whoever connects starts it", activation),
    ("what hardening takes away is taken away", hardening),
    ("it runs as the user, with the files it was granted", account),
    ("what it depends on is started before", dependencies),
    ("what it looks after itself is left alone", kept_children),
    ("a program whose path is strange is executed", strange_paths),
    ("what systemd does not take is not installed", mistakes),
    ("a delayed start is a start at boot", delayed_start),
    ("what is disabled is started by nobody", disabled_start),
    ("what somebody else made is left alone", foreign_units),
    ("what is masked is disabled", masked),
    ("what runs and cannot be removed runs again", a_removal_that_fails),
    ("nothing is left behind", nothing_is_left),
];

const INTERVAL: Duration = Duration::from_secs(1);
/// Of a watchdog that is fed: so long that a busy machine is no reason to starve it.
const FED_INTERVAL: Duration = Duration::from_secs(8);
const ABORTED: i32 = 6;
const PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 17007);
const SOCKET: &str = "/run/menshen-life-cycle.sock";

impl World<'_> {
    fn asked(&self, way: Way) -> Registration {
        self.sample.registration(self.manager, self.abilities, way)
    }

    fn install(&self, registration: &Registration) -> Result<(), String> {
        let outcome = self.manager.install(registration).map_err(told)?;
        held(outcome == Outcome::Changed, || format!("{outcome:?}"))?;
        let differences = self.manager.diff(registration).map_err(told)?;
        held(differences.is_empty(), || format!("{differences:?}"))
    }

    fn install_and_start(&self, registration: &Registration) -> Result<Noted, String> {
        let runs = self.runs()?;
        self.install(registration)?;
        self.act(Verb::Start)?;
        let run = self.sample.await_run(runs + 1)?;
        self.await_running(&run)?;
        Ok(run)
    }

    fn remove(&self) -> Came {
        self.manager.uninstall(&self.sample.name).map_err(told)?;
        self.expect_tree_gone()?;
        nothing_is_left(self)
    }

    fn unit(&self) -> String {
        format!("{}.service", self.sample.name)
    }
}

fn states(world: &World<'_>) -> Came {
    // While something is being done to it.
    let seen_while = |verb: Verb, state: State| {
        std::thread::scope(|threads| {
            let told = threads.spawn(|| world.manager.act(&world.sample.name, verb));
            let seen = world.manager.wait_for(&world.sample.name, state, DEADLINE).map_err(self::told);
            if state == State::Starting {
                world.act(Verb::Stop)?;
            }
            let told = told.join().map_err(|_| format!("{verb} has panicked"))?;
            Ok::<_, String>((seen?, told))
        })
    };
    let mut asked = world.asked(Way::NeverReady);
    asked.start_timeout = Some(2 * DEADLINE);
    world.install(&asked)?;
    let (starting, told) = seen_while(Verb::Start, State::Starting)?;
    held(starting.pid.is_some() && told.is_err(), || format!("{starting:?}, {told:?}"))?;
    world.expect_state(State::Stopped)?;
    let slowly = vec!["/bin/sleep".to_owned(), "2".to_owned()];
    let mut asked = world.asked(Way::Work);
    asked.reload = Some(Reload::Command(slowly.clone()));
    asked.stop_command = Some(slowly);
    let run = world.install_and_start(&asked)?;
    for (verb, state) in [(Verb::Reload, State::Reloading), (Verb::Stop, State::Stopping)] {
        let (status, told) = seen_while(verb, state)?;
        held(status.pid == Some(run.pid) && told.is_ok(), || format!("{status:?}, {told:?}"))?;
    }
    world.expect_state(State::Stopped)?;
    world.remove()
}

fn a_fed_watchdog(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Work);
    asked.watchdog = Some(FED_INTERVAL);
    let run = world.install_and_start(&asked)?;
    let end = Instant::now() + 2 * FED_INTERVAL;
    until_some("it has lived for two intervals", || {
        let status = world.status()?;
        let is_well = status.state == State::Running && status.pid == Some(run.pid);
        held(is_well, || format!("{status:?}"))?;
        Ok((Instant::now() >= end).then_some(()))
    })?;
    match world.manager.act(&world.sample.name, Verb::Pause) {
        Err(ManagerError::CannotAct { verb: Verb::Pause, .. }) => {}
        other => return Err(format!("a pause would have it killed, and what was said is {other:?}")),
    }
    world.remove()
}

fn a_missed_watchdog(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Silent);
    asked.watchdog = Some(INTERVAL);
    asked.restart.policy = RestartPolicy::Never;
    world.install_and_start(&asked)?;
    let failed = until_some("it is killed", || {
        let status = world.status()?;
        held(status.state != State::Stopped, || format!("{status:?}"))?;
        Ok((status.state == State::Failed).then_some(status))
    })?;
    held(failed.exit == Some(Exit::Signal(ABORTED)), || format!("{failed:?}"))?;
    asked.restart.policy = RestartPolicy::OnFailure;
    let first = world.install_and_start(&asked)?;
    let runs = world.runs()?;
    let second = world.sample.await_run(runs + 1)?;
    held(second.pid != first.pid, || format!("{first:?} is {second:?}"))?;
    world.remove()
}

fn a_start_that_takes_too_long(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::NeverReady);
    asked.start_timeout = Some(INTERVAL);
    asked.restart.policy = RestartPolicy::Never;
    world.install(&asked)?;
    let began = Instant::now();
    match world.manager.act(&world.sample.name, Verb::Start) {
        Err(error @ ManagerError::Call { .. }) if error.to_string().contains("timeout") => {}
        other => return Err(format!("it never is ready, and what was said is {other:?}")),
    }
    held(began.elapsed() >= INTERVAL, || "it was not waited for".to_owned())?;
    let status = world.expect_state(State::Failed)?;
    held(status.pid.is_none(), || format!("{status:?}"))?;
    world.act(Verb::Stop)?;
    world.expect_state(State::Stopped)?;
    world.remove()
}

fn a_deadline(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::NeverReady);
    asked.start_timeout = Some(4 * DEADLINE);
    world.install(&asked)?;
    let begin = |verb: Verb| world.manager.act_by(&world.sample.name, verb, Deadline::after(INTERVAL));
    let expect = |verb: Verb, wanted: State, job: &str| match begin(verb) {
        Err(ManagerError::Overdue { verb: told, within, state, doing: Some(doing), .. })
            if (told, within, state) == (verb, INTERVAL, wanted)
                && doing.contains(&format!("its job {job} is running")) =>
        {
            Ok(doing)
        }
        other => Err(format!("{verb} takes for ever, and what was said is {other:?}")),
    };
    let starting = expect(Verb::Start, State::Starting, "start")?;
    world.expect_state(State::Starting)?;
    world.act(Verb::Stop)?;
    let mut asked = world.asked(Way::Work);
    asked.stop_timeout = Some(4 * DEADLINE);
    asked.stop_command = Some(vec!["/bin/sleep".to_owned(), "3600".to_owned()]);
    world.install_and_start(&asked)?;
    let stopping = expect(Verb::Stop, State::Stopping, "stop")?;
    run_ok(&["systemctl", "kill", "--kill-whom=control", &world.unit()])?;
    // A stop whose command was killed has failed.
    world.manager.wait_for(&world.sample.name, State::Failed, DEADLINE).map_err(told)?;
    world.act(Verb::Stop)?;
    world.remove()?;
    Ok(Some(format!("{starting}; {stopping}")))
}

/// A file that something is mounted on can be removed by nobody.
fn a_removal_that_fails(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Work);
    let socket = |name: &str, listen| Socket { name: name.to_owned(), listen };
    asked.sockets = vec![socket("web", Listen::Tcp(PORT)), socket("local", Listen::Local(SOCKET.into()))];
    let run = world.install_and_start(&asked)?;
    let held_back = |unit: &str, doing: &dyn Fn() -> Result<(), ManagerError>| {
        let file = format!("/etc/systemd/system/{unit}");
        run_ok(&["mount", "--bind", &file, &file])?;
        let came = doing();
        run_ok(&["umount", &file])?;
        came.err().ok_or_else(|| format!("{unit} cannot be removed, and was"))
    };
    let unit = format!("{}:local.socket", world.sample.name);
    let is_as_before = || {
        let differences = world.manager.diff(&asked).map_err(told)?;
        held(differences.is_empty(), || format!("{differences:?}"))?;
        let state = property(&unit, "ActiveState")?;
        let listens = Path::new(SOCKET).exists() && TcpStream::connect(PORT).is_ok();
        held(listens && state == "active", || format!("a socket is not open any more; {unit} is {state}"))
    };
    let mut fewer = asked.clone();
    fewer.sockets.truncate(1);
    let failed = held_back(&unit, &|| world.manager.install(&fewer).map(drop))?;
    // systemd opens no socket of a service that runs.
    let is_told = matches!(&failed, ManagerError::LeftBehind { left, .. } if left.len() == 1 && left[0].contains("only when its service is restarted"));
    held(is_told, || format!("{failed:?}"))?;
    world.await_running(&run)?;
    let runs = world.runs()?;
    world.act(Verb::Restart)?;
    world.sample.await_run(runs + 1)?;
    is_as_before()?;

    let runs = world.runs()?;
    let failed = held_back(&world.unit(), &|| world.manager.uninstall(&world.sample.name))?;
    held(matches!(failed, ManagerError::File { .. }), || format!("{failed:?}"))?;
    let again = world.sample.await_run(runs + 1)?;
    world.await_running(&again)?;
    is_as_before()?;
    let start = world.status()?.start;
    held(start == Some(StartType::Auto), || format!("at boot it is started {start:?}"))?;
    world.remove()
}

fn growing_waits(world: &World<'_>) -> Came {
    const RESTARTS: u32 = 4;
    let mut asked = world.asked(Way::Fail);
    asked.restart.delay = Duration::from_millis(100);
    asked.restart.delay_max = Some(Duration::from_secs(60));
    asked.restart.steps = Some(RESTARTS);
    world.install(&asked)?;
    let runs = world.runs()?;
    // It fails before it is ready.
    drop(world.manager.act(&world.sample.name, Verb::Start));
    world.sample.await_run(runs + 3)?;
    let next = until_some("it waits", || {
        let is_waiting = world.status()?.state == State::Backoff;
        let wait = property(&world.unit(), "RestartUSecNext")?;
        Ok(is_waiting.then_some(wait))
    })?;
    held(next.ends_with('s') && !next.contains("ms"), || format!("the wait after three failures is {next}"))?;
    world.act(Verb::Stop)?;
    world.remove()
}

fn sockets(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Work);
    let socket = |name: &str, listen| Socket { name: name.to_owned(), listen };
    asked.sockets = vec![socket(WEB, Listen::Tcp(PORT)), socket("local", Listen::Local(SOCKET.into()))];
    world.install(&asked)?;
    held(TcpStream::connect(PORT).is_err(), || "it is installed, and something listens".to_owned())?;
    let first = {
        let runs = world.runs()?;
        world.act(Verb::Start)?;
        world.sample.await_run(runs + 1)?
    };
    is_answered_by(&connect()?, &first)?;
    // Neither it nor its children see what was said to it.
    held(!first.environment.keys().any(|name| name.starts_with("LISTEN_")), || format!("{first:?}"))?;
    let inodes = |run: &Noted| {
        let links = [3, 4].map(|number| fs::read_link(format!("/proc/{}/fd/{number}", run.pid)).ok());
        let are_sockets =
            links.iter().all(|link| link.as_ref().is_some_and(|link| link.to_string_lossy().starts_with("socket:")));
        are_sockets.then_some(links)
    };
    let before = inodes(&first).ok_or_else(|| "the descriptors are no sockets".to_owned())?;
    for child in children_of(first.pid)? {
        let open = run(&["ls", "-l", &format!("/proc/{child}/fd")])?;
        let inherited = before.iter().flatten().any(|socket| open.contains(&*socket.to_string_lossy()));
        held(!inherited, || format!("its child has its sockets: {open}"))?;
    }
    let runs = world.runs()?;
    world.act(Verb::Restart)?;
    let second = world.sample.await_run(runs + 1)?;
    held(inodes(&second).as_ref() == Some(&before), || format!("{before:?} are {:?}", inodes(&second)))?;
    is_answered_by(&connect()?, &second)?;
    world.act(Verb::Stop)?;
    world.expect_state(State::Stopped)?;
    held(TcpStream::connect(PORT).is_err(), || "it is stopped, and whoever connects would start it".to_owned())?;
    held(!Path::new(SOCKET).exists(), || format!("{SOCKET} is left"))?;
    sockets_of_a_running_service(world, asked)
}

fn connect() -> Result<TcpStream, String> {
    TcpStream::connect(PORT).map_err(|error| error.to_string())
}

/// Whoever connected is told by that run which process it is.
fn is_answered_by(mut waiting: &TcpStream, run: &Noted) -> Result<(), String> {
    let mut answer = String::new();
    waiting.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
    waiting.read_to_string(&mut answer).map_err(|error| format!("nobody answers: {error}"))?;
    held(answer == run.pid.to_string(), || format!("{answer:?} answers and not {run:?}"))
}

/// A start by hand alone, and a socket that is opened: whoever connects first starts it, and is answered.
fn activation(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Work);
    asked.start = StartType::Manual;
    asked.sockets = vec![Socket { name: WEB.to_owned(), listen: Listen::Tcp(PORT) }];
    world.install(&asked)?;
    let runs = world.runs()?;
    run_ok(&["systemctl", "start", &format!("{}:{WEB}.socket", world.sample.name)])?;
    world.expect_state(State::Stopped)?;
    held(world.runs()? == runs, || "nobody connected, and it was started".to_owned())?;
    let waiting = connect()?;
    let run = world.sample.await_run(runs + 1)?;
    is_answered_by(&waiting, &run)?;
    world.await_running(&run)?;
    world.act(Verb::Stop)?;
    world.remove()
}

/// An edit that takes one away leaves nothing of it, and what runs runs on.
fn sockets_of_a_running_service(world: &World<'_>, mut asked: Registration) -> Came {
    let runs = world.runs()?;
    world.act(Verb::Start)?;
    let run = world.sample.await_run(runs + 1)?;
    asked.sockets.truncate(1);
    world.install(&asked)?;
    world.await_running(&run)?;
    held(!Path::new(SOCKET).exists(), || format!("{SOCKET} is left"))?;
    // Somebody waits, and would have it started again.
    let _waiting = TcpStream::connect(PORT).map_err(|error| error.to_string())?;
    world.act(Verb::Stop)?;
    // Whoever has the place first has it.
    let _other = TcpListener::bind(PORT).map_err(|error| error.to_string())?;
    let refused = world.manager.act(&world.sample.name, Verb::Start);
    held(matches!(refused, Err(ManagerError::Call { .. })), || format!("somebody else listens there: {refused:?}"))?;
    world.expect_state(State::Stopped)?;
    world.remove()
}

fn hardening(world: &World<'_>) -> Came {
    let mut exposures = Vec::new();
    for level in [HardeningLevel::None, HardeningLevel::Standard, HardeningLevel::Strict] {
        let mut asked = world.asked(Way::WorkWithStubbornChild);
        asked.hardening.level = level;
        asked.hardening.writable = vec![world.sample.folder.clone()];
        let run = world.install_and_start(&asked)?;
        exposures.push(exposure(&world.unit())?);
        for folder in ["/usr", "/etc"] {
            let trial = format!("{folder}/menshen-life-cycle-trial");
            let is_writable = in_the_mounts_of(run.pid, &["sh", "-c", ": > \"$0\" && rm \"$0\"", &trial])?;
            let expected = level == HardeningLevel::None;
            held(is_writable == expected, || format!("{level:?}: {folder} can be written to: {is_writable}"))?;
        }
        world.manager.uninstall(&world.sample.name).map_err(told)?;
    }
    let is_ordered = exposures.windows(2).all(|pair| pair[0] > pair[1]);
    held(is_ordered, || format!("{exposures:?}"))?;
    Ok(Some(format!("exposure none {}, standard {}, strict {}", exposures[0], exposures[1], exposures[2])))
}

fn account(world: &World<'_>) -> Came {
    const FILES: u64 = 1234;
    // `nobody` has to write its notes.
    let open = |command: &[&str]| run(command).map(drop);
    let folder = world.sample.folder.to_string_lossy().into_owned();
    open(&["chown", "-R", "nobody", &folder])?;
    let mut asked = world.asked(Way::Work);
    asked.account = Account::User { name: "nobody".to_owned(), group: Some("nogroup".to_owned()), password: None };
    asked.open_files = Some(FILES);
    let run = world.install_and_start(&asked)?;
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid)).map_err(|error| error.to_string())?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    held(uid.split_whitespace().all(|uid| uid == "65534"), || format!("it runs as {uid}"))?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", run.pid)).map_err(|error| error.to_string())?;
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    held(files.contains(&FILES.to_string()), || files.to_owned())?;
    let came = world.remove()?;
    open(&["chown", "-R", "root", &folder])?;
    Ok(came)
}

fn dependencies(world: &World<'_>) -> Came {
    let name: ServiceName = format!("{}-db", world.sample.name).parse().map_err(|error| format!("{error:?}"))?;
    let folder = world.sample.folder.join("db");
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    let database = crate::sample::Sample { program: world.sample.program.clone(), folder: folder.clone(), name };
    let mut other = database.registration(world.manager, world.abilities, Way::Work);
    other.start = StartType::Manual;
    world.manager.install(&other).map_err(told)?;
    let mut asked = world.asked(Way::Work);
    asked.depends_on = vec![Dependency::Service(database.name.to_string()), Dependency::Network];
    let missing = || world.manager.missing_dependencies(&asked).map_err(told);
    held(missing()?.is_empty(), || "what it depends on is there, and is missed".to_owned())?;
    world.install_and_start(&asked)?;
    let status = world.manager.status(&database.name).map_err(told)?;
    let is_up = status.state == State::Running && status.start == Some(StartType::Manual);
    held(is_up, || format!("what it depends on is {status:?}"))?;
    world.manager.uninstall(&world.sample.name).map_err(told)?;
    world.manager.uninstall(&database.name).map_err(told)?;
    held(missing()? == [database.name.to_string()], || format!("it is gone, and what is missed is {:?}", missing()))?;
    fs::remove_dir_all(folder).map_err(|error| error.to_string())?;
    nothing_is_left(world)
}

fn kept_children(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::WorkWithStubbornChild);
    asked.children = Children::Kept;
    let run = world.install_and_start(&asked)?;
    let child = children_of(run.pid)?;
    world.act(Verb::Stop)?;
    world.expect_state(State::Stopped)?;
    let living = world.sample.living()?;
    held(living == [crate::program::CHILD_LOCK], || format!("{living:?} lives"))?;
    for pid in child {
        run_ok(&["kill", "-9", &pid])?;
    }
    until_some("the child has ended", || Ok(world.sample.living()?.is_empty().then_some(())))?;
    world.remove()
}

fn strange_paths(world: &World<'_>) -> Came {
    let folder = world.sample.folder.join("a 'strange' \"folder\" %n $HOME \\ 门");
    fs::create_dir(&folder).map_err(|error| error.to_string())?;
    for name in ["plain", "100% a program", "it's $5 \\ \"quoted\""] {
        let program = folder.join(name);
        fs::copy(&world.sample.program, &program).map_err(|error| error.to_string())?;
        let mut asked = world.asked(Way::Work);
        asked.program = program.clone();
        let run = world.install_and_start(&asked)?;
        held(run.arguments == asked.arguments, || format!("{:?} arrived as {:?}", asked.arguments, run.arguments))?;
        let executed = fs::read_link(format!("/proc/{}/exe", run.pid)).map_err(|error| error.to_string())?;
        held(executed == program, || format!("{executed:?} is executed and not {program:?}"))?;
        world.manager.uninstall(&world.sample.name).map_err(told)?;
    }
    fs::remove_dir_all(folder).map_err(|error| error.to_string())?;
    nothing_is_left(world)
}

/// systemd does not execute what is in a folder that is not one.
fn mistakes(world: &World<'_>) -> Came {
    let mut wrong = world.asked(Way::Work);
    wrong.program = "/usr/bin/".into();
    let refused = || {
        let installed = world.manager.install(&wrong);
        held(matches!(installed, Err(ManagerError::Call { .. })), || format!("{installed:?}"))
    };
    refused()?;
    world.expect_state(State::NotInstalled)?;
    nothing_is_left(world)?;
    // Neither is what works exchanged for it.
    let run = world.install_and_start(&world.asked(Way::Work))?;
    refused()?;
    world.await_running(&run)?;
    let differences = world.manager.diff(&world.asked(Way::Work)).map_err(told)?;
    held(differences.is_empty(), || format!("{differences:?}"))?;
    world.remove()
}

fn delayed_start(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Work);
    asked.start = StartType::Delayed;
    world.install(&asked)?;
    let expect = |start: StartType| {
        let status = world.expect_state(State::Stopped)?;
        held(status.start == Some(start), || format!("{start:?}: {status:?}"))
    };
    expect(StartType::Delayed)?;
    world.act(Verb::Disable)?;
    expect(StartType::Manual)?;
    world.act(Verb::Enable)?;
    expect(StartType::Delayed)?;
    for start in [StartType::Auto, StartType::Manual, StartType::Delayed] {
        asked.start = start;
        world.install(&asked)?;
        expect(start)?;
    }
    world.remove()
}

fn disabled_start(world: &World<'_>) -> Came {
    let mut asked = world.asked(Way::Work);
    asked.start = StartType::Disabled;
    world.install(&asked)?;
    let expect = |start: StartType| {
        let status = world.expect_state(State::Stopped)?;
        held(status.start == Some(start), || format!("{start:?}: {status:?}"))
    };
    expect(StartType::Disabled)?;
    match world.manager.act(&world.sample.name, Verb::Start) {
        Err(ManagerError::CannotAct { verb: Verb::Start, .. }) => {}
        other => return Err(format!("it is disabled, and what was said is {other:?}")),
    }
    held(run(&["systemctl", "start", &world.unit()]).is_err(), || "systemctl started it".to_owned())?;
    expect(StartType::Disabled)?;
    world.act(Verb::Enable)?;
    expect(StartType::Auto)?;
    asked.start = StartType::Manual;
    world.install_and_start(&asked)?;
    world.act(Verb::Stop)?;
    expect(StartType::Manual)?;
    // What runs is left alone by an edit.
    world.act(Verb::Start)?;
    asked.start = StartType::Disabled;
    world.install(&asked)?;
    held(world.status()?.state == State::Running, || "an edit stopped it".to_owned())?;
    world.remove()
}

fn foreign_units(world: &World<'_>) -> Came {
    let path = PathBuf::from("/etc/systemd/system").join(world.unit());
    let theirs = "[Service]\nExecStart=/bin/sleep 3600\n";
    fs::write(&path, theirs).map_err(|error| error.to_string())?;
    let refused =
        [world.manager.install(&world.asked(Way::Work)).map(drop), world.manager.uninstall(&world.sample.name)];
    for came in refused {
        held(matches!(came, Err(ManagerError::Foreign { .. })), || format!("{came:?}"))?;
    }
    let there = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    held(there == theirs, || there.clone())?;
    fs::remove_file(&path).map_err(|error| error.to_string())?;
    run_ok(&["systemctl", "daemon-reload"])?;
    nothing_is_left(world)
}

fn masked(world: &World<'_>) -> Came {
    run_ok(&["systemctl", "mask", &world.unit()])?;
    let status = world.expect_state(State::Stopped)?;
    held(status.start == Some(StartType::Disabled), || format!("{status:?}"))?;
    let started = world.manager.act(&world.sample.name, Verb::Start);
    held(started.is_err(), || "it is masked and was started".to_owned())?;
    let installed = world.manager.install(&world.asked(Way::Work));
    held(matches!(installed, Err(ManagerError::Foreign { .. })), || format!("{installed:?}"))?;
    run_ok(&["systemctl", "unmask", &world.unit()])?;
    let status = world.manager.wait_for(&world.sample.name, State::NotInstalled, DEADLINE).map_err(told)?;
    held(status.start.is_none(), || format!("{status:?}"))?;
    Ok(None)
}

fn property(unit: &str, name: &str) -> Result<String, String> {
    Ok(run(&["systemctl", "show", "--value", "--property", name, unit])?.trim().to_owned())
}

/// How much a service could do, from 0 to 10.
fn exposure(unit: &str) -> Result<f64, String> {
    let told = run(&["systemd-analyze", "security", "--no-pager", unit])?;
    let last = told.lines().rev().find(|line| line.contains("Overall exposure level")).unwrap_or_default();
    let words = last.rsplit(": ").next().unwrap_or_default();
    let number = words.split_whitespace().next().unwrap_or_default();
    number.parse().map_err(|error| format!("{last}: {error}"))
}

/// Whether a command succeeds where a process has its file systems.
fn in_the_mounts_of(pid: u32, words: &[&str]) -> Result<bool, String> {
    let target = pid.to_string();
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &target]).args(words);
    let output = command.output().map_err(|error| error.to_string())?;
    Ok(output.status.success())
}

/// Each is that of the thread that started it.
fn children_of(pid: u32) -> Result<Vec<String>, String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    let children = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<String> =
        children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    held(!children.is_empty(), || format!("{pid} has no child"))?;
    Ok(children)
}

fn run_ok(words: &[&str]) -> Result<(), String> {
    run(words).map(drop)
}

fn run(words: &[&str]) -> Result<String, String> {
    let shell = ["sh", "-c", "\"$@\"", "sh"];
    let output = Command::new(shell[0]).args(&shell[1..]).args(words).output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(format!("{words:?}: {}", text(&output.stderr))) }
}
