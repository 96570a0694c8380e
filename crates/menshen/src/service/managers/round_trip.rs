//! What is rendered is read back the way a manager reads it, and must be what was asked for, whatever was asked for.
//!
//! Scripts are run by a real shell. Where they would ask their manager something, a program of the test's own stands in its
//! place: what is looked at is what the shell makes of the words.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tempfile::TempDir;

use crate::service::plan::{Plan, Step};
use crate::service::registration::{Dependency, Registration, Reload, RestartPolicy};
use crate::service::{ManagerKind, ServiceManager};

/// POSIX has no `ulimit -n`; every shell that is a system's `sh` has it. What another shell is to expand is no mistake.
const BUT: &str = "--exclude=SC3045,SC2016";
/// How many of everything a shell is started for.
const CASES: u32 = 40;

/// Any text but NUL, which no program can be given: mostly what has a meaning somewhere.
fn any_text() -> BoxedStrategy<String> {
    let special = prop::sample::select(vec![
        " ",
        "  ",
        "\t",
        "\n",
        "\r",
        "'",
        "\"",
        "\\",
        "$",
        "$HOME",
        "${A}",
        "$$",
        "$(id)",
        "`id`",
        "%",
        "%n",
        "%%",
        "*",
        "?",
        "[a-z]",
        "~",
        "#",
        " # ",
        ";",
        "&",
        "|",
        "<",
        ">",
        "(",
        ")",
        "{a,b}",
        "!",
        "=",
        "-",
        "--",
        "@",
        ":",
        ",",
        "é",
        "门神",
        "\u{1f6aa}",
        "\\n",
        "&amp;",
        "]]>",
        "\u{1}",
        "\u{7f}",
        "\u{2028}",
        "a",
        "Z9",
    ]);
    let text = prop_oneof![4 => special.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(text, 0..6).prop_map(|parts| parts.concat().replace('\0', "")).boxed()
}

/// Any text in which a line cannot end.
fn any_line() -> BoxedStrategy<String> {
    any_text().prop_map(|text| text.replace(['\n', '\r'], " ")).boxed()
}

/// Any name of a file.
fn any_file_name() -> impl Strategy<Value = String> {
    any_text().prop_map(|text| {
        let text = text.replace('/', "_");
        let end = (0..=text.len().min(60)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        format!("x{}", &text[..end])
    })
}

/// What a service may be given.
#[derive(Debug, Clone)]
struct Given {
    program: String,
    directory: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    description: String,
}

/// The name of a variable that a shell passes on.
fn any_name() -> BoxedStrategy<String> {
    let name = prop_oneof!["[A-Z_][A-Z0-9_]{1,8}", "[a-z][a-z_]{1,8}", Just("NODE_OPTIONS".to_owned())];
    // The program that notes what it was given is a shell's, and obeys or changes these.
    name.prop_filter("of the test's own", |name| {
        !["PATH", "PWD", "IFS", "HOME", "PPID", "UID"].contains(&name.as_str())
    })
    .boxed()
}

/// The name of any variable.
fn any_variable() -> BoxedStrategy<String> {
    prop_oneof![any_name(), "[a-z][a-z.-]{1,8}"].boxed()
}

fn any_given(text: &BoxedStrategy<String>, variable: BoxedStrategy<String>) -> impl Strategy<Value = Given> {
    let name = any_file_name();
    let environment = prop::collection::btree_map(variable, text.clone(), 0..4);
    let arguments = prop::collection::vec(text.clone(), 0..6);
    (name, any_file_name(), arguments, environment, any_line()).prop_map(
        |(program, directory, arguments, environment, description)| Given {
            program,
            directory,
            arguments,
            environment,
            description,
        },
    )
}

/// A folder with the program, its directory, and programs that stand for those of managers.
struct Stage {
    folder: TempDir,
    given: Given,
}

/// Notes what it was given.
const PROGRAM: &str = r#"#!/bin/sh
here=$NOTES
printf '%s\0' "$@" x >"$here/arguments"
cat "/proc/$$/environ" >"$here/environment"
printf '%s\0' "$0" "$(pwd; echo .)" >"$here/place"
"#;
/// Leaves its own options out and executes the rest.
const CHPST: &str =
    "#!/bin/sh\nwhile :; do case $1 in -P) shift ;; -u) shift 2 ;; *) break ;; esac; done\nexec \"$@\"\n";

/// Leaves its own options out and executes the rest.
const DAEMON: &str =
    "#!/bin/sh\nwhile :; do case $1 in -f | -H) shift ;; -[oPpRu]) shift 2 ;; *) break ;; esac; done\nexec \"$@\"\n";

impl Stage {
    fn of(given: Given) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { folder, given };
        let write = |path: PathBuf, text: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["bin", "stand-ins", "notes"] {
            fs::create_dir(stage.folder.path().join(name)).unwrap();
        }
        fs::create_dir(stage.directory()).unwrap();
        write(stage.program(), PROGRAM);
        write(stage.folder.path().join("stand-ins/chpst"), CHPST);
        write(stage.folder.path().join("stand-ins/daemon"), DAEMON);
        stage
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("bin").join(&self.given.program)
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join(format!("in {}", self.given.directory))
    }

    fn registration(&self) -> Registration {
        let mut registration = Registration::new("web".parse().unwrap(), self.program());
        registration.arguments.clone_from(&self.given.arguments);
        registration.environment.clone_from(&self.given.environment);
        registration.directory = Some(self.directory());
        registration.description = Some(self.given.description.clone());
        registration
    }

    /// A plan's script that reads the plan's file of variables, if it has one, where this stage has it.
    fn script(&self, plan: &Plan, name: &str) -> String {
        let mut script = file(plan, name);
        for step in &plan.steps {
            let Step::File { path, mode: mode @ 0o600, content, ownership: _ } = step else { continue };
            let here = self.folder.path().join("variables");
            fs::write(&here, content).unwrap();
            fs::set_permissions(&here, fs::Permissions::from_mode(*mode)).unwrap();
            script = script.replace(&path.display().to_string(), &here.display().to_string());
        }
        script
    }

    /// Runs a script's text with a shell, in a folder, and holds what the program noted against what it was to be given.
    fn run(&self, shell: &[&str], script: &str, folder: &Path) -> TestCaseResult {
        let path = self.folder.path().join("script");
        fs::write(&path, script).unwrap();
        let stand_ins = self.folder.path().join("stand-ins");
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(&path).current_dir(folder).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", stand_ins.display()));
        command.env("NOTES", self.folder.path().join("notes"));
        let output = command.output().unwrap();
        prop_assert!(output.status.success(), "{output:?}\n{script}");
        self.hold(script)
    }

    /// Executes a command as a manager would that has read it.
    fn execute(
        &self,
        command: &[String],
        directory: &str,
        environment: &BTreeMap<String, String>,
        text: &str,
    ) -> TestCaseResult {
        let mut executed = Command::new(&command[0]);
        executed.args(&command[1..]).current_dir(directory).env_clear().envs(environment);
        let output = executed.env("NOTES", self.folder.path().join("notes")).output().unwrap();
        prop_assert!(output.status.success(), "{:?}\n{}", output, text);
        self.hold(text)
    }

    fn hold(&self, script: &str) -> TestCaseResult {
        let notes = self.folder.path().join("notes");
        let strings = |name: &str| {
            let bytes = fs::read(notes.join(name)).unwrap_or_default();
            let strings = bytes.split(|byte| *byte == 0).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            strings.collect::<Vec<_>>()
        };
        let mut arguments = strings("arguments");
        arguments.truncate(arguments.len().saturating_sub(2));
        prop_assert_eq!(&arguments, &self.given.arguments, "{}", script);
        let environment = strings("environment");
        for (name, value) in &self.given.environment {
            let wanted = format!("{name}={value}");
            prop_assert!(environment.contains(&wanted), "{wanted:?} is not in {environment:?}\n{script}");
        }
        prop_assert!(!environment.iter().any(|text| text.starts_with("MENSHEN_ENVIRONMENT=")), "{:?}", environment);
        let directory = format!("{}\n.", self.directory().display());
        prop_assert_eq!(&strings("place")[..2], &[self.program().display().to_string(), directory], "{}", script);
        Ok(())
    }
}

/// The content of a plan's file.
fn file(plan: &Plan, name: &str) -> String {
    let found = plan.steps.iter().find_map(|step| match step {
        Step::File { path, content, .. } if path.display().to_string().ends_with(name) => Some(content.clone()),
        Step::File { .. }
        | Step::Folder { .. }
        | Step::Link { .. }
        | Step::NoFile { .. }
        | Step::NoFolder { .. }
        | Step::NoEmptyFolder { .. }
        | Step::Call { .. } => None,
    });
    found.unwrap_or_else(|| panic!("no {name} in {plan:?}"))
}

/// Scripts that a shell must take as they are, and shellcheck has nothing against.
fn hold_scripts(manager: &dyn ServiceManager, exclude: &str) {
    for registration in registrations(manager) {
        for step in manager.plan(&registration).unwrap().steps {
            let Step::File { path, content, mode: 0o755, .. } = step else { continue };
            let folder = tempfile::tempdir().unwrap();
            let script = folder.path().join("script");
            fs::write(&script, &content).unwrap();
            let checked = Command::new("sh").arg("-n").arg(&script).output().unwrap();
            assert!(checked.status.success(), "{}: {checked:?}\n{content}", path.display());
            let Ok(found) = Command::new("shellcheck").args(["--shell=sh", exclude]).arg(&script).output() else {
                assert!(std::env::var_os("CI").is_none(), "in CI shellcheck must be there");
                continue;
            };
            let told = String::from_utf8_lossy(&found.stdout);
            assert!(found.status.success(), "{}: {told}\n{content}", path.display());
        }
    }
}

/// A registration with nothing but what must be, and one with everything the manager can do.
fn registrations(manager: &dyn ServiceManager) -> [Registration; 2] {
    use crate::service::RegistrationOption as O;
    let honours = |option: O| manager.honours(option).is_ok();
    let mut plain = Registration::new("web".parse().unwrap(), "/usr/bin/web");
    let policies = [(O::RestartOnFailure, RestartPolicy::OnFailure), (O::RestartAlways, RestartPolicy::Always)];
    let policy = policies.into_iter().find(|(option, _)| honours(*option));
    plain.restart.policy = policy.map_or(RestartPolicy::Never, |(_, policy)| policy);
    let mut full = plain.clone();
    full.arguments = ["--port", "8080", "two words", ""].map(str::to_owned).into();
    full.display_name = Some("Web shop".to_owned());
    full.description = Some("Sells things, 50 % off".to_owned());
    full.directory = Some("/srv/web shop".into());
    full.environment = BTreeMap::from([("MODE".to_owned(), "it's \"on\"".to_owned())]);
    let user = crate::service::registration::Account::User {
        name: "www-data".to_owned(),
        group: Some("adm".to_owned()),
        password: None,
    };
    let can = [
        (
            O::AccountGroup,
            &mut (|full: &mut Registration| full.account = user.clone()) as &mut dyn FnMut(&mut Registration),
        ),
        (O::DependsOnService, &mut |full| full.depends_on.push(Dependency::Service("db".to_owned()))),
        (O::DependsOnNetwork, &mut |full| full.depends_on.push(Dependency::Network)),
        (O::StopTimeout, &mut |full| full.stop_timeout = Some(Duration::from_millis(20_500))),
        (O::StopSignal, &mut |full| full.stop_signal = Some("SIGINT".to_owned())),
        (O::ReloadSignal, &mut |full| full.reload = Some(Reload::Signal("SIGUSR1".to_owned()))),
        (O::RestartDelay, &mut |full| full.restart.delay = Duration::from_secs(5)),
        (O::OpenFiles, &mut |full| full.open_files = Some(4096)),
        (O::StartTimeout, &mut |full| full.start_timeout = Some(Duration::from_secs(30))),
    ];
    for (option, ask) in can {
        if honours(option) {
            ask(&mut full);
        }
    }
    [plain, full]
}

/// The plans of both, as people are shown them.
fn shown(manager: &dyn ServiceManager) -> String {
    let plans = registrations(manager).map(|registration| {
        let steps = manager.plan(&registration).unwrap().steps;
        steps.iter().map(|step| format!("{step}\n")).collect::<String>()
    });
    plans.join("\n----\n\n")
}

mod runit {
    use super::*;
    use crate::service::managers::runit::{Places, Runit};

    fn manager() -> Runit {
        Runit::new(Places::usual())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(given in any_given(&any_text(), any_name())) {
            let stage = Stage::of(given);
            let script = stage.script(&manager().plan(&stage.registration()).unwrap(), "/run");
            let folder = stage.folder.path().join("service");
            fs::create_dir_all(folder.join("supervise")).unwrap();
            stage.run(&["sh"], &script, &folder)?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&manager()));
        hold_scripts(&manager(), BUT);
    }
}

