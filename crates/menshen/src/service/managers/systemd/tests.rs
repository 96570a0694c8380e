//! Units as they are written.
