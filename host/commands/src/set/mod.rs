//! Commands on sets. What a set is made of is the keyspace's business.
//! Always: no empty set stays under its key.

pub(crate) mod algebra;
pub(crate) mod chance;
pub(crate) mod members; // read me first

#[cfg(test)]
mod tests;

use tenon_keyspace::Element;
use tenon_resp::Reply;

/// Writes a member as a string.
pub(crate) fn write_member(reply: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Bytes(bytes) => reply.bulk(bytes),
        Element::Integer(integer) => reply.bulk_integer(integer),
    }
}
