//! Several sets at once: what they share, have together, or differ in.
//! Always: every key is looked up and its type checked, in order, before anything is read.

use std::cmp::Reverse;

use tenon_keyspace::{Element, INTEGER_TEXT_BYTES, Set, SetLimits, Value, ValueRef};
use tenon_resp::Args;

use crate::amount::at_least;
use crate::element::write_element;
use crate::room::with_room;
use crate::store::store;
use crate::{
    Argument, Categories, CommandError, Context, Db, Event, Flags, Group, Handler, KeyFlags, KeySpec,
    Outcome, Row, Words,
};

pub(crate) static COMMANDS: &[Row<Handler>] = &[
    Row {
        name: "sdiff",
        run: sdiff,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &["nondeterministic_output_order"],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for N members in all sets together",
        summary: "Returns the members of the first set that no other set has.",
        arguments: &[Argument::key("key", 0).multiple()],
        subcommands: &[],
    },
    Row {
        name: "sdiffstore",
        run: sdiffstore,
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
            KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for N members in all sets together",
        summary: "Stores the members of the first set that no other set has.",
        arguments: &[Argument::key("destination", 0), Argument::key("key", 1).multiple()],
        subcommands: &[],
    },
    Row {
        name: "sinter",
        run: sinter,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &["nondeterministic_output_order"],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N*M) for M sets, the smallest of N members",
        summary: "Returns the members that all sets have.",
        arguments: &[Argument::key("key", 0).multiple()],
        subcommands: &[],
    },
    Row {
        name: "sintercard",
        run: sintercard,
        arity: -3,
        flags: Flags::READONLY,
        keys: &[KeySpec::number(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "7.0.0",
        complexity: "O(N*M) for M sets, the smallest of N members",
        summary: "Counts the members that all sets have.",
        arguments: &[
            Argument::integer("numkeys"),
            Argument::key("key", 0).multiple(),
            Argument::integer("limit").after("LIMIT").optional(),
        ],
        subcommands: &[],
    },
    Row {
        name: "sinterstore",
        run: sinterstore,
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(1, KeyFlags::RW.and(KeyFlags::UPDATE)),
            KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N*M) for M sets, the smallest of N members",
        summary: "Stores the members that all sets have.",
        arguments: &[Argument::key("destination", 0), Argument::key("key", 1).multiple()],
        subcommands: &[],
    },
    Row {
        name: "sunion",
        run: sunion,
        arity: -2,
        flags: Flags::READONLY,
        keys: &[KeySpec::range(1, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
        categories: Categories::SET,
        tips: &["nondeterministic_output_order"],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for N members in all sets together",
        summary: "Returns the members that any of the sets has.",
        arguments: &[Argument::key("key", 0).multiple()],
        subcommands: &[],
    },
    Row {
        name: "sunionstore",
        run: sunionstore,
        arity: -3,
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[
            KeySpec::at(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
            KeySpec::range(2, -1, 1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        ],
        categories: Categories::SET,
        tips: &[],
        group: Group::Set,
        since: "1.0.0",
        complexity: "O(N) for N members in all sets together",
        summary: "Stores the members that any of the sets has.",
        arguments: &[Argument::key("destination", 0), Argument::key("key", 1).multiple()],
        subcommands: &[],
    },
];

fn sdiff(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = args.rest(1).iter();
    check(ctx, keys.clone())?;
    with_sets(&ctx.db, keys, |sets| {
        if removal_is_cheaper(sets) {
            let rest = subtract_by_removal(sets, &ctx.limits.set);
            ctx.reply.set(rest.len());
            rest.iter().for_each(|member| write_element(&mut ctx.reply, member));
            return;
        }
        let (head, mut count) = (ctx.reply.defer_set(), 0);
        subtract_by_look_up(sets, &ctx.limits.set, |member| {
            write_element(&mut ctx.reply, member);
            count += 1;
        });
        ctx.reply.finish(head, count);
    });
    Ok(())
}

fn sdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = args.rest(2).iter();
    check(ctx, keys.clone())?;
    let limits = &ctx.limits.set;
    let rest = with_sets(&ctx.db, keys, |sets| {
        if removal_is_cheaper(sets) {
            return subtract_by_removal(sets, limits);
        }
        let mut rest = Set::new();
        subtract_by_look_up(sets, limits, |member| {
            rest.add_element(member, limits);
        });
        rest
    });
    let len = rest.len();
    store(ctx, args.get(1), Value::Set(rest), len, Event::SDIFFSTORE)
}

fn sinter(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = args.rest(1).iter();
    check(ctx, keys.clone())?;
    with_sets(&ctx.db, keys, |sets| {
        let (head, mut count) = (ctx.reply.defer_set(), 0);
        intersect(sets, &ctx.limits.set, |member| {
            write_element(&mut ctx.reply, member);
            count += 1;
            true
        });
        ctx.reply.finish(head, count);
    });
    Ok(())
}

fn sintercard(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let key_count = at_least(args, 1, 1, "ERR numkeys should be greater than 0")?;
    if key_count > args.len() - 2 {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    for at in (2 + key_count..args.len()).step_by(2) {
        if !args.is(at, "LIMIT") || at + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        limit = at_least(args, at + 1, 0, "ERR LIMIT can't be negative")?;
    }
    let keys = args.rest(2).iter().take(key_count);
    check(ctx, keys.clone())?;
    let mut count = 0;
    with_sets(&ctx.db, keys, |sets| {
        intersect(sets, &ctx.limits.set, |_| {
            count += 1;
            count != limit
        });
    });
    ctx.reply.integer(count as i64);
    Ok(())
}

fn sinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = args.rest(2).iter();
    check(ctx, keys.clone())?;
    let limits = &ctx.limits.set;
    let common = with_sets(&ctx.db, keys, |sets| {
        let smallest = sets.iter().flatten().min_by_key(|set| set.len());
        let has_integers = smallest.is_some_and(|set| set.as_intset().is_some());
        let mut common = if has_integers { Set::new() } else { Set::new_compact() };
        intersect(sets, limits, |member| {
            common.add_element(member, limits);
            true
        });
        common.make_integers(limits);
        common
    });
    let len = common.len();
    store(ctx, args.get(1), Value::Set(common), len, Event::SINTERSTORE)
}

fn sunion(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = args.rest(1).iter();
    check(ctx, keys.clone())?;
    let all = with_sets(&ctx.db, keys, |sets| unite(sets, &ctx.limits.set));
    ctx.reply.set(all.len());
    all.iter().for_each(|member| write_element(&mut ctx.reply, member));
    Ok(())
}

fn sunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let keys = args.rest(2).iter();
    check(ctx, keys.clone())?;
    let all = with_sets(&ctx.db, keys, |sets| unite(sets, &ctx.limits.set));
    let len = all.len();
    store(ctx, args.get(1), Value::Set(all), len, Event::SUNIONSTORE)
}

/// Looks up every key as a read does. Refused if one holds anything but a set.
fn check<'k>(ctx: &mut Context<'_>, keys: impl Iterator<Item = &'k [u8]>) -> Result<(), CommandError> {
    for key in keys {
        ctx.db.set(key)?;
    }
    Ok(())
}

/// Lends `act` the sets of the keys, in order; `None` where there is none.
fn with_sets<'k, R>(
    db: &Db<'_>,
    keys: impl ExactSizeIterator<Item = &'k [u8]>,
    act: impl FnOnce(&mut [Option<&Set>]) -> R,
) -> R {
    with_room(keys.len(), None, |sets| {
        for (set, key) in sets.iter_mut().zip(keys) {
            *set = match db.database_ref().find(key).map(|entry| entry.value()) {
                Some(ValueRef::Set(found)) => Some(found),
                _ => None,
            };
        }
        act(sets)
    })
}

