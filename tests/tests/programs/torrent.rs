//! A program that writes as quickly as it can: `seq`, whose every line is another.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use menshen_tests::events::Mark;
use menshen_tests::wait::until;
use menshen_tests::{Bed, LogLine, State, Trees};
use rustix::io::ioctl_fionread;
use sha2::{Digest as _, Sha256};

const LINES: u64 = 400_000;
/// Of each stream, where both are written to at once.
const LINES_OF_BOTH: u64 = 600_000;
/// Of each stream, where each line is made into another.
const LINES_OF_EACH: u64 = 50_000;
/// Of one that writes for as long as guards come and go.
const LINES_OF_BURST: u64 = 10_000;
const BURSTS: u64 = 40;
/// After so many its guard is killed.
const BURSTS_TO_KILL: u64 = 8;
/// More than a pipe holds.
const LINES_WHILE_ABSENT: u64 = 500_000;
const ABSENT: Duration = Duration::from_secs(10);
const STREAMS: [&str; 2] = ["stdout", "stderr"];
/// The files that are being written.
const OPEN: [&str; 3] = ["stdout.log", "stderr.log", "output.log"];

type Sum = [u8; 32];

/// What `seq` writes.
fn written(lines: u64) -> Vec<u8> {
    let mut text = String::new();
    for line in 1..=lines {
        writeln!(text, "{line}").unwrap();
    }
    text.into_bytes()
}

fn sum(bytes: &[u8]) -> Sum {
    Sha256::digest(bytes).into()
}

