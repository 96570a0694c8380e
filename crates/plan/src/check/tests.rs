//! Every page of explanation is a test: its wrong example is found, its right example is not, on a machine made of facts.

use std::path::{Path, PathBuf};

use super::Code;
use crate::definition::AlsoLog;
use crate::facts::{Facts, FileLook, Logon, Look, System, User};
use crate::load::{Input, Layer, Loaded, load};
use crate::source::Source;

/// Rules whose wrong example takes more than one TOML text, each with a test of its own below.
const TESTED_BELOW: [Code; 3] = [Code::WorldWritableDefinition, Code::DefinedTwice, Code::BadSet];

/// Rules that are about Windows.
const ABOUT_WINDOWS: [Code; 1] = [Code::AccountPassword];

/// The machine the pages speak of: a shop in `/opt/shop`, seen by a guard that runs as root.
struct Machine(System);

impl Facts for Machine {
    fn read(&self, path: &Path) -> Result<String, String> {
        match path.to_str().unwrap() {
            "/opt/shop/.env" => Ok("DB_HOST=db\n".to_owned()),
            "/opt/shop/broken.env" => Ok("DB_HOST db\n".to_owned()),
            "/run/secrets/db" | "/srv/open/db" => Ok("hunter2\n".to_owned()),
            _ => Err("no such file".to_owned()),
        }
    }

    fn look(&self, path: &Path) -> Look {
        let program = FileLook { executable: true, ..FileLook::default() };
        let script = |interpreter: &str| FileLook { interpreter: Some(interpreter.into()), ..program.clone() };
        match path.to_str().unwrap().replace("/./", "/").trim_end_matches('/') {
            "/opt/shop" | "/srv/open" => Look::Directory,
            "/opt/shop/shop-web"
            | "/opt/shop/shop-worker"
            | "/opt/shop/shop-admin"
            | "/opt/shop/shop-clerk.exe"
            | "/opt/shop/shop-migrate"
            | "/opt/shop/maintenance-page"
            | "/usr/bin/redis-server"
            | "/usr/bin/python3" => Look::File(program),
            "/opt/shop/report.rb" => Look::File(script("/usr/bin/ruby")),
            "/opt/shop/report.py" => Look::File(script("/usr/bin/python3")),
            "/srv/open/server" => Look::File(FileLook { world_writable: true, ..program }),
            "/opt/shop/readme.txt" | "/run/secrets/db" => Look::File(FileLook::default()),
            "/srv/open/db" => Look::File(FileLook { world_readable: true, ..FileLook::default() }),
            "open.toml" => Look::File(FileLook { world_writable: true, ..FileLook::default() }),
            _ => Look::Missing,
        }
    }

    fn program_file(&self, path: &Path) -> PathBuf {
        match (path.to_str().unwrap().replace("/./", "/").as_str(), self.0) {
            ("/opt/shop/shop-clerk", System::Windows) => "/opt/shop/shop-clerk.exe".into(),
            _ => path.to_owned(),
        }
    }

    fn find_program(&self, name: &str, path_variable: &str) -> Option<PathBuf> {
        (name == "redis-server" && path_variable == "/usr/bin").then(|| "/usr/bin/redis-server".into())
    }

    fn user(&self, account: &str) -> Option<User> {
        let user = |home: &str| User {
            name: account.to_owned(),
            home: home.into(),
            shell: "/bin/sh".into(),
            is_root: account == "root",
            logon: match account {
                r".\shop" => Logon::Password,
                r".\guard" => Logon::Own,
                _ => Logon::Rights,
            },
        };
        match (account, self.0) {
            ("shop", System::Unix) => Some(user("/opt/shop")),
            ("root", System::Unix) => Some(user("/root")),
            (r".\shop" | r".\guard" | "LocalService", System::Windows) => Some(user("/")),
            _ => None,
        }
    }

    fn has_group(&self, account: &str) -> bool {
        matches!(account, "shop" | "www-data")
    }

