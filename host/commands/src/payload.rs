//! Values as payloads that travel between servers: DUMP, RESTORE, RESTORE-ASKING. The format is `tenon-rdb`'s.
//! Always: a lifetime is propagated as the moment at which it ends, and a payload is read whole before anything
//! changes.

use tenon_base::UnixMillis;
use tenon_keyspace::AccessRule;
use tenon_rdb::RestoreError;
use tenon_resp::Args;

use crate::generic::{invalid_expire_time, is_past};
use crate::{
    Argument, Categories, CommandError, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome,
    Row, Words,
};

const RESTORED_KEY: &[KeySpec] = &[KeySpec::at(1, KeyFlags::OW.and(KeyFlags::UPDATE))];

const RESTORE_ARGUMENTS: &[Argument] = &[
    Argument::key("key", 0),
    Argument::integer("ttl"),
    Argument::string("serialized-value"),
    Argument::word("replace", "REPLACE").optional().since("3.0.0"),
    Argument::word("absttl", "ABSTTL").optional().since("5.0.0"),
    Argument::integer("seconds").after("IDLETIME").optional().since("5.0.0"),
    Argument::integer("frequency").after("FREQ").optional().since("5.0.0"),
];

const RESTORE_COMPLEXITY: &str = "O(N*M) with N elements of M bytes; O(N*M*log(N)) for sorted sets";

/// DUMP and what undoes it.
pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "dump",
        run: dump,
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::KEYSPACE,
        tips: &["nondeterministic_output"],
        group: Group::Generic,
        since: "2.6.0",
        complexity: "O(N*M) with N elements of M bytes",
        summary: "Tells a value as a payload that RESTORE takes.",
        arguments: &[Argument::key("key", 0)],
        subcommands: &[],
    },
    Row {
        name: "restore",
        run: restore,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: RESTORED_KEY,
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        tips: &[],
        group: Group::Generic,
        since: "2.6.0",
        complexity: RESTORE_COMPLEXITY,
        summary: "Makes a key from a payload that DUMP told.",
        arguments: RESTORE_ARGUMENTS,
        subcommands: &[],
    },
    Row {
        name: "restore-asking",
        run: restore,
        arity: -4,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ASKING),
        keys: RESTORED_KEY,
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        tips: &[],
        group: Group::Server,
        since: "3.0.0",
        complexity: RESTORE_COMPLEXITY,
        summary: "RESTORE into a slot that is being imported; for servers among themselves.",
        arguments: RESTORE_ARGUMENTS,
        subcommands: &[],
    },
];