mod s6 {
    use super::*;
    use crate::service::managers::s6::{Places, S6};

    fn manager() -> S6 {
        S6::new(Places::usual())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(given in any_given(&any_text(), any_name())) {
            let stage = Stage::of(given);
            let script = stage.script(&manager().plan(&stage.registration()).unwrap(), "/run");
            stage.run(&["sh"], &script, stage.folder.path())?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&manager()));
        hold_scripts(&manager(), BUT);
    }
}

mod sysv {
    use super::*;
    use crate::service::managers::shell::pid_file;
    use crate::service::managers::sysv::SysV;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(given in any_given(&any_text(), any_name())) {
            let stage = Stage::of(given);
            let mut registration = stage.registration();
            registration.restart.policy = RestartPolicy::Never;
            let script = stage.script(&SysV::new().plan(&registration).unwrap(), "init.d/web");
            // What the script would leave running is waited for, and notes nothing in /run.
            let (noted, here) = (pid_file(&registration.name), stage.folder.path().join("pid"));
            prop_assert!(script.contains(&noted), "{}", script);
            let script = script.replace(&noted, &here.display().to_string());
            stage.run(&["sh", "-c", ". \"$0\" && wait"], &script.replace("case $1 in", "case start in").replace(") \"$1\" ;;", ") start ;;"), stage.folder.path())?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&SysV::new()));
        hold_scripts(&SysV::new(), BUT);
    }
}

