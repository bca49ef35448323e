//! DEBUG: what tests and curious operators need. Behind `enable-debug-command`, see `gates`.
//! What ends the server on request says so in the log first.

mod tables;

use tenon_base::{Micros, Output};
use tenon_commands::{Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_journal::Targets;
use tenon_keyspace::{Entry, Expiry};
use tenon_rdb::{dataset_digest, dump, value_digest};
use tenon_resp::{Args, Proto};

use crate::load::ReloadSteps;

use super::{ServerContext, ServerHandler};

/// DEBUG alone: its subcommands are no commands of their own, as in Redis.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "debug",
    run: debug,
    arity: -2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE).and(Flags::PROTECTED),
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "1.0.0",
    complexity: "Depends on subcommand.",
    summary: "Looks inside, and makes the server do what tests need.",
    arguments: &[],
    subcommands: &[],
}];

/// One subcommand: its name, how many words it takes (DEBUG and its own included), what runs it, its help.
struct Subcommand {
    name: &'static str,
    words: std::ops::RangeInclusive<usize>,
    run: ServerHandler,
    help: &'static [&'static str],
}

const ANY: usize = usize::MAX;

/// What cannot be done while data is loaded.
const CHANGES_DATA: [&str; 5] = ["CHANGE-REPL-ID", "LOADAOF", "POPULATE", "RELOAD", "REPLICATE"];

