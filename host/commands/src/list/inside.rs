//! Commands that look at and change lists between their ends.

use tenon_keyspace::list::Side;
use tenon_keyspace::listpack::Needle;
use tenon_keyspace::{List, Value};
use tenon_resp::Args;

use crate::amount::at_least;
use crate::element::write_element;
use crate::{CommandError, Context, Event, Origin, Outcome, Words};

pub(super) fn lindex(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let Some(list) = ctx.db.list(args.get(1))? else {
        ctx.reply.null();
        return Ok(());
    };
    match list.get(args.integer(2)?) {
        Some(element) => write_element(&mut ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn linsert(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let side = if args.is(2, "BEFORE") {
        Side::Before
    } else if args.is(2, "AFTER") {
        Side::After
    } else {
        return Err(CommandError::Syntax);
    };
    let (key, limits) = (args.get(1), &ctx.limits.list);
    let Some(mut list) = ctx.db.list_mut(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    if !list.insert(side, args.get(3), args.get(4), limits) {
        ctx.reply.integer(-1);
        return Ok(());
    }
    ctx.reply.integer(list.len() as i64);
    drop(list);
    ctx.wrote(key, Event::LINSERT, 1);
    Ok(())
}

pub(super) fn llen(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let len = ctx.db.list(args.get(1))?.map_or(0, List::len);
    ctx.reply.integer(len as i64);
    Ok(())
}

pub(super) fn lpos(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let search = Search::parse(args)?;
    let Some(list) = ctx.db.list(args.get(1))? else {
        match search.count {
            Some(_) => ctx.reply.array(0),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let mut found = search.positions(list, args.get(2));
    let Some(count) = search.count else {
        match found.next() {
            Some(position) => ctx.reply.integer(position as i64),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let head = ctx.reply.defer_array();
    let mut written = 0;
    for position in found.take(count) {
        ctx.reply.integer(position as i64);
        written += 1;
    }
    ctx.reply.finish(head, written);
    Ok(())
}

pub(super) fn lrange(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    let Some(list) = ctx.db.list(args.get(1))? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (first, count) = span(start, stop, list.len());
    ctx.reply.array(count);
    list.range(first, count).for_each(|element| write_element(&mut ctx.reply, element));
    Ok(())
}

pub(super) fn lrem(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let count = args.integer(2)?;
    let (key, limits) = (args.get(1), &ctx.limits.list);
    let removed = ctx.db.list_mut(key)?.map_or(0, |mut list| list.remove(count, args.get(3), limits));
    if removed > 0 {
        ctx.changed(key, Event::LREM, removed);
        if count == i64::MIN {
            // All of them, from the end. A follower may refuse a number that has no opposite, as Valkey does.
            ctx.propagate_as(&[b"LREM", key, b"0", args.get(3)]);
        }
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

pub(super) fn lset(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, limits) = (args.get(1), &ctx.limits.list);
    let obeys = matches!(ctx.db.origin(), Origin::Primary | Origin::Load);
    let mut list = ctx.db.list_mut(key)?.ok_or(CommandError::NoSuchKey)?;
    let (mut index, len) = (args.integer(2)?, list.len() as i64);
    if obeys && !(-len..len).contains(&index) {
        // Of an index beyond 32 bits Redis takes the lower half, changes that element and passes on the words as they
        // were said. We refuse such an index, so this is of Redis; and no list of Redis's is that long.
        index = i64::from(index as i32);
    }
    // Asked beforehand, because the list makes room for the element before it looks for the place.
    if !(-len..len).contains(&index) {
        return Err(CommandError::OutOfRange);
    }
    list.set(index, args.get(3), limits);
    drop(list);
    ctx.wrote(key, Event::LSET, 1);
    ctx.reply.ok();
    Ok(())
}

pub(super) fn ltrim(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    let (key, limits) = (args.get(1), &ctx.limits.list);
    let Some(mut list) = ctx.db.list_mut(key)? else {
        ctx.reply.ok();
        return Ok(());
    };
    let len = list.len();
    let (removed, whole) = match span(start, stop, len) {
        (_, 0) => (len, Some(Value::List(std::mem::take(&mut *list)))),
        _ => (list.trim(start, stop, limits), None),
    };
    drop(list);
    ctx.discard(whole);
    // Watchers and subscribers hear of it even if nothing went; the log does not.
    ctx.changed(key, Event::LTRIM, removed);
    ctx.reply.ok();
    Ok(())
}

/// What LPOS looks for.
struct Search {
    /// The match to begin with, from 1 on; negative: looked for from the end.
    rank: i64,
    /// How many matches; `None` for one that is not put into an array.
    count: Option<usize>,
    /// How many elements to look at.
    depth: usize,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Search, CommandError> {
        let unbounded_if_zero = |number| if number == 0 { usize::MAX } else { number };
        let mut search = Search { rank: 1, count: None, depth: usize::MAX };
        let mut index = 3;
        while index < args.len() {
            let value = index + 1;
            if value == args.len() {
                return Err(CommandError::Syntax);
            } else if args.is(index, "RANK") {
                search.rank = rank_at(args, value)?;
            } else if args.is(index, "COUNT") {
                let count = at_least(args, value, 0, "ERR COUNT can't be negative")?;
                search.count = Some(unbounded_if_zero(count));
            } else if args.is(index, "MAXLEN") {
                search.depth = unbounded_if_zero(at_least(args, value, 0, "ERR MAXLEN can't be negative")?);
            } else {
                return Err(CommandError::Syntax);
            }
            index += 2;
        }
        Ok(search)
    }

    /// Positions of elements equal to `text`, in the order of the search.
    fn positions<'a>(&self, list: &'a List, text: &'a [u8]) -> impl Iterator<Item = usize> + use<'a> {
        let len = list.len();
        let is_backward = self.rank < 0;
        let elements = if is_backward { list.range_backward(len - 1, len) } else { list.range(0, len) };
        let needle = Needle::new(text);
        elements
            .take(self.depth)
            .enumerate()
            .filter(move |(_, element)| needle.matches(*element))
            .skip(self.rank.unsigned_abs() as usize - 1)
            .map(move |(index, _)| if is_backward { len - 1 - index } else { index })
    }
}

fn rank_at(args: Args<'_>, index: usize) -> Result<i64, CommandError> {
    match args.integer(index)? {
        i64::MIN => Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        0 => Err(CommandError::text(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        )),
        rank => Ok(rank),
    }
}

/// The position of the first element, and the number of elements, from `start` to `stop`, both included; from -1
/// on, counted from the end of `len` elements.
fn span(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let absolute = |index: i64| if index < 0 { index + len } else { index };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(len - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start + 1) as usize) }
}
