//! Commands for whole databases: counted, emptied, exchanged.
//! Always: emptying takes one step whatever the size; what was in it is freed elsewhere.

use tenon_resp::Args;

use crate::{
    Argument, Categories, CommandError, Context, Flags, Garbage, Group, Handler, Outcome, Row, Words,
};

const FLUSH_TYPES: &[Argument] =
    &[Argument::word("async", "ASYNC").since("4.0.0"), Argument::word("sync", "SYNC").since("6.2.0")];
const FLUSH: &[Argument] = &[Argument::one_of("flush-type", FLUSH_TYPES).optional()];

/// The commands for whole databases.
pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "dbsize",
        run: dbsize,
        arity: 1,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[],
        categories: Categories::KEYSPACE,
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Tells how many keys the database has.",
        arguments: &[],
        subcommands: &[],
    },
    Row {
        name: "flushall",
        run: flushall,
        arity: -1,
        flags: Flags::WRITE,
        keys: &[],
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(N) in the number of keys, done elsewhere",
        summary: "Empties all databases.",
        arguments: FLUSH,
        subcommands: &[],
    },
    Row {
        name: "flushdb",
        run: flushdb,
        arity: -1,
        flags: Flags::WRITE,
        keys: &[],
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        group: Group::Server,
        since: "1.0.0",
        complexity: "O(N) in the number of keys, done elsewhere",
        summary: "Empties the database.",
        arguments: FLUSH,
        subcommands: &[],
    },
    Row {
        name: "swapdb",
        run: swapdb,
        arity: 3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[],
        categories: Categories::KEYSPACE.and(Categories::DANGEROUS),
        tips: &[],
        group: Group::Server,
        since: "4.0.0",
        complexity: "O(N) in the clients that watch or wait there",
        summary: "Exchanges two databases.",
        arguments: &[Argument::integer("index1"), Argument::integer("index2")],
        subcommands: &[],
    },
];

fn dbsize(ctx: &mut Context<'_>, _: Args<'_>) -> Outcome {
    let keys = ctx.db.database_ref().len();
    ctx.reply.integer(keys as i64);
    Ok(())
}

fn flushall(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    check_flush_type(args)?;
    let databases = ctx.db.keyspace().databases();
    let removed = (0..databases).map(|database| empty(ctx, database)).sum();
    finish_flush(ctx, args, removed);
    Ok(())
}

fn flushdb(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    check_flush_type(args)?;
    let removed = empty(ctx, ctx.db.index());
    finish_flush(ctx, args, removed);
    Ok(())
}

fn swapdb(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let number = |index: usize, error: &'static str| {
        let number = args.integer(index).ok().and_then(|number| i32::try_from(number).ok());
        number.ok_or(CommandError::text(error))
    };
    let one = number(1, "ERR invalid first DB index")?;
    let other = number(2, "ERR invalid second DB index")?;
    let (one, other) = (database_number(ctx, one.into())?, database_number(ctx, other.into())?);
    ctx.db.keyspace().swap(one, other);
    ctx.db.unit.dirty += 1;
    if one != other {
        ctx.db.unit.touch_database(one);
        ctx.db.unit.touch_database(other);
    }
    ctx.reply.ok();
    Ok(())
}

/// The database of this number, if there is one.
pub(crate) fn database_number(ctx: &mut Context<'_>, number: i64) -> Result<usize, CommandError> {
    let databases = ctx.db.keyspace().databases();
    let number = usize::try_from(number).ok().filter(|&number| number < databases);
    number.ok_or(CommandError::text("ERR DB index is out of range"))
}

/// Both ways of flushing are the same here: no client waits for the freeing.
fn check_flush_type(args: Args<'_>) -> Outcome {
    let is_known = args.len() == 1 || args.is(1, "SYNC") || args.is(1, "ASYNC");
    if is_known && args.len() <= 2 { Ok(()) } else { Err(CommandError::Syntax) }
}

/// Empties a database, and returns how many keys it had.
fn empty(ctx: &mut Context<'_>, database: usize) -> usize {
    let target = ctx.db.keyspace().db_mut(database);
    let removed = target.len();
    if removed > 0 {
        let content = target.clear();
        ctx.garbage.push(Garbage::Table(content));
        ctx.db.unit.touch_database(database);
    }
    removed
}

/// Propagates even where nothing was removed: a follower that differs is made equal by a flush.
fn finish_flush(ctx: &mut Context<'_>, args: Args<'_>, removed: usize) {
    ctx.db.unit.dirty += removed as u64;
    ctx.db.unit.note_flush();
    let index = ctx.db.index();
    let words = ctx.db.unit.operation_as(index);
    args.iter().for_each(|word| words.push(word));
    ctx.reply.ok();
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn a_flush_empties_one_database_or_all_of_them() {
        let mut bench = Bench::new();
        bench.run("MSET a 1 b 2");
        bench.select(1);
        bench.run("SET c 3");
        assert_eq!(bench.run("FLUSHDB"), "OK");
        assert_eq!((bench.dirty(), bench.take_garbage()), (1, 1));
        bench.select(0);
        assert_eq!(bench.run("DBSIZE"), "2");
        assert_eq!(bench.run("FLUSHALL ASYNC"), "OK");
        assert_eq!((bench.dirty(), bench.run("DBSIZE")), (2, "0".to_owned()));
        assert_eq!(bench.run("FLUSHALL SOON"), "(error) ERR syntax error");
        assert_eq!(bench.run("FLUSHDB SYNC ASYNC"), "(error) ERR syntax error");
    }

    #[test]
    fn an_empty_flush_is_propagated_all_the_same() {
        let mut bench = Bench::new();
        bench.run("flushdb sync");
        assert_eq!((bench.dirty(), bench.effects()), (0, "flushdb sync".to_owned()));
    }

    #[test]
    fn databases_change_places() {
        let mut bench = Bench::new();
        bench.run("SET a 1");
        assert_eq!(bench.run("SWAPDB 0 1"), "OK");
        assert_eq!((bench.dirty(), bench.run("GET a")), (1, "(nil)".to_owned()));
        bench.select(1);
        assert_eq!(bench.run("GET a"), "\"1\"");
        assert_eq!(bench.run("SWAPDB x 1"), "(error) ERR invalid first DB index");
        assert_eq!(bench.run("SWAPDB 0 99999999999"), "(error) ERR invalid second DB index");
        assert_eq!(bench.run("SWAPDB 0 4"), "(error) ERR DB index is out of range");
        assert_eq!(bench.run("SWAPDB -1 0"), "(error) ERR DB index is out of range");
    }
}
