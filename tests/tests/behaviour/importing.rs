//! What another supervisor reads becomes a definition that runs.

use menshen_tests::{Bed, State, Trees};

/// A bed without a definition.
fn bed() -> Bed {
    let bed = Bed::new(Trees::Walk, "");
    std::fs::remove_file(bed.path("menshen.toml")).unwrap();
    bed
}

#[test]
fn a_systemd_unit_with_a_drop_in_is_imported_checked_and_runs() {
    let mut bed = bed();
    let folder = bed.folder().display().to_string();
    let unit = r#"
[Unit]
Description=Web
After=prepare.service

[Service]
WorkingDirectory=FOLDER
Environment="GREETING=hello  world" PRICE=$5
EnvironmentFile=FOLDER/web.env
ExecStartPre=/bin/sh -c 'echo pre >> order'
ExecStart=/bin/sh -c 'echo main >> order; echo "$0|$1|$GREETING|$PRICE|${PORT}" > seen; exec sleep 1000' \
    "a \"b\" 100%%" ${PORT}
KillSignal=SIGINT
ProtectSystem=strict
[Install]
WantedBy=multi-user.target
"#;
    bed.write("web.service", unit.replace("FOLDER", &folder));
    let prepare = format!("[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo prepare >> {folder}/order'\n");
    bed.write("prepare.service", prepare);
    std::fs::create_dir(bed.path("web.service.d")).unwrap();
    bed.write("web.service.d/10-price.conf", "[Service]\nEnvironment=PRICE=$6\n");
    bed.write("web.env", "PORT=8080\n");

    let import = ["import", "web.service", "prepare.service", "--output", "menshen.toml"];
    let ran = bed.menshen(import).ended_with(0);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("ProtectSystem"), "{}{}", ran.text(), ran.stderr);
    let check = bed.menshen(["check"]).ended_with(0);
    assert!(!check.text().contains("error"), "{}", check.text());

    bed.start_guard();
    assert_eq!(bed.await_file("seen"), "a \"b\" 100%|8080|hello  world|$6|8080\n");
    assert_eq!(bed.await_file("order"), "prepare\npre\nmain\n");
    bed.await_state("prepare", State::Completed);
    bed.menshen(["stop", "web"]).done();
    let stopped = bed.service("web").service;
    assert!(stopped.state == State::Stopped, "{stopped:?}");
}

#[test]
fn a_variable_of_a_unit_is_as_many_arguments_as_are_in_it() {
    let mut bed = bed();
    let folder = bed.folder().display().to_string();
    for (name, options) in [("none", ""), ("some", "-a  *")] {
        let unit = format!(
            "[Service]\nWorkingDirectory={folder}\nEnvironmentFile={folder}/{name}.env\n\
             ExecStart=/bin/sh -c '(printf \"<%%s>\" \"$@\"; echo) > {name}.new; mv {name}.new {name}; exec sleep 1000' sh $OPTS 'l a s t'\n\
             [Install]\nWantedBy=multi-user.target\n"
        );
        bed.write(&format!("{name}.service"), unit);
        bed.write(&format!("{name}.env"), format!("OPTS={options}\n"));
    }
    bed.menshen(["import", "none.service", "some.service", "--output", "menshen.toml"]).done();
    bed.start_guard();
    assert_eq!(bed.await_file("none"), "<l a s t>\n");
    assert_eq!(bed.await_file("some"), "<-a><*><l a s t>\n");
}

#[test]
fn what_a_stop_command_of_a_unit_leaves_running_is_ended_by_the_signal() {
    let mut bed = bed();
    let unit = r#"
[Service]
WorkingDirectory=FOLDER
ExecStart=/bin/sh -c 'trap "echo told >> order; exit 0" USR1; echo up > up; while :; do sleep 1000 & wait $!; done'
ExecStop=/bin/sh -c 'echo out of the balancer >> order'
KillSignal=SIGUSR1
[Install]
WantedBy=multi-user.target
"#;
    bed.write("web.service", unit.replace("FOLDER", &bed.folder().display().to_string()));
    bed.menshen(["import", "web.service", "--output", "menshen.toml"]).done();
    bed.start_guard();
    bed.await_file("up");
    bed.menshen(["stop", "web"]).done();
    assert_eq!(bed.await_file("order"), "out of the balancer\ntold\n");
    let stopped = bed.service("web").service;
    assert_eq!((stopped.state, stopped.last_exit.as_deref()), (State::Stopped, Some("exit 0")));
}

