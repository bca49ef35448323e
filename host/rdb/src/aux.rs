//! The fields before the keys: who wrote a file, when, and where in the replication stream it stands.
//! Unknown fields are passed over, as their contract says.

use tenon_keyspace::integer_of;

/// The bytes of a text field that are kept.
const TEXT_BYTES_MAX: usize = 256;

/// What a file says of itself. What is None is not written, and was not found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aux {
    /// `redis-ver`.
    pub redis_version: Option<String>,
    /// `tenon-ver`.
    pub tenon_version: Option<String>,
    /// `redis-bits`.
    pub redis_bits: Option<i64>,
    /// `ctime`: when it was written, in seconds since 1970.
    pub created_seconds: Option<i64>,
    /// `used-mem`: bytes of memory in use at that time.
    pub used_memory_bytes: Option<i64>,
    /// `repl-stream-db`: the database that the stream had selected; -1 for none.
    pub stream_database: Option<i64>,
    /// `repl-id`.
    pub replication_id: Option<String>,
    /// `repl-offset`.
    pub replication_offset: Option<i64>,
    /// `aof-base`: whether it is the base of an append-only file.
    pub is_aof_base: Option<bool>,
}

impl Aux {
    /// The fields that are there, in the order in which they are written.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let flag = self.is_aof_base.map(i64::from);
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        [
            ("redis-ver", self.redis_version.clone()),
            ("redis-bits", number(self.redis_bits)),
            ("ctime", number(self.created_seconds)),
            ("used-mem", number(self.used_memory_bytes)),
            ("repl-stream-db", number(self.stream_database)),
            ("repl-id", self.replication_id.clone()),
            ("repl-offset", number(self.replication_offset)),
            ("aof-base", number(flag)),
            ("tenon-ver", self.tenon_version.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Takes a field in, if it is a known one.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8]) {
        let text = || {
            let kept = &value[..value.len().min(TEXT_BYTES_MAX)];
            Some(String::from_utf8_lossy(kept).into_owned())
        };
        match name.to_ascii_lowercase().as_slice() {
            b"redis-ver" => self.redis_version = text(),
            b"tenon-ver" => self.tenon_version = text(),
            b"redis-bits" => self.redis_bits = integer_of(value),
            b"ctime" => self.created_seconds = integer_of(value),
            b"used-mem" => self.used_memory_bytes = integer_of(value),
            b"repl-stream-db" => self.stream_database = integer_of(value),
            b"repl-id" => self.replication_id = text(),
            b"repl-offset" => self.replication_offset = integer_of(value),
            // What files with an AOF behind them said before there were bases.
            b"aof-base" | b"aof-preamble" => self.is_aof_base = integer_of(value).map(|flag| flag != 0),
            _ => {}
        }
    }
}
