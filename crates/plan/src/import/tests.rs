//! The import as a whole: what comes of real-world shapes of each kind, that all of it loads, and that words stay words.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::nssm::{Data, ServiceKey, ServiceValue};
use super::{ImportError, Imported, Kind, NoteKind, Place, decode, guess, import, import_service_keys};
use crate::definition::{AlsoLog, StartType};
use crate::facts::{Facts, FileLook, Logon, Look, System, User};
use crate::load::{Input, Layer, Loaded, load};
use crate::source::Source;
use crate::{Diagnostic, Plan};

/// A machine with everything but what is called missing.
struct Machine;

impl Facts for Machine {
    fn read(&self, path: &Path) -> Result<String, String> {
        if path.to_string_lossy().contains("missing") {
            return Err("no such file".to_owned());
        }
        Ok("FROM_FILE=1\n".to_owned())
    }

    fn look(&self, path: &Path) -> Look {
        match path.to_string_lossy() {
            name if name.contains("missing") => Look::Missing,
            name if name.ends_with('/') || !name.contains('.') && !name.contains("bin") => Look::Directory,
            _ => Look::File(FileLook { executable: true, ..FileLook::default() }),
        }
    }

    fn find_program(&self, name: &str, _: &str) -> Option<PathBuf> {
        Some(Path::new("/usr/bin").join(name))
    }

    fn user(&self, account: &str) -> Option<User> {
        let home = Path::new("/srv").join(account);
        Some(User {
            name: account.to_owned(),
            home,
            shell: "/bin/sh".into(),
            is_root: account == "root",
            logon: Logon::Rights,
        })
    }

    fn has_group(&self, _: &str) -> bool {
        true
    }

    fn system(&self) -> System {
        System::Unix
    }

    fn is_root(&self) -> bool {
        false
    }

    fn has_log(&self, place: AlsoLog) -> bool {
        place != AlsoLog::Eventlog
    }

    fn digest(&self, _: &Path) -> Option<u64> {
        None
    }
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

fn import_all(kind: Kind, sources: &[(&str, &str)]) -> Imported {
    import_in("/srv", kind, sources)
}

fn import_in(folder: &str, kind: Kind, sources: &[(&str, &str)]) -> Imported {
    let sources: Vec<Source> = sources.iter().map(|(name, text)| source(name, text)).collect();
    import(kind, &sources, Path::new(folder), &Machine).unwrap_or_else(|error| panic!("{error}: {error:?}"))
}

/// Loads a definition where the variables are set.
fn load_with(definition: &str, variables: &[(&str, &str)]) -> Loaded {
    let environment = [("PATH", "/usr/bin")].iter().chain(variables);
    let input = Input {
        layers: vec![Layer { files: vec![source("menshen.toml", definition)] }],
        settings: Vec::new(),
        environment: environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        folder: "/srv".into(),
    };
    load(&input, &Machine)
}

fn plan_of(imported: &Imported, variables: &[(&str, &str)]) -> Plan {
    let loaded = load_with(&imported.definition, variables);
    let errors: Vec<&Diagnostic> = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.refuses()).collect();
    loaded.plan.unwrap_or_else(|| panic!("refused: {errors:#?}\n{}", imported.definition))
}

/// The definition, what is noted, and what `menshen check` says.
fn shown(imported: &Imported, variables: &[(&str, &str)]) -> String {
    let notes: Vec<String> = imported
        .notes
        .iter()
        .map(|note| {
            let service = note.service.as_deref().unwrap_or("-");
            let help = note.help.as_ref().map(|help| format!("\n    {help}")).unwrap_or_default();
            format!("{} {} ({service}) {}: {}{help}", note.place, note.kind.as_str(), note.key, note.message)
        })
        .collect();
    let loaded = load_with(&imported.definition, variables);
    assert!(loaded.plan.is_some(), "{:#?}\n{}", loaded.diagnostics, imported.definition);
    let found: Vec<String> =
        loaded.diagnostics.iter().map(|diagnostic| format!("{} {}", diagnostic.code, diagnostic.message)).collect();
    format!("{}\n--- notes\n{}\n\n--- check\n{}\n", imported.definition, notes.join("\n"), found.join("\n"))
}

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_str!(concat!("fixtures/", $name)))
    };
}

