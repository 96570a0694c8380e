//! Lines for the systemd journal, in its native protocol.

use std::io;
use std::path::PathBuf;

use menshen_api::types::Stream;
use menshen_os::output::JournalSocket;

use super::lines::{Ends, Piece};

/// The longest message in bytes. What is longer would have to be passed as a file.
const MESSAGE_BYTES_MAX: usize = 48 * 1024;

/// The way to the journal, opened when the first line goes there.
#[derive(Debug)]
pub(super) struct Journald {
    path: PathBuf,
    socket: Option<JournalSocket>,
}

impl Journald {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    /// Sends a line; never waits.
    pub(super) fn send(&mut self, service: &str, instance: &str, stream: Stream, piece: Piece<'_>) -> io::Result<()> {
        if self.socket.is_none() {
            self.socket = Some(JournalSocket::new(self.path.clone())?);
        }
        self.socket.as_ref().map_or(Ok(()), |socket| socket.send(&entry(service, instance, stream, piece)))
    }
}

fn entry(service: &str, instance: &str, stream: Stream, piece: Piece<'_>) -> Vec<u8> {
    let mut entry = Vec::with_capacity(piece.bytes.len().min(MESSAGE_BYTES_MAX) + 256);
    let message = &piece.bytes[..piece.bytes.len().min(MESSAGE_BYTES_MAX)];
    field(&mut entry, "MESSAGE", message);
    // As systemd's own: informational and error.
    field(&mut entry, "PRIORITY", if stream == Stream::Stdout { b"6" } else { b"3" });
    field(&mut entry, "SYSLOG_IDENTIFIER", service.as_bytes());
    field(&mut entry, "MENSHEN_SERVICE", service.as_bytes());
    field(&mut entry, "MENSHEN_INSTANCE", instance.as_bytes());
    if message.len() < piece.bytes.len() {
        field(&mut entry, "MENSHEN_CUT_BYTES", (piece.bytes.len() - message.len()).to_string().as_bytes());
    }
    if piece.ends == Ends::Later {
        field(&mut entry, "MENSHEN_CONTINUES", b"1");
    }
    entry
}

/// A field with the length before the value, which may then hold anything.
fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Reads an entry as the journal does.
    pub(in crate::logs) fn fields(mut entry: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| matches!(byte, b'\n' | b'=')).unwrap();
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            assert_eq!(entry[end], b'\n');
            entry = &entry[end + 1..];
            let length = usize::try_from(u64::from_le_bytes(entry[..8].try_into().unwrap())).unwrap();
            fields.insert(name, entry[8..8 + length].to_vec());
            assert_eq!(entry[8 + length], b'\n');
            entry = &entry[9 + length..];
        }
        fields
    }

    fn sent(stream: Stream, bytes: &[u8], ends: Ends) -> BTreeMap<String, Vec<u8>> {
        fields(&entry("web", "shop", stream, Piece { bytes, ends, next: 0 }))
    }

    #[test]
    fn an_entry_says_who_and_how_urgent_and_holds_any_bytes() {
        let entry = sent(Stream::Stderr, b"a=b\n\xff\0", Ends::Here);
        let expected: [(&str, &[u8]); 5] = [
            ("MENSHEN_INSTANCE", b"shop"),
            ("MENSHEN_SERVICE", b"web"),
            ("MESSAGE", b"a=b\n\xff\0"),
            ("PRIORITY", b"3"),
            ("SYSLOG_IDENTIFIER", b"web"),
        ];
        assert_eq!(entry, expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect());
        assert_eq!(sent(Stream::Stdout, b"", Ends::Here)["PRIORITY"], b"6");
    }

    #[test]
    fn a_message_that_is_cut_says_so() {
        let entry = sent(Stream::Stdout, &[b'x'; 60_000], Ends::Later);
        assert_eq!(entry["MESSAGE"].len(), 49_152);
        assert_eq!(entry["MENSHEN_CUT_BYTES"], b"10848");
        assert_eq!(entry["MENSHEN_CONTINUES"], b"1");
    }
}
