//! Starting a program: born into its job, with the handles it is to have and no others, in a console of its own that has no
//! window, as the first of its process group.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::OwnedHandle;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_APPEND_DATA, FILE_FLAG_DELETE_ON_CLOSE, FILE_GENERIC_READ, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_DATA, SYNCHRONIZE,
};
use windows_sys::Win32::System::Pipes::CreatePipe;
use windows_sys::Win32::System::Threading::{
    ABOVE_NORMAL_PRIORITY_CLASS, BELOW_NORMAL_PRIORITY_CLASS, CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW,
    CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW, CreateProcessW, DeleteProcThreadAttributeList,
    EXTENDED_STARTUPINFO_PRESENT, HIGH_PRIORITY_CLASS, IDLE_PRIORITY_CLASS, InitializeProcThreadAttributeList,
    LPPROC_THREAD_ATTRIBUTE_LIST, NORMAL_PRIORITY_CLASS, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
    PROC_THREAD_ATTRIBUTE_JOB_LIST, PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW, STARTUPINFOW,
    UpdateProcThreadAttribute,
};

use super::command_line::{environment_block, is_batch, of_batch, of_program, variable};
use super::job::Job;
use crate::account::Identity;
use crate::account::platform::Session;
use crate::error::context;
use crate::program::{Input, Output, Program};
use crate::win32::{Permissions, checked, heirloom, owned, raw, size_of_u32, wide};

/// A program that runs.
#[derive(Debug)]
pub(super) struct Born {
    pub pid: u32,
    pub process: OwnedHandle,
    /// Where the last of its output is, if somebody wants it.
    pub tail: Option<File>,
    /// The logon it runs under, where that is not the guard's own: to be kept as long as anything of its tree lives.
    pub session: Option<Arc<Session>>,
}

/// Starts a program in a job.
pub(super) fn spawn(program: &Program, job: &Job, tail_path: &Path) -> io::Result<Born> {
    refuse_what_is_not_there(program)?;
    let name =
        program.command.first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let file = find(name, program)?;
    let what = || context(format!("executing {}", file.display()));
    let (application, line) = if is_batch(&file) {
        (command_interpreter(program), of_batch(&file, &program.command[1..])?)
    } else {
        (file.clone(), of_program(&program.command)?)
    };
    let session = program.identity.as_ref().map(Identity::session).transpose()?;
    if let Some(session) = &session {
        session.check_access(&program.directory, &file)?;
    }
    let (handles, tail) = handles(program, tail_path)?;
    let own_job = heirloom(job.handle(), Some(Job::HEIRS_RIGHTS))?;
    let inherited: Vec<HANDLE> = handles.iter().chain([&own_job]).map(raw).collect();
    let jobs = [raw(job.handle())];
    let attributes = Attributes::new(&inherited, &jobs)?;
    let born = create(program, (&application, line), &handles, &attributes, session.as_deref()).map_err(what())?;
    Ok(Born { pid: born.1, process: born.0, tail, session })
}

/// What an option asks for that Windows has not is an error, not something that is passed over.
fn refuse_what_is_not_there(program: &Program) -> io::Result<()> {
    let lacking = [
        (program.umask.is_some(), "umask"),
        (program.files.is_some(), "limits.files"),
        (!program.passed.is_empty(), "fd_store"),
    ];
    match lacking.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, option)) => {
            let why = format!("`{option}` is not available on Windows");
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }
        None => Ok(()),
    }
}

/// The program's file: a bare name is searched in the `PATH` of its environment, a relative path starts at its directory.
fn find(name: &OsStr, program: &Program) -> io::Result<PathBuf> {
    let path = Path::new(name);
    let is_bare = path.components().count() == 1 && !name.to_string_lossy().contains(['/', '\\', ':']);
    let folders: Vec<PathBuf> = if is_bare {
        let search = variable(&program.environment, "PATH").unwrap_or_default();
        std::env::split_paths(search).filter(|folder| folder.is_absolute()).collect()
    } else {
        vec![program.directory.join(path.parent().unwrap_or(Path::new("")))]
    };
    let file = path.file_name().unwrap_or(name).to_string_lossy().into_owned();
    let exact = (!is_bare).then(|| program.directory.join(path));
    let names = crate::file::program_names(&file);
    let in_folders = folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    let found = exact.into_iter().chain(in_folders).find(|path| path.is_file());
    found.ok_or_else(|| {
        let shown = name.to_string_lossy();
        let why =
            if is_bare { format!("there is no program '{shown}' in its PATH") } else { format!("there is no {shown}") };
        io::Error::new(io::ErrorKind::NotFound, why)
    })
}

/// What reads batch files: the system's, whatever the program's environment says.
fn command_interpreter(program: &Program) -> PathBuf {
    let root = variable(&program.environment, "SystemRoot").map(OsStr::to_owned);
    let root = root.or_else(|| std::env::var_os("SystemRoot")).unwrap_or_else(|| r"C:\Windows".into());
    Path::new(&root).join(r"System32\cmd.exe")
}

