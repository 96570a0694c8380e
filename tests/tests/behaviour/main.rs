//! What is promised about every service, shown with small programs through the real command.

#[cfg(test)]
mod access;
#[cfg(test)]
mod adoption;
#[cfg(test)]
mod at_hand;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod completing;
#[cfg(test)]
mod control;
mod damaged_record;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod holding;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod importing;
#[cfg(test)]
mod left_behind;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod namesakes;
#[cfg(test)]
mod order;
#[cfg(test)]
mod outdated;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod start_up;
#[cfg(test)]
mod survival;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod wanted;
