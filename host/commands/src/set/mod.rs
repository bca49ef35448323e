//! Commands on sets. What a set is made of is the keyspace's business.
//! Always: no empty set stays under its key.

pub(crate) mod algebra;
pub(crate) mod chance;
pub(crate) mod members; // read me first

#[cfg(test)]
mod tests;
