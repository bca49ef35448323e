//! DEBUG: what tests and curious operators need. Behind `enable-debug-command`, see `gates`.
//! What ends the server on request says so in the log first.

mod clients;
mod tables;
mod values; // what is kept

mod endings;
mod loads; // what it does
mod switches;

mod examples; // for those who write clients

use tenon_base::Micros;
use tenon_commands::{Categories, CommandError, Flags, Group, Outcome, Row, Words};
use tenon_journal::Targets;
use tenon_resp::Args;

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
        run: switches::set_flush_sleep,
        help: &[
            "AOF-FLUSH-SLEEP <microseconds>",
            "    Keep everybody waiting for so long before each write to the log.",
        ],
    },
    Subcommand {
        name: "ASSERT",
        words: 2..=2,
        run: endings::assert_now,
        help: &["ASSERT", "    End the server as an assertion that does not hold would."],
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
        name: "CLIENT-EVICTION",
        words: 2..=2,
        run: clients::by_memory,
        help: &[
            "CLIENT-EVICTION",
            "    How many clients take how much, by powers of two (maxmemory-clients).",
        ],
    },
    Subcommand {
        name: "CLUSTERLINK",
        words: 5..=5,
        run: clients::kill_cluster_link,
        help: &["CLUSTERLINK KILL <to|from|all> <node-id>", "    Refused: this is no node of a cluster."],
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
        run: switches::accept,
        help: &["DICT-RESIZING <0|1>", "    Accepted; tables here grow and shrink in small steps anyway."],
    },
    Subcommand {
        name: "DIGEST",
        words: 2..=2,
        run: values::digest,
        help: &["DIGEST", "    A hash of all keys, values, and of which keys expire."],
    },
    Subcommand {
        name: "DIGEST-VALUE",
        words: 2..=ANY,
        run: values::digest_values,
        help: &["DIGEST-VALUE <key> [<key> ...]", "    A hash of each value."],
    },
    Subcommand {
        name: "ERROR",
        words: 3..=3,
        run: examples::error,
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
        run: values::listpack,
        help: &["LISTPACK <key>", "    Write figures of a listpack to the log."],
    },
    Subcommand {
        name: "LOADAOF",
        words: 2..=2,
        run: loads::load_log,
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
        run: values::object,
        help: &["OBJECT <key>", "    Tell how a value is kept."],
    },
    Subcommand {
        name: "OOM",
        words: 2..=2,
        run: endings::run_out_of_memory,
        help: &["OOM", "    End the server as it ends when there is no memory."],
    },
    Subcommand {
        name: "PANIC",
        words: 2..=2,
        run: endings::panic_now,
        help: &["PANIC", "    End the server as a broken invariant would."],
    },
    Subcommand {
        name: "PAUSE-CRON",
        words: 3..=3,
        run: switches::pause_cron,
        help: &["PAUSE-CRON <0|1>", "    Whether what is done by the clock is left undone."],
    },
    Subcommand {
        name: "POPULATE",
        words: 3..=5,
        run: values::populate,
        help: &[
            "POPULATE <count> [<prefix>] [<size>]",
            "    Make strings named <prefix>:<number> (default: key) where there are none. They",
            "    are neither logged nor counted as changes.",
        ],
    },
    Subcommand {
        name: "PROTOCOL",
        words: 3..=3,
        run: examples::protocol,
        help: &[
            "PROTOCOL <type>",
            "    Answer an example: string, integer, double, bignum, null, array, set, map,",
            "    attrib, push, verbatim, true or false.",
        ],
    },
    Subcommand {
        name: "QUICKLIST-PACKED-THRESHOLD",
        words: 3..=3,
        run: switches::packed_threshold,
        help: &[
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "    Checked and accepted; long elements lie by themselves at a size that is fixed.",
        ],
    },
    Subcommand {
        name: "RELOAD",
        words: 2..=5,
        run: loads::reload,
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
        run: switches::reply_buffer,
        help: &[
            "REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>",
            "    Checked and accepted; reply buffers here follow what they hold.",
        ],
    },
    Subcommand {
        name: "SEGFAULT",
        words: 2..=2,
        run: endings::crash,
        help: &["SEGFAULT", "    End the server by the signal that a bad access to memory raises."],
    },
    Subcommand {
        name: "SET-ACTIVE-EXPIRE",
        words: 3..=3,
        run: switches::set_active_expire,
        help: &[
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Whether keys whose time has come are looked for. They are gone for readers anyway.",
        ],
    },
    Subcommand {
        name: "SET-DISABLE-DENY-SCRIPTS",
        words: 3..=3,
        run: switches::set_disable_deny_scripts,
        help: &["SET-DISABLE-DENY-SCRIPTS <0|1>", "    Whether scripts may call what only clients may."],
    },
    Subcommand {
        name: "SET-SKIP-CHECKSUM-VALIDATION",
        words: 3..=3,
        run: switches::set_skip_checksums,
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
    Subcommand {
        name: "STRINGMATCH-TEST",
        words: 2..=2,
        run: examples::match_patterns,
        help: &["STRINGMATCH-TEST", "    Try patterns of keys on texts, both made at random."],
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

fn change_replication_id(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.engine.begin_history();
    tracing::info!("Changing replication IDs after receiving change-repl-id");
    context.reply().ok();
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let lines: Vec<&str> = SUBCOMMANDS.iter().flat_map(|own| own.help.iter().copied()).collect();
    context.help("DEBUG", &lines)
}

fn log(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let text = tenon_policy::one_line(&String::from_utf8_lossy(args.get(2)), 1024);
    tracing::warn!("DEBUG LOG: {text}");
    context.reply().ok();
    Ok(())
}

fn rewrite_whole_config(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    super::config::rewrite_with(context, tenon_config::Rewritten::Everything)
}

fn replicate(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let database = context.session().database;
    context.engine.unit.propagate_to(database, args.rest(2), Targets::REPLICAS);
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
mod tests;
