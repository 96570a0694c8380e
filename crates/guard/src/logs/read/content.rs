//! The bytes of one log, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use menshen_os::output::FileId;

use super::super::names::Part;

/// Counts the bytes that were read from files.
#[derive(Debug, Clone, Default)]
pub(in crate::logs) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(in crate::logs) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A file whose reading is counted.
struct Metered {
    file: File,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.meter.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The bytes of one log, from the first on.
pub(super) struct Content {
    reader: Reader,
    position: u64,
    /// Which file it is, if it is not compressed.
    pub(super) id: Option<FileId>,
    /// How long it is, if it is not compressed; it may grow.
    pub(super) length: Option<u64>,
    /// When it was last written, in milliseconds since 1970.
    pub(super) modified_ms: Option<i64>,
}

enum Reader {
    Plain(Metered),
    Zstd(Box<zstd::Decoder<'static, BufReader<Metered>>>),
    Gzip(Box<MultiGzDecoder<BufReader<Metered>>>),
    /// It cannot be read, for the reason that is told once.
    Broken(Option<io::Error>),
}

impl Content {
    pub(super) fn open(path: &Path, part: Part, meter: &Meter) -> io::Result<Self> {
        let file = File::open(path)?;
        let (metadata, file_id) = (file.metadata()?, FileId::of(&file)?);
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let modified_ms = modified.and_then(|since| i64::try_from(since.as_millis()).ok());
        let file = Metered { file, meter: meter.clone() };
        let (reader, plain) = match part {
            Part::Zstd => (Reader::Zstd(Box::new(zstd::Decoder::new(file)?)), None),
            Part::Gzip => (Reader::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(file)))), None),
            Part::Plain | Part::Index => (Reader::Plain(file), Some(metadata)),
        };
        let (id, length) = (plain.as_ref().map(|_| file_id), plain.as_ref().map(std::fs::Metadata::len));
        Ok(Self { reader, position: 0, id, length, modified_ms })
    }

    /// What could not be opened.
    pub(super) const fn broken(error: io::Error) -> Self {
        Self { reader: Reader::Broken(Some(error)), position: 0, id: None, length: None, modified_ms: None }
    }

    /// How many bytes come before the next.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next bytes; zero at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = loop {
            let read = match &mut self.reader {
                Reader::Plain(file) => file.read(buffer),
                Reader::Zstd(decoder) => decoder.read(buffer),
                Reader::Gzip(decoder) => decoder.read(buffer),
                Reader::Broken(error) => error.take().map_or(Ok(0), Err),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.position += count as u64;
        Ok(count)
    }

    /// Reads the bytes between two places of a log that is not compressed; fewer if it is not that long.
    pub(super) fn read_between(&mut self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        self.go_to(start)?;
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Goes to a place; in a compressed log only forward.
    pub(super) fn go_to(&mut self, offset: u64) -> io::Result<()> {
        if let Reader::Plain(file) = &mut self.reader {
            self.position = file.file.seek(SeekFrom::Start(offset))?;
            return Ok(());
        }
        let mut skipped = [0; 8192];
        while self.position < offset {
            let left = usize::try_from(offset - self.position).unwrap_or(usize::MAX);
            if self.read(&mut skipped[..left.min(8192)])? == 0 {
                break;
            }
        }
        Ok(())
    }
}
