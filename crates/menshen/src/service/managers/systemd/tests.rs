//! Units as they are written, and read back as systemd reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::linger::{self, Facts, Trouble};
use super::*;
use crate::service::registration::{
    Account, Children, Dependency, Hardening, HardeningLevel, Listen, Protocol, Reload, Restart, RestartPolicy, Socket,
};

fn systemd(scope: Scope, version: u32) -> Systemd {
    let units = match scope {
        Scope::System => PathBuf::from("/menshen-test/none"),
        Scope::User => PathBuf::from("/menshen-test/.config/systemd/user"),
    };
    Systemd { scope, version: Version(version), units }
}

fn registration() -> Registration {
    Registration::new("web".parse().unwrap(), "/opt/web/bin/web")
}

/// What would be done, as it is shown.
fn shown(systemd: &Systemd, registration: &Registration) -> String {
    let plan = systemd.plan(registration).unwrap();
    plan.steps.iter().map(|step| format!("{step}\n")).collect()
}

#[test]
fn a_plain_service_is_a_short_unit() {
    insta::assert_snapshot!(shown(&systemd(Scope::System, 257), &registration()));
}

#[test]
fn everything_that_can_be_asked_for_is_written() {
    let mut all = registration();
    all.arguments = vec!["--title".to_owned(), "100% of $HOME".to_owned(), String::new()];
    all.display_name = Some("Web".to_owned());
    all.description = Some("serves 100% \\".to_owned());
    all.directory = Some("/srv/web%".into());
    all.environment = BTreeMap::from([("A".to_owned(), "a \"b\" $c %d\n".to_owned())]);
    all.account = Account::User { name: "web".to_owned(), group: Some("www".to_owned()), password: None };
    all.start = StartType::Delayed;
    all.depends_on = vec![Dependency::Service("db".to_owned()), Dependency::Network];
    all.protocol = Protocol::Native;
    all.start_timeout = Some(Duration::from_millis(1500));
    all.stop_timeout = Some(Duration::from_secs(30));
    all.stop_signal = Some("SIGINT".to_owned());
    all.stop_command = Some(vec!["/opt/web/bin/web".to_owned(), "stop now".to_owned()]);
    all.reload = Some(Reload::Native);
    all.restart = Restart {
        policy: RestartPolicy::Always,
        delay: Duration::from_millis(200),
        delay_max: Some(Duration::from_secs(60)),
        steps: Some(5),
        reset_after: None,
    };
    all.watchdog = Some(Duration::from_secs(10));
    all.open_files = Some(10_000);
    all.hardening = Hardening { level: HardeningLevel::Strict, writable: vec!["/var/lib/web data".into()] };
    all.sockets = vec![
        Socket { name: "http".to_owned(), listen: Listen::Tcp("127.0.0.1:8080".parse().unwrap()) },
        Socket { name: "dns".to_owned(), listen: Listen::Udp("[::1]:53".parse().unwrap()) },
        Socket { name: "local".to_owned(), listen: Listen::Local("/run/web.sock".into()) },
    ];
    insta::assert_snapshot!(shown(&systemd(Scope::System, 257), &all));
}

#[test]
fn a_user_has_folders_of_their_own_and_no_part_of_the_machine() {
    let user = systemd(Scope::User, 257);
    insta::assert_snapshot!(shown(&user, &registration()));
    let mut refused = registration();
    refused.account = Account::User { name: "web".to_owned(), group: None, password: None };
    refused.depends_on = vec![Dependency::Network];
    refused.hardening.level = HardeningLevel::Standard;
    let error = user.plan(&refused).unwrap_err().to_string();
    for option in ["account user", "depends_on network", "hardening = standard"] {
        assert!(error.contains(option), "{error}");
    }
}

#[test]
fn removing_leaves_nothing_that_was_made() {
    let removal = systemd(Scope::User, 257).removal_of(&"web".parse().unwrap());
    let steps: String = removal.steps.iter().map(|step| format!("{step}\n")).collect();
    insta::assert_snapshot!(steps);
}