#[test]
fn systemd_units_with_drop_ins() {
    let imported = import_all(
        Kind::Systemd,
        &[
            ("web.service", include_str!("fixtures/shop.service")),
            fixture!("cache.service"),
            fixture!("migrate.service"),
            ("units/cache.service.d/10-more.conf", include_str!("fixtures/cache.service.d/10-more.conf")),
        ],
    );
    insta::assert_snapshot!(shown(&imported, &[]));
}

#[test]
fn a_supervisord_conf() {
    let imported = import_all(Kind::Supervisord, &[fixture!("supervisord.conf")]);
    insta::assert_snapshot!(shown(&imported, &[("TOKEN", "t0ken"), ("HOSTNAME", "shop-1")]));
}

#[test]
fn winsw_files() {
    let imported = import_all(Kind::Winsw, &[fixture!("shop.xml"), fixture!("cache.xml")]);
    insta::assert_snapshot!(shown(&imported, &[]));
    assert!(!imported.definition.contains("Pa55w0rd"), "a password is copied");
}

#[test]
fn the_folder_of_a_source_is_a_whole_path_wherever_the_service_works() {
    let conf = "[program:web]\ncommand=%(here)s/bin/web\ndirectory=/data\n";
    let imported = import_in("/etc/shop", Kind::Supervisord, &[("supervisord.conf", conf)]);
    assert!(imported.definition.contains("command = [\"/etc/shop/bin/web\"]"), "{}", imported.definition);

    let xml = r"<service><id>web</id><executable>%BASE%\bin\web.exe</executable><workingdirectory>D:\data</workingdirectory></service>";
    let of_windows = import_in(r"C:\shop", Kind::Winsw, &[("web.xml", xml)]);
    assert!(of_windows.definition.contains(r"command = ['C:\shop\bin\web.exe']"), "{}", of_windows.definition);
    assert!(of_windows.notes.iter().all(|note| note.key != "%BASE%"), "{:?}", of_windows.notes);
    let elsewhere = import_in("/etc/shop", Kind::Winsw, &[("web.xml", xml)]);
    assert!(elsewhere.definition.contains(r"command = ['.\bin\web.exe']"), "{}", elsewhere.definition);
    assert!(elsewhere.notes.iter().any(|note| note.key == "%BASE%"), "{:?}", elsewhere.notes);
    let without = xml.replace(r"<workingdirectory>D:\data</workingdirectory>", "");
    let without = import_in(r"C:\shop", Kind::Winsw, &[("web.xml", &without)]);
    assert!(!without.definition.contains("directory"), "beside the definition it works where that is");
}

#[test]
fn a_switch_that_is_off_loses_nothing() {
    let unit = |settings: &str| {
        let text = format!("[Service]\nExecStart=/usr/bin/a\n{settings}\n[Install]\nWantedBy=a.target\n");
        import_all(Kind::Systemd, &[("a.service", &text)]).notes
    };
    for off in ["DynamicUser=no", "PrivateTmp=0", "ProtectSystem=false", "NoNewPrivileges=off", "TTYReset=no"] {
        assert_eq!(unit(off), [], "{off}");
    }
    for on in ["DynamicUser=yes", "PrivateTmp=1", "ProtectSystem=full", "LimitCORE=0", "SendSIGKILL=no"] {
        assert_eq!(unit(on).len(), 1, "{on}");
    }
}

