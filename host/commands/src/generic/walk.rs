//! Ways through the keys: all of them, step by step, or any one.
//! Always: a key that has expired is not shown.

use tenon_base::{UnixMillis, glob_matches};
use tenon_keyspace::Entry;
use tenon_resp::Args;

use crate::scan::parse_cursor;
use crate::{CommandError, Context, Origin, Outcome, Words};

/// Keys that a step of SCAN visits unless it is told otherwise.
const SCAN_COUNT: usize = 10;
/// Buckets that a step visits at most for each key it should, as in Redis: so many may be empty.
const BUCKETS_PER_KEY: usize = 10;
/// Buckets that a step may always visit: a small database is shown in one step, as in Redis.
const BUCKETS_MIN: usize = 256;

/// Keys that RANDOMKEY of a follower looks at before it shows one that has expired, as in Redis.
const READER_TURNS_MAX: usize = 100;

struct Scan<'a> {
    cursor: u64,
    count: usize,
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
}

pub(super) fn keys(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (pattern, now) = (args.get(1), ctx.db.now());
    let list = ctx.reply.defer_array();
    let mut count = 0;
    for entry in ctx.db.database_ref().entries() {
        if (pattern == b"*" || glob_matches(pattern, entry.key())) && !has_expired(entry, now) {
            ctx.reply.bulk(entry.key());
            count += 1;
        }
    }
    ctx.reply.finish(list, count);
    Ok(())
}

pub(super) fn randomkey(ctx: &mut Context<'_>, _: Args<'_>) -> Outcome {
    let now = ctx.db.now();
    // Each turn but the last removes a key; on a follower, which removes none, there is a last turn all the same.
    let mut turns_left = if ctx.db.origin() == Origin::Reader { READER_TURNS_MAX } else { usize::MAX };
    while let Some(entry) = ctx.db.database_ref().random(ctx.dice) {
        turns_left -= 1;
        if !has_expired(entry, now) || turns_left == 0 {
            ctx.reply.bulk(entry.key());
            return Ok(());
        }
        let key = entry.key().to_vec();
        ctx.db.expire(&key);
    }
    ctx.reply.null();
    Ok(())
}

pub(super) fn scan(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let scan = Scan::parse(args)?;
    let now = ctx.db.now();
    let database = ctx.db.database_ref();
    // The cursor comes first in the reply, so the step is taken twice: to know where it ends, and to show it.
    let buckets_max = scan.count.saturating_mul(BUCKETS_PER_KEY).max(BUCKETS_MIN);
    let (mut buckets, mut visited, mut next) = (0, 0, scan.cursor);
    loop {
        next = database.scan(next, 1, &mut |_| visited += 1);
        buckets += 1;
        if next == 0 || visited >= scan.count || buckets >= buckets_max {
            break;
        }
    }
    let mut expired: Vec<Vec<u8>> = Vec::new();
    ctx.reply.array(2);
    ctx.reply.bulk_integer(next as i64);
    let list = ctx.reply.defer_array();
    let mut count = 0;
    database.scan(scan.cursor, buckets, &mut |entry| {
        if scan.pattern.is_some_and(|pattern| !glob_matches(pattern, entry.key())) {
            return;
        }
        if has_expired(entry, now) {
            expired.push(entry.key().to_vec());
        } else if scan.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.kind().name().as_bytes())) {
            ctx.reply.bulk(entry.key());
            count += 1;
        }
    });
    ctx.reply.finish(list, count);
    for key in &expired {
        ctx.db.expire(key);
    }
    Ok(())
}

impl<'a> Scan<'a> {
    fn parse(args: Args<'a>) -> Result<Scan<'a>, CommandError> {
        let cursor = parse_cursor(args.get(1))?;
        let mut scan = Scan { cursor, count: SCAN_COUNT, pattern: None, kind: None };
        for index in (2..args.len()).step_by(2) {
            if index + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            let value = args.get(index + 1);
            if args.is(index, "COUNT") {
                let count = args.integer(index + 1)?;
                scan.count =
                    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if args.is(index, "MATCH") {
                scan.pattern = Some(value).filter(|pattern| pattern != b"*");
            } else if args.is(index, "TYPE") {
                scan.kind = Some(value);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(scan)
    }
}

fn has_expired(entry: Entry<'_>, now: UnixMillis) -> bool {
    entry.expires_at().is_some_and(|deadline| deadline < now)
}
