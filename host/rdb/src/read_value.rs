//! Values, read: every type that was ever written for strings, lists, sets, hashes and sorted sets; streams have
//! a file of their own.
//! Always: what becomes a value was checked whole, and nothing is in it twice that must not be.

use bytes::Bytes;
use tenon_keyspace::list::ListBuilder;
use tenon_keyspace::{
    Hash, INLINE_BYTES_MAX, List, Listpack, Malformed, Set, Text, Value, Zset, listpack, zset,
};

use crate::error::{LoadError, LoadErrorKind};
use crate::format::{container, is_readable, kind};
use crate::limits::Limits;
use crate::reader::{Reader, SCRATCH_BYTES_MAX};
use crate::source::Source;
use crate::{stream, ziplist, zipmap};

/// Reads values, and keeps buffers between them.
pub(crate) struct ValueReader {
    limits: Limits,
    one: Vec<u8>,
    other: Vec<u8>,
}

impl ValueReader {
    pub(crate) fn new(limits: Limits) -> ValueReader {
        ValueReader { limits, one: Vec::new(), other: Vec::new() }
    }

    /// Reads a value of this type. None for a collection without members, which old bugs left in files.
    pub(crate) fn read<S: Source>(
        &mut self,
        reader: &mut Reader<S>,
        type_byte: u8,
    ) -> Result<Option<Value>, LoadError> {
        if !is_readable(type_byte) {
            return Err(reader.error(LoadErrorKind::Type(type_byte)));
        }
        let value = match type_byte {
            kind::STRING => return self.string(reader).map(Some),
            kind::LIST => Value::List(self.list(reader)?),
            kind::LIST_OF_ZIPLISTS | kind::LIST_OF_NODES => Value::List(self.nodes(reader, type_byte)?),
            kind::SET => Value::Set(self.set(reader)?),
            kind::HASH => Value::Hash(self.hash(reader)?),
            kind::ZSET | kind::ZSET_TEXT => Value::Zset(self.zset(reader, type_byte)?),
            kind::STREAM | kind::STREAM_WITH_FIGURES | kind::STREAM_WITH_ACTIVE_TIMES => {
                Value::Stream(stream::read(reader, type_byte, &mut self.one)?)
            }
            _ => {
                reader.string(&mut self.one)?;
                compact(&self.one, type_byte, &self.limits)
                    .map_err(|malformed| reader.error(LoadErrorKind::Malformed { type_byte, malformed }))?
            }
        };
        self.one.shrink_to(SCRATCH_BYTES_MAX);
        self.other.shrink_to(SCRATCH_BYTES_MAX);
        let is_empty = match &value {
            Value::String(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::Zset(zset) => zset.is_empty(),
        };
        Ok((!is_empty).then_some(value))
    }

    fn string<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Value, LoadError> {
        reader.string(&mut self.one)?;
        if self.one.len() <= INLINE_BYTES_MAX {
            return Ok(Value::String(Text::from_bytes(&self.one)));
        }
        // The buffer becomes the value.
        self.one.shrink_to_fit();
        Ok(Value::String(Text::from_shared(Bytes::from(std::mem::take(&mut self.one)))))
    }

    fn list<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<List, LoadError> {
        let mut list = ListBuilder::new(&self.limits.list);
        for _ in 0..reader.length()? {
            reader.string(&mut self.one)?;
            list.push(&self.one);
        }
        Ok(list.finish())
    }

    fn nodes<S: Source>(&mut self, reader: &mut Reader<S>, type_byte: u8) -> Result<List, LoadError> {
        let mut list = ListBuilder::new(&self.limits.list);
        for _ in 0..reader.length()? {
            let container = match type_byte {
                kind::LIST_OF_NODES => reader.length()?,
                _ => container::PACKED,
            };
            reader.string(&mut self.one)?;
            let pushed = match container {
                container::PLAIN => list.push_plain(&self.one),
                container::PACKED if type_byte == kind::LIST_OF_NODES => list.push_node(&self.one),
                container::PACKED => {
                    ziplist::to_listpack(&self.one).and_then(|listpack| list.push_node(listpack.bytes()))
                }
                other => return Err(reader.error(LoadErrorKind::Container(other))),
            };
            pushed.map_err(|malformed| reader.error(LoadErrorKind::Malformed { type_byte, malformed }))?;
        }
        Ok(list.finish())
    }

    fn set<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Set, LoadError> {
        let len = reader.length()?;
        let mut set = Set::from_file(expected(len), &self.limits.set);
        for _ in 0..len {
            reader.string(&mut self.one)?;
            if !set.add(&self.one, &self.limits.set) {
                return Err(reader.error(LoadErrorKind::DuplicateMember { type_byte: kind::SET }));
            }
        }
        Ok(set)
    }

    /// A hash within the limits is gathered into a listpack, where repetitions are looked for once at the end.
    fn hash<S: Source>(&mut self, reader: &mut Reader<S>) -> Result<Hash, LoadError> {
        let limits = self.limits.hash;
        let len = reader.length()?;
        let duplicate = LoadErrorKind::DuplicateMember { type_byte: kind::HASH };
        let mut gathered = Listpack::new();
        let mut large = (len > limits.entries as u64).then(|| Hash::with_expected(expected(len), &limits));
        for _ in 0..len {
            reader.string(&mut self.one)?;
            reader.string(&mut self.other)?;
            let (field, value) = (&self.one[..], &self.other[..]);
            if large.is_none() && self.fits(&gathered) {
                gathered.push_back(field);
                gathered.push_back(value);
                continue;
            }
            let hash = match &mut large {
                Some(hash) => hash,
                None => match Hash::from_listpack(gathered.bytes(), &limits) {
                    Ok(hash) => large.insert(hash),
                    Err(_) => return Err(reader.error(duplicate)),
                },
            };
            let before = hash.len();
            hash.set(field, value, &limits);
            if hash.len() == before {
                return Err(reader.error(duplicate));
            }
        }
        match large {
            Some(hash) => Ok(hash),
            None => Hash::from_listpack(gathered.bytes(), &limits).map_err(|_| reader.error(duplicate)),
        }
    }

    /// Whether the field and value just read may go into a listpack.
    fn fits(&self, listpack: &Listpack) -> bool {
        let bytes_max = self.limits.hash.value_bytes;
        self.one.len() <= bytes_max
            && self.other.len() <= bytes_max
            && listpack::fits(
                listpack.total_bytes(),
                listpack::entry_bytes_of(&self.one[..]) + listpack::entry_bytes_of(&self.other[..]),
            )
    }

    fn zset<S: Source>(&mut self, reader: &mut Reader<S>, type_byte: u8) -> Result<Zset, LoadError> {
        let limits = &self.limits.zset;
        let mut zset = Zset::new_large(limits);
        for _ in 0..reader.length()? {
            reader.string(&mut self.one)?;
            let score = match type_byte {
                kind::ZSET => f64::from_le_bytes(reader.array()?),
                _ => score_as_text(reader)?,
            };
            if score.is_nan() {
                return Err(reader.error(LoadErrorKind::Score));
            }
            if zset.insert(&self.one, score, limits) != zset::Insertion::Added {
                return Err(reader.error(LoadErrorKind::DuplicateMember { type_byte }));
            }
        }
        zset.make_compact(limits);
        Ok(zset)
    }
}

/// A score as files before version 8 have it: the length of a text, or a length that means a special score.
fn score_as_text<S: Source>(reader: &mut Reader<S>) -> Result<f64, LoadError> {
    let length = match reader.byte()? {
        253 => return Ok(f64::NAN),
        254 => return Ok(f64::INFINITY),
        255 => return Ok(f64::NEG_INFINITY),
        length => usize::from(length),
    };
    let mut text = [0; 256];
    for byte in &mut text[..length] {
        *byte = reader.byte()?;
    }
    let text = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().parse().ok());
    text.ok_or_else(|| reader.error(LoadErrorKind::Score))
}

