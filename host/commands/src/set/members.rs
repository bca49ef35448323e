//! Sets one at a time: adding, removing, asking, moving, walking.

use tenon_keyspace::{Kind, Set, Value};
use tenon_resp::Args;

use crate::element::write_element;
use crate::page::{write_no_page, write_page};
use crate::scan::{self, ScanOptions, parse_cursor};
use crate::{
    Argument, Categories, CommandError, Context, Event, Flags, Group, Handler, KeyFlags, KeySpec, Outcome,
    Row,
};

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "sadd",
        run: sadd,
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::INSERT))],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for N members",
        summary: "Puts members into a set, which is created if there is none.",
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        subcommands: &[],
    },
    Row {
        name: "scard",
        run: scard,
        arity: 2,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO)],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Counts the members of a set.",
        arguments: &[Argument::key("key", 0)],
        subcommands: &[],
    },
    Row {
        name: "sismember",
        run: sismember,
        arity: 3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO)],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Tells whether a set has a member.",
        arguments: &[Argument::key("key", 0), Argument::string("member")],
        subcommands: &[],
    },
    Row {
        name: "smembers",
        run: smembers,
        arity: 2,
        flags: Flags::READONLY,
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &["nondeterministic_output_order"],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for a set of N members",
        summary: "Lists all members of a set.",
        arguments: &[Argument::key("key", 0)],
        subcommands: &[],
    },
    Row {
        name: "smismember",
        run: smismember,
        arity: -3,
        flags: Flags::READONLY.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "6.2.0",
        complexity: "O(N) for N members asked for",
        summary: "Tells for each of several members whether a set has it.",
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        subcommands: &[],
    },
    Row {
        name: "smove",
        run: smove,
        arity: 4,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[
            KeySpec::at(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE)),
            KeySpec::at(2, KeyFlags::RW.and(KeyFlags::INSERT)),
        ],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Moves a member from one set to another.",
        arguments: &[Argument::key("source", 0), Argument::key("destination", 1), Argument::string("member")],
        subcommands: &[],
    },
    Row {
        name: "srem",
        run: srem,
        arity: -3,
        flags: Flags::WRITE.and(Flags::FAST),
        keys: &[KeySpec::at(1, KeyFlags::RW.and(KeyFlags::DELETE))],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for N members",
        summary: "Takes members out of a set.",
        arguments: &[Argument::key("key", 0), Argument::string("member").multiple()],
        subcommands: &[],
    },
    Row {
        name: "sscan",
        run: sscan,
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::at(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &["nondeterministic_output"],
        group: Group::Set,
        since: "2.8.0",
        complexity: "O(1) for a call, O(N) for a whole walk over N members",
        summary: "Walks over the members of a set, some at each call.",
        arguments: &[Argument::key("key", 0), scan::CURSOR, scan::PATTERN, scan::COUNT],
        subcommands: &[],
    },
];

fn sadd(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    let added = add(ctx, key, args.rest(2))?;
    if added > 0 {
        ctx.wrote(key, Event::SADD, added);
    }
    ctx.reply.integer(added as i64);
    Ok(())
}

fn scard(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let count = ctx.db.set(args.get(1))?.map_or(0, Set::len);
    ctx.reply.integer(count as i64);
    Ok(())
}

fn sismember(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let is_member = ctx.db.set(args.get(1))?.is_some_and(|set| set.contains(args.get(2)));
    ctx.reply.integer(i64::from(is_member));
    Ok(())
}

fn smembers(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    match ctx.db.set(args.get(1))? {
        Some(set) => {
            ctx.reply.set(set.len());
            set.iter().for_each(|member| write_element(&mut ctx.reply, member));
        }
        None => ctx.reply.set(0),
    }
    Ok(())
}

fn smismember(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let set = ctx.db.set(args.get(1))?;
    let members = args.rest(2);
    ctx.reply.array(members.len());
    for member in members.iter() {
        ctx.reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smove(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (source, target, member) = (args.get(1), args.get(2), args.get(3));
    let source_kind = ctx.db.peek(source).map(|entry| entry.kind());
    let target_kind = ctx.db.peek(target).map(|entry| entry.kind());
    if source_kind.is_some() && [source_kind, target_kind].into_iter().flatten().any(|kind| kind != Kind::Set)
    {
        return Err(CommandError::WrongType);
    }
    let is_moved = match ctx.db.set_mut(source)? {
        None => false,
        Some(set) if source == target => {
            let is_member = set.contains(member);
            drop(set);
            ctx.reply.integer(i64::from(is_member));
            return Ok(());
        }
        Some(mut set) => set.remove(member),
    };
    if is_moved {
        ctx.changed(source, Event::SREM, 1);
        if add(ctx, target, args.rest(3))? > 0 {
            ctx.wrote(target, Event::SADD, 1);
        }
    }
    ctx.reply.integer(i64::from(is_moved));
    Ok(())
}

fn srem(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key = args.get(1);
    let removed = match ctx.db.set_mut(key)? {
        Some(mut set) => args.rest(2).iter().filter(|member| set.remove(member)).count(),
        None => 0,
    };
    if removed > 0 {
        ctx.changed(key, Event::SREM, removed);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn sscan(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(2))?;
    let Some(set) = ctx.db.set(args.get(1))? else {
        write_no_page(&mut ctx.reply);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3)?;
    write_page(&mut ctx.reply, |reply| {
        let mut count = 0;
        let next = set.scan(cursor, options.count, |member| {
            if options.matches(member) {
                write_element(reply, member);
                count += 1;
            }
        });
        (next, count)
    });
    Ok(())
}

/// Puts members into the set of a key, which is made if there is none. Returns how many are new.
fn add(ctx: &mut Context<'_>, key: &[u8], members: Args<'_>) -> Result<usize, CommandError> {
    let limits = &ctx.limits.set;
    if let Some(mut set) = ctx.db.set_mut(key)? {
        set.make_ready_for(members.len(), limits);
        return Ok(members.iter().filter(|member| set.add(member, limits)).count());
    }
    let mut set = Set::with_expected(members.get(0), members.len(), limits);
    let added = members.iter().filter(|member| set.add(member, limits)).count();
    ctx.db.insert(key, Value::Set(set), None);
    Ok(added)
}