#[test]
fn what_only_a_later_systemd_has_is_refused_by_name() {
    let mut asked = registration();
    asked.restart.delay_max = Some(Duration::from_secs(60));
    let error = systemd(Scope::System, 253).plan(&asked).unwrap_err().to_string();
    assert!(error.contains("restart delay_max and steps") && error.contains("254"), "{error}");
    systemd(Scope::System, 254).plan(&asked).unwrap();
    let mut asked = registration();
    asked.protocol = Protocol::Native;
    asked.reload = Some(Reload::Native);
    let error = systemd(Scope::System, 252).plan(&asked).unwrap_err().to_string();
    assert!(error.contains("reload = native") && error.contains("253"), "{error}");
    assert!(shown(&systemd(Scope::System, 253), &asked).contains("Type=notify-reload\n"));
}

#[test]
fn a_disabled_start_is_a_drop_in() {
    let mut disabled = registration();
    disabled.start = StartType::Disabled;
    let shown = shown(&systemd(Scope::System, 257), &disabled);
    assert!(shown.contains("web.service.d/50-menshen-disabled.conf (0644):\n"), "{shown}");
    assert!(shown.contains("    [Unit]\n    AssertPathExists=!/\n"), "{shown}");
    assert!(shown.ends_with("ask systemd to disable web.service (DisableUnitFiles)\n"), "{shown}");
}

#[test]
fn a_guard_keeps_what_it_guards() {
    let mut guard = registration();
    guard.children = Children::Kept;
    guard.hardening.level = HardeningLevel::Standard;
    let unit = shown(&systemd(Scope::System, 254), &guard);
    for line in ["KillMode=process", "Delegate=yes", "DelegateSubgroup=menshen.guard"] {
        assert!(unit.contains(&format!("    {line}\n")), "{unit}");
    }
    assert!(!unit.contains("ProtectControlGroups"), "{unit}");
    assert!(!shown(&systemd(Scope::System, 252), &guard).contains("DelegateSubgroup"));
}

#[test]
fn values_that_cannot_be_written_are_refused_by_name() {
    type Wrong = fn(&mut Registration);
    #[rustfmt::skip]
    let rows: [(Wrong, &str); 16] = [
        (|it| it.description = Some("two\nlines".to_owned()), "description"),
        (|it| it.description = Some(" blank".to_owned()), "description"),
        (|it| it.display_name = Some(String::new()), "display_name"),
        (|it| it.directory = Some("srv".into()), "directory"),
        (|it| it.directory = Some("/a\n[Service]\nUser=root".into()), "directory"),
        (|it| it.environment = BTreeMap::from([("A B".to_owned(), String::new())]), "environment"),
        (|it| it.environment = BTreeMap::from([("A".to_owned(), "\u{1}".to_owned())]), "environment"),
        (|it| it.account = Account::User { name: "a\nb".to_owned(), group: None, password: None }, "account user"),
        (|it| it.depends_on = vec![Dependency::Service("a b".to_owned())], "depends_on service"),
        (|it| it.stop_signal = Some("TERM".to_owned()), "stop_signal"),
        (|it| it.stop_command = Some(vec!["true".to_owned()]), "stop_command"),
        (|it| it.reload = Some(Reload::Signal("SIG HUP".to_owned())), "reload signal"),
        (|it| it.watchdog = Some(Duration::from_secs(1)), "watchdog"),
        (|it| it.start_timeout = Some(Duration::ZERO), "start_timeout"),
        (|it| it.restart.steps = Some(3), "restart delay_max and steps"),
        (|it| it.sockets = vec![Socket { name: "a b".to_owned(), listen: Listen::Udp("[::1]:1".parse().unwrap()) }], "sockets"),
    ];
    for (wrong, option) in rows {
        let mut registration = registration();
        wrong(&mut registration);
        let error = systemd(Scope::System, 257).plan(&registration).unwrap_err();
        let ManagerError::Unsupported { options, .. } = &error else { panic!("{error}") };
        assert!(options.iter().any(|one| one.option.name().starts_with(option)), "{option}: {error}");
    }
}

