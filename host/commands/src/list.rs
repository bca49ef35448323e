//! List commands: at the ends, and inside. The forms that wait for an element are not here.
//! Always: a stored list has an element.

mod table; // read me first

mod ends;
mod inside;
#[cfg(test)]
mod tests;

pub(crate) use table::COMMANDS;