mod openrc {
    use super::*;
    use crate::service::managers::openrc::OpenRc;

    /// As `supervise-daemon.sh` does it: the variables are put into a command that is evaluated. What supervise-daemon does
    /// with its own options is not looked at but for the directory.
    const EVALUATE: &str = r#"
. "$0"
! command -v start_pre >/dev/null || start_pre || exit 1
supervise_daemon() { cd "$2" && shift 2 && program=$1 && shift 2 && exec "$program" "$@"; }
eval supervise_daemon ${directory:+--chdir} $directory $command -- $command_args
"#;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(given in any_given(&any_text(), any_name())) {
            let stage = Stage::of(given);
            let mut registration = stage.registration();
            registration.restart.policy = RestartPolicy::Always;
            let script = stage.script(&OpenRc::new().plan(&registration).unwrap(), "init.d/web");
            stage.run(&["sh", "-c", EVALUATE], &script, stage.folder.path())?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&OpenRc::new()));
        // OpenRC uses what is set here, and sets what is used.
        hold_scripts(&OpenRc::new(), "--exclude=SC2034,SC2154,SC2016,SC3045");
    }
}

mod dinit {
    use super::*;
    use crate::service::managers::dinit::{Dinit, Places};
    use crate::service::{Call, Scope};

    fn manager() -> Dinit {
        Dinit::new(Scope::System, Places::usual())
    }

