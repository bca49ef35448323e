//! Streams, written and read: nodes as they lie in memory, then figures, then groups with what is pending. The first
//! version of the format lacks figures, which are estimated as Redis does; the second lacks when consumers were active.
//! Always: what becomes a stream was checked whole: ids ascend, and what is pending is pending with one consumer.

use std::io;

use tenon_base::UnixMillis;
use tenon_keyspace::{Malformed, Stream, StreamConsumer, StreamGroup, StreamId};

use crate::error::{DUPLICATE_CONSUMER, LoadError, LoadErrorKind};
use crate::format::{RdbVersion, kind};
use crate::reader::Reader;
use crate::source::Source;
use crate::writer::{Sink, Writer};

/// What stands where a number or a time is not known.
const UNKNOWN: u64 = u64::MAX;

/// The type under which streams are written.
pub(crate) fn type_byte(version: RdbVersion) -> u8 {
    match version {
        RdbVersion::V9 => kind::STREAM,
        RdbVersion::V10 => kind::STREAM_WITH_FIGURES,
        RdbVersion::V11 => kind::STREAM_WITH_ACTIVE_TIMES,
    }
}

pub(crate) fn write(
    writer: &mut Writer,
    stream: &Stream,
    version: RdbVersion,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    writer.length(stream.node_count());
    for (master, listpack) in stream.nodes() {
        writer.string(&master.to_bytes(), sink)?;
        writer.string(listpack, sink)?;
    }
    writer.length(stream.len() as usize);
    write_id(writer, stream.last_id());
    if version >= RdbVersion::V10 {
        write_id(writer, stream.first_id());
        write_id(writer, stream.max_deleted_id());
        writer.length(stream.entries_added() as usize);
    }
    writer.length(stream.group_count());
    for (name, group) in stream.groups() {
        writer.string(name, sink)?;
        write_id(writer, group.last_id());
        if version >= RdbVersion::V10 {
            writer.length(group.entries_read().unwrap_or(UNKNOWN) as usize);
        }
        write_pending(writer, group, sink)?;
        writer.length(group.consumer_count());
        group.consumers().try_for_each(|consumer| write_consumer(writer, consumer, version, sink))?;
    }
    Ok(())
}

fn write_id(writer: &mut Writer, id: StreamId) {
    writer.length(id.milliseconds as usize);
    writer.length(id.sequence as usize);
}

fn write_pending(writer: &mut Writer, group: &StreamGroup, sink: &mut Sink<'_>) -> io::Result<()> {
    writer.length(group.pending_len());
    group.pending_range(StreamId::MIN, StreamId::MAX).try_for_each(|(id, pending)| {
        writer.bytes(&id.to_bytes());
        writer.bytes(&pending.delivery_time().0.to_le_bytes());
        writer.length(pending.delivery_count() as usize);
        writer.hand_on_if_full(sink)
    })
}

fn write_consumer(
    writer: &mut Writer,
    consumer: &StreamConsumer,
    version: RdbVersion,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    writer.string(consumer.name(), sink)?;
    writer.bytes(&consumer.seen_time().0.to_le_bytes());
    if version >= RdbVersion::V11 {
        writer.bytes(&consumer.active_time().map_or(-1, |time| time.0).to_le_bytes());
    }
    writer.length(consumer.pending_len());
    consumer.pending_ids().try_for_each(|id| {
        writer.bytes(&id.to_bytes());
        writer.hand_on_if_full(sink)
    })
}

/// Reads a stream; `scratch` is a buffer to use.
pub(crate) fn read<S: Source>(
    reader: &mut Reader<S>,
    type_byte: u8,
    scratch: &mut Vec<u8>,
) -> Result<Stream, LoadError> {
    let mut stream = Stream::new();
    for _ in 0..reader.length()? {
        reader.string(scratch)?;
        let Ok(master) = scratch[..].try_into() else {
            return Err(unsound(reader, "a node whose id has another length than ids have"));
        };
        reader.string(scratch)?;
        stream.push_node(StreamId::from_bytes(master), scratch).map_err(|malformed: Malformed| {
            reader.error(LoadErrorKind::Malformed { type_byte, malformed })
        })?;
    }
    if reader.length()? != stream.len() {
        return Err(unsound(reader, "another number of entries than it states"));
    }
    let last_id = read_id(reader)?;
    if last_id < stream.last_id() {
        return Err(unsound(reader, "a last id that is smaller than the id of its last entry"));
    }
    stream.set_last_id(last_id);
    if has_figures(type_byte) {
        read_id(reader)?; // the first id follows from the entries
        // It may be greater than the last id: XSETID of Redis 7.0 sets that back as far as one likes.
        stream.set_max_deleted_id(read_id(reader)?);
        stream.set_entries_added(read_count(reader)?);
        if stream.entries_added() < stream.len() {
            return Err(unsound(reader, "fewer entries that were ever added than it has"));
        }
    } else {
        stream.set_entries_added(stream.len());
    }
    for _ in 0..reader.length()? {
        read_group(reader, type_byte, &mut stream, scratch)?;
    }
    Ok(stream)
}