/// A value that is one string in the file.
fn compact(bytes: &[u8], type_byte: u8, limits: &Limits) -> Result<Value, Malformed> {
    Ok(match type_byte {
        kind::SET_INTSET => Value::Set(Set::from_intset(bytes, &limits.set)?),
        kind::SET_LISTPACK => Value::Set(Set::from_listpack(bytes, &limits.set)?),
        kind::HASH_LISTPACK => Value::Hash(Hash::from_listpack(bytes, &limits.hash)?),
        kind::HASH_ZIPLIST => {
            Value::Hash(Hash::from_listpack(ziplist::to_listpack(bytes)?.bytes(), &limits.hash)?)
        }
        kind::HASH_ZIPMAP => Value::Hash(hash_of_zipmap(bytes, limits)?),
        kind::ZSET_LISTPACK => Value::Zset(zset_of_listpack(bytes, limits)?),
        kind::ZSET_ZIPLIST => Value::Zset(zset_of_listpack(ziplist::to_listpack(bytes)?.bytes(), limits)?),
        kind::LIST_ZIPLIST => {
            let mut list = ListBuilder::new(&limits.list);
            list.push_node(ziplist::to_listpack(bytes)?.bytes())?;
            Value::List(list.finish())
        }
        _ => unreachable!("type {type_byte} is no compact value"),
    })
}

fn zset_of_listpack(bytes: &[u8], limits: &Limits) -> Result<Zset, Malformed> {
    let mut zset = Zset::from_listpack(bytes)?;
    zset.expect_members(zset.len(), &limits.zset);
    Ok(zset)
}

fn hash_of_zipmap(bytes: &[u8], limits: &Limits) -> Result<Hash, Malformed> {
    let pairs = zipmap::pairs(bytes)?;
    let mut hash = Hash::with_expected(pairs.len(), &limits.hash);
    for (field, value) in &pairs {
        hash.set(field, value, &limits.hash);
    }
    match hash.len() == pairs.len() {
        true => Ok(hash),
        false => Err(Malformed::new("zipmap field that is there twice", 0)),
    }
}

/// A number of members that a file claims, as a hint: nothing is set aside for it.
fn expected(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
