//! Lifetimes: set, told, taken away. Not the removal of keys whose time has come: look-ups and the active cycle do
//! that. Always: a client that sets a moment in the past removes the key; a follower and a load do not, they are told.

use tenon_base::UnixMillis;
use tenon_resp::Args;

use crate::{CommandError, Context, Event, Origin, Outcome, Words, quoted};

/// How a command tells and shows times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Millis,
}

/// From when a command counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Now,
    Epoch,
}

#[derive(Default)]
struct Conditions {
    /// NX
    if_endless: bool,
    /// XX
    if_volatile: bool,
    /// GT
    if_later: bool,
    /// LT
    if_earlier: bool,
}

pub(super) fn expire(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Base::Now, Unit::Seconds, "expire")
}

pub(super) fn expireat(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Base::Epoch, Unit::Seconds, "expireat")
}

pub(super) fn expiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    tell(ctx, args, Base::Epoch, Unit::Seconds)
}

pub(super) fn persist(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let persisted = persist_key(ctx, args.get(1));
    ctx.reply.integer(i64::from(persisted));
    Ok(())
}

pub(super) fn pexpire(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Base::Now, Unit::Millis, "pexpire")
}

pub(super) fn pexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    set(ctx, args, Base::Epoch, Unit::Millis, "pexpireat")
}

pub(super) fn pexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    tell(ctx, args, Base::Epoch, Unit::Millis)
}

pub(super) fn pttl(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    tell(ctx, args, Base::Now, Unit::Millis)
}

pub(super) fn ttl(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    tell(ctx, args, Base::Now, Unit::Seconds)
}

/// Whether a moment that a client named has passed, so that the key is to be removed at once.
pub(crate) fn is_past(ctx: &Context<'_>, deadline: UnixMillis) -> bool {
    deadline <= ctx.db.now() && ctx.db.origin() == Origin::Client
}

/// Removes a key because the moment that a client named has passed.
pub(crate) fn remove_as_expired(ctx: &mut Context<'_>, key: &[u8]) {
    let value = ctx.db.delete(key).flatten();
    ctx.discard(value);
    ctx.wrote(key, Event::DEL, 1);
    let removal: &[u8] = if ctx.db.lazy_expire { b"UNLINK" } else { b"DEL" };
    ctx.propagate_as(&[removal, key]);
}

/// Lets a key that is there expire, and propagates the moment.
pub(crate) fn expire_at(ctx: &mut Context<'_>, key: &[u8], deadline: UnixMillis) {
    ctx.db.database().set_expiry(key, Some(deadline));
    ctx.wrote(key, Event::EXPIRE, 1);
    let index = ctx.db.index();
    let words = ctx.db.unit.operation_as(index);
    words.push(b"PEXPIREAT");
    words.push(key);
    words.push_integer(deadline.0);
}

/// Takes the expiry time from a key. False if there is no such key, or none to take.
pub(crate) fn persist_key(ctx: &mut Context<'_>, key: &[u8]) -> bool {
    let is_volatile = ctx.db.peek(key).is_some_and(|entry| entry.is_volatile());
    if is_volatile {
        ctx.db.database().set_expiry(key, None);
        ctx.wrote(key, Event::PERSIST, 1);
    }
    is_volatile
}

/// What is said of an expiry time that is out of range.
pub(crate) fn invalid_expire_time(command: &str) -> CommandError {
    CommandError::Text(format!("ERR invalid expire time in '{command}' command").into())
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for index in 3..args.len() {
            let condition = match () {
                () if args.is(index, "NX") => &mut conditions.if_endless,
                () if args.is(index, "XX") => &mut conditions.if_volatile,
                () if args.is(index, "GT") => &mut conditions.if_later,
                () if args.is(index, "LT") => &mut conditions.if_earlier,
                () => {
                    let word = quoted(args.get(index));
                    return Err(CommandError::Text(format!("ERR Unsupported option {word}").into()));
                }
            };
            *condition = true;
        }
        if conditions.if_endless && (conditions.if_volatile || conditions.if_later || conditions.if_earlier) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if conditions.if_later && conditions.if_earlier {
            return Err(CommandError::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether a key that expires at `current` may be given `deadline`. A key without expiry expires after all others.
    fn allow(&self, current: Option<UnixMillis>, deadline: UnixMillis) -> bool {
        !(self.if_endless && current.is_some()
            || self.if_volatile && current.is_none()
            || self.if_later && current.is_none_or(|current| deadline <= current)
            || self.if_earlier && current.is_some_and(|current| deadline >= current))
    }
}

fn set(ctx: &mut Context<'_>, args: Args<'_>, base: Base, unit: Unit, command: &str) -> Outcome {
    let conditions = Conditions::parse(args)?;
    let deadline =
        deadline(args.integer(2)?, base, unit, ctx.db.now()).ok_or_else(|| invalid_expire_time(command))?;
    let key = args.get(1);
    let current = ctx.db.peek(key).map(|entry| entry.expires_at());
    let is_allowed = current.is_some_and(|current| conditions.allow(current, deadline));
    ctx.reply.integer(i64::from(is_allowed));
    if is_allowed && is_past(ctx, deadline) {
        remove_as_expired(ctx, key);
    } else if is_allowed {
        expire_at(ctx, key, deadline);
    }
    Ok(())
}

fn deadline(number: i64, base: Base, unit: Unit, now: UnixMillis) -> Option<UnixMillis> {
    let millis = match unit {
        Unit::Seconds => number.checked_mul(1_000)?,
        Unit::Millis => number,
    };
    let start = match base {
        Base::Now => now.0,
        Base::Epoch => 0,
    };
    millis.checked_add(start).map(UnixMillis)
}

fn tell(ctx: &mut Context<'_>, args: Args<'_>, base: Base, unit: Unit) -> Outcome {
    let now = ctx.db.now();
    let answer = match ctx.db.inspect(args.get(1)).map(|entry| entry.expires_at()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            let millis = match base {
                Base::Now => deadline.0.saturating_sub(now.0).max(0),
                Base::Epoch => deadline.0.max(0),
            };
            match unit {
                Unit::Millis => millis,
                Unit::Seconds => millis.saturating_add(500) / 1_000,
            }
        }
    };
    ctx.reply.integer(answer);
    Ok(())
}