fn has_figures(type_byte: u8) -> bool {
    type_byte != kind::STREAM
}

fn unsound<S: Source>(reader: &Reader<S>, what: &'static str) -> LoadError {
    reader.error(LoadErrorKind::Stream(what))
}

fn read_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, LoadError> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

/// A count that is known, as commands set it: as a signed number.
fn read_count<S: Source>(reader: &mut Reader<S>) -> Result<u64, LoadError> {
    let count = read_known_count(reader)?;
    count.ok_or_else(|| unsound(reader, "a count that no command sets"))
}

fn read_known_count<S: Source>(reader: &mut Reader<S>) -> Result<Option<u64>, LoadError> {
    match reader.length()? {
        UNKNOWN => Ok(None),
        count if i64::try_from(count).is_ok() => Ok(Some(count)),
        _ => Err(unsound(reader, "a count that no command sets")),
    }
}

fn read_raw_id<S: Source>(reader: &mut Reader<S>) -> Result<StreamId, LoadError> {
    Ok(StreamId::from_bytes(reader.array()?))
}

fn read_time<S: Source>(reader: &mut Reader<S>) -> Result<UnixMillis, LoadError> {
    Ok(UnixMillis(i64::from_le_bytes(reader.array()?)))
}

fn read_group<S: Source>(
    reader: &mut Reader<S>,
    type_byte: u8,
    stream: &mut Stream,
    scratch: &mut Vec<u8>,
) -> Result<(), LoadError> {
    reader.string(scratch)?;
    let last_id = read_id(reader)?;
    let entries_read = match has_figures(type_byte) {
        true => read_known_count(reader)?,
        false => stream.entries_added_up_to(last_id),
    };
    if !stream.create_group(scratch, last_id, entries_read) {
        return Err(unsound(reader, "a group that is there twice"));
    }
    let mut group = stream.group_mut(scratch).expect("just made");
    let pending = read_pending(reader)?;
    for _ in 0..reader.length()? {
        reader.string(scratch)?;
        read_consumer(reader, type_byte, &mut group, scratch, &pending)?;
    }
    if group.pending_len() != pending.len() {
        return Err(unsound(reader, "an entry that is pending with no consumer"));
    }
    Ok(())
}

/// What the group says of an entry that is pending.
struct Pending {
    id: StreamId,
    delivery_time: UnixMillis,
    delivery_count: u64,
}

fn read_pending<S: Source>(reader: &mut Reader<S>) -> Result<Vec<Pending>, LoadError> {
    let mut pending: Vec<Pending> = Vec::new();
    for _ in 0..reader.length()? {
        let id = read_raw_id(reader)?;
        if pending.last().is_some_and(|last| id <= last.id) {
            return Err(unsound(reader, "ids of pending entries that do not ascend"));
        }
        let (delivery_time, delivery_count) = (read_time(reader)?, read_count(reader)?);
        pending.push(Pending { id, delivery_time, delivery_count });
    }
    Ok(pending)
}

fn read_consumer<S: Source>(
    reader: &mut Reader<S>,
    type_byte: u8,
    group: &mut StreamGroup,
    name: &[u8],
    pending: &[Pending],
) -> Result<(), LoadError> {
    let seen_time = read_time(reader)?;
    if !group.create_consumer(name, seen_time) {
        return Err(unsound(reader, DUPLICATE_CONSUMER));
    }
    let active_time = match type_byte {
        kind::STREAM_WITH_ACTIVE_TIMES => Some(read_time(reader)?).filter(|&time| time != UnixMillis(-1)),
        _ => Some(seen_time),
    };
    group.set_active_time(name, active_time);
    for _ in 0..reader.length()? {
        let id = read_raw_id(reader)?;
        let Ok(at) = pending.binary_search_by_key(&id, |pending| pending.id) else {
            return Err(unsound(reader, "an entry that is pending with a consumer and not with the group"));
        };
        if group.pending(id).is_some() {
            return Err(unsound(reader, "an entry that is pending twice"));
        }
        let Pending { delivery_time, delivery_count, .. } = pending[at];
        group.assign(id, name, delivery_time, delivery_count);
    }
    Ok(())
}
