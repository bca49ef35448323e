//! List commands: at the ends, inside, and those that wait for an element.
//! Always: a stored list has an element.

mod table; // read me first

mod blocking;
mod ends;
mod inside;
#[cfg(test)]
mod tests;

pub(crate) use table::COMMANDS;
