//! What services write, on its way to disk and back.
