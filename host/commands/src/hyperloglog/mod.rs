//! HyperLogLog: how many different elements there were, kept in at most 12 KiB. Rows and handlers here; what the
//! bytes mean is in `sketch`. The keys hold strings, and any string may be offered as a sketch.
//! Always: the same commands make the same bytes as in Redis, and a command that finds a sketch corrupt has changed
//! nothing.

mod debug;
mod dense;
mod estimate;
mod sketch; // read me first
mod sparse;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use tenon_keyspace::{Text, TextSlot, Value};
use tenon_resp::Args;

use self::estimate::place_of;
use self::sketch::{Corrupt, EMPTY, Encoding, HEADER_BYTES, REGISTERS, Ranks, Sketch};
use crate::{Argument, Categories, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome, Row};

/// The HyperLogLog commands.
pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "pfadd",
        run: pfadd,
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::INSERT))],
        categories: Categories::HYPERLOGLOG,
        tips: &[],
        group: Group::Hyperloglog,
        since: "2.8.9",
        complexity: "O(1) for each element",
        summary: "Adds elements to a HyperLogLog, which begins empty if there is none.",
        arguments: &[Argument::key("key", 0), Argument::string("element").optional().multiple()],
        subcommands: &[],
    },
    Row {
        name: "pfcount",
        run: pfcount,
        arity: -2,
        flags: Flags::READONLY.and(Flags::MAY_REPLICATE),
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::RW.and(KeyFlags::ACCESS))],
        categories: Categories::HYPERLOGLOG,
        tips: &[],
        group: Group::Hyperloglog,
        since: "2.8.9",
        complexity: "O(1) for one key; O(N) with a large constant for N keys",
        summary: "Estimates how many different elements one HyperLogLog has, or several have together.",
        arguments: &[Argument::key("key", 0).multiple()],
        subcommands: &[],
    },
    Row {
        name: "pfdebug",
        run: debug::pfdebug,
        arity: 3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ADMIN),
        keys: &[KeySpec::at(2, KeyFlags::RW.and(KeyFlags::ACCESS))],
        categories: Categories::HYPERLOGLOG,
        tips: &[],
        group: Group::Hyperloglog,
        since: "2.8.9",
        complexity: "N/A",
        summary: "Shows how a HyperLogLog is kept, for tests.",
        arguments: &[Argument::string("subcommand"), Argument::key("key", 0)],
        subcommands: &[],
    },
    Row {
        name: "pfmerge",
        run: pfmerge,
        arity: -2,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::INSERT)),
            KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::HYPERLOGLOG,
        tips: &[],
        group: Group::Hyperloglog,
        since: "2.8.9",
        complexity: "O(N) with a large constant for N keys",
        summary: "Adds what several HyperLogLogs have to one of them.",
        arguments: &[Argument::key("destkey", 0), Argument::key("sourcekey", 1).optional().multiple()],
        subcommands: &[],
    },
    Row {
        name: "pfselftest",
        run: debug::pfselftest,
        arity: 1,
        flags: Flags::ADMIN,
        keys: &[],
        categories: Categories::HYPERLOGLOG,
        tips: &[],
        group: Group::Hyperloglog,
        since: "2.8.9",
        complexity: "N/A",
        summary: "Tries whether HyperLogLogs work here, for tests.",
        arguments: &[],
        subcommands: &[],
    },
];

fn pfadd(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, bytes_max) = (args.get(1), ctx.limits.sparse_sketch_bytes_max);
    ctx.db.prepare_write(key);
    let changes = match ctx.db.database().string_mut(key)? {
        Some(mut slot) => match Sketch::of(slot.text())?.encoding() {
            Encoding::Dense => add_in_place(&mut slot, args),
            Encoding::Sparse => {
                let mut bytes = Cow::Borrowed(Sketch::of(slot.text())?.bytes());
                let changes = add(&mut bytes, args, bytes_max)?;
                if let Cow::Owned(bytes) = bytes {
                    slot.replace_vec(bytes);
                }
                changes
            }
        },
        None => {
            let mut bytes = Cow::Borrowed(EMPTY);
            let changes = 1 + add(&mut bytes, args, bytes_max)?;
            let mut bytes = bytes.into_owned();
            sketch::forget_cached(&mut bytes);
            ctx.db.insert(key, Value::String(Text::from_vec(bytes)), None);
            changes
        }
    };
    if changes > 0 {
        ctx.wrote(key, Event::PFADD, changes);
    }
    ctx.reply.integer(i64::from(changes > 0));
    Ok(())
}