#[test]
fn a_variable_that_is_a_word_of_its_own_becomes_as_many_words_as_are_in_it() {
    let unit = "[Service]\nEnvironmentFile=/etc/default/web\nExecStart=/usr/bin/web -D $OPTS --port ${PORT}\n[Install]\nWantedBy=a.target\n";
    let imported = import_all(Kind::Systemd, &[("web.service", unit)]);
    let plan = plan_of(&imported, &[]);
    let words = &plan.services["web"].command.0;
    assert_eq!(words[..3], ["sh", "-fc", r#"exec "${1}" "${2}" $OPTS "${3}" "${4}""#]);
    assert_eq!(words[3..], ["sh", "/usr/bin/web", "-D", "--port", ""]);
}

#[test]
fn a_window_that_was_reckoned_out_is_explained() {
    let conf = "[program:web]\ncommand=/bin/web\nstartretries=12\n";
    let imported = import_all(Kind::Supervisord, &[("supervisord.conf", conf)]);
    let comment = imported.definition.lines().find(|line| line.starts_with("# breaker.within")).unwrap_or_default();
    let within = plan_of(&imported, &[]).services["web"].breaker.within;
    assert!(comment.contains(&crate::duration::format(within)), "{}", imported.definition);
}

#[test]
fn an_export_of_nssm() {
    let text = decode(include_bytes!("fixtures/shop.reg")).unwrap();
    let imported = import_all(Kind::Nssm, &[("shop.reg", &text), fixture!("shop.dump")]);
    insta::assert_snapshot!(shown(&imported, &[]));
}

#[test]
fn what_systemd_starts_at_no_boot_is_started_when_it_is_needed() {
    let once = "[Service]\nType=oneshot\nExecStart=/usr/bin/clean\n";
    let starts = |text: &str| {
        let imported = import_all(Kind::Systemd, &[("once.service", text)]);
        let is_told = imported.notes.iter().any(|note| note.key == "[Install]");
        (plan_of(&imported, &[]).services["once"].start, is_told)
    };
    assert_eq!(starts(once), (StartType::Manual, true));
    assert_eq!(starts(&format!("{once}[Install]\nWantedBy=multi-user.target\n")), (StartType::Auto, false));
    assert_eq!(starts(&format!("{once}[Install]\nAlias=other.service\n")), (StartType::Auto, false));
    let hooked =
        import_all(Kind::Systemd, &[("once.service", &format!("{once}ExecStartPre=/bin/a\nExecStartPost=/bin/b\n"))]);
    let plan = plan_of(&hooked, &[]);
    assert_eq!(plan.services.keys().map(ToString::to_string).collect::<Vec<_>>(), ["once", "once-pre-1"]);
    assert!(plan.services.values().all(|service| service.start == StartType::Manual));
    // Nothing would start what follows it.
    let told = |imported: &Imported| {
        let after = imported.notes.iter().filter(|note| note.key == "[Service] ExecStartPost");
        after.map(|note| (note.kind, note.service.clone().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(told(&hooked), [(NoteKind::Lost, "once".to_owned())]);
    let installed = format!("{once}ExecStartPost=/bin/b\n[Install]\nWantedBy=multi-user.target\n");
    let installed = import_all(Kind::Systemd, &[("once.service", &installed)]);
    assert_eq!(plan_of(&installed, &[]).services["once-post-1"].start, StartType::Auto);
    assert_eq!(told(&installed), [(NoteKind::Changed, "once".to_owned())]);
}

#[test]
fn instances_of_what_has_no_cluster_are_services_of_their_own() {
    let names = |app: &str| {
        let imported = import_all(Kind::Pm2, &[("pm2.json", &format!("{{\"apps\":[{{\"name\":\"web\",{app}}}]}}"))]);
        plan_of(&imported, &[]).services.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    for several in [
        r#""script":"web","interpreter":"python3","instances":2"#,
        r#""script":"web.py","instances":2"#,
        r#""script":"web","interpreter":"none","instances":"2""#,
        r#""script":"web.js","exec_mode":"fork","instances":2"#,
    ] {
        assert_eq!(names(several), ["web-0", "web-1"], "{several}");
    }
    for one in [
        r#""script":"web.js","instances":2"#,
        r#""script":"web","interpreter":"/opt/node/bin/node","instances":"max""#,
        r#""script":"web.ts","instances":2"#,
        r#""script":"web.py","exec_mode":"cluster","instances":2"#,
    ] {
        assert_eq!(names(one), ["web"], "{one}");
    }
}

#[test]
fn a_pm2_ecosystem() {
    let imported = import_all(Kind::Pm2, &[fixture!("ecosystem.config.js")]);
    insta::assert_snapshot!(shown(&imported, &[]));
}

#[test]
fn a_procfile() {
    let imported = import_all(Kind::Procfile, &[fixture!("Procfile")]);
    insta::assert_snapshot!(shown(&imported, &[]));
}

/// The words of the first service's command.
fn words_of(imported: &Imported) -> Vec<String> {
    let plan = plan_of(imported, &[]);
    plan.services.first().unwrap().1.command.0.clone()
}

fn quoted_for_systemd(word: &str) -> String {
    let escaped =
        word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

fn quoted_for_windows(word: &str) -> String {
    let mut quoted = String::from("\"");
    let mut backslashes = 0;
    for character in word.chars() {
        let before = if character == '"' { 2 * backslashes + 1 } else { backslashes };
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        if character != '\\' {
            quoted.extend(std::iter::repeat_n('\\', before));
            quoted.push(character);
        }
    }
    quoted.extend(std::iter::repeat_n('\\', 2 * backslashes));
    quoted + "\""
}

fn for_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One service of a kind whose command is `/bin/app` with these arguments, in the quoting of the kind.
fn source_with(kind: Kind, arguments: &[String]) -> Source {
    let each = |quote: &dyn Fn(&str) -> String| arguments.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let posix = |word: &str| shlex::try_quote(word).unwrap().into_owned();
    match kind {
        Kind::Systemd => {
            source("app.service", &format!("[Service]\nExecStart=/bin/app {}\n", each(&quoted_for_systemd)))
        }
        Kind::Supervisord => {
            let line = each(&posix).replace('%', "%%");
            source("supervisord.conf", &format!("[program:app]\ncommand=/bin/app {line}\n"))
        }
        Kind::Winsw => {
            let line = for_xml(&each(&quoted_for_windows));
            source(
                "app.xml",
                &format!(
                    "<service><id>app</id><executable>/bin/app</executable><arguments>{line}</arguments></service>"
                ),
            )
        }
        Kind::Nssm => {
            let line = each(&quoted_for_windows) + "\0";
            let bytes: Vec<String> =
                line.encode_utf16().flat_map(u16::to_le_bytes).map(|byte| format!("{byte:02x}")).collect();
            let key = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\app\Parameters";
            let text = format!(
                "REGEDIT4\n[{key}]\n\"Application\"=\"/bin/app\"\n\"AppParameters\"=hex(2):{}\n",
                bytes.join(",")
            );
            source("app.reg", &text)
        }
        Kind::Pm2 => {
            let arguments = serde_json::to_string(arguments).unwrap();
            source(
                "ecosystem.json",
                &format!("{{\"apps\":[{{\"name\":\"app\",\"script\":\"/bin/app\",\"args\":{arguments}}}]}}"),
            )
        }
        Kind::Procfile => source("Procfile", &format!("app: /bin/app {}\n", each(&posix))),
    }
}

/// What every kind can write: `;` and `#` begin comments in a supervisord.conf, line ends end a line of most, and XML has no
/// control characters.
const ARGUMENT: &str = "[\"'\\\\ $%{}a=^&|<>*:,-]{0,8}|\\$\\{?[A-Z]{1,3}\\}?|%[A-Z]{1,3}%|[\\p{L}\\p{S}\\p{N} ]{0,6}";

proptest! {
    #[test]
    fn arguments_arrive_as_they_were_written(arguments in proptest::collection::vec(ARGUMENT, 0..5)) {
        for kind in Kind::ALL {
            let source = source_with(kind, &arguments);
            prop_assert_eq!(guess(&source.name, &source.text), Ok(kind));
            let imported = import(kind, std::slice::from_ref(&source), Path::new("/srv"), &Machine).unwrap();
            let expected: Vec<String> = std::iter::once("/bin/app".to_owned()).chain(arguments.iter().cloned()).collect();
            prop_assert_eq!(words_of(&imported), expected, "{}: {}\n{}", kind, source.text, imported.definition);
        }
    }

    #[test]
    fn whatever_comes_in_what_comes_out_loads(kind in 0_usize..6, text in SOURCE) {
        let source = source("x.service", &text);
        if let Ok(imported) = import(Kind::ALL[kind], &[source], Path::new("/srv"), &Machine) {
            let loaded = load_with(&imported.definition, &[]);
            // What has to be set in the environment is for whoever starts the guard to set.
            let refusing = loaded.diagnostics.iter().find(|found| found.refuses() && found.code != crate::Code::UnsetPlaceholder);
            prop_assert!(refusing.is_none(), "{:#?}\n{}", refusing, imported.definition);
        }
    }
}

/// Texts that look a little like each of the kinds.
const SOURCE: &str = "(\\[(Unit|Service|program:[a-z ]{0,3}|supervisord)\\]\n|(ExecStart|command|User|Restart|Environment|numprocs|web|After|Nice|MemoryMax|process_name)[=:][ -~]{0,20}\n|\\PC{0,20}\n){0,8}";

#[test]
fn a_service_of_a_live_registry_is_imported() {
    let place = Place::whole(r"HKLM\SYSTEM\CurrentControlSet\Services\web");
    let value = |subkey: &str, name: &str, data: Data| ServiceValue {
        subkey: subkey.to_owned(),
        name: name.to_owned(),
        data,
        place: place.clone(),
    };
    let values = vec![
        value("", "Start", Data::Number(3)),
        value("Parameters", "Application", Data::Text(r"C:\web\web.exe".to_owned())),
        value("Parameters", "AppEnvironmentExtra", Data::Texts(vec!["PORT=80".to_owned()])),
        value("Parameters", "Foo", Data::Bytes(vec![1])),
    ];
    let key = ServiceKey { name: "web".to_owned(), values, place: place.clone() };
    let imported = import_service_keys(&[key], &Machine).unwrap();
    let plan = plan_of(&imported, &[]);
    let web = plan.services.first().unwrap().1;
    assert_eq!(web.command.0, [r"C:\web\web.exe"]);
    assert_eq!((web.start, web.environment["PORT"].as_str()), (StartType::Manual, "80"));
    assert_eq!(imported.notes[0].place, place);
    let none = import_service_keys(&[ServiceKey { name: "x".to_owned(), values: Vec::new(), place }], &Machine);
    assert!(matches!(none, Err(ImportError::Nothing { .. })), "{none:?}");
}

#[test]
fn nothing_of_a_source_vanishes() {
    for (kind, name, text) in [
        (Kind::Systemd, "x.service", "[Service]\nExecStart=/bin/x\nFoo=1\n[Bar]\nBaz=1\n"),
        (Kind::Supervisord, "supervisord.conf", "[program:x]\ncommand=/bin/x\nfoo=1\n[bar]\nbaz=1\n"),
        (
            Kind::Winsw,
            "x.xml",
            "<service><id>x</id><executable>/bin/x</executable><foo>1</foo><bar><baz/></bar></service>",
        ),
        (
            Kind::Nssm,
            "x.reg",
            "REGEDIT4\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\x\\Parameters]\n\"Application\"=\"/bin/x\"\n\"Foo\"=\"1\"\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\x\\Bar]\n\"Baz\"=dword:1\n",
        ),
        (Kind::Pm2, "pm2.json", "{\"apps\":[{\"script\":\"x.js\",\"foo\":1}],\"bar\":1}"),
    ] {
        let imported = import_all(kind, &[(name, text)]);
        let lost: Vec<String> = imported
            .notes
            .iter()
            .filter(|note| note.kind == NoteKind::Lost)
            .map(|note| note.key.to_lowercase())
            .collect();
        for key in ["foo", "ba"] {
            assert!(lost.iter().any(|lost| lost.contains(key)), "{kind}: {key} is not in {lost:?}");
        }
    }
}
