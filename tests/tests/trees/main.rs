//! Trees of processes that do not want to end, or cannot: stop ends all the same, says what it could not kill, and never
//! takes for stopped what lives.

#[cfg(test)]
mod bomb;
#[cfg(test)]
mod second;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod unkillable;