    /// The words of a setting, as dinit-service(5) has it: quotes keep blanks, a backslash keeps any character, a number sign
    /// after a blank begins a comment; two dollar signs are one.
    fn words(value: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted, mut before) = (Vec::new(), None::<String>, false, ' ');
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    is_quoted = !is_quoted;
                    word.get_or_insert_default();
                }
                '\\' => word.get_or_insert_default().extend(characters.next()),
                '#' if !is_quoted && before.is_whitespace() => break,
                blank if blank.is_ascii_whitespace() && !is_quoted => words.extend(word.take()),
                other => word.get_or_insert_default().push(other),
            }
            before = character;
        }
        words.extend(word);
        for word in &words {
            assert!(!word.replace("$$", "").contains('$'), "{word} would have something put into it");
        }
        words.iter().map(|word| word.replace("$$", "$")).collect()
    }

    /// The variables of a file, as dinit(8) has it: one a line, and nothing has a meaning but a number sign at its beginning.
    fn variables(file: &str) -> BTreeMap<String, String> {
        let lines = file.split_terminator('\n').filter(|line| !line.starts_with('#'));
        let variables = lines.map(|line| line.split_once('=').unwrap());
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(mut given in any_given(&any_text(), any_variable())) {
            given.directory = given.directory.replace(['\n', '\r'], "_");
            for value in given.environment.values_mut() {
                *value = value.replace('\n', "_");
            }
            let stage = Stage::of(given);
            let registration = stage.registration();
            let has_line_end = registration.arguments.iter().any(|text| text.contains(['\n', '\r']));
            let is_odd = registration.environment.keys().any(|name| name.contains(['.', '-']));
            let planned = manager().plan(&registration);
            if is_odd && (has_line_end || stage.given.program.contains(['\n', '\r'])) {
                prop_assert!(planned.is_err(), "a shell would not pass it on");
                return Ok(());
            }
            let plan = planned.unwrap();
            let description = file(&plan, "dinit.d/web");
            let setting = |name: &str| {
                description.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).map(words).unwrap()
            };
            let variables = if stage.given.environment.is_empty() {
                BTreeMap::new()
            } else {
                prop_assert_eq!(setting("env-file"), ["/etc/dinit.d/variables.d/web"]);
                variables(&file(&plan, "variables.d/web"))
            };
            stage.execute(&setting("command"), &setting("working-dir")[0], &variables, &description)?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&manager()));
    }

    #[test]
    fn what_is_a_users_is_made_from_their_home_on() {
        let home = tempfile::tempdir().unwrap();
        let services = home.path().join(".config/dinit.d");
        let boot = services.join("boot.d");
        let logs = home.path().join(".local/state/dinit");
        let places = Places { services: services.clone(), boot, logs: logs.clone() };
        let plan =
            Dinit::new(Scope::User, places).plan(&Registration::new("web".parse().unwrap(), "/usr/bin/web")).unwrap();
        let told = |call: &Call| panic!("nothing is told: {call:?}");
        crate::service::carry_out::carry_out(&plan, &told, &|_| Ok(Vec::new())).unwrap();
        assert!(services.join("web").is_file() && logs.join("web").is_dir());
    }
}

