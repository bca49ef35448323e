//! Values, written. Compact ones go as they lie in memory where the version has them, large ones member by member.

use std::io;

use tenon_keyspace::list::ListNode;
use tenon_keyspace::{Element, Hash, List, Listpack, Set, ValueRef, Zset};

use crate::format::{RdbVersion, container, kind};
use crate::writer::{Sink, Writer};
use crate::{stream, ziplist};

/// The type under which a value is written.
pub(crate) fn type_byte(value: ValueRef<'_>, version: RdbVersion) -> u8 {
    let listpacks = version >= RdbVersion::V10;
    match value {
        ValueRef::String(_) => kind::STRING,
        ValueRef::List(_) if listpacks => kind::LIST_OF_NODES,
        ValueRef::List(_) => kind::LIST_OF_ZIPLISTS,
        ValueRef::Set(set) if set.as_intset().is_some() => kind::SET_INTSET,
        ValueRef::Set(set) if set.as_listpack().is_some() && version >= RdbVersion::V11 => kind::SET_LISTPACK,
        ValueRef::Set(_) => kind::SET,
        ValueRef::Hash(hash) if hash.as_listpack().is_none() => kind::HASH,
        ValueRef::Hash(_) if listpacks => kind::HASH_LISTPACK,
        ValueRef::Hash(_) => kind::HASH_ZIPLIST,
        ValueRef::Zset(zset) if zset.as_listpack().is_none() => kind::ZSET,
        ValueRef::Zset(_) if listpacks => kind::ZSET_LISTPACK,
        ValueRef::Zset(_) => kind::ZSET_ZIPLIST,
        ValueRef::Stream(_) => stream::type_byte(version),
    }
}

/// Writes what comes behind type and key.
pub(crate) fn write_value(
    writer: &mut Writer,
    value: ValueRef<'_>,
    version: RdbVersion,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    match value {
        ValueRef::String(text) => writer.text(text, sink),
        ValueRef::List(list) if version >= RdbVersion::V10 => write_nodes(writer, list, sink),
        ValueRef::List(list) => write_ziplists(writer, list, sink),
        ValueRef::Set(set) => write_set(writer, set, version, sink),
        ValueRef::Hash(hash) => write_hash(writer, hash, version, sink),
        ValueRef::Zset(zset) => write_zset(writer, zset, version, sink),
        ValueRef::Stream(value) => stream::write(writer, value, version, sink),
    }
}

fn write_nodes(writer: &mut Writer, list: &List, sink: &mut Sink<'_>) -> io::Result<()> {
    writer.length(list.node_count());
    for node in list.nodes() {
        let (container, bytes) = match node {
            ListNode::Packed(bytes) => (container::PACKED, bytes),
            ListNode::Plain(bytes) => (container::PLAIN, bytes),
        };
        writer.length(container as usize);
        writer.string(bytes, sink)?;
    }
    Ok(())
}

fn write_ziplists(writer: &mut Writer, list: &List, sink: &mut Sink<'_>) -> io::Result<()> {
    writer.length(list.node_count());
    let mut scratch = Vec::new();
    for node in list.nodes() {
        match node {
            ListNode::Packed(bytes) => write_as_ziplist(writer, bytes, &mut scratch, sink)?,
            ListNode::Plain(bytes) => {
                ziplist::write(std::iter::once(Element::Bytes(bytes)), &mut scratch).ok_or_else(too_long)?;
                writer.string(&scratch, sink)?;
            }
        }
    }
    Ok(())
}

fn write_set(writer: &mut Writer, set: &Set, version: RdbVersion, sink: &mut Sink<'_>) -> io::Result<()> {
    let compact = set.as_listpack().filter(|_| version >= RdbVersion::V11).or(set.as_intset());
    if let Some(bytes) = compact {
        return writer.string(bytes, sink);
    }
    writer.length(set.len());
    set.iter().try_for_each(|member| writer.element(member, sink))
}

fn write_hash(writer: &mut Writer, hash: &Hash, version: RdbVersion, sink: &mut Sink<'_>) -> io::Result<()> {
    if let Some(bytes) = hash.as_listpack() {
        return write_compact(writer, bytes, version, sink);
    }
    writer.length(hash.len());
    hash.iter().try_for_each(|(field, value)| {
        writer.element(field, sink)?;
        writer.element(value, sink)
    })
}

/// Large sorted sets go from the highest to the lowest score, because that is the order in which Redis reads fastest.
fn write_zset(writer: &mut Writer, zset: &Zset, version: RdbVersion, sink: &mut Sink<'_>) -> io::Result<()> {
    if let Some(bytes) = zset.as_listpack() {
        return write_compact(writer, bytes, version, sink);
    }
    writer.length(zset.len());
    zset.range_by_rank(0..zset.len(), true).try_for_each(|(member, score)| {
        writer.element(member, sink)?;
        writer.bytes(&score.to_le_bytes());
        Ok(())
    })
}

fn write_compact(
    writer: &mut Writer,
    listpack: &[u8],
    version: RdbVersion,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    match version {
        RdbVersion::V9 => write_as_ziplist(writer, listpack, &mut Vec::new(), sink),
        _ => writer.string(listpack, sink),
    }
}

fn write_as_ziplist(
    writer: &mut Writer,
    listpack: &[u8],
    scratch: &mut Vec<u8>,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    let listpack = Listpack::from_bytes(listpack).expect("what the keyspace holds is sound");
    ziplist::write(listpack.iter(), scratch).ok_or_else(too_long)?;
    writer.string(scratch, sink)
}

fn too_long() -> io::Error {
    io::Error::other("an element of 4 GiB or more cannot be written in RDB version 9")
}