    fn system(&self) -> System {
        self.0
    }

    fn is_root(&self) -> bool {
        true
    }

    fn has_log(&self, place: AlsoLog) -> bool {
        place != AlsoLog::Eventlog
    }

    fn digest(&self, _: &Path) -> Option<u64> {
        None
    }
}

fn input(files: &[(&str, &str)], settings: &[&str]) -> Input {
    let files =
        files.iter().map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned() }).collect();
    Input {
        layers: vec![Layer { files }],
        settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
        environment: [("PATH".to_owned(), "/usr/bin".to_owned())].into(),
        folder: "/opt/shop".into(),
    }
}

fn check(text: &str) -> Loaded {
    check_on(System::Unix, text)
}

fn check_on(system: System, text: &str) -> Loaded {
    load(&input(&[("menshen.toml", text)], &[]), &Machine(system))
}

/// Where a rule's page is about.
fn system_of(code: Code) -> System {
    if ABOUT_WINDOWS.contains(&code) { System::Windows } else { System::Unix }
}

fn codes(loaded: &Loaded) -> Vec<Code> {
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// The example of a page with this word after `toml`.
fn example(page: &str, kind: &str) -> Option<String> {
    let (_, after) = page.split_once(&format!("```toml {kind}\n"))?;
    Some(after.split_once("```")?.0.to_owned())
}

#[test]
fn every_rule_finds_its_wrong_example_and_passes_its_right_one() {
    for code in Code::ALL.iter().copied().filter(|code| !TESTED_BELOW.contains(code)) {
        let page = code.rule().page;
        let check = |text: &str| check_on(system_of(code), text);
        let wrong = check(&example(page, "wrong").unwrap_or_else(|| panic!("{code} has no wrong example")));
        assert!(codes(&wrong).contains(&code), "{code} is not found in its wrong example: {:#?}", wrong.diagnostics);
        let right = check(&example(page, "right").unwrap_or_else(|| panic!("{code} has no right example")));
        assert!(!codes(&right).contains(&code), "{code} is found in its right example: {:#?}", right.diagnostics);
        assert!(right.plan.is_some(), "{code}'s right example is refused: {:#?}", right.diagnostics);
    }
}

#[test]
fn a_wrong_example_has_no_other_error_than_its_own() {
    for code in Code::ALL.iter().copied().filter(|code| !TESTED_BELOW.contains(code)) {
        let wrong = check_on(system_of(code), &example(code.rule().page, "wrong").unwrap());
        let others: Vec<_> = wrong.diagnostics.iter().filter(|other| other.refuses() && other.code != code).collect();
        assert!(others.is_empty(), "{code}'s wrong example is also refused for {others:#?}");
    }
}

#[test]
fn every_page_is_headed_by_its_code_and_every_code_reads_back() {
    for code in Code::ALL {
        let page = code.rule().page;
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert_eq!(code.rule().name.parse(), Ok(*code));
    }
    assert!(Code::ALL.len() >= 25);
}

#[test]
fn every_finding_says_where() {
    for code in Code::ALL.iter().copied().filter(|code| !TESTED_BELOW.contains(code)) {
        let wrong = check_on(system_of(code), &example(code.rule().page, "wrong").unwrap());
        for diagnostic in &wrong.diagnostics {
            assert!(diagnostic.span.is_some(), "{diagnostic:?}");
        }
    }
}

#[test]
fn a_service_in_two_files_is_found() {
    let files = [("a.toml", "[service.web]\ncommand = \"./shop-web\""), ("b.toml", "[service.web]\nuser = \"shop\"")];
    let loaded = load(&input(&files, &[]), &Machine(System::Unix));
    assert!(codes(&loaded).contains(&Code::DefinedTwice));
    assert!(loaded.is_refused());
}

#[test]
fn files_of_one_folder_that_name_two_guards_are_refused_with_both_places() {
    let named = |guard: &str, service: &str| {
        format!("[guard]\nname = \"{guard}\"\n[service.{service}]\ncommand = \"./shop-web\"")
    };
    let (one, two) = (named("one", "web"), named("two", "worker"));
    let loaded = load(&input(&[("a.toml", &one), ("b.toml", &two)], &[]), &Machine(System::Unix));
    let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.code == Code::DefinedTwice).unwrap();
    assert!(found.span.is_some() && found.related.len() == 1 && loaded.is_refused(), "{found:?}");
    assert!(found.message.contains("'one' and 'two'"), "{found:?}");
    let same = named("one", "worker");
    let loaded = load(&input(&[("a.toml", &one), ("b.toml", &same)], &[]), &Machine(System::Unix));
    assert!(!codes(&loaded).contains(&Code::DefinedTwice));
}