#[test]
fn drop_ins_that_cannot_be_looked_into_are_not_taken_for_none() {
    let bed = bed();
    bed.write("web.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    // What leads to itself can be read by nobody, whoever runs the tests.
    std::os::unix::fs::symlink("web.service.d", bed.path("web.service.d")).unwrap();
    let refused = bed.menshen(["import", "web.service", "--output", "menshen.toml"]).ended_with(1);
    for part in ["web.service.d", "changes the unit"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!bed.path("menshen.toml").exists(), "nothing was written");
    std::fs::remove_file(bed.path("web.service.d")).unwrap();
    bed.write("web.service.d", "no folder, which systemd does not mind");
    bed.menshen(["import", "web.service"]).done();
}

#[test]
fn programs_of_supervisord_are_imported_checked_and_run() {
    let bed = bed();
    let conf = r#"
[supervisord]
environment=REGION=eu

[program:worker]
command=sh -c "echo $0 $WHERE $REGION %(process_num)02d > out-%(process_num)d; exec sleep 1000" "worker; %(ENV_TOKEN)s" ; comment
process_name=%(program_name)s_%(process_num)02d
numprocs=2
numprocs_start=1
directory=FOLDER
environment=WHERE="here, there",
    MORE='100%%'
autorestart=unexpected
stopsignal=INT

[program:job]
command=sh -c 'echo done > job'
directory=FOLDER
autorestart=false
startsecs=0
"#;
    bed.write("supervisord.conf", conf.replace("FOLDER", &bed.folder().display().to_string()));
    let ran = bed.menshen(["import", "supervisord.conf", "--output", "menshen.toml"]).ended_with(0);
    assert!(ran.stderr.contains("TOKEN"), "{}", ran.stderr);
    let refused = bed.menshen(["check"]).ended_with(3);
    assert!(refused.text().contains("${TOKEN} is not set"), "{}", refused.text());
    bed.menshen(["check", "--set", "TOKEN=x"]).done();

    let bed = bed.tell_guard("TOKEN", "t 1").up();
    assert_eq!(bed.await_file("out-1"), "worker; t 1 here, there eu 01\n");
    assert_eq!(bed.await_file("out-2"), "worker; t 1 here, there eu 02\n");
    bed.await_state("job", State::Completed);
    assert_eq!(bed.await_file("job"), "done\n");
    for name in ["worker_01", "worker_02"] {
        assert_eq!(bed.service(name).service.state, State::Running, "{name}");
    }
}

/// Notes what it was given, in one piece, and stays.
const NOTE: &str = r#"printf '%s\n' "$GREETING" "$@" >seen.new && mv seen.new seen && exec sleep 1000"#;
/// What has to arrive, however a source writes it.
const SEEN: &str = "hello  world\ntwo words\na \"quoted\" one\n$5 100%\n";

/// A source that runs the program of the bed's folder `FOLDER`, and how it is imported.
struct Source {
    name: &'static str,
    text: &'static str,
    more: &'static [&'static str],
}

const SOURCES: [Source; 5] = [
    Source {
        name: "shop.xml",
        text: r#"<service>
  <id>web</id>
  <name>The web</name>
  <description>Notes what it is given</description>
  <executable>/bin/sh</executable>
  <arguments>%BASE%/note.sh "two words" "a \"quoted\" one" "$5 100%"</arguments>
  <workingdirectory>FOLDER</workingdirectory>
  <env name="GREETING" value="hello  world"/>
  <onfailure action="restart" delay="1 sec"/>
  <stoptimeout>5 sec</stoptimeout>
</service>"#,
        more: &[],
    },
    Source {
        name: "web.dump",
        text: r#"nssm.exe install web /bin/sh
nssm.exe set web AppParameters ^"FOLDER/note.sh \^"two words\^" \^"a \\\^"quoted\\\^" one\^" \^"$5 100%\^"^"
nssm.exe set web AppDirectory FOLDER
nssm.exe set web AppEnvironmentExtra ":GREETING=hello  world"
nssm.exe set web AppExit Default Restart
"#,
        more: &["--from", "nssm"],
    },
    Source {
        name: "ecosystem.config.js",
        text: r#"module.exports = {
  apps: [
    {
      name: 'web',
      script: './note.sh',
      interpreter: '/bin/sh',
      args: ['two words', 'a "quoted" one', '$5 100%'],
      cwd: 'FOLDER',
      env: { GREETING: 'hello  world' },
      max_restarts: 3,
    },
  ],
};
"#,
        more: &[],
    },
    Source {
        name: "Procfile",
        text: r#"release: echo "released with $GREETING" > released
web: GREETING="hello  world" sh note.sh "two words" 'a "quoted" one' '$5 100%'
"#,
        more: &[],
    },
    Source {
        name: "supervisord.conf",
        text: r#"[program:web]
command=/bin/sh %(here)s/note.sh "two words" "a \"quoted\" one" "$5 100%%"
directory=FOLDER
environment=GREETING="hello  world"
"#,
        more: &[],
    },
];

