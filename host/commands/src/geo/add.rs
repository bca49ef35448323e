//! GEOADD: members put where they are. What it propagates is the ZADD that it comes to.

use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX, format_integer};

use super::position_at;
use crate::zset::add::{Options, put_all};
use crate::{CommandError, Context, Event, Outcome, Words};

/// Words of one member: longitude, latitude, name.
const TRIPLE: usize = 3;

pub(super) fn geoadd(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::default();
    let mut first = 2;
    loop {
        let option = match () {
            () if args.is(first, "NX") => &mut options.nx,
            () if args.is(first, "XX") => &mut options.xx,
            () if args.is(first, "CH") => &mut options.ch,
            () => break,
        };
        *option = true;
        first += 1;
    }
    let (key, triples) = (args.get(1), args.rest(first));
    if triples.is_empty() || triples.len() % TRIPLE != 0 || options.nx && options.xx {
        return Err(CommandError::Syntax);
    }
    let starts = (0..triples.len()).step_by(TRIPLE);
    starts.clone().try_for_each(|at| position_at(triples, at).map(drop))?;

    let pairs = starts.clone().map(|at| (score_at(triples, at) as f64, triples.get(at + 2)));
    let (added, updated) = put_all(ctx, key, pairs, options)?;
    if added + updated > 0 {
        ctx.wrote(key, Event::ZADD, added + updated);
        let index = ctx.db.index();
        let words = ctx.db.unit.operation_as(index);
        words.push(b"ZADD");
        args.iter().take(first).skip(1).for_each(|word| words.push(word));
        let mut text = [0; INTEGER_TEXT_BYTES_MAX];
        for at in starts {
            words.push(format_integer(score_at(triples, at) as i64, &mut text));
            words.push(triples.get(at + 2));
        }
    }
    ctx.reply.integer((if options.ch { added + updated } else { added }) as i64);
    Ok(())
}

/// The score of a member whose position was checked before.
fn score_at(triples: Args<'_>, at: usize) -> u64 {
    position_at(triples, at).expect("every position was checked before").score()
}
