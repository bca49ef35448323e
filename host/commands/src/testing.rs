//! Runs data commands in process, for the tests of this crate: one keyspace, one client, a clock and dice that the
//! test holds. Not the engine: no gates, no transactions, nothing waits.
//! Always: whatever runs is replayed on a follower whose clock is a day ahead, and at the end both keyspaces must
//! be equal. So every test of a command is a test of what it propagates.

use tenon_base::{Dice, Now, UnixMillis};
use tenon_keyspace::{
    AccessRule, End, HashLimits, Keyspace, List, ListLimits, SetLimits, Stream, StreamId, StreamLimits,
    ValueRef, ZsetLimits,
};
use tenon_resp::{Args, OwnedArgs, Proto, Reply, ReplyDecoder, Value};

use crate::{
    CommandError, Context, Db, EventClass, Garbage, Handler, Limits, LookupCounts, Origin, Row, TABLES, Unit,
};

const DATABASES: usize = 4;
/// When every bench begins, in milliseconds since 1970.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
/// How far the follower's clock is ahead.
const AHEAD_MS: i64 = 24 * 3_600 * 1_000;

/// A keyspace to run commands on.
pub(crate) struct Bench {
    node: Node,
    follower: Node,
    /// Thresholds and switches; change them before running.
    pub(crate) limits: Limits,
    /// How replies are written.
    pub(crate) proto: Proto,
    database: usize,
    now_ms: i64,
}

struct Node {
    keyspace: Keyspace,
    unit: Unit,
    lookups: LookupCounts,
    dice: Dice,
    garbage: Vec<Garbage>,
    /// The request of the last unit, and the database that it ran in.
    request: OwnedArgs,
    database: usize,
}

impl Bench {
    /// Empty databases.
    pub(crate) fn new() -> Bench {
        Bench {
            node: Node::new(1),
            follower: Node::new(2),
            limits: default_limits(),
            proto: Proto::Resp2,
            database: 0,
            now_ms: START_MS,
        }
    }