mod launchd {
    use super::*;
    use crate::service::managers::launchd::{Domain, Launchd};

    fn strings(value: &plist::Value) -> Vec<String> {
        let array = value.as_array().unwrap();
        array.iter().map(|value| value.as_string().unwrap().to_owned()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(mut given in any_given(&any_text(), any_variable())) {
            given.directory = given.directory.replace(|c: char| c < ' ', "_");
            let stage = Stage::of(given);
            let file = file(&Launchd::new(Domain::System).plan(&stage.registration()).unwrap(), "web.plist");
            let job = plist::Value::from_reader_xml(file.as_bytes()).unwrap().into_dictionary().unwrap();
            let variables = job.get("EnvironmentVariables").and_then(plist::Value::as_dictionary);
            let variables = variables.into_iter().flatten();
            let variables =
                variables.map(|(name, value)| (name.to_owned(), value.as_string().unwrap().to_owned())).collect();
            let directory = job.get("WorkingDirectory").unwrap().as_string().unwrap();
            stage.execute(&strings(job.get("ProgramArguments").unwrap()), directory, &variables, &file)?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&Launchd::new(Domain::System)));
    }

    /// By a reader that has nothing to do with the writer.
    #[test]
    fn a_job_is_a_property_list() {
        let home = PathBuf::from("/Users/ann");
        for manager in [Launchd::new(Domain::System), Launchd::new(Domain::User { uid: 501, home })] {
            for registration in registrations(&manager) {
                let file = file(&manager.plan(&registration).unwrap(), "web.plist");
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("web.plist");
                fs::write(&path, &file).unwrap();
                let Ok(read) = Command::new("plistutil").arg("-i").arg(&path).args(["-f", "bin"]).output() else {
                    assert!(std::env::var_os("CI").is_none(), "in CI plistutil must be there");
                    return;
                };
                assert!(read.status.success(), "{read:?}\n{file}");
                let theirs = plist::Value::from_reader(std::io::Cursor::new(read.stdout)).unwrap();
                let ours = plist::Value::from_reader_xml(file.as_bytes()).unwrap();
                assert_eq!(theirs, ours, "{file}");
            }
        }
    }
}

