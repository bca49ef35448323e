//! Searches: GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its kin. What they are told is read in `query`.
//! Always: nine cells are looked into at most, in Redis's order, and nothing outside the shape is kept.

use tenon_keyspace::{Element, ScoreRange, Value, Zset};
use tenon_resp::{Args, INTEGER_TEXT_BYTES_MAX, Reply};

use super::cell::{Cell, Position};
use super::distance::Origin;
use super::query::{Form, Order, Query};
use super::shape::Shape;
use super::text::{write_coordinate, write_distance};
use crate::element::write_element;
use crate::partial_sort::sort_part;
use crate::store::store_changes;
use crate::{Context, Event, Outcome};

/// A member that was found.
#[derive(Clone, Copy)]
struct Found<'a> {
    member: Element<'a>,
    score: f64,
    position: Position,
    distance_m: f64,
}

pub(super) fn georadius(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Form::Radius { may_store: true })
}

pub(super) fn georadius_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Form::Radius { may_store: false })
}

pub(super) fn georadiusbymember(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Form::RadiusByMember { may_store: true })
}

pub(super) fn georadiusbymember_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Form::RadiusByMember { may_store: false })
}

pub(super) fn geosearch(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Form::Search)
}

pub(super) fn geosearchstore(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    search(ctx, args, Form::SearchStore)
}

fn search(ctx: &mut Context<'_>, args: Args<'_>, form: Form) -> Outcome {
    let zset = ctx.db.zset(args.get(form.source()))?;
    let query = Query::parse(args, form, zset)?;
    let (found, unit_m) = match zset.zip(query.shape) {
        Some((zset, shape)) => (find(zset, &shape, &query), shape.unit_m),
        None => (Vec::new(), 1.0),
    };
    if let Some(target) = query.target {
        let event = if form == Form::SearchStore { Event::GEOSEARCHSTORE } else { Event::GEORADIUSSTORE };
        let limits = &ctx.limits.zset;
        let mut result = Zset::new_large(limits);
        let mut text = [0; INTEGER_TEXT_BYTES_MAX];
        for member in &found {
            let score = if query.stores_distances { member.distance_m / unit_m } else { member.score };
            result.insert(member.member.as_bytes(&mut text), score, limits);
        }
        result.make_compact(limits);
        let len = result.len();
        return store_changes(ctx, target, Value::Zset(result), len, event, len);
    }
    ctx.reply.array(found.len());
    found.iter().for_each(|member| write_found(&mut ctx.reply, member, &query, unit_m));
    Ok(())
}

/// All that is to be shown or stored, in order.
fn find<'z>(zset: &'z Zset, shape: &Shape, query: &Query<'_>) -> Vec<Found<'z>> {
    let mut found = gather(zset, shape, query.count.filter(|_| query.any).unwrap_or(usize::MAX));
    let kept = query.count.map_or(found.len(), |count| count.min(found.len()));
    // Ties are broken as Redis breaks them: all of it is sorted by a stable sort, a part by its partial one.
    let mut compare = |left: &Found<'_>, right: &Found<'_>| match query.order {
        Order::FarthestFirst => right.distance_m.total_cmp(&left.distance_m),
        _ => left.distance_m.total_cmp(&right.distance_m),
    };
    if query.order != Order::Unsorted && kept == found.len() {
        found.sort_by(compare);
    } else if query.order != Order::Unsorted {
        sort_part(&mut found, 0..kept, &mut compare);
    }
    found.truncate(kept);
    found
}

/// What lies within the shape, cell by cell, up to `max` members.
fn gather<'z>(zset: &'z Zset, shape: &Shape, max: usize) -> Vec<Found<'z>> {
    let mut found = Vec::new();
    let center = Origin::of(shape.center);
    let mut last: Option<Cell> = None;
    for (index, cell) in shape.cells().into_iter().enumerate() {
        let Some(cell) = cell else { continue };
        // Where cells are so large that there are few, one and the same is a neighbour on both sides.
        if last == Some(cell) {
            continue;
        }
        if found.len() >= max {
            break;
        }
        let (min, end) = cell.scores();
        let range = ScoreRange { min, max: end, min_exclusive: false, max_exclusive: true };
        for (member, score) in zset.range_by_score(&range, false) {
            let position = Position::of_score(score);
            if let Some(distance_m) = shape.distance_m_within(&center, position) {
                found.push(Found { member, score, position, distance_m });
                if found.len() >= max {
                    break;
                }
            }
        }
        // The centre's own cell may come again: so does Redis's.
        last = (index > 0).then_some(cell);
    }
    found
}

fn write_found(reply: &mut Reply<'_>, found: &Found<'_>, query: &Query<'_>, unit_m: f64) {
    let options = [query.with_distance, query.with_hash, query.with_position];
    let shown = options.into_iter().filter(|&is_shown| is_shown).count();
    if shown > 0 {
        reply.array(1 + shown);
    }
    write_element(reply, found.member);
    if query.with_distance {
        write_distance(reply, found.distance_m / unit_m);
    }
    if query.with_hash {
        reply.integer(found.score as i64);
    }
    if query.with_position {
        reply.array(2);
        write_coordinate(reply, found.position.longitude);
        write_coordinate(reply, found.position.latitude);
    }
}