/// Visits what all sets have, as long as `visit` wants more. Puts the sets into another order.
fn intersect(sets: &mut [Option<&Set>], limits: &SetLimits, mut visit: impl FnMut(Element<'_>) -> bool) {
    if sets.iter().any(Option::is_none) {
        return;
    }
    sets.sort_unstable_by_key(|set| set.map_or(0, Set::len));
    let [Some(smallest), others @ ..] = sets else { return };
    let [Some(second), others @ ..] = others else {
        smallest.iter().all(visit);
        return;
    };
    let second = second.look_ups(smallest.len(), limits.seed);
    let is_common =
        |member| second.contains(member) && others.iter().flatten().all(|set| set.contains_element(member));
    for member in smallest.iter() {
        if is_common(member) && !visit(member) {
            return;
        }
    }
}

/// All members of all sets.
fn unite(sets: &[Option<&Set>], limits: &SetLimits) -> Set {
    let mut all = Set::new();
    for member in sets.iter().flatten().flat_map(|set| set.iter()) {
        all.add_element(member, limits);
    }
    all
}

/// Whether it takes less to remove the members of the other sets from a copy of the first than to look every
/// member of the first up in the others.
fn removal_is_cheaper(sets: &[Option<&Set>]) -> bool {
    let Some(Some(first)) = sets.first() else { return false };
    let look_ups = first.len().saturating_mul(sets.iter().flatten().count());
    let removals: usize = sets.iter().flatten().map(|set| set.len()).sum();
    look_ups / 2 > removals
}

/// Visits the members of the first set that no other has. Puts the others into another order.
fn subtract_by_look_up(sets: &mut [Option<&Set>], limits: &SetLimits, mut visit: impl FnMut(Element<'_>)) {
    let [Some(first), others @ ..] = sets else { return };
    if others.iter().flatten().any(|set| std::ptr::eq(*set, *first)) {
        return;
    }
    // The larger a set, the sooner it answers.
    others.sort_unstable_by_key(|set| Reverse(set.map_or(0, Set::len)));
    let (largest, others) = match others {
        [Some(largest), others @ ..] => (Some(largest.look_ups(first.len(), limits.seed)), &*others),
        _ => (None, &[][..]),
    };
    for member in first.iter() {
        let is_elsewhere = largest.as_ref().is_some_and(|set| set.contains(member))
            || others.iter().flatten().any(|set| set.contains_element(member));
        if !is_elsewhere {
            visit(member);
        }
    }
}

/// The members of the first set that no other has.
fn subtract_by_removal(sets: &[Option<&Set>], limits: &SetLimits) -> Set {
    let [first, others @ ..] = sets else { return Set::new() };
    let mut rest = unite(&[*first], limits);
    for member in others.iter().flatten().flat_map(|set| set.iter()) {
        if rest.is_empty() {
            break;
        }
        rest.remove(member.as_bytes(&mut [0; INTEGER_TEXT_BYTES]));
    }
    rest
}