#[test]
fn what_is_wrong_with_a_service_is_shown_where_it_is_defined_whatever_is_set_besides() {
    let files = [("menshen.toml", "[service.web]\ncommand = \"./shop-web\"")];
    let loaded = load(&input(&files, &["service.web.nice=5"]), &Machine(System::Unix));
    let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.code == Code::RunsAsRoot).unwrap();
    let name = loaded.sources.get(found.span.unwrap().source).unwrap().name.clone();
    assert_eq!(name, "menshen.toml");
}

#[test]
fn a_definition_anybody_can_change_is_found_when_it_is_run_as_root() {
    let text = "[service.web]\ncommand = \"./shop-web\"\n";
    assert!(
        codes(&load(&input(&[("open.toml", text)], &[]), &Machine(System::Unix)))
            .contains(&Code::WorldWritableDefinition)
    );
    let unprivileged = format!("{text}user = \"shop\"\n");
    assert!(
        !codes(&load(&input(&[("open.toml", &unprivileged)], &[]), &Machine(System::Unix)))
            .contains(&Code::WorldWritableDefinition)
    );
}

#[test]
fn a_setting_that_cannot_be_read_is_found() {
    let loaded = load(&input(&[("menshen.toml", "")], &["service web"]), &Machine(System::Unix));
    assert_eq!(codes(&loaded), [Code::BadSet]);
}

#[test]
fn one_run_reports_every_mistake_at_its_place() {
    let text = "[service.web]\ncommand = \"./shop-web\"\nstop.timeout = 5\nrestart.delay = \"x\"\nnope = 1\nlimits.memory = \"1\"\n";
    let loaded = check(text);
    let found: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|found| (found.code, loaded.sources.position(found.span.unwrap()).line))
        .collect();
    for expected in [(Code::WrongType, 3), (Code::BadDuration, 4), (Code::UnknownKey, 5), (Code::BadSize, 6)] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
}

