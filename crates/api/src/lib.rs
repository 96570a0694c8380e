//! The control contract.
