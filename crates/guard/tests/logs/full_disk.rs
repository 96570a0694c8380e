//! A disk with no room.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use menshen_guard::logs::read::Query;
use menshen_guard::logs::{LogId, Report};
use menshen_plan::definition::{Compression, LogFormat};

use crate::bed::{Bed, Program, assert_same, log_folder, numbers, plan, program_end, spec, until, whole};

/// A small file system, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Of 4 MiB. None where it cannot be had.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "menshen-test"]).arg(path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            Some(Self(path.to_owned()))
        } else {
            assert!(std::env::var_os("CI").is_none(), "mounting a tmpfs needs root");
            println!("skipped: mounting a tmpfs needs root");
            None
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn output_waits_for_room_on_a_full_disk_and_nothing_is_lost() {
    for format in [LogFormat::Raw, LogFormat::Text, LogFormat::Json] {
        let bed = Bed::new();
        let Some(disk) = SmallDisk::mount(&bed.path("disk")) else { return };
        fs::write(disk.0.join("ballast"), vec![1; 3 << 20]).unwrap();
        let mut rules = plan(format, 300_000);
        rules.rotate.compress = Compression::None;
        bed.logs.attach(LogId(1), spec(&disk.0, 1, rules)).unwrap();
        bed.attach(2, plan(LogFormat::Raw, 0));
        // As raw bytes it fills the disk, and then the pipe.
        let last = if format == LogFormat::Raw { 380_000 } else { 40_000 };
        let mut program = Program::seq(program_end(&disk.0, 1, "stdout"), last);
        let Report::Trouble { log: LogId(1), text, .. } = bed.report() else { panic!("another report was expected") };
        assert!(text.contains("no space left"), "{text}");
        if format == LogFormat::Raw {
            assert!(!program.has_ended(), "the program waits");
        }
        // Others go on.
        bed.stdout(2).write_all(b"going on\n").unwrap();
        bed.flush(2);
        assert_eq!(fs::read(bed.log_folder(2).join("stdout.log")).unwrap(), b"going on\n");
        // A flush is answered, though nothing can be written.
        bed.flush(1);
        fs::remove_file(disk.0.join("ballast")).unwrap();
        let over = bed.report();
        assert!(matches!(over, Report::TroubleOver { log: LogId(1), .. }), "{over:?}");
        program.wait();
        bed.flush(1);
        bed.logs.stop();
        assert!(bed.reports.try_recv().is_err(), "one trouble, and one end of it");
        let folder = log_folder(&disk.0, 1);
        if format == LogFormat::Raw {
            assert_same(&whole(&folder, "stdout"), &numbers(last));
        } else {
            let mut reader = menshen_guard::logs::read::Reader::open(&folder, Query::default()).unwrap();
            for number in 1..=last {
                assert_eq!(reader.read_line().unwrap().unwrap().text, number.to_string());
            }
            assert_eq!(reader.read_line().unwrap(), None);
        }
    }
}

#[test]
fn a_log_that_cannot_be_compressed_for_want_of_room_stays_as_it_is() {
    let bed = Bed::new();
    let Some(disk) = SmallDisk::mount(&bed.path("disk")) else { return };
    // What does not get smaller needs as much room again.
    let noise: Vec<u8> = std::iter::repeat_with({
        let mut state = 1_u32;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        }
    })
    .filter(|byte| *byte != b'\n')
    .take(2_500_000)
    .chain([b'\n'])
    .collect();
    bed.logs.attach(LogId(1), spec(&disk.0, 1, plan(LogFormat::Raw, 2_500_000))).unwrap();
    program_end(&disk.0, 1, "stdout").write_all(&noise).unwrap();
    bed.flush(1);
    let Report::Trouble { log: LogId(1), text, .. } = bed.report() else { panic!("another report was expected") };
    assert!(text.contains("compressing") && text.contains("no space left"), "{text}");
    let folder = log_folder(&disk.0, 1);
    assert_same(&whole(&folder, "stdout"), &noise);
    until("what was begun is gone", || {
        !fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|end| end == "new"))
    });
}