const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// Copies of its stdin, stdout and stderr that a child inherits, and where to read the last of its output.
fn handles(program: &Program, tail_path: &Path) -> io::Result<([OwnedHandle; 3], Option<File>)> {
    let heir = |file: &OwnedHandle| heirloom(file, None);
    let null = || OpenOptions::new().read(true).write(true).open("NUL").map(OwnedHandle::from);
    let input = match &program.input {
        Input::Null => null()?,
        Input::Bytes(bytes) => filled_pipe(bytes)?,
    };
    let (output, error, tail) = match &program.output {
        Output::Null => (heir(&null()?)?, heir(&null()?)?, None),
        Output::To { stdout, stderr } => (heir(&stdout.0)?, heir(&stderr.0)?, None),
        Output::Tail => {
            let (end, tail) = tail_file(tail_path)?;
            (heir(&end)?, heir(&end)?, Some(tail))
        }
    };
    Ok(([heir(&input)?, output, error], tail))
}

/// The end to read from of a pipe that has these bytes in it, and then ends.
fn filled_pipe(bytes: &[u8]) -> io::Result<OwnedHandle> {
    let (mut read, mut write) = (ptr::null_mut(), ptr::null_mut());
    let room = u32::try_from(bytes.len()).map_err(io::Error::other)?.max(1);
    // SAFETY: both handles are there to be written to.
    checked(unsafe { CreatePipe(&raw mut read, &raw mut write, ptr::null(), room) })?;
    let (read, write) = (owned(read)?, owned(write)?);
    // It has room for all of them.
    File::from(write).write_all(bytes)?;
    Ok(read)
}

/// A file without a future: it goes when nobody has it open any more.
fn tail_file(path: &Path) -> io::Result<(OwnedHandle, File)> {
    let mut options = OpenOptions::new();
    options.access_mode(FILE_GENERIC_READ | FILE_WRITE_DATA | DELETE).create(true).write(true).truncate(true);
    let tail = options.share_mode(SHARE_ALL).custom_flags(FILE_FLAG_DELETE_ON_CLOSE).open(path)?;
    let access = FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
    let end = OpenOptions::new().access_mode(access).share_mode(SHARE_ALL).open(path)?;
    Ok((end.into(), tail))
}

/// The system's list of what a new process is to have.
struct Attributes {
    /// The list, aligned as it must be.
    room: Vec<u64>,
}

impl Attributes {
    /// What is pointed to must live on until the process is made; it is what `spawn` has on its stack.
    fn new(inherited: &[HANDLE], jobs: &[HANDLE]) -> io::Result<Self> {
        const COUNT: u32 = 2;
        let mut bytes = 0;
        // SAFETY: without room it only says how much there must be.
        unsafe { InitializeProcThreadAttributeList(ptr::null_mut(), COUNT, 0, &raw mut bytes) };
        let mut attributes = Self { room: vec![0; bytes.div_ceil(8).max(1)] };
        // SAFETY: there is as much room as it said.
        checked(unsafe { InitializeProcThreadAttributeList(attributes.list(), COUNT, 0, &raw mut bytes) })?;
        attributes.set(PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited)?;
        attributes.set(PROC_THREAD_ATTRIBUTE_JOB_LIST, jobs)?;
        Ok(attributes)
    }

    fn set(&mut self, attribute: u32, handles: &[HANDLE]) -> io::Result<()> {
        let attribute = usize::try_from(attribute).map_err(io::Error::other)?;
        // SAFETY: the list is whole, and the handles are as many bytes as is said.
        checked(unsafe {
            UpdateProcThreadAttribute(
                self.list(),
                0,
                attribute,
                handles.as_ptr().cast(),
                size_of_val(handles),
                ptr::null_mut(),
                ptr::null(),
            )
        })
    }