fn dump(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    match ctx.db.find(args.get(1)) {
        Some(entry) => ctx.reply.bulk(&tenon_rdb::dump(entry.value(), &ctx.limits.payload)),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn restore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let key = args.get(1);
    if !options.replaces && ctx.db.exists(key) {
        return Err(CommandError::text("BUSYKEY Target key name already exists."));
    }
    let expires = options.deadline(args.integer(2)?, ctx.db.now())?;
    let read = if ctx.limits.skips_checksums { tenon_rdb::restore_unsigned } else { tenon_rdb::restore };
    let value = read(args.get(3), &limits(ctx)).map_err(refusal)?;

    let former = ctx.db.delete(key);
    let is_replaced = former.is_some();
    ctx.discard(former.flatten());
    ctx.reply.ok();
    if expires.is_some_and(|deadline| is_past(ctx, deadline)) {
        ctx.discard(Some(value));
        if is_replaced {
            ctx.wrote(key, Event::DEL, 1);
            let removal: &[u8] = if ctx.limits.lazy_server_del { b"UNLINK" } else { b"DEL" };
            ctx.propagate_as(&[removal, key]);
        }
        return Ok(());
    }
    ctx.db.insert(key, value, expires);
    if let Some(clock) = options.clock(ctx.limits.access, ctx.db.now().seconds() as u32) {
        ctx.db.database().touch(key, clock);
    }
    ctx.wrote(key, Event::RESTORE, 1);
    if let Some(deadline) = expires
        && !options.is_absolute
    {
        let index = ctx.db.index();
        let words = ctx.db.unit.operation_as(index);
        args.iter().take(2).for_each(|word| words.push(word));
        words.push_integer(deadline.0);
        args.iter().skip(3).for_each(|word| words.push(word));
        words.push(b"ABSTTL");
    }
    Ok(())
}

/// What RESTORE may be told.
#[derive(Default)]
struct Options {
    replaces: bool,
    /// The lifetime is told as the moment at which it ends.
    is_absolute: bool,
    /// For how long nobody has used the value.
    idle_seconds: Option<i64>,
    /// How often the value is used, on a logarithmic scale.
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = 4;
        while index < args.len() {
            let has_value = index + 1 < args.len();
            if args.is(index, "REPLACE") {
                options.replaces = true;
            } else if args.is(index, "ABSTTL") {
                options.is_absolute = true;
            } else if args.is(index, "IDLETIME") && has_value && options.frequency.is_none() {
                index += 1;
                let seconds = args.integer(index)?;
                if seconds < 0 {
                    return Err(CommandError::text("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_seconds = Some(seconds);
            } else if args.is(index, "FREQ") && has_value && options.idle_seconds.is_none() {
                index += 1;
                let frequency = u8::try_from(args.integer(index)?)
                    .map_err(|_| CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
                options.frequency = Some(frequency);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }

    /// The access clock that was told, if it is of the kind that is kept.
    fn clock(&self, rule: AccessRule, seconds: u32) -> Option<u32> {
        if rule.counts_uses() {
            self.frequency.map(|counter| AccessRule::with_frequency(counter, seconds))
        } else {
            self.idle_seconds.map(|idle| AccessRule::with_idle_seconds(idle.unsigned_abs(), seconds))
        }
    }

    /// The moment at which a lifetime ends; zero stands for none.
    fn deadline(&self, ttl: i64, now: UnixMillis) -> Result<Option<UnixMillis>, CommandError> {
        match ttl {
            ..0 => Err(CommandError::text("ERR Invalid TTL value, must be >= 0")),
            0 => Ok(None),
            moment if self.is_absolute => Ok(Some(UnixMillis(moment))),
            span => match now.0.checked_add(span) {
                Some(moment) => Ok(Some(UnixMillis(moment))),
                None => Err(invalid_expire_time("restore")),
            },
        }
    }
}

fn limits(ctx: &Context<'_>) -> tenon_rdb::Limits {
    tenon_rdb::Limits {
        list: ctx.limits.list,
        set: ctx.limits.set,
        hash: ctx.limits.hash,
        zset: ctx.limits.zset,
    }
}

fn refusal(error: RestoreError) -> CommandError {
    match error {
        RestoreError::Footer => CommandError::Text(format!("ERR {error}").into()),
        RestoreError::Data(reason) => CommandError::BadPayload(reason.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, START_MS};
    use tenon_resp::Value;

    fn payload(bench: &mut Bench, key: &str) -> Vec<u8> {
        match bench.run_words(&[b"DUMP", key.as_bytes()]) {
            Value::Bulk(bytes) => bytes,
            reply => panic!("no payload: {reply:?}"),
        }
    }

    fn restore(bench: &mut Bench, words: &[&[u8]]) -> String {
        let words = [&[&b"RESTORE"[..]], words].concat();
        match bench.run_words(&words) {
            Value::Simple(text) | Value::Error(text) => String::from_utf8_lossy(&text).into_owned(),
            reply => panic!("neither done nor refused: {reply:?}"),
        }
    }

    #[test]
    fn every_type_comes_back() {
        let mut bench = Bench::new();
        bench.run("SET s text");
        bench.run("RPUSH l a 1 b");
        bench.run("SADD i 1 2 3");
        bench.run("HSET h f v g 2");
        bench.run("ZADD z 1.5 a 2 b");
        for key in ["s", "l", "i", "h", "z"] {
            let bytes = payload(&mut bench, key);
            assert_eq!(restore(&mut bench, &[key.as_bytes(), b"0", &bytes, b"REPLACE"]), "OK");
            assert_eq!(bench.events(), format!("new {key}; restore {key}"));
            assert_eq!(bench.dirty(), 1);
        }
        assert_eq!(bench.run("LRANGE l 0 -1"), r#"["a", "1", "b"]"#);
        assert_eq!(bench.run("ZRANGE z 0 -1 WITHSCORES"), r#"["a", "1.5", "b", "2"]"#);
        assert_eq!(bench.run("DUMP missing"), "(nil)");
    }

    #[test]
    fn lifetimes_are_propagated_as_moments() {
        let mut bench = Bench::new();
        bench.run("SET s 1");
        let bytes = payload(&mut bench, "s");
        assert_eq!(restore(&mut bench, &[b"t", b"5000", &bytes]), "OK");
        assert!(bench.effects().starts_with(&format!("RESTORE t {} ", START_MS + 5_000)));
        assert!(bench.effects().ends_with(" ABSTTL"), "{}", bench.effects());
        assert_eq!(bench.run("PTTL t"), "5000");
        let moment = (START_MS + 7_000).to_string();
        assert_eq!(restore(&mut bench, &[b"t", moment.as_bytes(), &bytes, b"absttl", b"replace"]), "OK");
        assert_eq!(bench.run("PTTL t"), "7000");
    }

    #[test]
    fn what_has_expired_removes_what_it_replaces() {
        let mut bench = Bench::new();
        bench.run("SET s 1");
        let bytes = payload(&mut bench, "s");
        assert_eq!(restore(&mut bench, &[b"gone", b"1", &bytes, b"ABSTTL"]), "OK");
        assert_eq!((bench.effects().as_str(), bench.dirty()), ("", 0));
        assert_eq!(restore(&mut bench, &[b"s", b"1", &bytes, b"ABSTTL", b"REPLACE"]), "OK");
        assert_eq!((bench.effects().as_str(), bench.events().as_str()), ("DEL s", "del s"));
        assert_eq!(bench.run("EXISTS s gone"), "0");
    }

    #[test]
    fn idle_times_are_kept() {
        let mut bench = Bench::new();
        bench.run("SET s 1");
        let bytes = payload(&mut bench, "s");
        assert_eq!(restore(&mut bench, &[b"t", b"0", &bytes, b"IDLETIME", b"1000"]), "OK");
        assert_eq!(bench.run("OBJECT IDLETIME t"), "1000");
    }

    #[test]
    fn refusals_change_nothing() {
        let mut bench = Bench::new();
        bench.run("SET s 1");
        let bytes = payload(&mut bench, "s");
        let mut torn = bytes.clone();
        torn[1] ^= 1;
        let wrong = "ERR DUMP payload version or checksum are wrong";
        let huge = i64::MAX.to_string();
        let cases: [(&[&[u8]], &str); 12] = [
            (&[b"s", b"0", &bytes], "BUSYKEY Target key name already exists."),
            (&[b"s", b"x", b"junk"], "BUSYKEY Target key name already exists."),
            (&[b"t", b"x", &bytes], "ERR value is not an integer or out of range"),
            (&[b"t", b"-1", &bytes], "ERR Invalid TTL value, must be >= 0"),
            (&[b"t", huge.as_bytes(), &bytes], "ERR invalid expire time in 'restore' command"),
            (&[b"t", b"0", &torn], wrong),
            (&[b"t", b"0", b"short"], wrong),
            (&[b"t", b"0", &bytes, b"what"], "ERR syntax error"),
            (&[b"t", b"0", &bytes, b"IDLETIME"], "ERR syntax error"),
            (&[b"t", b"0", &bytes, b"IDLETIME", b"-1"], "ERR Invalid IDLETIME value, must be >= 0"),
            (&[b"t", b"0", &bytes, b"FREQ", b"256"], "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            (&[b"t", b"0", &bytes, b"FREQ", b"1", b"IDLETIME", b"1"], "ERR syntax error"),
        ];
        for (words, error) in cases {
            assert_eq!(restore(&mut bench, words), error);
            assert_eq!(bench.effects(), "");
        }
        assert_eq!(bench.run("EXISTS t"), "0");
    }
}