#[test]
fn no_message_shows_a_rust_type() {
    let text = "[service.web]\ncommand = 5\nlimits.tasks = \"x\"\nlimits.cpu = []\nlimits.files = -1\nessential = 3\nprobe = 1\nlog.format = 2\nenvironment = 7\nnice = 300\n";
    for diagnostic in check(text).diagnostics {
        for word in ["u32", "u64", "i8", "f64", "struct", "enum", "Option", "map", "sequence", "bool"] {
            assert!(
                !diagnostic.message.split(|c: char| !c.is_alphanumeric()).any(|part| part == word),
                "{diagnostic:?}"
            );
        }
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let text = "[service.web]\ncommand = \"./shop-web\"\n[check]\nallow = [\"M028\", \"no-health-probe\"]\n";
    assert_eq!(codes(&check(text)), []);
}

#[test]
fn a_secret_never_shows_in_what_is_printed() {
    let text = "[service.web]\ncommand = [\"./shop-web\", \"--key=${API_TOKEN}\"]\nenvironment = { DB_PASSWORD = { credential = \"file:/run/secrets/db\" }, X_TOKEN = \"plain-secret\" }\n";
    let loaded = load(&input(&[("menshen.toml", text)], &["API_TOKEN=topsecret"]), &Machine(System::Unix));
    let settings = crate::config::settings(&loaded);
    let shown = crate::config::to_toml(&settings);
    for secret in ["hunter2", "topsecret", "plain-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let plan = loaded.plan.unwrap();
    let web = plan.services.get("web").unwrap();
    assert_eq!(web.environment["DB_PASSWORD"], "hunter2");
    assert_eq!(web.secrets.mask("x hunter2 --key=topsecret"), "x ****** ******");
}

#[test]
fn a_secret_does_not_show_where_a_value_is_written_in_its_short_form() {
    let text = "[service.web]\ncommand = \"./shop-web\"\nbreaker.fallback = \"./maintenance-page --key ${API_TOKEN}\"\nenvironment.credential = \"plain-secret\"\nenvironment.X = { credential = \"file:/run/${API_TOKEN}\" }\n";
    let loaded = load(&input(&[("menshen.toml", text)], &["API_TOKEN=topsecret"]), &Machine(System::Unix));
    let settings = crate::config::settings(&loaded);
    let shown = crate::config::to_toml(&settings);
    assert!(!shown.contains("topsecret") && !shown.contains("plain-secret"), "{shown}");
    let fallback = settings.iter().find(|setting| setting.path.ends_with(&["fallback".into(), "command".into()]));
    assert_eq!(fallback.unwrap().origin, "menshen.toml:3:20, API_TOKEN from --set");
}

#[test]
fn the_place_of_a_setting_is_in_the_argument() {
    for setting in ["service.web.user=shop", " service.web . user =x", "service.web.command=./a 'b", "service.nope=ä"]
    {
        let text = "[service.web]\ncommand = \"./shop-web\"\n";
        let loaded = load(&input(&[("menshen.toml", text)], &[setting]), &Machine(System::Unix));
        let (id, source) = loaded.sources.iter().last().unwrap();
        assert_eq!(source.text, setting);
        let mut nodes = vec![&loaded.tree];
        while let Some(node) = nodes.pop() {
            let is_piece = node.span.source != id || setting.get(node.span.start..node.span.end).is_some();
            assert!(is_piece, "{setting}: {:?}", node.span);
            nodes.extend(node.as_table().into_iter().flat_map(|table| table.values()).map(|entry| &entry.node));
        }
        let key = loaded.tree.as_table().unwrap()["service"].key;
        let written = loaded.sources.get(key.source).unwrap().text.get(key.start..key.end);
        assert_eq!(written, Some("service"), "{setting}");
    }
}

#[test]
fn a_secret_does_not_show_in_a_finding() {
    let text = "[service.web]\ncommand = \"${API_TOKEN}\"\ntype = \"${API_TOKEN}\"\nprobe.liveness.http = \"x ${API_TOKEN}\"\nuser = \"x-${API_TOKEN}\"\nstop.timeout = \"1${API_TOKEN}\"\n";
    let loaded = load(&input(&[("menshen.toml", text)], &["API_TOKEN=topsecret"]), &Machine(System::Unix));
    assert!(codes(&loaded).len() >= 5, "{:#?}", loaded.diagnostics);
    for diagnostic in &loaded.diagnostics {
        assert!(!format!("{diagnostic:?}").contains("topsecret"), "{diagnostic:#?}");
    }
}

#[test]
fn a_secret_of_an_alert_does_not_show_in_the_plan() {
    let text = "[service.web]\ncommand = \"./shop-web\"\n[alert.ops]\nwebhook = \"https://hooks.example/${API_TOKEN}\"\n[alert.night]\nexec = [\"./page\", \"${API_TOKEN}\"]\n";
    let loaded = load(&input(&[("menshen.toml", text)], &["API_TOKEN=topsecret"]), &Machine(System::Unix));
    let shown = crate::config::masked_plan(&loaded.plan.unwrap()).to_string();
    assert!(shown.contains("./page") && !shown.contains("topsecret"), "{shown}");
}

#[test]
fn a_secret_in_the_path_of_a_file_does_not_show() {
    let text =
        "[service.web]\ncommand = \"./shop-web\"\nreload = { signal = \"HUP\", files = [\"${API_TOKEN}.conf\"] }\n";
    let load = |token: &str| load(&input(&[("menshen.toml", text)], &[token]), &Machine(System::Unix)).plan.unwrap();
    let (old, new) = (load("API_TOKEN=topsecret"), load("API_TOKEN=nextsecret"));
    let plan = crate::config::masked_plan(&new).to_string();
    let changes = crate::diff::diff(&old, &new);
    let shown = format!("{plan} {changes:?}");
    assert!(!shown.contains("topsecret") && !shown.contains("nextsecret"), "{shown}");
}

#[test]
fn what_a_reload_changes_is_called_as_in_a_definition() {
    let load = |check: &str| {
        let text = format!("[service.web]\ncommand = \"./shop-web\"\nprobe.readiness = {{ {check} }}\n");
        load(&input(&[("menshen.toml", &text)], &[]), &Machine(System::Unix))
    };
    let schema = crate::schema::schema().to_string();
    for (before, after, names) in [
        ("tcp = \":7000\"", "tcp = \":7001\"", &["tcp"][..]),
        (
            "tcp = \":7000\", delay = \"1s\"",
            "http = \"http://127.0.0.1:1/\", method = \"HEAD\"",
            &["delay", "http", "method", "tcp"],
        ),
        ("grpc = \":1\", grpc_service = \"a\"", "grpc = \":2\", grpc_service = \"b\"", &["grpc", "grpc_service"]),
        ("file = \"a\", younger_than = \"1s\"", "file = \"b\", younger_than = \"2s\"", &["file", "younger_than"]),
        ("exec = [\"./a\"]", "log = \"up\"", &["exec", "log"]),
        ("log = \"up\"", "notify = true", &["log", "notify"]),
    ] {
        let (before, after) = (load(before), load(after));
        let changes = crate::diff::diff(before.plan.as_ref().unwrap(), after.plan.as_ref().unwrap());
        let told: Vec<&str> = changes.services[0].changes.iter().map(|change| change.field.as_str()).collect();
        for name in names {
            let key = format!("probe.readiness.{name}");
            assert!(told.contains(&key.as_str()), "{key} is not in {told:?}");
        }
        let is_key = |field: &&str| field.split('.').all(|key| schema.contains(&format!("\"{key}\":")));
        assert!(told.iter().all(is_key), "{told:?}");
    }
}

#[test]
fn a_secret_does_not_show_as_a_name() {
    let text = "[service.web]\ncommand = \"./shop-web\"\ndepends_on = [\"${API_TOKEN}\"]\n";
    let loaded = load(&input(&[("menshen.toml", text)], &["API_TOKEN=topsecret"]), &Machine(System::Unix));
    let shown = crate::config::to_toml(&crate::config::settings(&loaded));
    assert!(shown.contains("depends_on.\"******\"") && !shown.contains("topsecret"), "{shown}");
}

#[test]
fn a_secret_does_not_show_behind_an_item_that_cannot_be_read() {
    let text = "[service.web]\ncommand = \"./shop-web\"\ngroups = [\"\", \"--key=${API_TOKEN}\"]\n";
    let loaded = load(&input(&[("menshen.toml", text)], &["API_TOKEN=topsecret"]), &Machine(System::Unix));
    let shown = crate::config::to_toml(&crate::config::settings(&loaded));
    assert!(loaded.is_refused() && !shown.contains("topsecret"), "{shown}");
}

const WINDOWS_WEB: &str = "[service.web]\ncommand = \"./shop-web\"\n";
const PASSWORD: &str = "password = { credential = \"file:/run/secrets/db\" }\n";

#[test]
fn on_windows_a_password_is_there_where_one_is_needed_and_nowhere_else() {
    let found = |lines: &str| {
        let loaded = check_on(System::Windows, &format!("{WINDOWS_WEB}{lines}"));
        codes(&loaded).contains(&Code::AccountPassword)
    };
    assert!(found("user = '.\\shop'\n"));
    assert!(!found(&format!("user = '.\\shop'\n{PASSWORD}")));
    assert!(found(&format!("user = \"LocalService\"\n{PASSWORD}")));
    assert!(!found("user = \"LocalService\"\n"));
    assert!(found(PASSWORD));
    assert!(!found(&format!("user = '.\\guard'\n{PASSWORD}")), "whoever checks need not be the guard");
    assert!(!found("user = '.\\guard'\n"));
}

#[test]
fn on_windows_numbers_are_no_users_and_what_it_has_not_is_found() {
    let of = |lines: &str| codes(&check_on(System::Windows, &format!("{WINDOWS_WEB}{lines}")));
    assert!(of("user = 1000\n").contains(&Code::UnknownUser));
    assert!(!codes(&check("[service.web]\ncommand = \"./shop-web\"\nuser = 1000\n")).contains(&Code::UnknownUser));
    for line in ["group = \"x\"", "groups = [\"x\"]", "umask = \"027\"", "limits.files = 10"] {
        assert!(of(line).contains(&Code::NotOnThisSystem), "{line}");
        assert!(!of(line).contains(&Code::UnknownGroup), "{line}");
    }
}

#[test]
fn on_windows_a_path_means_a_program_whose_name_it_leaves_unfinished() {
    let text = "[service.clerk]\ncommand = \"./shop-clerk\"\n";
    assert!(!codes(&check_on(System::Windows, text)).contains(&Code::MissingProgram));
    assert!(codes(&check(text)).contains(&Code::MissingProgram));
}

#[test]
fn a_password_is_never_written_in_a_definition_and_never_shown() {
    let text = format!("{WINDOWS_WEB}user = '.\\shop'\npassword = \"correct horse\"\n");
    let loaded = check_on(System::Windows, &text);
    assert!(loaded.is_refused());
    assert!(loaded.diagnostics.iter().all(|diagnostic| !diagnostic.message.contains("correct horse")));
    let loaded = check_on(System::Windows, &format!("{WINDOWS_WEB}user = '.\\shop'\n{PASSWORD}"));
    let plan = loaded.plan.as_ref().unwrap();
    let web = &plan.services["web"];
    assert_eq!(web.password.as_ref().map(|password| password.0.as_str()), Some("hunter2"));
    let shown = format!("{}{:?}{web:?}", crate::config::masked_plan(plan), crate::config::settings(&loaded));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("file:/run/secrets/db"), "{shown}");
}

#[test]
fn on_windows_another_account_has_its_own_folders_and_not_the_guards() {
    let of = |lines: &str| {
        let mut input = input(&[("menshen.toml", &format!("{WINDOWS_WEB}{lines}"))], &[]);
        let windows = [("SYSTEMROOT", r"C:\Windows"), ("APPDATA", r"C:\guard"), ("TEMP", r"C:\t")];
        input.environment.extend(windows.map(|(name, value)| (name.to_owned(), value.to_owned())));
        load(&input, &Machine(System::Windows)).plan.unwrap().services["web"].environment.clone()
    };
    let own = of("");
    assert_eq!((own.get("APPDATA").map(String::as_str), own.contains_key("TEMP")), (Some(r"C:\guard"), true));
    assert_eq!(of("user = '.\\guard'"), own, "it is the same account");
    let others = of("user = \"LocalService\"\ninherit = [\"TEMP\"]\n");
    assert_eq!(others.get("APPDATA"), None);
    assert_eq!(others.get("TEMP").map(String::as_str), Some(r"C:\t"), "it is asked for by name");
    assert_eq!(others.get("SYSTEMROOT").map(String::as_str), Some(r"C:\Windows"));
    assert!(!others.contains_key("HOME"));
}
