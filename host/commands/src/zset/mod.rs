//! Commands on sorted sets. Order, ranks and ranges are the keyspace's business.
//! Always: no empty sorted set stays under its key, and no score is ever NaN.

pub(crate) mod add; // read me first
pub(crate) mod algebra;
pub(crate) mod look;
pub(crate) mod range;
pub(crate) mod remove;

pub(crate) mod blocking;

mod general; // helper
mod select;

use std::ops::Range;

use tenon_keyspace::Element;
use tenon_resp::{Proto, Reply};

use crate::element::write_element;

/// Writes pairs as the range commands reply: members alone, or with scores flat in RESP2 and in pairs in RESP3.
fn write_pairs<'a>(
    reply: &mut Reply<'_>,
    pairs: impl ExactSizeIterator<Item = (Element<'a>, f64)>,
    with_scores: bool,
) {
    write_pairs_head(reply, pairs.len(), with_scores);
    for (member, score) in pairs {
        write_pair(reply, member, score, with_scores);
    }
}

fn write_pairs_head(reply: &mut Reply<'_>, count: usize, with_scores: bool) {
    let is_flat = with_scores && reply.proto() == Proto::Resp2;
    reply.array(if is_flat { 2 * count } else { count });
}

fn write_pair(reply: &mut Reply<'_>, member: Element<'_>, score: f64, with_scores: bool) {
    if with_scores && reply.proto() == Proto::Resp3 {
        reply.array(2);
    }
    write_element(reply, member);
    if with_scores {
        reply.double(score);
    }
}

/// The ranks from `start` to `stop`, both included and from the end if negative, cut to those that are there.
fn ranks_between(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |index: i64| if index < 0 { len as i64 + index } else { index };
    let start = from_end(start).max(0) as usize;
    let end = from_end(stop).saturating_add(1).clamp(0, len as i64) as usize;
    if start < end { start..end } else { 0..0 }
}

#[cfg(test)]
mod tests;