    fn list(&self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.room.as_ptr().cast_mut().cast()
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the list was initialised, or is all zeroes, which is one with nothing in it.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

fn create(
    program: &Program,
    (application, mut line): (&Path, Vec<u16>),
    [input, output, error]: &[OwnedHandle; 3],
    attributes: &Attributes,
    session: Option<&Session>,
) -> io::Result<(OwnedHandle, u32)> {
    // Whoever is not the guard may not use the desktop that the guard's window station has. An empty name asks for the
    // account's own, without which no program could begin that draws or listens to a window.
    let mut own_desktop = wide("");
    let startup = STARTUPINFOEXW {
        StartupInfo: STARTUPINFOW {
            cb: size_of_u32::<STARTUPINFOEXW>(),
            lpDesktop: if session.is_some() { own_desktop.as_mut_ptr() } else { ptr::null_mut() },
            dwFlags: STARTF_USESTDHANDLES,
            hStdInput: raw(input),
            hStdOutput: raw(output),
            hStdError: raw(error),
            ..STARTUPINFOW::default()
        },
        lpAttributeList: attributes.list(),
    };
    let environment = environment_block(&environment(program, session)?)?;
    let (application, directory) = (wide(application), wide(&program.directory));
    let permissions = session.map(Session::permissions).transpose()?;
    let permissions = permissions.as_ref().map_or(ptr::null(), Permissions::attributes);
    let flags = CREATE_UNICODE_ENVIRONMENT
        | EXTENDED_STARTUPINFO_PRESENT
        | CREATE_NEW_PROCESS_GROUP
        | CREATE_NO_WINDOW
        | priority(program.nice);
    let mut made = PROCESS_INFORMATION::default();
    let (application, line, directory) = (application.as_ptr(), line.as_mut_ptr(), directory.as_ptr());
    let (block, startup) = (environment.as_ptr().cast(), (&raw const startup).cast());
    // SAFETY: all texts end with a zero and the line may be written to; what the list names lives on, and nothing else that
    // could be inherited is; a session's token is open.
    checked(unsafe {
        let (of, made) = (permissions, &raw mut made);
        match session.map(|session| raw(session.token())) {
            None => CreateProcessW(application, line, of, of, 1, flags, block, directory, startup, made),
            Some(token) => {
                CreateProcessAsUserW(token, application, line, of, of, 1, flags, block, directory, startup, made)
            }
        }
    })?;
    drop(owned(made.hThread)?);
    Ok((owned(made.hProcess)?, made.dwProcessId))
}

/// Its whole environment: what the account has of itself, and over that what the definition says.
fn environment(program: &Program, session: Option<&Session>) -> io::Result<Vec<(OsString, OsString)>> {
    let mut environment = session.map(Session::environment).transpose()?.unwrap_or_default();
    environment.extend(program.environment.iter().cloned());
    Ok(environment)
}

/// The class that is nearest to a nice value.
fn priority(nice: Option<i32>) -> u32 {
    match nice.unwrap_or(0) {
        ..=-11 => HIGH_PRIORITY_CLASS,
        -10..=-1 => ABOVE_NORMAL_PRIORITY_CLASS,
        0 => NORMAL_PRIORITY_CLASS,
        1..=10 => BELOW_NORMAL_PRIORITY_CLASS,
        11.. => IDLE_PRIORITY_CLASS,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use windows_sys::Win32::System::Threading::{INFINITE, WaitForSingleObject};

    use super::*;
    use crate::account::platform::identity_tests::own_identity;
    use crate::event::Exit;
    use crate::system::platform::port::Port;
    use crate::system::platform::process;

    /// Runs a line of the command interpreter, to its end. How it ended, and what it wrote.
    fn run(line: &str, environment: &[(&str, &str)], identity: Option<Identity>) -> (Exit, String) {
        let folder = tempfile::tempdir().unwrap();
        let name = format!(r"Global\menshen-unit-{}", folder.path().file_name().unwrap().display());
        let job = Job::make(&name, &Port::new().unwrap(), 1).unwrap();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let root = std::env::var_os("SystemRoot").unwrap();
        let interpreter = Path::new(&root).join(r"System32\cmd.exe").into_os_string();
        let program = Program {
            command: [interpreter].into_iter().chain(["/d", "/c"].map(OsString::from)).chain([line.into()]).collect(),
            environment: environment.chain([("SystemRoot".into(), root)]).collect(),
            directory: folder.path().to_owned(),
            output: Output::Tail,
            identity,
            ..Program::default()
        };
        let born = spawn(&program, &job, &folder.path().join("tail")).unwrap();
        assert!(job.contains(born.pid) || process::has_ended(&born.process), "it was born into its job");
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(raw(&born.process), INFINITE) };
        let mut tail = born.tail.unwrap();
        tail.rewind().unwrap();
        (process::exit_of(&born.process), io::read_to_string(tail).unwrap())
    }

    #[test]
    fn a_nice_value_is_the_priority_class_that_is_nearest_to_it() {
        let classes = [-20, -11, -10, -1, 0, 1, 10, 11, 19].map(|nice| priority(Some(nice)));
        let (high, above) = (HIGH_PRIORITY_CLASS, ABOVE_NORMAL_PRIORITY_CLASS);
        let (below, idle) = (BELOW_NORMAL_PRIORITY_CLASS, IDLE_PRIORITY_CLASS);
        assert_eq!(classes, [high, high, above, above, NORMAL_PRIORITY_CLASS, below, below, idle, idle]);
        assert_eq!(priority(None), NORMAL_PRIORITY_CLASS);
    }

    #[test]
    fn a_program_of_another_logon_has_the_accounts_variables_and_over_them_its_own() {
        let (identity, session) = own_identity();
        let line = "echo %MINE% %TEMP% %USERPROFILE%& exit 7";
        let (exit, said) = run(line, &[("MINE", "5"), ("TEMP", r"C:\mine")], Some(identity));
        let variables = session.environment().unwrap();
        let profile = variable(&variables, "USERPROFILE").unwrap().to_string_lossy().into_owned();
        assert_eq!((exit, said.trim()), (Exit::Code(7), format!(r"5 C:\mine {profile}").as_str()));
    }

    #[test]
    fn a_program_of_the_guards_own_account_has_its_own_variables_alone() {
        let (exit, said) = run("echo %MINE% %USERPROFILE%& exit 3", &[("MINE", "5")], None);
        assert_eq!((exit, said.trim()), (Exit::Code(3), "5 %USERPROFILE%"));
    }
}