/// A definition of a `seq` that starts when it is told to.
fn definition(rotate: &str) -> String {
    definition_of(&format!(r#"["seq", "{LINES}"]"#), rotate)
}

/// The same of one to each stream, at once.
fn definition_of_both(rotate: &str) -> String {
    definition_of(&format!(r#"["sh", "-c", "seq {LINES_OF_BOTH} >&2 & seq {LINES_OF_BOTH}; wait"]"#), rotate)
}

fn definition_of(command: &str, rotate: &str) -> String {
    format!(
        "[service.seq]\ncommand = {command}\nstart = \"manual\"\nrestart.on_exit = {{ 0 = \"stop\" }}\n\
         log.rotate = {{ {rotate} }}\n"
    )
}

/// The files of a stream, oldest first.
fn files(folder: &Path, stream: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(stream) && !name.ends_with(".idx") && !name.ends_with(".part")
    };
    let mut files: Vec<PathBuf> = names.filter(is_log).collect();
    // What is being written has no number, and a letter comes after every digit.
    files.sort();
    files
}

/// What a file holds, compressed or not; nothing if it was compressed or removed meanwhile.
fn content(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    match path.extension().unwrap().to_str().unwrap() {
        "zst" => zstd::stream::read::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap(),
        "gz" => flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap(),
        _ => file.read_to_end(&mut bytes).unwrap(),
    };
    Some(bytes)
}

/// What is on disk, once nothing is left to be closed, compressed or removed.
fn on_disk(folder: &Path, stream: &str, is_at_rest: impl Fn(&[PathBuf]) -> bool) -> Vec<u8> {
    until("all closed files are compressed and none is too many", || is_at_rest(&files(folder, stream)));
    files(folder, stream).iter().flat_map(|path| content(path).unwrap()).collect()
}

fn are_compressed(files: &[PathBuf], with: &str) -> bool {
    let is_open = |path: &PathBuf| OPEN.iter().any(|name| path.ends_with(name));
    files.iter().all(|path| is_open(path) || path.extension().is_some_and(|extension| extension == with))
}

/// A running `menshen logs --follow`, and what it has given so far.
struct Follower {
    child: Child,
    reader: JoinHandle<Vec<u8>>,
}

impl Follower {
    /// Reads until the last line of all.
    fn start(bed: &Bed, last: u64) -> Self {
        let mut command = bed.command();
        command.args(["logs", "seq", "--stdout", "--lines", "all", "--follow"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut given = BufReader::new(child.stdout.take().unwrap());
        let last = format!("{last}\n").into_bytes();
        let read = move || {
            let mut bytes = Vec::new();
            loop {
                let begin = bytes.len();
                if given.read_until(b'\n', &mut bytes).unwrap() == 0 || bytes[begin..] == last {
                    return bytes;
                }
            }
        };
        Self { child, reader: std::thread::spawn(read) }
    }

    fn given(mut self) -> Vec<u8> {
        until("the follower has the last line", || self.reader.is_finished());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap()
    }
}

#[test]
fn of_a_torrent_every_byte_is_on_disk_and_with_a_follower_while_files_are_closed_and_compressed() {
    let written = written(LINES_OF_BOTH);
    for (compress, extension) in [("zstd", "zst"), ("gzip", "gz")] {
        let rotate = format!("size = \"256KiB\", keep = 0, total = \"0B\", compress = \"{compress}\"");
        let bed = Bed::new(Trees::Walk, &definition_of_both(&rotate)).up();
        let follower = Follower::start(&bed, LINES_OF_BOTH);
        bed.menshen(["start", "seq", "--no-wait"]).done();
        bed.await_entry(Mark::BEGIN, "seq", State::Stopped);
        let given = follower.given();
        assert_eq!((given.len(), sum(&given)), (written.len(), sum(&written)), "{compress}: the follower");
        let folder = PathBuf::from(bed.service("seq").log_folder);
        for stream in STREAMS {
            let kept = on_disk(&folder, stream, |files| files.len() > 10 && are_compressed(files, extension));
            assert_eq!((kept.len(), sum(&kept)), (written.len(), sum(&written)), "{compress}: the files of {stream}");
        }
    }
}

#[test]
fn of_a_torrent_in_lines_every_one_is_on_disk_and_with_a_follower_while_files_are_closed_and_compressed() {
    let written = written(LINES_OF_EACH);
    let command = format!(r#"["sh", "-c", "seq {LINES_OF_EACH} >&2 & seq {LINES_OF_EACH}; wait"]"#);
    for (format, of_line) in [("text", text_line as fn(&str) -> (&str, String)), ("json", json_line)] {
        let rotate = "size = \"256KiB\", keep = 0, total = \"0B\", compress = \"zstd\"";
        let log = format!("log.format = \"{format}\"\n");
        let bed = Bed::new(Trees::Walk, &(definition_of(&command, rotate) + &log)).up();
        let follower = Follower::start(&bed, LINES_OF_EACH);
        bed.menshen(["start", "seq", "--no-wait"]).done();
        bed.await_entry(Mark::BEGIN, "seq", State::Stopped);
        let given = follower.given();
        assert_eq!((given.len(), sum(&given)), (written.len(), sum(&written)), "{format}: the follower");
        let folder = PathBuf::from(bed.service("seq").log_folder);
        let kept = on_disk(&folder, "output", |files| files.len() > 10 && are_compressed(files, "zst"));
        let kept = String::from_utf8(kept).unwrap();
        for stream in STREAMS {
            let of_stream = kept.lines().map(of_line).filter(|(of, _)| *of == stream);
            let lines: String = of_stream.flat_map(|(_, line)| [line, "\n".to_owned()]).collect();
            assert_eq!((lines.len(), sum(lines.as_bytes())), (written.len(), sum(&written)), "{format}: {stream}");
        }
    }
}

#[test]
fn of_a_torrent_every_line_is_on_disk_and_with_a_follower_though_its_guards_are_killed() {
    let lines = BURSTS * LINES_OF_BURST;
    let written = written(lines);
    let burst = format!("seq $$((n * {LINES_OF_BURST} + 1)) $$((n * {LINES_OF_BURST} + {LINES_OF_BURST}))");
    let script = format!(
        "n=0; while [ $$n -lt {BURSTS} ]; do {burst}; n=$$((n+1)); echo $$n > next; mv next burst; sleep 0.05; \
         [ $$((n % {BURSTS_TO_KILL})) = 0 ] && until [ -e after$$n ]; do sleep 0.01; done; done"
    );
    for (format, stem, of_line) in [
        ("raw", "stdout", None),
        ("text", "output", Some(text_line as fn(&str) -> (&str, String))),
        ("json", "output", Some(json_line)),
    ] {
        let rotate = "size = \"256KiB\", keep = 0, total = \"0B\", compress = \"zstd\"";
        let definition = definition_of(&format!(r#"["sh", "-c", "{script}"]"#), rotate);
        let mut bed = Bed::new(Trees::Walk, &format!("{definition}log.format = \"{format}\"\n")).up();
        let follower = Follower::start(&bed, lines);
        bed.menshen(["start", "seq", "--no-wait"]).done();
        for burst in (1..=BURSTS / BURSTS_TO_KILL).map(|kill| kill * BURSTS_TO_KILL) {
            until("it has written on", || bed.await_file("burst").trim() == burst.to_string());
            // It writes when the guard dies, and while there is none.
            bed.write(&format!("after{burst}"), "");
            if burst < BURSTS {
                bed.kill_guard();
                bed.start_guard();
            }
        }
        bed.await_entry(Mark::BEGIN, "seq", State::Stopped);
        let given = follower.given();
        assert_eq!((given.len(), sum(&given)), (written.len(), sum(&written)), "{format}: the follower");
        let folder = PathBuf::from(bed.service("seq").log_folder);
        let kept = on_disk(&folder, stem, |files| files.len() > 5 && are_compressed(files, "zst"));
        let kept = of_line.map_or(kept.clone(), |of_line| {
            let kept = String::from_utf8(kept).unwrap();
            kept.lines().map(of_line).flat_map(|(_, line)| [line, "\n".to_owned()]).collect::<String>().into_bytes()
        });
        assert_eq!((kept.len(), sum(&kept)), (written.len(), sum(&written)), "{format}: the files");
    }
}

/// The stream and the text of a line in a file of `text`.
fn text_line(line: &str) -> (&str, String) {
    let mut fields = line.splitn(3, ' ').skip(1);
    (fields.next().unwrap(), fields.next().unwrap().to_owned())
}

/// The same of `json`.
fn json_line(line: &str) -> (&str, String) {
    let line: LogLine = serde_json::from_str(line).unwrap();
    (line.stream.as_str(), line.text)
}

#[test]
fn of_a_torrent_what_retention_leaves_is_its_end_byte_for_byte() {
    const KEEP: usize = 3;
    let written = written(LINES);
    let bed = Bed::new(Trees::Walk, &definition("size = \"128KiB\", keep = 3, compress = \"zstd\"")).up();
    let follower = Follower::start(&bed, LINES);
    bed.menshen(["start", "seq", "--no-wait"]).done();
    bed.await_entry(Mark::BEGIN, "seq", State::Stopped);
    let given = follower.given();
    let folder = PathBuf::from(bed.service("seq").log_folder);
    let kept = on_disk(&folder, "stdout", |files| files.len() == KEEP + 1 && are_compressed(files, "zst"));
    assert!(kept.len() > KEEP * (64 << 10), "{} bytes are less than {KEEP} closed files have", kept.len());
    assert_eq!(sum(&kept), sum(&written[written.len() - kept.len()..]), "the last {} bytes", kept.len());
    assert_eq!(sum(&bed.menshen(["logs", "seq", "--stdout", "--lines", "all"]).ended_with(0).stdout), sum(&kept));
    // A follower that was overtaken by retention has gaps, but each line that it was given is one that was written.
    let lines = given.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let numbers: Vec<u64> = lines.map(|line| std::str::from_utf8(line).unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "lines doubled, torn or out of order");
    assert_eq!(numbers.last(), Some(&LINES));
}

/// Lets a program write more than its pipe holds while no guard is there, for ten seconds: it waits, and nothing is lost.
#[test]
fn a_program_that_writes_on_without_a_guard_waits_for_the_next_and_loses_nothing() {
    let script = format!(
        "seq 10; echo $$$$ > pid; while [ ! -e go ]; do sleep 0.01; done; seq {LINES_WHILE_ABSENT}; echo > done; exec sleep 3600"
    );
    let definition = format!(
        "[service.seq]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nlog.rotate = {{ size = \"1MiB\", keep = 0 }}\n"
    );
    let mut bed = Bed::new(Trees::Walk, &definition).up();
    let program = bed.await_process("pid");
    let pipe = fs::read_link(format!("/proc/{}/fd/1", program.pid)).unwrap();
    bed.kill_guard();
    bed.write("go", "");
    let pipe = File::options().read(true).write(true).open(pipe).unwrap();
    until("the pipe is full", || is_full(&pipe));
    let end = Instant::now() + ABSENT;
    while Instant::now() < end {
        assert!(program.lives() && !bed.path("done").exists(), "the program did not wait");
        assert!(is_full(&pipe), "somebody read from the pipe");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(pipe);
    bed.start_guard();
    until("the program has written everything", || bed.path("done").exists());
    let expected = [written(10), written(LINES_WHILE_ABSENT)].concat();
    let folder = PathBuf::from(bed.service("seq").log_folder);
    let length =
        || files(&folder, "stdout").iter().filter_map(|path| content(path)).map(|bytes| bytes.len()).sum::<usize>();
    until("everything is on disk", || length() >= expected.len());
    let kept = on_disk(&folder, "stdout", |files| are_compressed(files, "zst"));
    assert_eq!((kept.len(), sum(&kept)), (expected.len(), sum(&expected)));
    assert_eq!(bed.main_process("seq"), program, "it is the same program");
}

/// Whether a pipe holds as much as it can, but for what a block that is larger than the rest leaves free.
fn is_full(pipe: &File) -> bool {
    let capacity = rustix::pipe::fcntl_getpipe_size(pipe).unwrap();
    let held = usize::try_from(ioctl_fionread(pipe).unwrap()).unwrap();
    held * 10 > capacity * 9
}
