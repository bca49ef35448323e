//! PFDEBUG and PFSELFTEST: how a sketch is kept, and whether the arithmetic works here.
//! Always: what changes the encoding is propagated, so that followers keep the same bytes.

use std::borrow::Cow;

use tenon_keyspace::TextSlot;
use tenon_resp::Args;

use super::dense::DENSE_BYTES;
use super::estimate::{cardinality, place_of};
use super::sketch::{Corrupt, EMPTY, Encoding, HEADER_BYTES, REGISTERS, Sketch, raise};
use super::{dense, sparse};
use crate::{CommandError, Concerns, Context, Outcome, Words, quoted};

/// How often all registers are written and read.
const REGISTER_ROUNDS: usize = 20;
/// Elements that are counted: a tenth of what Redis counts, for this stops everybody meanwhile.
const ELEMENTS: u64 = 1_000_000;

pub(super) fn pfdebug(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(2);
    ctx.db.prepare_write(key);
    let Some(mut slot) = ctx.db.database().string_mut(key)? else {
        return Err(CommandError::text("ERR The specified key does not exist"));
    };
    let sketch = Sketch::of(slot.text())?;
    let mut is_converted = false;
    if args.is(1, "GETREG") {
        is_converted = make_dense(&mut slot)?;
        let body = Sketch::of(slot.text())?.body();
        ctx.reply.array(REGISTERS);
        (0..REGISTERS).for_each(|register| ctx.reply.integer(i64::from(dense::rank(body, register))));
    } else if args.is(1, "DECODE") {
        if sketch.encoding() != Encoding::Sparse {
            return Err(CommandError::text("ERR HLL encoding is not sparse"));
        }
        ctx.reply.bulk(sparse::shown(sketch.body())?.as_bytes());
    } else if args.is(1, "ENCODING") {
        ctx.reply.simple(if sketch.encoding() == Encoding::Sparse { "sparse" } else { "dense" });
    } else if args.is(1, "TODENSE") {
        is_converted = make_dense(&mut slot)?;
        ctx.reply.integer(i64::from(is_converted));
    } else {
        let name = quoted(args.get(1));
        return Err(CommandError::Text(format!("ERR Unknown PFDEBUG subcommand '{name}'").into()));
    }
    if is_converted {
        ctx.wrote_for(Concerns::Nobody, key, None, 1);
    }
    Ok(())
}

pub(super) fn pfselftest(ctx: &mut Context<'_>, _: Args<'_>) -> Outcome {
    for _ in 0..REGISTER_ROUNDS {
        registers_hold(ctx)?;
    }
    encodings_agree(ctx)?;
    ctx.reply.ok();
    Ok(())
}

/// Whether the sketch was sparse.
fn make_dense(slot: &mut TextSlot<'_>) -> Result<bool, CommandError> {
    let sketch = Sketch::of(slot.text())?;
    if sketch.encoding() == Encoding::Dense {
        return Ok(false);
    }
    let bytes = sketch.to_dense()?;
    slot.replace_vec(bytes);
    Ok(true)
}

/// Every register keeps what is written into it, whatever its neighbours hold.
fn registers_hold(ctx: &mut Context<'_>) -> Outcome {
    let mut body = vec![0; DENSE_BYTES - HEADER_BYTES];
    let mut ranks = [0; REGISTERS];
    for (register, rank) in ranks.iter_mut().enumerate() {
        *rank = ctx.dice.below(64) as u8;
        dense::raise(&mut body, register, *rank);
    }
    for (register, &expected) in ranks.iter().enumerate() {
        let found = dense::rank(&body, register);
        if found != expected {
            return Err(failed(format!("Register {register} should be {expected} but is {found}")));
        }
    }
    Ok(())
}

/// Both encodings count the same, and about as many as there were.
fn encodings_agree(ctx: &mut Context<'_>) -> Outcome {
    let bytes_max = ctx.limits.sparse_sketch_bytes_max;
    let seed = ctx.dice.roll();
    let empty = Sketch::of_bytes(EMPTY).expect("a sketch of nothing is one");
    let mut dense = Cow::Owned(empty.to_dense()?);
    let mut sparse = Cow::Borrowed(EMPTY);
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let (register, rank) = place_of(&(number ^ seed).to_le_bytes());
        raise(&mut dense, register, rank, bytes_max)?;
        raise(&mut sparse, register, rank, bytes_max)?;
        if number < checkpoint {
            continue;
        }
        let is_dense = Sketch::of_bytes(&sparse).is_none_or(|sketch| sketch.encoding() == Encoding::Dense);
        if is_dense && number < (bytes_max / 2) as u64 {
            return Err(failed("sparse encoding not used".to_owned()));
        }
        let count = count(&dense)?;
        if self::count(&sparse)? != count {
            return Err(failed("dense/sparse disagree".to_owned()));
        }
        let error = count.abs_diff(number);
        if error > error_max(number) {
            return Err(failed(format!("Too big error. card:{number} abserr:{error}")));
        }
        checkpoint *= 10;
    }
    Ok(())
}

fn count(sketch: &[u8]) -> Result<u64, Corrupt> {
    let sketch = Sketch::of_bytes(sketch).ok_or(Corrupt)?;
    Ok(cardinality(&sketch.histogram()?))
}

/// Six times the standard error; few elements may happen to meet in a register.
fn error_max(number: u64) -> u64 {
    let relative = 1.04 / (REGISTERS as f64).sqrt();
    (relative * 6.0 * number as f64).ceil() as u64
}

fn failed(what: String) -> CommandError {
    CommandError::Text(format!("ERR TESTFAILED {what}").into())
}
