//! MIGRATE: its words. How keys travel is in `migration`.

use tenon_base::Micros;
use tenon_commands::{
    Argument, Begin, Categories, CommandError, Db, Find, Flags, Group, KeyFlags, KeyRange, KeySpec, Origin,
    Outcome, Row, Words,
};
use tenon_resp::Args;

use super::{ServerContext, ServerHandler};
use crate::migration::Order;

/// Where options begin.
const OPTIONS: usize = 6;
/// The word that is a key, or empty.
const KEY: usize = 3;
/// How long the other server may say nothing unless the client says so (milliseconds).
const TIMEOUT_MS: i64 = 1_000;

const MOVED: KeyFlags = KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE);

/// MIGRATE alone.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "migrate",
    run: migrate,
    arity: -6,
    flags: Flags::WRITE,
    keys: &[
        KeySpec { flags: MOVED, begin: Begin::Index(3), find: Find::Checked { last: 0, find: one_key } },
        KeySpec {
            flags: MOVED.and(KeyFlags::INCOMPLETE),
            begin: Begin::Keyword { keyword: "KEYS", from: -2 },
            find: Find::Checked { last: -1, find: several_keys },
        },
    ],
    categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
    tips: &["nondeterministic_output"],
    group: Group::Generic,
    since: "2.6.0",
    complexity: "That of DUMP and DEL here and of RESTORE there, and O(N) to carry N bytes.",
    summary: "Moves keys to another server.",
    arguments: &[
        Argument::string("host"),
        Argument::integer("port"),
        Argument::one_of("key-selector", &[Argument::key("key", 0), Argument::word("empty-string", "")]),
        Argument::integer("destination-db"),
        Argument::integer("timeout"),
        Argument::word("copy", "COPY").optional().since("3.0.0"),
        Argument::word("replace", "REPLACE").optional().since("3.0.0"),
        Argument::one_of(
            "authentication",
            &[
                Argument::string("auth").after("AUTH").shown_as("password").since("4.0.7"),
                Argument::block("auth2", &[Argument::string("username"), Argument::string("password")])
                    .after("AUTH2")
                    .since("6.0.0"),
            ],
        )
        .optional(),
        Argument::key("keys", 1).after("KEYS").shown_as("key").optional().multiple().since("3.0.6"),
    ],
    subcommands: &[],
}];

/// The option at a place, and how many words belong to it.
fn skipped(args: Args<'_>, at: usize) -> usize {
    match () {
        () if args.is(at, "AUTH") => 2,
        () if args.is(at, "AUTH2") => 3,
        () => 1,
    }
}

/// Where KEYS is, if it is there as an option.
fn keys_option(args: Args<'_>) -> Option<usize> {
    let mut at = OPTIONS;
    while at < args.len() && !args.is(at, "KEYS") {
        at += skipped(args, at);
    }
    Some(at).filter(|&at| at < args.len())
}

fn one_key(args: Args<'_>) -> Option<KeyRange> {
    keys_option(args).is_none().then_some(KeyRange { first: KEY, last: KEY, step: 1 })
}

fn several_keys(args: Args<'_>) -> Option<KeyRange> {
    let at = keys_option(args).filter(|_| args.get(KEY).is_empty())?;
    Some(KeyRange { first: at + 1, last: args.len() - 1, step: 1 })
}

/// Whether a word is a name or a password.
pub(super) fn is_secret(args: Args<'_>, at: usize) -> bool {
    let mut option = OPTIONS;
    while option < args.len() && option < at && !args.is(option, "KEYS") {
        let next = option + skipped(args, option);
        if at < next {
            return true;
        }
        option = next;
    }
    false
}

fn migrate(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let mut order = parse(args)?;
    if context.engine.is_in_exec {
        return Err(CommandError::text(
            "ERR MIGRATE cannot be part of a transaction or a script: it has to wait for another server",
        ));
    }
    let (now, database) = (context.now, context.session().database);
    let engine = &mut *context.engine;
    let origin = if engine.replication.is_following { Origin::Reader } else { Origin::Client };
    let mut db = Db::new(&mut engine.keyspace, database, now, origin, &mut engine.lookups, &mut engine.unit);
    order.keys.retain(|key| db.find(key).is_some());
    if order.keys.is_empty() {
        context.reply().simple("NOKEY");
        return Ok(());
    }
    context.engine.send_away(now, context.connection, context.command, order, context.world);
    Ok(())
}

fn parse(args: Args<'_>) -> Result<Order, CommandError> {
    let (mut copies, mut replaces, mut credentials) = (false, false, Vec::new());
    let mut keys = vec![args.get(KEY).to_vec()];
    let mut at = OPTIONS;
    while at < args.len() {
        let next = at + skipped(args, at);
        if args.is(at, "COPY") {
            copies = true;
        } else if args.is(at, "REPLACE") {
            replaces = true;
        } else if args.is(at, "KEYS") {
            if !args.get(KEY).is_empty() {
                return Err(CommandError::text(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            keys = args.rest(at + 1).iter().map(<[u8]>::to_vec).collect();
            break;
        } else if next == at + 1 || next > args.len() {
            return Err(CommandError::Syntax);
        } else {
            credentials = (at + 1..next).map(|word| args.get(word).to_vec()).collect();
        }
        at = next;
    }
    let timeout_ms = Some(args.integer(5)?).filter(|&timeout| timeout > 0).unwrap_or(TIMEOUT_MS);
    Ok(Order {
        host: String::from_utf8_lossy(args.get(1)).into_owned(),
        // One that is none cannot be reached.
        port: tenon_resp::parse_integer(args.get(2)).and_then(|port| port.try_into().ok()).unwrap_or(0),
        database: args.integer(4)?,
        timeout: Micros::from_millis(timeout_ms.unsigned_abs()),
        copies,
        replaces,
        credentials,
        keys,
    })
}
