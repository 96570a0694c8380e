//! What the measured program writes to stdout: blocks of lines, no two of which are alike, so that a line that is lost, doubled
//! or moved shows. Whoever measures knows them, too.

/// So long is a line, its end included.
pub(crate) const LINE_BYTES: usize = 100;
/// So many lines are written at once.
const BLOCK_LINES: usize = 640;
/// So much is written at once.
pub(crate) const BLOCK_BYTES: usize = LINE_BYTES * BLOCK_LINES;
/// A number begins a line, with all its digits.
const DIGITS: usize = 20;

/// A block: each line begins with its number in the block.
pub(crate) fn block() -> Vec<u8> {
    let line = |number: usize| format!("{number:0DIGITS$} {}\n", "x".repeat(LINE_BYTES - DIGITS - 2)).into_bytes();
    (0..BLOCK_LINES).flat_map(line).collect()
}

/// Numbers a block: its first line begins with that.
pub(crate) fn number(block: &mut [u8], number: u64) {
    block[..DIGITS].copy_from_slice(format!("{number:0DIGITS$}").as_bytes());
}