mod freebsd {
    use super::*;
    use crate::service::managers::freebsd::FreeBsdRc;

    /// In the place of rc.subr(8): it starts the service.
    const SUBR: &str = "load_rc_config() { :; }\nrun_rc_command() { \"$start_cmd\"; }\n";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]
        #[test]
        fn a_program_is_given_what_was_asked_for(given in any_given(&any_text(), any_name())) {
            let stage = Stage::of(given);
            let mut registration = stage.registration();
            registration.restart.policy = RestartPolicy::Always;
            let script = stage.script(&FreeBsdRc::new().plan(&registration).unwrap(), "rc.d/web");
            let script = script.replace(". /etc/rc.subr\n", SUBR).replace("/usr/sbin/daemon -f", "daemon -f");
            stage.run(&["sh"], &script, stage.folder.path())?;
        }
    }

    #[test]
    fn plans_are_shown() {
        insta::assert_snapshot!(shown(&FreeBsdRc::new()));
        // rc.subr is there on FreeBSD only, and uses what is set here.
        hold_scripts(&FreeBsdRc::new(), "--exclude=SC1091,SC2016,SC2034,SC3045");
    }
}

/// Those that are spoken to by scripts and files.
const SCRIPTED: [ManagerKind; 6] = [
    ManagerKind::OpenRc,
    ManagerKind::SysV,
    ManagerKind::Runit,
    ManagerKind::S6,
    ManagerKind::Dinit,
    ManagerKind::FreeBsdRc,
];

/// Everybody can see what is in a file that they can read, and on command lines.
#[test]
fn what_may_be_secret_is_where_nobody_else_can_read_it() {
    const SECRET: &str = "correct horse battery staple";
    for kind in SCRIPTED {
        let manager = super::assumed(kind);
        let mut registration = Registration::new("web".parse().unwrap(), "/usr/bin/web");
        registration.restart.policy = manager.restarts_failed();
        registration.environment = BTreeMap::from([("PASSWORD".to_owned(), SECRET.to_owned())]);
        registration.stop_command = manager
            .honours(crate::service::RegistrationOption::StopCommand)
            .is_ok()
            .then(|| vec!["/usr/bin/web".to_owned(), "stop".to_owned()]);
        let steps = manager.plan(&registration).unwrap().steps;
        let has_it = |step: &&Step| step.to_string().contains(SECRET);
        let holders: Vec<&Step> = steps.iter().filter(has_it).collect();
        let is_held = matches!(holders[..], [Step::File { mode: 0o600, .. }]);
        assert!(is_held, "{kind}: {holders:#?}");
        // And it goes where the variables go.
        registration.environment.clear();
        let Step::File { path, .. } = holders[0] else { panic!() };
        for steps in [manager.plan(&registration).unwrap().steps, manager.removal_of(&registration.name).steps] {
            let is_gone = steps.iter().any(|step| match step {
                Step::NoFile { path: gone, .. } => gone == path,
                Step::NoFolder { path: folder } => path.starts_with(folder),
                Step::File { .. }
                | Step::Folder { .. }
                | Step::Link { .. }
                | Step::NoEmptyFolder { .. }
                | Step::Call { .. } => false,
            });
            assert!(is_gone, "{kind}: {steps:#?}");
        }
    }
}