#[test]
fn versions_are_read_as_distributions_write_them() {
    let rows = [("257.8-1~deb13u2", 257), ("252 (252.39-1~deb12u1)", 252), ("v258-rc1", 258), ("249", 249)];
    for (text, version) in rows {
        assert_eq!(Version::of(text), Some(Version(version)));
    }
    assert_eq!(Version::of("unknown"), None);
}

struct Told {
    runtime: Option<&'static str>,
    there: &'static [&'static str],
}

impl Facts for Told {
    fn user(&self) -> String {
        "ann".to_owned()
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "XDG_RUNTIME_DIR").then_some(self.runtime?.to_owned())
    }

    fn exists(&self, path: &Path) -> bool {
        self.there.iter().any(|there| path == Path::new(there))
    }
}

#[test]
fn a_user_is_told_what_keeps_services_from_running() {
    let (socket, lingers) = ("/run/user/7/systemd/private", "/var/lib/systemd/linger/ann");
    let told = |runtime, there: &'static [&'static str]| linger::trouble(&Told { runtime, there });
    let user = "ann".to_owned();
    assert_eq!(told(None, &[]), Some(Trouble::NoRuntimeFolder { user: user.clone() }));
    let folder = PathBuf::from("/run/user/7");
    let dead = told(Some("/run/user/7"), &["/var/lib/systemd/linger/ann"]);
    assert_eq!(dead, Some(Trouble::NotRunning { user: user.clone(), folder }));
    assert_eq!(told(Some("/run/user/7"), &["/run/user/7/systemd/private"]), Some(Trouble::NoLinger { user }));
    let both = Told { runtime: Some("/run/user/7"), there: Box::leak(Box::new([socket, lingers])) };
    assert_eq!(linger::trouble(&both), None);
    for trouble in [told(None, &[]), told(Some("/run/user/7"), &[])].into_iter().flatten() {
        assert!(trouble.to_string().contains("loginctl enable-linger ann"), "{trouble}");
    }
}

