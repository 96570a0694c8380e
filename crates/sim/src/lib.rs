//! A virtual world for the core.
