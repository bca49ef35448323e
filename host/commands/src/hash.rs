//! Hash commands: on single fields, and over all of them.
//! Always: a stored hash has a field.

mod table; // read me first

mod fields;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use table::COMMANDS;
