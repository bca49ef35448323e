//! What a handler works with: the selected database, the reply, the limits, chance. One context serves one
//! command.

use tenon_base::Dice;
use tenon_keyspace::{
    AccessRule, Detached, HashLimits, ListLimits, SetLimits, StreamLimits, Value, ValueRef, ZsetLimits,
};
use tenon_rdb::EncoderOptions;
use tenon_resp::{Args, Reply};

use crate::{CommandError, Concerns, Db, Event, Outcome, Wait};

/// Everything a data command may touch.
pub struct Context<'a> {
    /// The selected database, and the unit's effects.
    pub db: Db<'a>,
    /// Where the reply is written.
    pub reply: Reply<'a>,
    /// Chance.
    pub dice: &'a mut Dice,
    /// Thresholds from the configuration.
    pub limits: &'a Limits,
    /// Values to be freed on another thread.
    pub garbage: &'a mut Vec<Garbage>,
}

/// Configuration that data commands read, kept ready by the engine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `list-max-listpack-size`, `list-compress-depth`.
    pub list: ListLimits,
    /// `hash-max-listpack-*`.
    pub hash: HashLimits,
    /// `set-max-intset-entries`, `set-max-listpack-*`.
    pub set: SetLimits,
    /// `zset-max-listpack-*`.
    pub zset: ZsetLimits,
    /// `stream-node-max-*`.
    pub stream: StreamLimits,
    /// What access clocks count (`maxmemory-policy`, `lfu-*`).
    pub access: AccessRule,
    /// Whether OBJECT REFCOUNT tells that small integers are shared.
    pub shares_integers: bool,
    /// How DUMP writes: `rdb-version`, `rdbcompression`.
    pub payload: EncoderOptions,
    /// Whether RESTORE overlooks checksums (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
    pub skips_checksums: bool,
    /// `proto-max-bulk-len`: the longest string.
    pub string_bytes_max: usize,
    /// `hll-sparse-max-bytes`: the longest sparse HyperLogLog.
    pub sparse_sketch_bytes_max: usize,
    /// `lazyfree-lazy-user-del`.
    pub lazy_user_del: bool,
    /// `lazyfree-lazy-user-flush`.
    pub lazy_user_flush: bool,
    /// `lazyfree-lazy-server-del`.
    pub lazy_server_del: bool,
}

/// What is to be freed where nobody waits for it.
#[derive(Debug)]
pub enum Garbage {
    /// A value.
    Value(Value),
    /// All of a database.
    Table(Detached),
}

impl Context<'_> {
    /// Says that `key` changed: `count` changes, told to subscribers as `event`. A collection that became
    /// empty is removed, with its own event.
    pub fn changed(&mut self, key: &[u8], event: Event, count: usize) {
        let is_empty =
            self.db.database_ref().find(key).is_some_and(|entry| is_empty_collection(entry.value()));
        self.wrote(key, event, count);
        if is_empty {
            drop(self.db.database().remove(key));
            let index = self.db.index();
            self.db.unit.notify(Event::DEL, index, key);
        }
    }

    /// As [`Context::changed`], for what cannot have left an empty collection behind.
    #[inline]
    pub fn wrote(&mut self, key: &[u8], event: Event, count: usize) {
        self.wrote_quietly(key, count);
        let index = self.db.index();
        self.db.unit.notify(event, index, key);
    }

    /// As [`Context::wrote`], for what has no event: how a value is kept changed, not what it says.
    #[inline]
    pub fn wrote_quietly(&mut self, key: &[u8], count: usize) {
        if self.db.unit.wants_keys() {
            let (index, hash) = (self.db.index(), self.db.database_ref().hash(key));
            self.db.unit.touch(index, hash, key);
        }
        self.db.unit.dirty += count as u64;
    }

    /// As [`Context::wrote`], for what does not concern everyone, as in Redis: who has read what of a stream, or how a
    /// sketch is kept.
    pub fn wrote_for(&mut self, concerns: Concerns, key: &[u8], event: Option<Event>, count: usize) {
        let index = self.db.index();
        if self.db.unit.wants_keys() {
            let hash = self.db.database_ref().hash(key);
            self.db.unit.touch_for(concerns, index, hash);
        }
        self.db.unit.dirty += count as u64;
        if let Some(event) = event {
            self.db.unit.notify(event, index, key);
        }
    }

    /// Says that `key` is new, before it is said what was done to it. [`Db::insert`] does so by itself.
    #[inline]
    pub fn created(&mut self, key: &[u8]) {
        let index = self.db.index();
        self.db.unit.notify(Event::NEW, index, key);
    }

    /// Propagates `words` in place of the request.
    pub fn propagate_as(&mut self, words: &[&[u8]]) {
        let index = self.db.index();
        self.db.unit.propagate_as(index, words);
    }

    /// Ends without an answer: the request runs again when one of its keys may be ready. Where nobody may wait, it
    /// is answered with nothing at once. To be called before anything was replied.
    pub fn wait(&mut self, wait: Wait) -> Outcome {
        if self.db.unit.may_wait() {
            self.db.unit.wait(wait);
        } else {
            wait.empty.write(&mut self.reply);
        }
        Ok(())
    }

    /// Frees a value, here if that is quick, elsewhere if it may take long.
    pub fn discard(&mut self, value: Option<Value>) {
        self.garbage.extend(value.and_then(Garbage::of_value));
    }
}

impl Garbage {
    /// A value that takes long to free. Others are freed here.
    pub fn of_value(value: Value) -> Option<Garbage> {
        (value.memory() > quickly_freed_bytes_max(&value)).then_some(Garbage::Value(value))
    }
}

/// Values up to this size are freed on the spot, which takes less time than to hand them to another thread. A string is
/// one block, whatever its size: only its pages may have to be given back. A collection is a block per page or node, and
/// the nodes of a stream may be small.
fn quickly_freed_bytes_max(value: &Value) -> usize {
    match value {
        Value::String(_) => 1024 * 1024,
        Value::Stream(_) => 16 * 1024,
        _ => 64 * 1024,
    }
}

fn is_empty_collection(value: ValueRef<'_>) -> bool {
    match value {
        // A stream without entries is one still: it has a last id, and may have groups.
        ValueRef::String(_) | ValueRef::Stream(_) => false,
        ValueRef::List(list) => list.is_empty(),
        ValueRef::Set(set) => set.is_empty(),
        ValueRef::Hash(hash) => hash.is_empty(),
        ValueRef::Zset(zset) => zset.is_empty(),
    }
}

/// Reads arguments as handlers need them, with Redis's errors.
pub trait Words {
    /// A whole number.
    fn integer(&self, index: usize) -> Result<i64, CommandError>;
    /// A number; NaN is none.
    fn float(&self, index: usize) -> Result<f64, CommandError>;
    /// Whether a word is this one, in letters of either case.
    fn is(&self, index: usize, word: &str) -> bool;
}

impl Words for Args<'_> {
    fn integer(&self, index: usize) -> Result<i64, CommandError> {
        tenon_resp::parse_integer(self.get(index)).ok_or(CommandError::NotInteger)
    }

    fn float(&self, index: usize) -> Result<f64, CommandError> {
        tenon_resp::parse_double(self.get(index)).ok_or(CommandError::NotFloat)
    }

    fn is(&self, index: usize, word: &str) -> bool {
        self.try_get(index).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    }
}