fn pfcount(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 2 {
        let mut ranks = [0; REGISTERS];
        merge(ctx, args, &mut ranks)?;
        ctx.reply.integer(estimate::cardinality(&estimate::histogram(&ranks)) as i64);
        return Ok(());
    }
    let key = args.get(1);
    let Some(text) = ctx.db.text(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let sketch = Sketch::of(text)?;
    if let Some(cached) = sketch.cached() {
        ctx.reply.integer(cached as i64);
        return Ok(());
    }
    let cardinality = estimate::cardinality(&sketch.histogram()?);
    // A read that writes: what was counted is kept with the sketch, here and where it is followed.
    ctx.db.prepare_write(key);
    if let Some(mut slot) = ctx.db.database().string_mut(key)? {
        slot.change(HEADER_BYTES, |bytes| sketch::cache(bytes, cardinality));
    }
    ctx.wrote_quietly(key, 1);
    ctx.reply.integer(cardinality as i64);
    Ok(())
}

fn pfmerge(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, bytes_max) = (args.get(1), ctx.limits.sparse_sketch_bytes_max);
    let mut ranks = [0; REGISTERS];
    let encoding = merge(ctx, args, &mut ranks)?;
    ctx.db.prepare_write(key);
    match ctx.db.database().string_mut(key)? {
        Some(mut slot) => {
            let target = Sketch::of(slot.text())?;
            if target.encoding() == Encoding::Dense {
                slot.change(0, |bytes| {
                    let body = &mut bytes[HEADER_BYTES..];
                    ranks.iter().enumerate().for_each(|(register, &rank)| {
                        dense::raise(body, register, rank);
                    });
                    sketch::forget_cached(bytes);
                });
            } else {
                let bytes = raised(target, encoding, &ranks, bytes_max)?;
                slot.replace_vec(bytes);
            }
        }
        None => {
            let target = Sketch::of_bytes(EMPTY).expect("a sketch of nothing is one");
            let bytes = raised(target, encoding, &ranks, bytes_max)?;
            ctx.db.insert(key, Value::String(Text::from_vec(bytes)), None);
        }
    }
    ctx.wrote(key, Event::PFADD, 1);
    ctx.reply.ok();
    Ok(())
}

/// Adds the elements of a request to a sketch, which is copied only if that changes it. Returns how many did.
fn add(sketch: &mut Cow<'_, [u8]>, args: Args<'_>, sparse_bytes_max: usize) -> Result<usize, Corrupt> {
    let mut changes = 0;
    for element in args.rest(2) {
        let (register, rank) = place_of(element);
        changes += usize::from(sketch::raise(sketch, register, rank, sparse_bytes_max)?);
    }
    if let Cow::Owned(bytes) = sketch {
        sketch::forget_cached(bytes);
    }
    Ok(changes)
}

/// The same for a dense sketch, where it lies.
fn add_in_place(slot: &mut TextSlot<'_>, args: Args<'_>) -> usize {
    let is_known = |bytes: &[u8], element: &[u8]| {
        let (register, rank) = place_of(element);
        rank <= dense::rank(&bytes[HEADER_BYTES..], register)
    };
    let known = {
        let text = slot.text();
        let bytes = Sketch::of(text).map_or(&[][..], Sketch::bytes);
        args.rest(2).iter().take_while(|element| is_known(bytes, element)).count()
    };
    if known == args.len() - 2 {
        return 0;
    }
    let mut changes = 0;
    slot.change(0, |bytes| {
        for element in args.rest(2 + known) {
            let (register, rank) = place_of(element);
            changes += usize::from(dense::raise(&mut bytes[HEADER_BYTES..], register, rank));
        }
        sketch::forget_cached(bytes);
    });
    changes
}

/// Raises `ranks` to those of all sketches of a request. Dense if any of them is.
fn merge(ctx: &mut Context<'_>, args: Args<'_>, ranks: &mut Ranks) -> Result<Encoding, crate::CommandError> {
    let mut encoding = Encoding::Sparse;
    for key in args.rest(1) {
        if let Some(text) = ctx.db.text(key)? {
            let sketch = Sketch::of(text)?;
            sketch.merge_into(ranks)?;
            if sketch.encoding() == Encoding::Dense {
                encoding = Encoding::Dense;
            }
        }
    }
    Ok(encoding)
}

/// A sparse sketch with its registers raised to `ranks`, made dense first if that is asked for.
fn raised(
    target: Sketch<'_>,
    encoding: Encoding,
    ranks: &Ranks,
    sparse_bytes_max: usize,
) -> Result<Vec<u8>, Corrupt> {
    let mut bytes = match encoding {
        Encoding::Dense => Cow::Owned(target.to_dense()?),
        Encoding::Sparse => Cow::Borrowed(target.bytes()),
    };
    for (register, &rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
        sketch::raise(&mut bytes, register, rank, sparse_bytes_max)?;
    }
    let mut bytes = bytes.into_owned();
    sketch::forget_cached(&mut bytes);
    Ok(bytes)
}