/// In alphabetical order.
static SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "AOF-FLUSH-SLEEP",
        words: 3..=3,
        run: set_flush_sleep,
        help: &[
            "AOF-FLUSH-SLEEP <microseconds>",
            "    Keep everybody waiting for so long before each write to the log.",
        ],
    },
    Subcommand {
        name: "CHANGE-REPL-ID",
        words: 2..=2,
        run: change_replication_id,
        help: &[
            "CHANGE-REPL-ID",
            "    Name the history anew, so that no replica can go on where it stopped.",
        ],
    },
    Subcommand {
        name: "CONFIG-REWRITE-FORCE-ALL",
        words: 2..=2,
        run: rewrite_whole_config,
        help: &[
            "CONFIG-REWRITE-FORCE-ALL",
            "    As CONFIG REWRITE, but with a line for every directive, at its default or not.",
        ],
    },
    Subcommand {
        name: "DICT-RESIZING",
        words: 3..=3,
        run: accept,
        help: &["DICT-RESIZING <0|1>", "    Accepted; tables here grow and shrink in small steps anyway."],
    },
    Subcommand {
        name: "DIGEST",
        words: 2..=2,
        run: digest,
        help: &["DIGEST", "    A hash of all keys, values, and of which keys expire."],
    },
    Subcommand {
        name: "DIGEST-VALUE",
        words: 2..=ANY,
        run: digest_values,
        help: &["DIGEST-VALUE <key> [<key> ...]", "    A hash of each value."],
    },
    Subcommand {
        name: "ERROR",
        words: 3..=3,
        run: error,
        help: &["ERROR <string>", "    Answer this error."],
    },
    Subcommand { name: "HELP", words: 2..=2, run: help, help: &[] },
    Subcommand {
        name: "HTSTATS",
        words: 3..=4,
        run: tables::of_database,
        help: &["HTSTATS <dbid> [full]", "    Figures of a database's table."],
    },
    Subcommand {
        name: "HTSTATS-KEY",
        words: 3..=4,
        run: tables::of_key,
        help: &["HTSTATS-KEY <key> [full]", "    Figures of the table that a large collection is kept in."],
    },
    Subcommand {
        name: "LISTPACK",
        words: 3..=3,
        run: listpack,
        help: &["LISTPACK <key>", "    Write figures of a listpack to the log."],
    },
    Subcommand {
        name: "LOADAOF",
        words: 2..=2,
        run: load_log,
        help: &[
            "LOADAOF",
            "    Bring the append-only file to the disk, forget everything, and load it again.",
        ],
    },
    Subcommand {
        name: "LOG",
        words: 3..=3,
        run: log,
        help: &["LOG <message>", "    Write a line to the log."],
    },
    Subcommand {
        name: "OBJECT",
        words: 3..=3,
        run: object,
        help: &["OBJECT <key>", "    Tell how a value is kept."],
    },
    Subcommand {
        name: "PANIC",
        words: 2..=2,
        run: panic_now,
        help: &["PANIC", "    End the server as a broken invariant would."],
    },
    Subcommand {
        name: "PAUSE-CRON",
        words: 3..=3,
        run: pause_cron,
        help: &["PAUSE-CRON <0|1>", "    Whether what is done by the clock is left undone."],
    },
    Subcommand {
        name: "POPULATE",
        words: 3..=5,
        run: populate,
        help: &[
            "POPULATE <count> [<prefix>] [<size>]",
            "    Make strings named <prefix>:<number> (default: key) where there are none. They",
            "    are neither logged nor counted as changes.",
        ],
    },
    Subcommand {
        name: "PROTOCOL",
        words: 3..=3,
        run: protocol,
        help: &[
            "PROTOCOL <type>",
            "    Answer an example: string, integer, double, bignum, null, array, set, map,",
            "    attrib, push, verbatim, true or false.",
        ],
    },
    Subcommand {
        name: "QUICKLIST-PACKED-THRESHOLD",
        words: 3..=3,
        run: packed_threshold,
        help: &[
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "    Checked and accepted; long elements lie by themselves at a size that is fixed.",
        ],
    },
    Subcommand {
        name: "RELOAD",
        words: 2..=5,
        run: reload,
        help: &[
            "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
            "    Save, forget everything, and load the dump file again; or leave a step out.",
        ],
    },
    Subcommand {
        name: "REPLICATE",
        words: 3..=ANY,
        run: replicate,
        help: &[
            "REPLICATE <word> [<word> ...]",
            "    Send replicas a command that is not run here. The data may differ afterwards.",
        ],
    },
    Subcommand {
        name: "REPLYBUFFER",
        words: 4..=4,
        run: reply_buffer,
        help: &[
            "REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>",
            "    Checked and accepted; reply buffers here follow what they hold.",
        ],
    },
    Subcommand {
        name: "SEGFAULT",
        words: 2..=2,
        run: crash,
        help: &["SEGFAULT", "    End the server by the signal that a bad access to memory raises."],
    },
    Subcommand {
        name: "SET-ACTIVE-EXPIRE",
        words: 3..=3,
        run: set_active_expire,
        help: &[
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Whether keys whose time has come are looked for. They are gone for readers anyway.",
        ],
    },
    Subcommand {
        name: "SET-DISABLE-DENY-SCRIPTS",
        words: 3..=3,
        run: set_disable_deny_scripts,
        help: &["SET-DISABLE-DENY-SCRIPTS <0|1>", "    Whether scripts may call what only clients may."],
    },
    Subcommand {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        words: 3..=3,
        run: set_skip_checksums,
        help: &[
            "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
            "    Whether checksums of dump files and of RESTORE's payloads are overlooked.",
        ],
    },
    Subcommand {
        name: "SLEEP",
        words: 3..=3,
        run: sleep,
        help: &["SLEEP <seconds>", "    Keep everybody waiting. Decimals allowed."],
    },
];

fn debug(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let word = args.get(1);
    let is_it =
        |own: &&Subcommand| own.name.as_bytes().eq_ignore_ascii_case(word) && own.words.contains(&args.len());
    match SUBCOMMANDS.iter().find(is_it) {
        Some(found) if context.engine.load.is_some() && CHANGES_DATA.contains(&found.name) => {
            Err(crate::loading::refusal())
        }
        Some(found) => (found.run)(context, args),
        None => Err(unknown(word)),
    }
}

