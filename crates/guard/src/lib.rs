//! The guard: one loop that carries out what the core decides.

pub mod logs;
