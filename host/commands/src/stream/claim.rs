//! XCLAIM and XAUTOCLAIM: pending entries that change hands.
//! Always: an entry that is no longer in the stream is not given to anybody; it ceases to be pending.

use tenon_base::UnixMillis;
use tenon_keyspace::{StreamEntries, StreamGroupMut, StreamId};
use tenon_resp::{Args, Reply};

use super::effect::{Claims, Delivery, GroupName, delivered_again, mark};
use super::entries::write_entry;
use super::help::no_key_or_group;
use super::id::{parse_id, parse_start, write_id};
use crate::{CommandError, Context, Event, Origin, Outcome, Unit, Words, quoted};

/// Entries that XAUTOCLAIM claims at once unless told otherwise.
const PAGE_ENTRIES: usize = 100;
/// It looks at so many pending entries for each one that it may claim.
const LOOKS_PER_ENTRY: usize = 10;
/// The greatest COUNT.
const PAGE_ENTRIES_MAX: i64 = i64::MAX / 16;

const FOUND: &str = "a group that was found a moment ago";

pub(super) fn xautoclaim(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let page = Page::parse(ctx, args)?;
    let (key, name) = (args.get(1), args.get(2));
    let group = ctx.db.stream(key)?.and_then(|stream| stream.group(name));
    group.ok_or_else(|| no_key_or_group(key, name))?;
    let changes = claim_with(ctx, args, page.terms, |claimer, reply| {
        reply.array(3);
        let start = reply.position();
        write_id(reply, StreamId::MIN);
        let page_start = reply.position();
        let head = reply.defer_array();
        let walk = page.walk(claimer, reply);
        reply.finish(head, walk.claimed);
        if walk.next != StreamId::MIN {
            // The ID to go on from is known last and stands first.
            let written = reply.written_since(page_start).to_vec();
            reply.truncate(start);
            write_id(reply, walk.next);
            reply.raw(&written);
        }
        reply.array(walk.gone.len());
        walk.gone.iter().for_each(|&id| write_id(reply, id));
        walk.claimed
    });
    mark(ctx, key, changes);
    Ok(())
}

pub(super) fn xclaim(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let (key, name) = (args.get(1), args.get(2));
    let group = ctx.db.stream(key)?.and_then(|stream| stream.group(name));
    group.ok_or_else(|| no_key_or_group(key, name))?;
    let request = Request::parse(ctx, args)?;
    let changes = claim_with(ctx, args, request.terms, |claimer, reply| {
        let is_ahead = request.last_id > claimer.group.last_id();
        if is_ahead {
            claimer.group.set_last_id(request.last_id);
        }
        let head = reply.defer_array();
        let (mut claimed, before) = (0, claimer.changes);
        for word in args.rest(5).iter().take(request.ids) {
            let id = parse_id(word).expect("an ID that was read a moment ago");
            claimed += usize::from(claimer.claim(reply, id) == Claim::Made);
        }
        reply.finish(head, claimed);
        if is_ahead && claimer.changes == before {
            claimer.name.progress(claimer.unit, claimer.group);
            claimer.changes += 1;
        }
        claimed
    });
    mark(ctx, key, changes);
    Ok(())
}

/// On which terms entries are claimed.
#[derive(Clone, Copy)]
struct Terms {
    /// Only entries that were delivered so long ago.
    idle_ms_min: i64,
    /// When they count as delivered.
    time: UnixMillis,
    /// How often they count as delivered, if that is told.
    count: Option<u64>,
    /// Whether entries are claimed that are not pending at all.
    is_forced: bool,
    /// Whether only IDs are replied; then it is no delivery.
    only_ids: bool,
}

/// One claim by one consumer.
struct Claimer<'w, 'g> {
    terms: Terms,
    consumer: &'w [u8],
    entries: &'w StreamEntries,
    group: &'w mut StreamGroupMut<'g>,
    name: GroupName<'w>,
    claims: Claims<'w>,
    unit: &'w mut Unit,
    now: UnixMillis,
    changes: u64,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It is pending with the consumer, and is written.
    Made,
    /// It is no longer in the stream, and was pending until now.
    Gone,
    /// Nothing.
    Refused,
}