/// From what another supervisor reads to a program that runs, each by the commands that somebody would type.
#[test]
fn every_source_is_imported_checked_and_runs_with_the_words_it_has() {
    for source in SOURCES {
        let bed = bed();
        bed.write("note.sh", NOTE);
        let path = bed.write(source.name, source.text.replace("FOLDER", &bed.folder().display().to_string()));
        println!("{}", path.display());
        let import = [&["import", source.name, "--output", "menshen.toml"], source.more].concat();
        bed.menshen(import).done();
        println!("{}", std::fs::read_to_string(bed.path("menshen.toml")).unwrap());
        bed.menshen(["check"]).done();

        let bed = bed.tell_guard("GREETING", "nobody").up();
        assert_eq!(bed.await_file("seen"), SEEN, "{}", source.name);
        bed.await_state("web", State::Running);
        if source.name == "Procfile" {
            assert_eq!(bed.await_file("released"), "released with nobody\n");
            bed.await_state("release", State::Completed);
        }
        bed.menshen(["stop", "web"]).done();
        bed.await_state("web", State::Stopped);
    }
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let bed = Bed::new(Trees::Walk, "# mine\n");
    bed.write("Procfile", "web: sleep 1000\n");
    let ran = bed.menshen(["import", "Procfile", "--output", "menshen.toml"]).ended_with(1);
    assert!(ran.stderr.contains("menshen.toml is there already; nothing was written"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(bed.path("menshen.toml")).unwrap(), "# mine\n");
}

#[test]
fn the_definition_goes_to_stdout_and_what_is_lost_to_stderr() {
    let bed = bed();
    bed.write("Procfile", "web: sleep 1000\nnot an entry\n");
    let ran = bed.menshen(["import", "Procfile"]).ended_with(0);
    assert!(ran.text().contains("[service.web]\ncommand = [\"sleep\", \"1000\"]"), "{}", ran.text());
    assert!(!ran.text().contains("not an entry") && ran.stderr.contains("lost: Procfile:2"), "{}", ran.stderr);
    let json: serde_json::Value = bed.menshen(["import", "Procfile", "--json"]).ended_with(0).json();
    assert_eq!(json["definition"].as_str(), Some(ran.text().as_str()));
    assert_eq!((json["kind"].as_str(), json["notes"][0]["kind"].as_str()), (Some("procfile"), Some("lost")));
    assert_eq!(json["notes"][0]["place"], serde_json::json!({ "source": "Procfile", "line": 2 }));
}

#[test]
fn what_is_read_from_elsewhere_keeps_its_folder() {
    let bed = bed();
    std::fs::create_dir(bed.path("app")).unwrap();
    bed.write("app/Procfile", "web: ./run\n");
    let folder = bed.path("app").canonicalize().unwrap();
    let ran = bed.menshen(["import", "app/Procfile"]).ended_with(0);
    assert!(ran.text().contains(&format!("directory = \"{}\"", folder.display())), "{}", ran.text());
}

#[test]
fn an_instance_of_a_template_is_read_from_the_template_and_its_drop_ins() {
    let bed = bed();
    bed.write("web@.service", "[Service]\nExecStart=/bin/echo %i\n");
    for folder in ["web@.service.d", "web@blue.service.d"] {
        std::fs::create_dir(bed.path(folder)).unwrap();
    }
    bed.write("web@.service.d/10-all.conf", "[Service]\nEnvironment=ALL=1\n");
    bed.write("web@blue.service.d/20-blue.conf", "[Service]\nEnvironment=BLUE=1\n");
    let ran = bed.menshen(["import", "web@blue.service"]).ended_with(0);
    for part in ["[service.web-blue]", "command = [\"/bin/echo\", \"blue\"]", "{ ALL = \"1\", BLUE = \"1\" }"] {
        assert!(ran.text().contains(part), "{part} is not in\n{}", ran.text());
    }
}

#[test]
fn what_it_is_has_to_be_clear() {
    let bed = bed();
    bed.write("both", "[Service]\nExecStart=/bin/true\n[program:web]\ncommand=true\n");
    bed.write("neither", "hello\n");
    bed.write("Procfile", "web: true\n");
    bed.write("code.js", "module.exports = { apps: [{ script: process.env.SCRIPT }] }\n");
    for (arguments, code, says) in [
        (&["import", "both"][..], 2, "both might be a systemd unit or a supervisord.conf"),
        (&["import", "--from", "nssm", "web"], 1, "nssm dump web"),
        (&["import", "neither"], 2, "the kinds are systemd, supervisord, winsw, nssm, pm2, procfile"),
        (&["import", "both", "Procfile"], 2, "both might be"),
        (&["import", "Procfile", "code.js"], 2, "import one kind at a time"),
        (&["import", "code.js"], 1, "node -p"),
        (&["import", "missing"], 1, "missing: no such file"),
        (&["import", "."], 2, ". is a folder"),
        (&["import"], 2, "SOURCE"),
        (&["import", "both", "--from", "systemd"], 0, "[program:web] command"),
    ] {
        let ran = bed.menshen(arguments).ended_with(code);
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_definition_with_a_secret_in_it_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let bed = bed();
    bed.write("open.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    bed.write("secret.service", "[Service]\nEnvironment=DB_PASSWORD=hunter2\nExecStart=/bin/sleep 1000\n");
    let mode = |name: &str| {
        let output = format!("{name}.toml");
        bed.menshen(["import", &format!("{name}.service"), "--output", &output]).done();
        std::fs::metadata(bed.path(&output)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode("secret"), 0o600);
    assert_ne!(mode("open") & 0o044, 0, "others may read what is no secret");
}
