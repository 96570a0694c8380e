//! `menshen import`.

mod registry;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use menshen_guard::definition::DefinitionSource;
use menshen_guard::facts::ThisMachine;
use menshen_plan::import::{
    ImportError, Imported, Kind, Note, NoteKind, decode, guess, import as translate, import_service_keys,
};
use menshen_plan::parse::SOURCE_BYTES_MAX;
use menshen_plan::{Code, Source};

use crate::args::{Arguments, Import, ImportKind};
use crate::definition;
use crate::failure::{Exit, Failure};
use crate::output::{self, printable, styled};

/// What stands for standard input among the sources.
const STDIN: &str = "-";

/// Makes a definition of what another supervisor reads: on stdout, with what has no equivalent on stderr, or in a file.
pub(super) fn import(arguments: &Arguments, import: &Import) -> Result<Exit, Failure> {
    let folder = target_folder(import)?;
    let is_nssm = import.from == Some(ImportKind::Nssm);
    let (kind, imported) = if is_nssm && import.sources.iter().all(|source| registry::is_name(source)) {
        let keys: Vec<_> = import.sources.iter().map(|name| registry::read(name)).collect::<Result<_, _>>()?;
        (Kind::Nssm, import_service_keys(&keys, &ThisMachine::default()))
    } else {
        let mut sources = Vec::new();
        for path in &import.sources {
            sources.extend(read(path, &folder)?);
        }
        let kind = match import.from {
            Some(kind) => kind.into(),
            None => kind_of(&sources)?,
        };
        (kind, translate(kind, &sources, &folder, &ThisMachine::default()))
    };
    let imported = imported.map_err(|error| failure(&error))?;
    if let Some(path) = &import.output {
        write_new(path, &folder, &imported.definition)?;
    }
    if arguments.json {
        output::json(&serde_json::json!({
            "kind": kind,
            "definition": imported.definition,
            "notes": imported.notes,
            "output": import.output,
        }));
        return Ok(Exit::Done);
    }
    if import.output.is_none() {
        output::raw(imported.definition.as_bytes());
    }
    show_notes(&imported.notes);
    output::note(summary(&imported, import.output.as_deref()));
    Ok(Exit::Done)
}

/// The folder of the definition, where relative paths in it start.
fn target_folder(import: &Import) -> Result<PathBuf, Failure> {
    let output = import.output.as_deref().unwrap_or(Path::new("menshen.toml"));
    let path = std::path::absolute(output).map_err(|error| unreadable(output, &error))?;
    Ok(path.parent().map(Path::to_owned).unwrap_or_default())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {}", path.display(), menshen_os::error::describe(error)))
}

/// A source, and the drop-ins of a systemd unit.
fn read(path: &Path, folder: &Path) -> Result<Vec<Source>, Failure> {
    if path == Path::new(STDIN) {
        let text = decoded("standard input", &limited(path, io::stdin())?)?;
        return Ok(vec![Source { name: STDIN.to_owned(), text }]);
    }
    if path.is_dir() {
        let help = "name the files in it, such as DIR/*.service";
        return Err(Failure::new(Exit::Usage, format!("{} is a folder", path.display())).help(help));
    }
    let name = name_of(path, folder);
    let template = template_of(path);
    // An instance of a template has no file of its own.
    let file = template.as_ref().filter(|template| !path.exists() && template.exists());
    let mut sources = vec![read_file(file.map_or(path, PathBuf::as_path), &name)?];
    for unit in template.iter().map(PathBuf::as_path).chain([path]) {
        for drop_in in drop_ins(unit)? {
            let file = drop_in.file_name().unwrap_or_default().to_string_lossy();
            sources.push(read_file(&drop_in, &format!("{}.d/{file}", name_of(unit, folder)))?);
        }
    }
    Ok(sources)
}

fn read_file(path: &Path, name: &str) -> Result<Source, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let bytes = limited(path, file)?;
    Ok(Source { name: name.to_owned(), text: decoded(&path.display().to_string(), &bytes)? })
}

fn limited(path: &Path, from: impl io::Read) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() > SOURCE_BYTES_MAX {
        let message = format!("{} has more than {SOURCE_BYTES_MAX} bytes, which no such file has", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(bytes)
}

fn decoded(name: &str, bytes: &[u8]) -> Result<String, Failure> {
    decode(bytes).map_err(|error| {
        Failure::new(Exit::Failed, format!("{name}: {error}")).help("save it as UTF-8, and import that")
    })
}

/// What a source is called: its file's name where it lies beside the definition, so that nothing of the definition depends
/// on where both are; its whole path where it does not.
fn name_of(path: &Path, folder: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = absolute.to_string_lossy();
    // Whether a unit is a user's is told by where it is.
    let is_user_unit = text.contains("/systemd/user/") || text.contains("/.config/systemd/");
    match absolute.file_name() {
        Some(name) if absolute.parent() == Some(folder) && !is_user_unit => name.to_string_lossy().into_owned(),
        Some(_) | None => text.into_owned(),
    }
}

/// `web@.service` beside `web@blue.service`.
fn template_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let (prefix, instance) = name.strip_suffix(".service")?.split_once('@')?;
    (!instance.is_empty()).then(|| path.with_file_name(format!("{prefix}@.service")))
}