#[test]
fn a_variable_that_cannot_be_passed_on_is_refused() {
    let plan = |kind: ManagerKind, name: &str, value: &str| {
        let manager = super::assumed(kind);
        let mut registration = Registration::new("web".parse().unwrap(), "/usr/bin/web");
        registration.restart.policy = manager.restarts_failed();
        registration.environment = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        manager.plan(&registration).map(drop).map_err(|error| error.to_string())
    };
    for kind in [ManagerKind::OpenRc, ManagerKind::SysV, ManagerKind::Runit, ManagerKind::S6, ManagerKind::FreeBsdRc] {
        for name in ["a.b", "a-b", "9A", "PPID", "UID", "_", "BASH_ENV", "A\nB", "A;B"] {
            assert!(plan(kind, name, "x").unwrap_err().contains("environment"), "{kind}: {name}");
        }
        plan(kind, "PATH", "a\nb ").unwrap();
    }
    for (name, value) in [("A", "a\nb"), ("#A", "b"), ("!clear", "b"), ("A B", "c"), ("A\x0bB", "c")] {
        assert!(plan(ManagerKind::Dinit, name, value).unwrap_err().contains("environment"), "{name} = {value:?}");
    }
    plan(ManagerKind::Dinit, "a.b", " b\r ").unwrap();
}

/// Everything that people can write into a registration.
#[derive(Debug, Clone)]
struct Written([String; 10]);

impl Written {
    /// In each place a text that needs quotes, and says nothing.
    fn tame() -> Self {
        Self([(); 10].map(|()| "two words".to_owned()))
    }

    /// A registration of all that a manager can do, with these texts in it.
    fn registration(&self, manager: &dyn ServiceManager) -> Registration {
        let honours = |option| manager.honours(option).is_ok();
        let [name, description, directory, program, one, two, value, user, group, word] = &self.0;
        let [_, mut registration] = registrations(manager);
        registration.display_name = Some(name.clone());
        registration.description = Some(description.clone());
        registration.directory = Some(format!("/ {directory}").into());
        registration.program = format!("/ {program}").into();
        registration.arguments = vec![one.clone(), two.clone()];
        registration.environment = BTreeMap::from([("MODE".to_owned(), value.clone())]);
        let with_group = honours(crate::service::RegistrationOption::AccountGroup).then(|| group.clone());
        registration.account =
            crate::service::registration::Account::User { name: user.clone(), group: with_group, password: None };
        let command = vec![format!("/ {word}"), word.clone()];
        if honours(crate::service::RegistrationOption::StopCommand) {
            registration.stop_signal = None;
            registration.stop_command = Some(command.clone());
        }
        if honours(crate::service::RegistrationOption::ReloadCommand) {
            registration.reload = Some(Reload::Command(command));
        }
        registration
    }
}

