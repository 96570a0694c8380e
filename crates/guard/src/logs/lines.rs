//! From bytes to lines. A line ends with a newline; what is too long comes in pieces.

use memchr::memchr;

/// The longest line in one piece, in bytes (semantics.md, Logs).
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;
/// What has not ended keeps memory for so many bytes: every stream has its own.
const BEGUN_BYTES_KEPT: usize = 1024;

/// A line without its newline, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) ends: Ends,
    /// Where, in the bytes that were just given, that which comes after it begins.
    pub(super) next: usize,
}

/// Whether a line is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// With this piece.
    Here,
    /// With a later one.
    Later,
}

/// Splits what comes into lines, and keeps what has not ended yet.
#[derive(Debug)]
pub(super) struct Splitter {
    begun: Vec<u8>,
    piece_bytes_max: usize,
}

impl Default for Splitter {
    /// For lines as programs write them.
    fn default() -> Self {
        Self::of_pieces(LINE_BYTES_MAX)
    }
}

impl Splitter {
    /// With pieces of at most so many bytes, at least 4.
    pub(super) const fn of_pieces(piece_bytes_max: usize) -> Self {
        Self { begun: Vec::new(), piece_bytes_max }
    }

    /// Takes the next bytes and gives every line, or piece, that is complete with them.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            let next = at + length + 1;
            if self.begun.is_empty() {
                let rest = give_long(&bytes[at..at + length], at, self.piece_bytes_max, &mut each);
                each(Piece { bytes: &bytes[at + rest..at + length], ends: Ends::Here, next });
            } else {
                self.keep(&bytes[at..at + length], at, &mut each);
                each(Piece { bytes: &self.begun, ends: Ends::Here, next });
                self.clear();
            }
            at = next;
        }
        self.keep(&bytes[at..], at, &mut each);
    }

    /// Gives what has not ended as if it ended here: the program's run is over.
    pub(super) fn end(&mut self, each: impl FnOnce(Piece<'_>)) {
        self.give(Ends::Here, each);
    }

    /// Gives what has not ended as a piece that goes on.
    pub(super) fn break_off(&mut self, each: impl FnOnce(Piece<'_>)) {
        self.give(Ends::Later, each);
    }

    /// For lines as programs write them, of which another guard had the beginning.
    pub(super) const fn resume(begun: Vec<u8>) -> Self {
        Self { begun, piece_bytes_max: LINE_BYTES_MAX }
    }

    /// What has not ended.
    pub(super) fn begun(&self) -> &[u8] {
        &self.begun
    }

    /// Forgets what has not ended.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
        self.begun.shrink_to(BEGUN_BYTES_KEPT);
    }

    fn give(&mut self, ends: Ends, each: impl FnOnce(Piece<'_>)) {
        if !self.begun.is_empty() {
            each(Piece { bytes: &self.begun, ends, next: 0 });
            self.clear();
        }
    }

    /// Whether nothing waits for its end.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// Adds to what has not ended, which begins at `at` in the bytes given, and gives what is too long of it.
    fn keep(&mut self, bytes: &[u8], at: usize, each: &mut impl FnMut(Piece<'_>)) {
        if self.begun.is_empty() {
            let given = give_long(bytes, at, self.piece_bytes_max, each);
            self.begun.extend_from_slice(&bytes[given..]);
            return;
        }
        let before = self.begun.len();
        self.begun.extend_from_slice(bytes);
        let mut given = 0;
        while self.begun.len() - given > self.piece_bytes_max {
            let length = piece_length(&self.begun[given..], self.piece_bytes_max);
            let next = at + (given + length).saturating_sub(before);
            each(Piece { bytes: &self.begun[given..given + length], ends: Ends::Later, next });
            given += length;
        }
        self.begun.drain(..given);
    }
}

/// Gives pieces until what is left, which is not empty if there was anything, fits into one; says how much was given.
fn give_long(bytes: &[u8], at: usize, piece_bytes_max: usize, each: &mut impl FnMut(Piece<'_>)) -> usize {
    let mut given = 0;
    while bytes.len() - given > piece_bytes_max {
        let length = piece_length(&bytes[given..], piece_bytes_max);
        each(Piece { bytes: &bytes[given..given + length], ends: Ends::Later, next: at + given + length });
        given += length;
    }
    given
}

/// How long a piece of a line that is too long is: the most there can be, but not ending within a character.
fn piece_length(line: &[u8], bytes_max: usize) -> usize {
    let continues = |at: &usize| line[*at] & 0xC0 == 0x80;
    (bytes_max - 3..=bytes_max).rev().find(|at| !continues(at)).unwrap_or(bytes_max)
}

#[cfg(test)]
impl Splitter {
    /// The memory it keeps, in bytes.
    pub(super) const fn kept_bytes(&self) -> usize {
        self.begun.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, Ends)> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.push(chunk, |piece| lines.push((piece.bytes.to_vec(), piece.ends)));
        }
        splitter.break_off(|piece| lines.push((piece.bytes.to_vec(), piece.ends)));
        lines
    }

    #[test]
    fn empty_lines_are_lines_and_a_last_line_waits_for_its_end() {
        let here = |text: &str| (text.as_bytes().to_vec(), Ends::Here);
        let later = (b"last".to_vec(), Ends::Later);
        assert_eq!(
            split(&[b"one\n\n", b"two\r\n", b"\nla", b"st"]),
            [here("one"), here(""), here("two\r"), here(""), later]
        );
    }

    #[test]
    fn a_line_of_exactly_the_longest_length_is_whole() {
        let line = vec![b'x'; LINE_BYTES_MAX];
        for chunks in [vec![&line[..], b"\n"], vec![&[line.as_slice(), b"\n"].concat()[..]]] {
            assert_eq!(split(&chunks), [(line.clone(), Ends::Here)]);
        }
        let longer = [line.as_slice(), b"x\n"].concat();
        assert_eq!(split(&[&longer]), [(line, Ends::Later), (b"x".to_vec(), Ends::Here)]);
    }

    #[test]
    fn a_long_line_is_not_split_within_a_character() {
        for shift in 0..4 {
            let text = format!("{}{}\n", "a".repeat(shift), "門".repeat(60_000));
            let pieces = split(&[text.as_bytes()]);
            assert_eq!(pieces.len(), 3);
            assert!(pieces.iter().all(|(bytes, _)| std::str::from_utf8(bytes).is_ok()));
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_come(
            line_lengths in prop::collection::vec(prop_oneof![0..200_usize, 65_530..65_545_usize, 131_000..132_000_usize], 0..6),
            cuts in prop::collection::vec(0..400_000_usize, 0..8),
            byte in prop_oneof![Just(b'a'), Just(0x80_u8), Just(0xE9), Just(b'\r')],
        ) {
            let whole: Vec<u8> = line_lengths.iter().flat_map(|length| [vec![byte; *length], b"\n".to_vec()].concat()).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &whole[cut[0]..cut[1]]).collect();
            let lines = split(&chunks);
            prop_assert_eq!(&lines, &split(&[&whole]));
            let mut joined = Vec::new();
            for (bytes, ends) in &lines {
                prop_assert!(bytes.len() <= LINE_BYTES_MAX);
                joined.extend_from_slice(bytes);
                if *ends == Ends::Here {
                    joined.push(b'\n');
                }
            }
            prop_assert_eq!(joined, whole);
        }

        #[test]
        fn where_the_next_line_begins_is_said(chunks in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), 1..5)) {
            let mut splitter = Splitter::default();
            for chunk in &chunks {
                let mut last = 0;
                splitter.push(chunk, |piece| {
                    assert_eq!(chunk[piece.next - 1], b'\n');
                    last = piece.next;
                });
                let left = memchr::memrchr(b'\n', chunk).map_or(0, |at| at + 1);
                prop_assert_eq!(last, left);
            }
        }
    }
}