fn unknown(word: &[u8]) -> CommandError {
    let word = String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned();
    let text = format!("ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP.");
    CommandError::Text(text.into())
}

fn accept(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.reply().ok();
    Ok(())
}

fn change_replication_id(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.engine.begin_history();
    tracing::info!("Changing replication IDs after receiving change-repl-id");
    context.reply().ok();
    Ok(())
}

fn digest(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let digest = dataset_digest(&context.engine.keyspace);
    context.reply().simple(&hexadecimal(&digest));
    Ok(())
}

fn digest_values(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let digests: Vec<String> = args
        .rest(2)
        .into_iter()
        .map(|key| {
            let found = find(context, key);
            hexadecimal(&found.map_or([0; 20], |entry| value_digest(entry.value(), entry.expires_at())))
        })
        .collect();
    let mut reply = context.reply();
    reply.array(digests.len());
    digests.iter().for_each(|digest| reply.simple(digest));
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key of the selected database, also if its time has come.
fn find<'a>(context: &'a mut ServerContext<'_, '_>, key: &[u8]) -> Option<Entry<'a>> {
    let database = context.session().database;
    context.engine.keyspace.db(database).find(key)
}

fn error(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.reply().error_bytes(args.get(2));
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let lines: Vec<&str> = SUBCOMMANDS.iter().flat_map(|own| own.help.iter().copied()).collect();
    context.help("DEBUG", &lines)
}

fn listpack(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let entry = find(context, args.get(2)).ok_or(CommandError::NoSuchKey)?;
    if entry.encoding() != "listpack" {
        return Err(CommandError::text("ERR Not a listpack encoded object."));
    }
    let key = tenon_policy::one_line(&String::from_utf8_lossy(entry.key()), 128);
    tracing::info!("DEBUG LISTPACK: {key} takes {} bytes", entry.memory());
    context.reply().simple("Figures of the listpack written to the log");
    Ok(())
}

fn panic_now(_: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    panic!("DEBUG PANIC was called");
}

fn crash(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.world.outputs.request(Output::Crash);
    Ok(())
}

fn log(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let text = tenon_policy::one_line(&String::from_utf8_lossy(args.get(2)), 1024);
    tracing::warn!("DEBUG LOG: {text}");
    context.reply().ok();
    Ok(())
}

fn object(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    /// The access clock has so many bits of seconds.
    const CLOCK_MASK: u32 = 0x00FF_FFFF;
    /// A dump's type byte, version and checksum: not part of a value's length in a file.
    const DUMP_FRAME_BYTES: usize = 1 + 2 + 8;
    let options = context.engine.limits.payload;
    let clock = context.now.unix().seconds() as u32;
    let entry = find(context, args.get(2)).ok_or(CommandError::NoSuchKey)?;
    let text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        entry.encoding(),
        dump(entry.value(), &options).len() - DUMP_FRAME_BYTES,
        entry.access_clock(),
        clock.wrapping_sub(entry.access_clock()) & CLOCK_MASK,
    );
    context.reply().simple(&text);
    Ok(())
}

fn populate(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let positive = |index: usize| match args.integer(index) {
        Ok(number) => usize::try_from(number)
            .map_err(|_| CommandError::text("ERR value is out of range, must be positive")),
        Err(error) => Err(error),
    };
    let count = positive(2)?;
    let prefix = args.try_get(3).unwrap_or(b"key");
    let size = if args.len() == 5 { positive(4)? } else { 0 };
    if size > context.engine.limits.string_bytes_max {
        return Err(CommandError::OutOfRange);
    }
    let number = context.session().database;
    let clock = (context.now.unix().seconds() as u32) & 0x00FF_FFFF;
    let database = context.engine.keyspace.db_mut(number);
    database.set_clock(clock);
    for number in 0..count {
        let key = [prefix, format!(":{number}").as_bytes()].concat();
        if !database.contains(&key) {
            let mut value = format!("value:{number}").into_bytes();
            if size > 0 {
                value.resize(size, 0);
            }
            database.set_string(&key, &value, Expiry::Never);
        }
    }
    context.reply().ok();
    Ok(())
}

