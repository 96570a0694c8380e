//! What the command's renderer has to know of its output. Where nobody looks, nothing is coloured.

/// Whether what is printed is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    #[expect(dead_code, reason = "the command's files, which are compiled here, name it")]
    Colors,
    None,
}
