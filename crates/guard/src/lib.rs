//! The guard: one loop that carries out what the core decides.
//!
//! - [`definition`], [`facts`]: from files on this machine to a plan.
//! - [`guard`]: the loop. Every source (processes, timers, probes, commands) becomes one kind of input there, in one order.
//! - [`logs`]: what services write. [`journal`]: what happened. `disk`: the thread that writes what the guard remembers.
//! - [`handover`]: from one version of the guard to the next.
//! - `probe`, `http_call`: asking services how they are. [`notify`]: what they say by themselves.
//! - `since`: points in time people ask about. `control`: the socket over which the guard is asked. `hub`: events for whoever follows them.

pub mod definition;
pub mod facts;
pub mod guard;
pub mod handover;
pub mod journal;
pub mod logs;
pub mod notify;

mod control;
mod disk;
mod http_call;
mod hub;
mod probe;
mod program;
mod since;

pub use guard::{
    EndWhen, Ending, GuardError, LeftProcess, Options, Overseer, Told, Watcher, definition_of, ended_in_order,
    is_asked_to_stop, left_processes, left_running, left_unknown, run,
};
