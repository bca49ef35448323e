//! Hashes whose fields expire, as Redis 7.4, Valkey 9 and what came after them write them. No command here knows such
//! times, so they are not kept: fields whose time has passed can be left out, the others stay as fields of any hash.
//! Always: nothing is in a hash twice, and how many times were not kept is told.

use tenon_base::UnixMillis;
use tenon_keyspace::{Element, Hash, Listpack, Malformed};

use crate::error::{LoadError, LoadErrorKind};
use crate::format::{Dialect, kind};
use crate::limits::Limits;
use crate::reader::Reader;
use crate::source::Source;

/// What was read.
pub(crate) struct TimedHash {
    /// Empty if all fields were left out.
    pub(crate) hash: Hash,
    /// Fields that are in it, and had a time.
    pub(crate) times: u64,
}

/// Reads one. Fields that expired before the moment are left out.
pub(crate) fn read<S: Source>(
    reader: &mut Reader<S>,
    type_byte: u8,
    dialect: Dialect,
    limits: &Limits,
    left_out_before: Option<UnixMillis>,
) -> Result<TimedHash, LoadError> {
    let mut gathered =
        Gathered { hash: Hash::new(), times: 0, limits, left_out_before, left_out: Hash::new() };
    if dialect == Dialect::Valkey {
        read_valkey(reader, type_byte, &mut gathered)?;
        return Ok(TimedHash { hash: gathered.hash, times: gathered.times });
    }
    // The earliest of the times. Before 7.4 was released it was not there.
    let earliest = match type_byte {
        kind::HASH_TIMED | kind::HASH_TIMED_LISTPACK => Some(u64::from_le_bytes(reader.array()?)),
        _ => None,
    };
    let error = |reader: &mut Reader<S>, what| {
        let malformed = Malformed::new(what, 0);
        reader.error(LoadErrorKind::Malformed { type_byte, malformed })
    };
    let (mut field, mut value) = (Vec::new(), Vec::new());
    if matches!(type_byte, kind::HASH_TIMED_LISTPACK | kind::HASH_TIMED_LISTPACK_EARLY) {
        reader.string(&mut value)?;
        let listpack = Listpack::from_bytes(&value)
            .map_err(|malformed| reader.error(LoadErrorKind::Malformed { type_byte, malformed }))?;
        let mut elements = listpack.iter();
        while let Some(name) = elements.next() {
            let (Some(value), Some(time)) = (elements.next(), elements.next()) else {
                return Err(error(reader, "listpack whose last field lacks a value or a time"));
            };
            let Element::Integer(time @ 0..) = time else {
                return Err(error(reader, "time of a field"));
            };
            if !gathered.add(&name.to_vec(), &value.to_vec(), time as u64) {
                return Err(reader.error(LoadErrorKind::DuplicateMember { type_byte }));
            }
        }
    } else {
        for _ in 0..reader.length()? {
            // 0 is none; others count from the earliest, which is 1.
            let time = match (reader.length()?, earliest) {
                (0, _) => Some(0),
                (time, None) => Some(time),
                (time, Some(earliest)) => earliest.checked_add(time - 1),
            };
            let Some(time) = time.filter(|&time| i64::try_from(time).is_ok()) else {
                return Err(error(reader, "time of a field"));
            };
            reader.string(&mut field)?;
            reader.string(&mut value)?;
            if !gathered.add(&field, &value, time) {
                return Err(reader.error(LoadErrorKind::DuplicateMember { type_byte }));
            }
        }
    }
    Ok(TimedHash { hash: gathered.hash, times: gathered.times })
}

/// Field, value, time, and again: the time is -1 where there is none.
fn read_valkey<S: Source>(
    reader: &mut Reader<S>,
    type_byte: u8,
    gathered: &mut Gathered<'_>,
) -> Result<(), LoadError> {
    let (mut field, mut value) = (Vec::new(), Vec::new());
    for _ in 0..reader.length()? {
        reader.string(&mut field)?;
        reader.string(&mut value)?;
        let time = match i64::from_le_bytes(reader.array()?) {
            -1 => 0,
            // 0 is none here.
            time @ 0.. => time.max(1) as u64,
            _ => {
                let malformed = Malformed::new("time of a field", 0);
                return Err(reader.error(LoadErrorKind::Malformed { type_byte, malformed }));
            }
        };
        if !gathered.add(&field, &value, time) {
            return Err(reader.error(LoadErrorKind::DuplicateMember { type_byte }));
        }
    }
    Ok(())
}

struct Gathered<'a> {
    hash: Hash,
    times: u64,
    limits: &'a Limits,
    left_out_before: Option<UnixMillis>,
    /// What was left out, to find out what comes twice.
    left_out: Hash,
}

impl Gathered<'_> {
    /// `false` if the field is there already.
    fn add(&mut self, field: &[u8], value: &[u8], time: u64) -> bool {
        if self.hash.contains(field) || self.left_out.contains(field) {
            return false;
        }
        let is_gone = self.left_out_before.is_some_and(|before| time != 0 && (time as i64) < before.0);
        if is_gone {
            self.left_out.set(field, b"", &self.limits.hash);
        } else {
            self.times += u64::from(time != 0);
            self.hash.set(field, value, &self.limits.hash);
        }
        true
    }
}
