//! Commands that go over fields without naming them: all of them, some by chance, or a part at a time.

use tenon_base::Dice;
use tenon_keyspace::{Element, Hash};
use tenon_resp::{Args, Proto, Reply};

use crate::element::write_element;
use crate::scan::{ScanOptions, parse_cursor};
use crate::{CommandError, Context, Outcome, Words};

const OUT_OF_RANGE: CommandError = CommandError::text("ERR value is out of range");

pub(super) fn hgetall(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let Some(hash) = ctx.db.hash(args.get(1))? else {
        ctx.reply.map(0);
        return Ok(());
    };
    ctx.reply.map(hash.len());
    for (field, value) in hash.iter() {
        write_element(&mut ctx.reply, field);
        write_element(&mut ctx.reply, value);
    }
    Ok(())
}

pub(super) fn hkeys(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    write_each(ctx, args.get(1), |(field, _)| field)
}

pub(super) fn hrandfield(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 2 {
        match ctx.db.hash(args.get(1))?.and_then(|hash| hash.random(ctx.dice)) {
            Some((field, _)) => write_element(&mut ctx.reply, field),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let (count, with_values) = random_options(args)?;
    let Some(hash) = ctx.db.hash(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count < 0 {
        let count = count.unsigned_abs() as usize;
        let bytes_max = ctx.limits.string_bytes_max;
        return write_repeated(&mut ctx.reply, hash, ctx.dice, count, with_values, bytes_max);
    }
    let count = hash.len().min(count as usize);
    write_pairs_head(&mut ctx.reply, count, with_values);
    hash.sample(count, ctx.dice, |field, value| write_pair(&mut ctx.reply, field, value, with_values));
    Ok(())
}

pub(super) fn hscan(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(2))?;
    let Some(hash) = ctx.db.hash(args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3)?;
    // The next cursor comes before the fields, so the walk is made once for it and once for them.
    let next = hash.scan(cursor, options.count, |_, _| {});
    ctx.reply.array(2);
    ctx.reply.bulk_integer(next as i64);
    let head = ctx.reply.defer_array();
    let mut written = 0;
    hash.scan(cursor, options.count, |field, value| {
        if options.matches(field) {
            write_element(&mut ctx.reply, field);
            write_element(&mut ctx.reply, value);
            written += 2;
        }
    });
    ctx.reply.finish(head, written);
    Ok(())
}

pub(super) fn hvals(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    write_each(ctx, args.get(1), |(_, value)| value)
}

fn write_each(
    ctx: &mut Context<'_>,
    key: &[u8],
    part: impl for<'a> Fn((Element<'a>, Element<'a>)) -> Element<'a>,
) -> Outcome {
    let Some(hash) = ctx.db.hash(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    ctx.reply.array(hash.len());
    hash.iter().for_each(|pair| write_element(&mut ctx.reply, part(pair)));
    Ok(())
}

/// The count of HRANDFIELD, and whether values are wanted.
fn random_options(args: Args<'_>) -> Result<(i64, bool), CommandError> {
    let count = args.integer(2)?;
    if count == i64::MIN {
        return Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_values = match args.len() {
        3 => false,
        4 if args.is(3, "WITHVALUES") => true,
        _ => return Err(CommandError::Syntax),
    };
    if with_values && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(OUT_OF_RANGE);
    }
    Ok((count, with_values))
}

/// Writes `count` fields, each chosen among all. A client may ask for more than there is memory for: a reply
/// longer than `bytes_max` is refused, and one for which its client is to be closed ends early.
fn write_repeated(
    reply: &mut Reply<'_>,
    hash: &Hash,
    dice: &mut Dice,
    count: usize,
    with_values: bool,
    bytes_max: usize,
) -> Outcome {
    let start = reply.position();
    write_pairs_head(reply, count, with_values);
    for _ in 0..count {
        let (field, value) = hash.random(dice).expect("a stored hash has a field");
        write_pair(reply, field, value, with_values);
        if reply.position() - start > bytes_max {
            reply.truncate(start);
            return Err(OUT_OF_RANGE);
        }
        if reply.is_full() {
            break;
        }
    }
    Ok(())
}

/// The head of an array of fields, each with its value if `with_values`: flat in RESP2, of pairs in RESP3.
fn write_pairs_head(reply: &mut Reply<'_>, count: usize, with_values: bool) {
    let is_flat = with_values && reply.proto() == Proto::Resp2;
    reply.array(if is_flat { 2 * count } else { count });
}

fn write_pair(reply: &mut Reply<'_>, field: Element<'_>, value: Element<'_>, with_values: bool) {
    if with_values && reply.proto() == Proto::Resp3 {
        reply.array(2);
    }
    write_element(reply, field);
    if with_values {
        write_element(reply, value);
    }
}