#[expect(clippy::approx_constant, reason = "the example that test suites know")]
fn protocol(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let name = args.get(2).to_ascii_lowercase();
    let mut reply = context.reply();
    match &name[..] {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12_345),
        b"double" => reply.double(3.141),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if reply.proto() == Proto::Resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if reply.proto() == Proto::Resp2 => {
            return Err(CommandError::text("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => {
            return Err(CommandError::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}

/// A number of bytes with a unit, below 4 GiB; 0 and 1 mean the default in Redis.
fn packed_threshold(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let word = String::from_utf8_lossy(args.get(2)).to_ascii_lowercase();
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: Option<u64> = match &word[digits.len()..] {
        "" | "b" => Some(1),
        "k" => Some(1_000),
        "kb" => Some(1 << 10),
        "m" => Some(1_000_000),
        "mb" => Some(1 << 20),
        "g" => Some(1_000_000_000),
        "gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = digits.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    if bytes.is_none_or(|bytes| bytes >= 1 << 32) {
        return Err(CommandError::text(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        ));
    }
    context.reply().ok();
    Ok(())
}

fn reply_buffer(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    if args.is(2, "PEAK-RESET-TIME") {
        if !args.is(3, "NEVER") && !args.is(3, "RESET") {
            args.integer(3)?;
        }
    } else if !args.is(2, "RESIZING") {
        return Err(unknown(args.get(1)));
    }
    context.reply().ok();
    Ok(())
}

fn rewrite_whole_config(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    super::config::rewrite_with(context, tenon_config::Rewritten::Everything)
}

fn pause_cron(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.cron.is_paused = args.integer(2).unwrap_or(0) != 0;
    context.reply().ok();
    Ok(())
}

fn replicate(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let database = context.session().database;
    context.engine.unit.propagate_to(database, args.rest(2), Targets::REPLICAS);
    context.reply().ok();
    Ok(())
}

fn load_log(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    outside_transaction(context)?;
    if let Err(sentence) = context.engine.reload_log(context.now, context.connection, context.world) {
        tracing::warn!("{sentence}");
        return Err(CommandError::text("ERR Error trying to load the AOF files, check server logs"));
    }
    touch_everything(context);
    tracing::warn!("Append Only File loaded by DEBUG LOADAOF");
    context.reply().ok();
    Ok(())
}

fn reload(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut steps = ReloadSteps { saves: true, flushes: true, merges: false };
    for index in 2..args.len() {
        match () {
            () if args.is(index, "NOSAVE") => steps.saves = false,
            () if args.is(index, "NOFLUSH") => steps.flushes = false,
            () if args.is(index, "MERGE") => steps.merges = true,
            () => {
                return Err(CommandError::text(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    outside_transaction(context)?;
    if let Err(sentence) = context.engine.reload(context.now, steps, context.connection, context.world) {
        tracing::warn!("{sentence}");
        return Err(CommandError::text("ERR Error trying to load the RDB dump, check server logs"));
    }
    touch_everything(context);
    tracing::warn!("DB reloaded by DEBUG RELOAD");
    context.reply().ok();
    Ok(())
}

/// Every key may be another one now.
fn touch_everything(context: &mut ServerContext<'_, '_>) {
    let engine = &mut *context.engine;
    (0..engine.keyspace.databases()).for_each(|index| engine.unit.touch_database(index));
    engine.unit.note_flush();
}

/// What a transaction has done is in no file yet, so a load in its midst would lose it.
fn outside_transaction(context: &ServerContext<'_, '_>) -> Outcome {
    if context.engine.is_in_exec {
        return Err(CommandError::text("ERR Data cannot be loaded inside a transaction"));
    }
    Ok(())
}

fn set_disable_deny_scripts(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.scripts.allows_all = args.get(2) == b"1";
    context.reply().ok();
    Ok(())
}

fn set_active_expire(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.active_expire = args.integer(2).unwrap_or(0) != 0;
    context.reply().ok();
    Ok(())
}

fn set_skip_checksums(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    context.engine.limits.skips_checksums = args.integer(2).unwrap_or(0) != 0;
    context.reply().ok();
    Ok(())
}

fn set_flush_sleep(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let span = args.integer(2)?;
    context.engine.durability.flush_sleep = Micros(u64::try_from(span).unwrap_or(0));
    context.reply().ok();
    Ok(())
}

fn sleep(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let seconds = args.float(2).unwrap_or(0.0).max(0.0);
    let connection = context.connection;
    let world = &mut *context.world;
    // Who was told to go before is gone before, as in Redis.
    world.interlude.send(Some(connection), world.outputs);
    world.interlude.sleep(Micros((seconds * 1e6) as u64));
    context.reply().ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use tenon_base::{Input, Signal};

    use super::*;
    use crate::testing::Bench;

    #[test]
    fn subcommands_are_in_order_and_explained() {
        assert!(SUBCOMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(SUBCOMMANDS.iter().all(|own| own.name == "HELP" || own.help.len() >= 2));
        assert!(SUBCOMMANDS.iter().all(|own| own.help.iter().all(|line| line.len() < 100)));
    }

    #[test]
    fn writes_to_the_log_can_be_held_up() {
        let mut bench = Bench::new(&[("appendonly", "yes"), ("enable-debug-command", "yes")]);
        for (told, held) in [("250000", 250_000), ("-1", 0), ("7", 7), ("0", 0)] {
            assert_eq!(bench.run(1, &format!("DEBUG AOF-FLUSH-SLEEP {told}")), "OK");
            assert_eq!(bench.engine.durability.flush_sleep, Micros(held));
            assert_eq!(bench.run(1, "SET a 1"), "OK");
        }
        assert!(bench.run(1, "DEBUG AOF-FLUSH-SLEEP x").contains("not an integer"));
    }

    #[test]
    fn a_switch_allows_it() {
        let refused = Bench::new(&[]).run(1, "DEBUG DIGEST");
        assert!(refused.starts_with("(error) ERR DEBUG command not allowed. If the"), "{refused}");
        let mut bench = Bench::new(&[("enable-debug-command", "local")]);
        assert_eq!(bench.run(1, "DEBUG DIGEST"), "0".repeat(40));
        assert_eq!(
            bench.run(1, "DEBUG SLEEP"),
            "(error) ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP."
        );
    }

    #[test]
    fn keys_are_made_and_looked_into() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
        assert_eq!(bench.run(1, "DEBUG POPULATE 2 k 100"), "OK");
        assert_eq!(bench.run(1, "DEBUG POPULATE -1"), "(error) ERR value is out of range, must be positive");
        let told = bench.run(1, "DEBUG OBJECT k:1");
        assert!(told.contains(" refcount:1 encoding:raw serializedlength:"), "{told}");
        assert!(told.ends_with(" lru_seconds_idle:0"), "{told}");
        assert_ne!(bench.run(1, "DEBUG DIGEST"), "0".repeat(40));
        assert_eq!(bench.run(1, "DEBUG OBJECT k:2"), "(error) ERR no such key");
        let bytes: i64 = bench.run(1, "MEMORY USAGE k:1 SAMPLES 0").parse().unwrap();
        assert!((100..1_000).contains(&bytes));
        assert_eq!(bench.run(1, "MEMORY USAGE k:1 SAMPLES"), "(error) ERR syntax error");
    }

    #[test]
    fn checksums_can_be_overlooked() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes")]);
        bench.run(1, "SET k value");
        let dumped = bench.run(1, "DUMP k");
        let restore = format!("RESTORE k 0 {} REPLACE", dumped.replacen("value", "other", 1));
        let refusal = "(error) ERR DUMP payload version or checksum are wrong";
        assert_eq!(bench.run(1, &restore), refusal);
        bench.run(1, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
        bench.run(1, "CONFIG SET hz 20");
        assert_eq!(bench.run(1, &restore), "OK");
        assert_eq!(bench.run(1, "GET k"), "\"other\"");
        bench.run(1, "DEBUG SET-SKIP-CHECKSUM-VALIDATION 0");
        assert_eq!(bench.run(1, &restore), refusal);
    }

    #[test]
    fn while_the_clock_does_nothing_nothing_is_removed_by_it_and_no_signal_is_heard() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("save", "900 1")]);
        bench.run(1, "SET k 1 PX 10");
        bench.run(1, "DEBUG PAUSE-CRON 1");
        bench.sleep(1_000);
        assert_eq!(bench.run(1, "DBSIZE"), "1");
        assert_eq!(bench.run(1, "SHUTDOWN ABORT"), "(error) ERR No shutdown in progress.");
        bench.input(Input::Signal(Signal::Terminate));
        bench.settle();
        assert_eq!(bench.run(1, "SHUTDOWN ABORT"), "OK");
        bench.run(1, "DEBUG PAUSE-CRON 0");
        bench.sleep(1_000);
        assert_eq!((bench.run(1, "DBSIZE"), bench.exit_code), ("0".to_owned(), None));
        bench.run(1, "DEBUG PAUSE-CRON 1");
        bench.input(Input::Signal(Signal::Terminate));
        bench.run(1, "DEBUG PAUSE-CRON 0");
        bench.sleep(1_000);
        assert_eq!(bench.exit_code, Some(0));
    }

    #[test]
    fn a_log_that_is_off_can_be_written_and_loaded_once() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("save", "")]);
        bench.run(1, "SET k 1");
        assert_eq!(
            bench.run(1, "DEBUG LOADAOF"),
            "(error) ERR Error trying to load the AOF files, check server logs"
        );
        assert_eq!(bench.run(1, "GET k"), "\"1\"");
        assert_eq!(bench.run(1, "BGREWRITEAOF"), "Background append only file rewriting started");
        bench.sleep(100);
        let told = bench.text(1, "INFO persistence");
        assert!(
            told.contains("aof_enabled:0\r\n") && told.contains("aof_rewrite_in_progress:0\r\n"),
            "{told}"
        );
        assert!(!bench.engine.durability.is_on());
        bench.run(1, "SET later 1");
        assert_eq!(bench.run(1, "DEBUG LOADAOF"), "OK");
        assert_eq!((bench.run(1, "GET k"), bench.run(1, "DBSIZE")), ("\"1\"".to_owned(), "1".to_owned()));
        assert_eq!(bench.run(1, "CONFIG SET appendonly yes"), "OK");
        bench.sleep(100);
        assert!(bench.engine.durability.is_on(), "a log that is wanted stays");
    }

    #[test]
    fn a_rewrite_whose_log_is_switched_off_before_it_has_begun_is_over() {
        let mut bench = Bench::new(&[("enable-debug-command", "yes"), ("appendonly", "yes"), ("save", "")]);
        bench.run(1, "SET k 1");
        bench.send_bytes(1, b"BGREWRITEAOF\r\nCONFIG SET appendonly no\r\n");
        bench.sleep(100);
        let told = bench.text(1, "INFO persistence");
        assert!(told.contains("aof_rewrite_in_progress:0\r\n"), "{told}");
        assert_eq!(bench.run(1, "BGREWRITEAOF"), "Background append only file rewriting started");
        bench.sleep(100);
        assert_eq!(bench.run(1, "DEBUG LOADAOF"), "OK");
        assert_eq!(bench.run(1, "GET k"), "\"1\"");
    }
}
