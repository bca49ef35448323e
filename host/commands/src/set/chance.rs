//! Members by chance: taken out, or only looked at. What is taken out is propagated as the removal of just
//! those members, so that nobody who follows throws dice.

use tenon_keyspace::{INTEGER_TEXT_BYTES, Set, Value};
use tenon_resp::Args;

use crate::amount::{Choice, NOT_POSITIVE, at_least, repeat};
use crate::element::write_element;
use crate::{
    Argument, Categories, CommandError, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome,
    Row,
};

/// Members in one propagated SREM.
const BATCH_MEMBERS: usize = 1024;

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "spop",
        run: spop,
        arity: -2,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
        categories: Categories::SET,
        tips: &["nondeterministic_output"],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(1), with a count O(N) for N members",
        summary: "Takes members out of a set by chance and returns them.",
        arguments: &[Argument::key("key", 0), Argument::integer("count").optional().since("3.2.0")],
        subcommands: &[],
    },
    Row {
        name: "srandmember",
        run: srandmember,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &["nondeterministic_output"],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(1), with a count O(N) for N members",
        summary: "Returns members of a set by chance.",
        arguments: &[Argument::key("key", 0), Argument::integer("count").optional().since("2.6.0")],
        subcommands: &[],
    },
];

fn spop(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        2 => pop_one(ctx, args.get(1)),
        3 => pop_many(ctx, args.get(1), at_least(args, 2, 0, NOT_POSITIVE)?),
        _ => Err(CommandError::Syntax),
    }
}

fn srandmember(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let choice = match args.len() {
        2 => None,
        3 => Some(Choice::read(args, 2)?),
        _ => return Err(CommandError::Syntax),
    };
    let set = ctx.db.set(args.get(1))?;
    match (set, choice) {
        (None, None) => ctx.reply.null(),
        (None, Some(_)) => ctx.reply.array(0),
        (Some(set), None) => {
            let member = set.random(ctx.dice).expect("a stored set is never empty");
            write_element(&mut ctx.reply, member);
        }
        (Some(set), Some(Choice::Distinct(count))) => {
            ctx.reply.array(count.min(set.len()));
            set.sample(count, ctx.dice, |member| write_element(&mut ctx.reply, member));
        }
        (Some(set), Some(Choice::Repeated(count))) => {
            ctx.reply.array(count);
            repeat(&mut ctx.reply, count, ctx.limits.string_bytes_max, |reply| {
                let member = set.random(ctx.dice).expect("a stored set is never empty");
                write_element(reply, member);
            })?;
        }
    }
    Ok(())
}

fn pop_one(ctx: &mut Context<'_>, key: &[u8]) -> Outcome {
    let database = ctx.db.index();
    let Some((mut set, unit)) = ctx.db.set_and_unit_mut(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    set.pop(ctx.dice, |member| {
        let mut text = [0; INTEGER_TEXT_BYTES];
        let member = member.as_bytes(&mut text);
        ctx.reply.bulk(member);
        unit.propagate_as(database, &[b"SREM", key, member]);
    });
    drop(set);
    ctx.changed(key, Event::SPOP, 1);
    Ok(())
}

fn pop_many(ctx: &mut Context<'_>, key: &[u8], count: usize) -> Outcome {
    let database = ctx.db.index();
    let Some((mut set, unit)) = ctx.db.set_and_unit_mut(key)?.filter(|_| count > 0) else {
        ctx.reply.set(0);
        return Ok(());
    };
    if count >= set.len() {
        let taken = std::mem::take(&mut *set);
        drop(set);
        return pop_all(ctx, key, taken);
    }
    ctx.reply.set(count);
    let mut popped = 0;
    set.pop_many(count, ctx.dice, &ctx.limits.set, |member| {
        let mut text = [0; INTEGER_TEXT_BYTES];
        let member = member.as_bytes(&mut text);
        ctx.reply.bulk(member);
        if popped % BATCH_MEMBERS == 0 {
            unit.propagate_as(database, &[b"SREM", key]);
        }
        unit.extend_operation(member);
        popped += 1;
    });
    drop(set);
    ctx.wrote(key, Event::SPOP, count);
    Ok(())
}

fn pop_all(ctx: &mut Context<'_>, key: &[u8], set: Set) -> Outcome {
    ctx.reply.set(set.len());
    set.iter().for_each(|member| write_element(&mut ctx.reply, member));
    ctx.propagate_as(&[if ctx.limits.lazy_server_del { b"UNLINK" } else { b"DEL" }, key]);
    ctx.changed(key, Event::SPOP, set.len());
    ctx.discard(Some(Value::Set(set)));
    Ok(())
}