/// What is left of a file when everything quoted in it is one sign, and comments are none: what it does, whatever it says.
fn skeleton(text: &str) -> String {
    let (mut left, mut characters) = (String::new(), text.chars().peekable());
    while let Some(character) = characters.next() {
        let is_begin = left.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        match character {
            '#' if is_begin => while characters.next_if(|next| *next != '\n').is_some() {},
            '\'' => {
                while characters.next().is_some_and(|next| next != '\'') {}
                left.push('Q');
            }
            '\\' => {
                left.push('Q');
                characters.next();
            }
            '"' => {
                left.push('"');
                while let Some(next) = characters.next_if(|next| *next != '"') {
                    left.extend(std::iter::once(next).chain((next == '\\').then(|| characters.next()).flatten()));
                }
                left.extend(characters.next());
            }
            other => left.push(other),
        }
    }
    while left.contains("QQ") {
        left = left.replace("QQ", "Q");
    }
    let lines = left.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// The settings of a description, and the names of variables, without what they are set to.
fn settings(text: &str) -> Vec<&str> {
    let lines = text.split('\n').filter(|line| !line.starts_with("# "));
    lines.map(|line| line.split(['=', ':']).next().unwrap_or_default().trim()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// A text can only say something: it begins no line, ends no quotes, and is no setting.
    #[test]
    fn no_text_becomes_anything_but_a_text(texts in prop::array::uniform10(any_text())) {
        // What is plain is written without quotes.
        let written = Written(texts.map(|text| format!("two {text}")));
        for kind in SCRIPTED {
            let manager = super::assumed(kind);
            let tame = manager.plan(&Written::tame().registration(&*manager)).unwrap();
            let Ok(plan) = manager.plan(&written.registration(&*manager)) else {
                prop_assert!(written.0.iter().any(|text| text.contains(|c: char| c.is_control() || ":$".contains(c))));
                continue;
            };
            prop_assert_eq!(plan.steps.len(), tame.steps.len());
            for (step, tame) in plan.steps.iter().zip(&tame.steps) {
                let (Step::File { path, content, .. }, Step::File { content: tame, .. }) = (step, tame) else {
                    prop_assert_eq!(step, tame);
                    continue;
                };
                if kind == ManagerKind::Dinit {
                    prop_assert_eq!(settings(content), settings(tame), "{}", path.display());
                } else {
                    prop_assert_eq!(skeleton(content), skeleton(tame), "{}", path.display());
                }
            }
        }
    }
}

#[test]
fn a_line_end_in_the_name_of_a_user_is_refused() {
    for kind in [ManagerKind::OpenRc, ManagerKind::SysV, ManagerKind::Runit, ManagerKind::S6, ManagerKind::Dinit] {
        let manager = super::assumed(kind);
        for name in ["web\ncommand = /bin/evil", "web\r", "web\0", "", "-x", "a:b"] {
            let mut registration = Written::tame().registration(&*manager);
            registration.account =
                crate::service::registration::Account::User { name: name.to_owned(), group: None, password: None };
            let error = manager.plan(&registration).unwrap_err().to_string();
            assert!(error.contains("account"), "{kind}: {name:?}: {error}");
        }
    }
}

/// What a service was registered for is not read out of what people call it.
#[test]
fn a_text_does_not_say_how_a_service_is_reloaded() {
    let manager = super::assumed(ManagerKind::Dinit);
    let mut registration = Registration::new("web".parse().unwrap(), "/usr/bin/web");
    registration.description = Some("reload by KILL\nreload by KILL".to_owned());
    let description = file(&manager.plan(&registration).unwrap(), "dinit.d/web");
    assert_eq!(super::dinit::reload_signal(&description), None, "{description}");
    registration.reload = Some(Reload::Signal("SIGHUP".to_owned()));
    let description = file(&manager.plan(&registration).unwrap(), "dinit.d/web");
    assert_eq!(super::dinit::reload_signal(&description), Some("HUP"));

    let texts =
        ["\nreload() {\n", "\nextra_commands=reload\n", "\n# KEYWORD: nostart shutdown\n# It can be reloaded.\n"];
    let mut registration = Registration::new("web".parse().unwrap(), "/usr/bin/web");
    registration.restart.policy = RestartPolicy::Always;
    registration.arguments = texts.map(str::to_owned).into();
    registration.description = Some(texts.concat());
    for kind in [ManagerKind::OpenRc, ManagerKind::FreeBsdRc] {
        let manager = super::assumed(kind);
        for reload in [None, Some(Reload::Signal("SIGHUP".to_owned()))] {
            let is_reloaded = reload.is_some();
            registration.reload = reload;
            let script = file(&manager.plan(&registration).unwrap(), ".d/web");
            if kind == ManagerKind::OpenRc {
                assert_eq!(super::openrc::is_reloaded(&script), is_reloaded, "{script}");
            } else {
                assert_eq!(super::freebsd::is_reloaded(&script), is_reloaded, "{script}");
                assert!(!super::freebsd::is_by_hand(&script), "{script}");
            }
        }
    }
}

#[test]
fn what_cannot_be_written_down_is_refused() {
    let manager = super::of(ManagerKind::SysV, crate::service::Scope::System).unwrap();
    let mut registration = Registration::new("web".parse().unwrap(), "/usr/bin/web");
    registration.restart.policy = RestartPolicy::Never;
    registration.description = Some("two\nlines".to_owned());
    registration.environment = BTreeMap::from([("A=B".to_owned(), String::new())]);
    registration.stop_signal = Some("; reboot".to_owned());
    let error = manager.plan(&registration).unwrap_err().to_string();
    for option in ["description", "environment", "stop_signal"] {
        assert!(error.contains(option), "{error}");
    }
}
