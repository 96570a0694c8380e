//! Programs nobody here wrote, guarded by the real command.

mod chain;