/// A unit, as systemd.syntax(7) has it read: values by section and name, in order.
fn read(unit: &str) -> Vec<(String, String, String)> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in unit.lines() {
        let is_escaped = line.chars().rev().take_while(|character| *character == '\\').count() % 2 == 1;
        let line = if is_escaped { &line[..line.len() - 1] } else { line };
        if goes_on {
            let last = lines.last_mut().unwrap();
            last.push(' ');
            last.push_str(line);
        } else if !line.trim_start().starts_with(['#', ';']) && !line.trim().is_empty() {
            lines.push(line.to_owned());
        } else {
            continue;
        }
        goes_on = is_escaped;
    }
    let mut section = String::new();
    let mut values = Vec::new();
    for line in lines {
        let line = line.trim_matches([' ', '\t', '\r']);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (name, value) = line.split_once('=').unwrap();
            values.push((section.clone(), name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    values
}

fn value_of(unit: &str, section: &str, name: &str) -> String {
    let values = read(unit);
    let mut found = values.iter().filter(|(in_section, has, _)| in_section == section && has == name);
    let value = found.next().unwrap_or_else(|| panic!("no {name} in {unit}")).2.clone();
    assert_eq!(found.next(), None, "{name} is there twice");
    value
}

/// Words, as systemd takes a value apart: blanks between them, quotes of both kinds anywhere, escapes as in C.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = value.chars().peekable();
    loop {
        while characters.next_if(|character| " \t\n\r".contains(*character)).is_some() {}
        if characters.peek().is_none() {
            return words;
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(character) = characters.next() {
            match (character, quote) {
                ('\\', _) => word.push(escaped(characters.next().unwrap(), &mut characters)),
                (one, Some(open)) if one == open => quote = None,
                (one @ ('"' | '\''), None) => quote = Some(one),
                (' ' | '\t' | '\n' | '\r', None) => break,
                (other, _) => word.push(other),
            }
        }
        assert_eq!(quote, None, "a quote is open in {value}");
        words.push(word);
    }
}

fn escaped(character: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> char {
    let mut number = |count: usize, radix: u32| {
        let digits: String = rest.by_ref().take(count).collect();
        char::from_u32(u32::from_str_radix(&digits, radix).unwrap()).unwrap()
    };
    match character {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        's' => ' ',
        same @ ('\\' | '"' | '\'') => same,
        'x' => number(2, 16),
        'u' => number(4, 16),
        'U' => number(8, 16),
        other => panic!("systemd knows no \\{other}"),
    }
}

/// What `%` begins is replaced, and `%%` is one.
fn specified(text: &str) -> String {
    replaced(text, '%')
}

/// What `$` begins is replaced, and `$$` is one.
fn substituted(text: &str) -> String {
    replaced(text, '$')
}

fn replaced(text: &str, mark: char) -> String {
    let mut characters = text.chars();
    let mut replaced = String::new();
    while let Some(character) = characters.next() {
        if character == mark {
            assert_eq!(characters.next(), Some(mark), "something would be put in place of a part of {text}");
        }
        replaced.push(character);
    }
    replaced
}

/// What systemd would execute: the path, which has specifiers but no variables, and everything it is told.
fn executed(unit: &str) -> (String, Vec<String>) {
    let value = value_of(unit, "Service", "ExecStart");
    let words: Vec<String> = words(&value).iter().map(|word| specified(word)).collect();
    let path = words[0].clone();
    assert!(path.starts_with('/') && !path.contains(['"', '\'', '\\']) && !path.contains(char::is_control), "{path}");
    assert!(!value.split([' ', '\t']).any(|word| word == ";"), "the command ends too early: {value}");
    (path, words.iter().map(|word| substituted(word)).collect())
}

/// Texts with everything in them that means something to systemd.
fn text() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec![
        "\"", "'", "\\", "%", "%%", "%n", "$", "$$", "${A}", "$A", ";", "#", "\n", "\t", " ", "\r", "\u{1}", "\u{7f}",
        "-", "@", "é", "门", "\\x41", "\\", "=", "[", "]", "~", "!",
    ]);
    proptest::collection::vec(prop_oneof![special.prop_map(str::to_owned), "[a-z]{1,3}"], 0..8)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_program_is_told_exactly_what_was_asked_for(arguments in proptest::collection::vec(text(), 0..5), file in text()) {
        let mut asked = registration();
        asked.program = format!("/opt/{}", file.replace(['\0', '/'], "")).into();
        asked.arguments = arguments;
        let unit = unit::service(&asked, Scope::System, Version::ASSUMED);
        let (path, words) = executed(&unit);
        let program = asked.program.to_str().unwrap().to_owned();
        let expected: Vec<String> = [program.clone()].into_iter().chain(asked.arguments).collect();
        if path == program {
            prop_assert_eq!(words, expected);
        } else {
            // A shell gives its own first argument another name, and passes on the others.
            prop_assert_eq!(&words[..3], ["/bin/sh", "-c", "exec \"$0\" \"$@\""]);
            prop_assert_eq!(&words[3..], expected);
        }
    }

    #[test]
    fn variables_arrive_as_they_are(values in proptest::collection::vec(text(), 1..5)) {
        let mut asked = registration();
        let values = values.into_iter().map(|value| value.replace(|one: char| one.is_control() && !"\t\n".contains(one), ""));
        asked.environment = values.enumerate().map(|(number, value)| (format!("V{number}"), value)).collect();
        prop_assert_eq!(values::refused(&asked), vec![]);
        let unit = unit::service(&asked, Scope::System, Version::ASSUMED);
        let lines = read(&unit).into_iter().filter(|(_, name, _)| name == "Environment").map(|(_, _, value)| value);
        let read: Vec<String> = lines.flat_map(|value| words(&value)).map(|word| specified(&word)).collect();
        let expected: Vec<String> = asked.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_description_is_read_as_it_is_or_refused(description in text()) {
        let mut asked = registration();
        asked.description = Some(description.clone());
        asked.directory = Some(format!("/{description}").into());
        if values::refused(&asked).is_empty() {
            let unit = unit::service(&asked, Scope::System, Version::ASSUMED);
            prop_assert_eq!(specified(&value_of(&unit, "Unit", "Description")), description.clone());
            prop_assert_eq!(specified(&value_of(&unit, "Service", "WorkingDirectory")), format!("/{description}"));
        } else {
            prop_assert!(!quote::is_one_line(&description));
        }
    }
}