/// Lets `act` claim entries of a group that exists, and say how many it claimed. Returns how many changes that
/// counts for.
fn claim_with(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    terms: Terms,
    act: impl FnOnce(&mut Claimer<'_, '_>, &mut Reply<'_>) -> usize,
) -> u64 {
    let (key, group_name, consumer) = (args.get(1), args.get(2), args.get(3));
    let (now, database) = (ctx.db.now(), ctx.db.index());
    let found = ctx.db.stream_and_unit_mut(key).ok().flatten();
    let (mut stream, unit) = found.expect(FOUND);
    let (entries, mut group) = stream.entries_and_group_mut(group_name).expect(FOUND);
    let name = GroupName { database, key, group: group_name };
    // What it did is told by requests of its own.
    unit.propagate_nothing();
    let is_new = group.create_consumer(consumer, now);
    if is_new {
        unit.notify(Event::XGROUP_CREATECONSUMER, database, key);
    } else {
        group.set_seen_time(consumer, now);
    }
    let changes = u64::from(is_new);
    let claims = Claims::new(name);
    let mut claimer =
        Claimer { terms, consumer, entries, group: &mut group, name, claims, unit, now, changes };
    let claimed = act(&mut claimer, &mut ctx.reply);
    claimer.claims.end(claimer.unit, claimer.group.last_id());
    if claimed > 0 {
        claimer.group.set_active_time(consumer, Some(now));
    } else if is_new {
        // What it is given makes a consumer known to those who follow.
        name.consumer(claimer.unit, consumer);
    }
    claimer.changes
}

impl Claimer<'_, '_> {
    fn claim(&mut self, reply: &mut Reply<'_>, id: StreamId) -> Claim {
        let pending = self.group.pending(id);
        let (time, deliveries) = match pending {
            Some(pending) => (Some(pending.delivery_time()), pending.delivery_count()),
            None => (None, 0),
        };
        let Some(entry) = self.entries.find(id) else {
            if pending.is_none() {
                return Claim::Refused;
            }
            // Whose it was does not matter to those who follow: they do not find it either.
            let delivery = Delivery { consumer: self.consumer, time: self.terms.time, count: deliveries };
            self.claims.add_gone(self.unit, id, delivery, self.group.last_id());
            self.group.acknowledge(id);
            self.changes += 1;
            return Claim::Gone;
        };
        match time {
            None if !self.terms.is_forced => return Claim::Refused,
            Some(time) if self.is_too_fresh(time) => return Claim::Refused,
            _ => {}
        }
        // One that was forced in begins with the first delivery.
        let deliveries = if time.is_none() { 1 } else { deliveries };
        let deliveries = match self.terms.count {
            Some(count) => count,
            None if self.terms.only_ids => deliveries,
            None => delivered_again(deliveries),
        };
        self.group.assign(id, self.consumer, self.terms.time, deliveries);
        if self.terms.only_ids {
            write_id(reply, id);
        } else {
            write_entry(reply, entry);
        }
        let delivery = Delivery { consumer: self.consumer, time: self.terms.time, count: deliveries };
        self.claims.add(self.unit, id, delivery, self.group.last_id());
        self.changes += 1;
        Claim::Made
    }

    fn is_too_fresh(&self, time: UnixMillis) -> bool {
        self.terms.idle_ms_min > 0 && self.now.0.saturating_sub(time.0) < self.terms.idle_ms_min
    }
}

/// What XAUTOCLAIM asks for.
struct Page {
    terms: Terms,
    start: StreamId,
    count: usize,
}

/// What XAUTOCLAIM came to.
struct Walk {
    claimed: usize,
    /// Where to go on; `0-0` at the end.
    next: StreamId,
    gone: Vec<StreamId>,
}

impl Page {
    fn parse(ctx: &Context<'_>, args: Args<'_>) -> Result<Page, CommandError> {
        let refusal = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
        let idle_ms_min = number(args, 4, refusal)?.max(0);
        let start = parse_start(args.get(5))?;
        let (mut count, mut only_ids) = (PAGE_ENTRIES, false);
        let mut index = 6;
        while index < args.len() {
            if args.is(index, "COUNT") && index + 1 < args.len() {
                let told = number(args, index + 1, COUNT_REFUSED)?;
                if !(1..=PAGE_ENTRIES_MAX).contains(&told) {
                    return Err(CommandError::text(COUNT_REFUSED));
                }
                count = told as usize;
                index += 1;
            } else if args.is(index, "JUSTID") {
                only_ids = true;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        let terms = Terms { idle_ms_min, time: ctx.db.now(), count: None, is_forced: false, only_ids };
        Ok(Page { terms, start, count })
    }

    /// Claims what it may, and stops when there were enough entries, or enough looks.
    fn walk(&self, claimer: &mut Claimer<'_, '_>, reply: &mut Reply<'_>) -> Walk {
        let mut walk = Walk { claimed: 0, next: StreamId::MIN, gone: Vec::new() };
        let mut from = Some(self.start);
        for _ in 0..self.count.saturating_mul(LOOKS_PER_ENTRY) {
            if walk.claimed + walk.gone.len() == self.count {
                break;
            }
            let Some(id) = next_pending(claimer, from) else { return walk };
            match claimer.claim(reply, id) {
                Claim::Made => walk.claimed += 1,
                Claim::Gone => walk.gone.push(id),
                Claim::Refused => {}
            }
            from = id.next();
        }
        walk.next = next_pending(claimer, from).unwrap_or(StreamId::MIN);
        walk
    }
}

fn next_pending(claimer: &Claimer<'_, '_>, from: Option<StreamId>) -> Option<StreamId> {
    claimer.group.pending_range(from?, StreamId::MAX).next().map(|(id, _)| id)
}

/// What XCLAIM asks for.
struct Request {
    terms: Terms,
    /// How many IDs there are, from word 5 on.
    ids: usize,
    /// How far the group has read at least.
    last_id: StreamId,
}

impl Request {
    fn parse(ctx: &Context<'_>, args: Args<'_>) -> Result<Request, CommandError> {
        let now = ctx.db.now();
        let idle_ms_min = number(args, 4, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        let mut terms = Terms { idle_ms_min, time: now, count: None, is_forced: false, only_ids: false };
        let mut last_id = StreamId::MIN;
        let mut time = None;
        // The first word that is no ID begins the options.
        let ids = args.rest(5).iter().take_while(|word| parse_id(word).is_ok()).count();
        let mut index = 5 + ids;
        while index < args.len() {
            let has_value = index + 1 < args.len();
            let value = index + 1;
            if args.is(index, "FORCE") {
                terms.is_forced = true;
            } else if args.is(index, "JUSTID") {
                terms.only_ids = true;
            } else if args.is(index, "IDLE") && has_value {
                let idle_ms = number(args, value, "ERR Invalid IDLE option argument for XCLAIM")?;
                time = Some(now.0.saturating_sub(idle_ms));
                index = value;
            } else if args.is(index, "TIME") && has_value {
                time = Some(number(args, value, "ERR Invalid TIME option argument for XCLAIM")?);
                index = value;
            } else if args.is(index, "RETRYCOUNT") && has_value {
                let count = number(args, value, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                terms.count = u64::try_from(count).ok();
                index = value;
            } else if args.is(index, "LASTID") && has_value {
                last_id = parse_id(args.get(value))?;
                index = value;
            } else {
                let option = quoted(args.get(index));
                return Err(CommandError::Text(format!("ERR Unrecognized XCLAIM option '{option}'").into()));
            }
            index += 1;
        }
        // Clients reckon with their own clocks, and must not be refused for that. A log and a primary are right.
        let is_right = |time: i64| time >= 0 && (time <= now.0 || ctx.db.origin() != Origin::Client);
        terms.time = time.filter(|&time| is_right(time)).map_or(now, UnixMillis);
        Ok(Request { terms, ids, last_id })
    }
}

const COUNT_REFUSED: &str = "ERR COUNT must be > 0";

fn number(args: Args<'_>, index: usize, refusal: &'static str) -> Result<i64, CommandError> {
    args.integer(index).map_err(|_| CommandError::text(refusal))
}