    /// Runs one command, written as in redis-cli: words, or quoted strings with escapes. Returns the reply in one
    /// line: `OK`, `"text"`, `7`, `(nil)`, `["a", 1]`, `{"field": "value"}`, `~["member"]`, `(double) 1.5`,
    /// `(error) ERR ...`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let words = split_words(line);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.run_words(&words).to_string()
    }

    /// Runs one command given as words.
    pub(crate) fn run_words(&mut self, words: &[&[u8]]) -> Value {
        let request = OwnedArgs::from(words);
        let now = moment(self.now_ms);
        let reply = self.node.run(&request, self.database, Origin::Client, now, &self.limits, self.proto);
        self.replay();
        reply
    }

    /// Puts a list under a key of database 0, without any command.
    pub(crate) fn put_list(&mut self, key: &str, elements: &[&str]) {
        let mut list = List::new();
        elements.iter().for_each(|element| list.push(End::Back, element.as_bytes(), &self.limits.list));
        for node in [&mut self.node, &mut self.follower] {
            node.keyspace.db_mut(0).insert(key.as_bytes(), tenon_keyspace::Value::List(list.clone()), None);
        }
    }

    /// What the last command propagates: one request after the other, with `; ` between them; `@2 ` before a
    /// request for database 2 if that is not the selected one.
    pub(crate) fn effects(&self) -> String {
        let operations = self.node.effects();
        let shown = operations.iter().map(|(database, request)| {
            let seam = if *database == self.database { String::new() } else { format!("@{database} ") };
            let words: Vec<String> = request.as_args().iter().map(shown_word).collect();
            seam + &words.join(" ")
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    /// The keyspace events of the last command: `set a; expire a`, with `@2 ` as in [`Bench::effects`]. Keys that were
    /// looked for in vain are left out; see [`Bench::misses`].
    pub(crate) fn events(&self) -> String {
        self.events_that(|class| class != EventClass::Miss)
    }

    /// The keys that the last command has looked for in vain: `keymiss a`.
    pub(crate) fn misses(&self) -> String {
        self.events_that(|class| class == EventClass::Miss)
    }

    fn events_that(&self, are_wanted: fn(EventClass) -> bool) -> String {
        let events = self.node.unit.events().filter(|(event, ..)| are_wanted(event.class));
        let shown = events.map(|(event, database, key)| {
            let seam =
                if database as usize == self.database { String::new() } else { format!("@{database} ") };
            format!("{seam}{} {}", event.name, shown_word(key))
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    /// How many changes the last command counted.
    pub(crate) fn dirty(&self) -> u64 {
        self.node.unit.dirty
    }

    /// How many keys the last command touched.
    pub(crate) fn touched(&self) -> usize {
        self.node.unit.touched().len()
    }

    /// Hits and misses since the beginning.
    pub(crate) fn lookups(&self) -> (u64, u64) {
        (self.node.lookups.hits, self.node.lookups.misses)
    }

    /// How many values and tables were left to be freed elsewhere; they are freed now.
    pub(crate) fn take_garbage(&mut self) -> usize {
        std::mem::take(&mut self.node.garbage).len()
    }

    /// Selects a database for the commands that follow.
    pub(crate) fn select(&mut self, database: usize) {
        assert!(database < DATABASES);
        self.database = database;
    }

    /// Lets time pass.
    pub(crate) fn sleep(&mut self, span_ms: i64) {
        self.now_ms += span_ms;
    }

    fn replay(&mut self) {
        let now = moment(self.now_ms + AHEAD_MS);
        for (database, request) in self.node.effects() {
            let reply = self.follower.run(&request, database, Origin::Primary, now, &self.limits, self.proto);
            assert!(!matches!(reply, Value::Error(_)), "the follower refused {request:?}: {}", reply);
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What has expired and was not met since is still there on both sides.
            assert_eq!(
                self.node.digest(),
                self.follower.digest(),
                "the effects did not make an equal keyspace"
            );
        }
    }
}

impl Node {
    fn new(seed: u64) -> Node {
        let mut dice = Dice::seeded(seed);
        let mut unit = Unit::default();
        unit.listen(true, true);
        Node {
            keyspace: Keyspace::new(DATABASES, &mut dice),
            unit,
            lookups: LookupCounts::default(),
            dice,
            garbage: Vec::new(),
            request: OwnedArgs::new(),
            database: 0,
        }
    }

    fn run(
        &mut self,
        request: &OwnedArgs,
        database: usize,
        origin: Origin,
        now: Now,
        limits: &Limits,
        proto: Proto,
    ) -> Value {
        self.request = request.clone();
        self.database = database;
        self.unit.clear();
        let mut out = Vec::new();
        let mut context = Context {
            db: Db::new(&mut self.keyspace, database, now, origin, &mut self.lookups, &mut self.unit),
            reply: Reply::new(&mut out, proto),
            dice: &mut self.dice,
            limits,
            garbage: &mut self.garbage,
        };
        let outcome = dispatch(&mut context, request.as_args());
        if let Err(error) = outcome {
            assert_eq!(self.unit.dirty, 0, "a refused command changed something");
            out.clear();
            Reply::new(&mut out, proto).error(&error.to_string());
        }
        let mut decoder = ReplyDecoder::new();
        decoder.feed(&out);
        let reply = decoder.next_reply().expect("a well-formed reply").expect("a whole reply");
        assert_eq!(decoder.next_reply(), Ok(None), "more than one reply");
        reply
    }

    /// What the last unit propagates, each request with its database.
    fn effects(&self) -> Vec<(usize, OwnedArgs)> {
        let operations = self.unit.operations();
        let mut effects: Vec<_> =
            operations.map(|(database, args, _)| (database as usize, OwnedArgs::from(args))).collect();
        if self.unit.dirty > 0 && !self.unit.is_refined() {
            effects.push((self.database, self.request.clone()));
        }
        effects
    }

    /// Every key with its value and expiry time, one line each, in order.
    fn digest(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for number in 0..DATABASES {
            for entry in self.keyspace.db(number).entries() {
                let expiry = entry.expires_at().map(|UnixMillis(at)| at);
                let (key, value) = (shown_word(entry.key()), content(entry.value()));
                lines.push(format!("{number} {key} {expiry:?} {} {value}", entry.kind().name()));
            }
        }
        lines.sort();
        lines
    }
}

fn dispatch(context: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let named = |rows: &'static [Row<Handler>], name: &[u8]| {
        rows.iter().find(|row| row.name.as_bytes().eq_ignore_ascii_case(name))
    };
    let parent = TABLES.iter().find_map(|rows| named(rows, args.get(0)));
    let parent = parent.unwrap_or_else(|| panic!("no command called {}", shown_word(args.get(0))));
    let child = args.try_get(1).and_then(|name| named(parent.subcommands, name));
    let row = child.unwrap_or(parent);
    if !row.accepts(args.len()) {
        let name = child.map_or(parent.name.to_owned(), |child| format!("{}|{}", parent.name, child.name));
        return Err(CommandError::arity(&name));
    }
    (row.run)(context, args)
}

fn default_limits() -> Limits {
    let seed = 7;
    Limits {
        access: AccessRule::Recency,
        shares_integers: true,
        list: ListLimits::default(),
        hash: HashLimits { entries: 128, value_bytes: 64, seed },
        set: SetLimits { intset_entries: 512, listpack_entries: 128, listpack_value_bytes: 64, seed },
        zset: ZsetLimits { entries: 128, value_bytes: 64, seed },
        stream: StreamLimits::default(),
        payload: tenon_rdb::EncoderOptions::default(),
        string_bytes_max: 512 * 1024 * 1024,
        sparse_sketch_bytes_max: 3_000,
        lazy_user_del: false,
        lazy_user_flush: false,
        lazy_server_del: false,
        skips_checksums: false,
    }
}

fn moment(unix_ms: i64) -> Now {
    Now { unix_us: unix_ms * 1_000, ..Now::default() }
}

/// The words of a line as redis-cli reads them.
fn split_words(line: &str) -> Vec<Vec<u8>> {
    tenon_base::split_words(line.as_bytes()).expect("quotes that match")
}

fn shown_word(word: &[u8]) -> String {
    if word.is_empty() || word.iter().any(|byte| !byte.is_ascii_graphic()) {
        return format!("\"{}\"", word.escape_ascii());
    }
    word.escape_ascii().to_string()
}

/// All that is in a value; what has no order is sorted.
fn content(value: ValueRef<'_>) -> String {
    let word = |element: tenon_keyspace::Element<'_>| shown_word(&element.to_vec());
    let (mut parts, is_ordered): (Vec<String>, bool) = match value {
        ValueRef::String(text) => {
            let mut bytes = Vec::new();
            text.write_into(&mut bytes);
            (vec![shown_word(&bytes)], true)
        }
        ValueRef::List(list) => (list.iter().map(word).collect(), true),
        ValueRef::Set(set) => (set.iter().map(word).collect(), false),
        ValueRef::Hash(hash) => {
            (hash.iter().map(|(field, value)| format!("{}={}", word(field), word(value))).collect(), false)
        }
        ValueRef::Zset(zset) => {
            (zset.iter().map(|(member, score)| format!("{}={score:?}", word(member))).collect(), true)
        }
        ValueRef::Stream(stream) => (stream_content(stream), true),
    };
    if !is_ordered {
        parts.sort();
    }
    parts.join(" ")
}

/// The figures, the entries and the groups. When a consumer was seen is left out: every server has seen it itself.
fn stream_content(stream: &Stream) -> Vec<String> {
    let word = |element: tenon_keyspace::Element<'_>| shown_word(&element.to_vec());
    let figures = format!("{} {} {}", stream.last_id(), stream.max_deleted_id(), stream.entries_added());
    let entries = stream.iter().map(|entry| {
        let fields = entry.fields.map(|(field, value)| format!(" {}={}", word(field), word(value)));
        format!("{}{}", entry.id, fields.collect::<String>())
    });
    let groups = stream.groups().map(|(name, group)| {
        let consumers: Vec<_> = group.consumers().map(|consumer| shown_word(consumer.name())).collect();
        let pending = group.pending_range(StreamId::MIN, StreamId::MAX).map(|(id, entry)| {
            let (owner, UnixMillis(time)) = (shown_word(entry.consumer()), entry.delivery_time());
            format!(" {id} {owner} {time} {}", entry.delivery_count())
        });
        let (name, progress) = (shown_word(name), (group.last_id(), group.entries_read()));
        format!("{name} {progress:?} {consumers:?}{}", pending.collect::<String>())
    });
    [figures].into_iter().chain(entries).chain(groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_redis_cli() {
        let words = split_words(r#"  SET "a b" "\x00\n\"" "" plain"#);
        assert_eq!(words, [b"SET".to_vec(), b"a b".to_vec(), b"\0\n\"".to_vec(), vec![], b"plain".to_vec()]);
    }

    #[test]
    fn replies_are_shown_in_one_line() {
        let pair = vec![(Value::Bulk(b"f".to_vec()), Value::Double(1.5))];
        let reply = Value::Array(vec![Value::Null, Value::Integer(7), Value::Map(pair)]);
        assert_eq!(reply.to_string(), r#"[(nil), 7, {"f": (double) 1.5}]"#);
    }
}