/// `web.service.d/*.conf` beside `web.service`. What cannot be looked into is not taken for nothing: it changes the unit.
fn drop_ins(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.extension().is_none_or(|extension| extension != "service") {
        return Ok(Vec::new());
    }
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let unusable = |error: io::Error| {
        unreadable(&folder, &error).help(format!(
            "what is in it changes the unit; import it as somebody who may read it, or move a copy of {} elsewhere without it",
            path.display()
        ))
    };
    let entries = match fs::read_dir(&folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(unusable)?,
    };
    let files: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = files.map_err(unusable)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    Ok(files)
}

/// The kind of all sources together.
fn kind_of(sources: &[Source]) -> Result<Kind, Failure> {
    let kinds = || Kind::ALL.map(Kind::as_str).join(", ");
    let help = || format!("say which with --from KIND; the kinds are {}", kinds());
    let mut found: Option<(Kind, &str)> = None;
    for source in sources.iter().filter(|source| !source.name.contains(".service.d/")) {
        let kind = guess(&source.name, &source.text)
            .map_err(|unclear| Failure::new(Exit::Usage, unclear.to_string()).help(help()))?;
        match found {
            Some((first, name)) if first != kind => {
                let message = format!("{name} is {}, and {} is {}", first.noun(), source.name, kind.noun());
                return Err(Failure::new(Exit::Usage, message).help("import one kind at a time"));
            }
            Some(_) => {}
            None => found = Some((kind, &source.name)),
        }
    }
    found.map(|(kind, _)| kind).ok_or_else(|| Failure::new(Exit::Usage, "there is nothing to import").help(help()))
}

fn failure(error: &ImportError) -> Failure {
    if let ImportError::Nothing { notes, .. } = error {
        show_notes(notes);
    }
    let failure = Failure::new(Exit::Failed, error.to_string());
    match error.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// Writes a file that was not there: for the owner alone, where there are secrets in it.
fn write_new(path: &Path, folder: &Path, text: &str) -> Result<(), Failure> {
    let created = if has_secrets(folder, text)? {
        menshen_os::file::create_new_private(path)
    } else {
        File::options().write(true).create_new(true).open(path)
    };
    let written = created.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            Failure::new(Exit::Failed, format!("{} is there already; nothing was written", path.display()))
                .help("name another file, or move this one away")
        } else {
            unreadable(path, &error)
        }
    })
}

/// Whether a definition would be told that it has secrets in it.
fn has_secrets(folder: &Path, text: &str) -> Result<bool, Failure> {
    let source = DefinitionSource {
        path: folder.to_owned(),
        text: Some(text.to_owned()),
        profile: None,
        settings: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        only: Vec::new(),
    };
    Ok(definition::load(&source)?.diagnostics.iter().any(|found| found.code == Code::PlainSecret))
}

/// Shows the notes; what is the same of several keys is said once.
fn show_notes(notes: &[Note]) {
    let alike = |left: &Note, right: &Note| {
        let same = |note: &Note| (note.kind, note.service.clone(), note.message.clone(), note.help.clone());
        left.place.source == right.place.source && same(left) == same(right)
    };
    for group in notes.chunk_by(alike) {
        let Some(first) = group.first() else { continue };
        let keys = keys_of(group);
        let kind = styled(format_args!("{}:", first.kind.as_str()), style(first.kind));
        let service = first.service.as_ref().map(|name| format!(" ({})", printable(name))).unwrap_or_default();
        output::note(format_args!("{kind} {} {keys}{service}", printable(&first.place.to_string())));
        output::note(format_args!("  {}", printable(&first.message)));
        if let Some(help) = &first.help {
            output::note(format_args!("  {} {}", styled("help:", AnsiColor::Cyan.on_default()), printable(help)));
        }
    }
}

/// The keys of notes that are alike, each once; the section stands before the first.
fn keys_of(group: &[Note]) -> String {
    let mut keys: Vec<String> = Vec::new();
    for note in group {
        let key = printable(&note.key);
        let section = keys.first().and_then(|first| first.split_once("] ")).map(|(section, _)| format!("{section}] "));
        let key = section.and_then(|section| key.strip_prefix(&section)).unwrap_or(&key).to_owned();
        let is_known = keys.first().is_some_and(|first| first.ends_with(&format!("] {key}"))) || keys.contains(&key);
        if !is_known {
            keys.push(key);
        }
    }
    keys.join(", ")
}

fn style(kind: NoteKind) -> Style {
    match kind {
        NoteKind::Lost => AnsiColor::Red.on_default(),
        NoteKind::Changed => AnsiColor::Yellow.on_default(),
        NoteKind::Advice => AnsiColor::Cyan.on_default(),
    }
}

fn summary(imported: &Imported, written: Option<&Path>) -> String {
    let services = imported.definition.lines().filter(|line| is_service(line)).count();
    let count = |kind: NoteKind| imported.notes.iter().filter(|note| note.kind == kind).count();
    let counted = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let next = match written {
        Some(path) => format!("{} is written; `menshen check --file {}` looks at it", path.display(), path.display()),
        None => "`menshen check` looks at it once it is in a file".to_owned(),
    };
    format!(
        "{}: {} lost, {} changed, {} of advice; {next}",
        counted(services, "service"),
        counted(count(NoteKind::Lost), "thing"),
        counted(count(NoteKind::Changed), "thing"),
        counted(count(NoteKind::Advice), "piece"),
    )
}

fn is_service(line: &str) -> bool {
    line.starts_with("[service.") && !line.ends_with(".environment]")
}
