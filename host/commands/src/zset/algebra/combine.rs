//! How several sources become one result: in which order they are read, and what the scores of one member come to.
//! Knows no request: see `algebra`.
//! Always: no score is ever NaN.

use std::cmp::Reverse;

use tenon_keyspace::{Element, INTEGER_TEXT_BYTES, Set, Zset, ZsetLimits};

/// What a key gives to the result.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) members: Members<'a>,
    pub(super) weight: f64,
}

#[derive(Clone, Copy)]
pub(super) enum Members<'a> {
    None,
    Set(&'a Set),
    Zset(&'a Zset),
}

impl Source<'_> {
    fn len(&self) -> usize {
        match self.members {
            Members::None => 0,
            Members::Set(set) => set.len(),
            Members::Zset(zset) => zset.len(),
        }
    }

    /// The score of a member, not weighted.
    fn score(&self, member: &[u8]) -> Option<f64> {
        match self.members {
            Members::None => None,
            Members::Set(set) => set.contains(member).then_some(1.0),
            Members::Zset(zset) => zset.score(member),
        }
    }

    fn is_same(&self, other: &Source<'_>) -> bool {
        match (self.members, other.members) {
            (Members::Set(one), Members::Set(two)) => std::ptr::eq(one, two),
            (Members::Zset(one), Members::Zset(two)) => std::ptr::eq(one, two),
            _ => false,
        }
    }

    /// Visits members with their scores, not weighted, as long as `visit` wants more.
    fn visit(&self, mut visit: impl FnMut(&[u8], f64) -> bool) {
        let mut text = [0; INTEGER_TEXT_BYTES];
        let mut visit = |member: Element<'_>, score| visit(member.as_bytes(&mut text), score);
        match self.members {
            Members::None => {}
            Members::Set(set) => drop(set.iter().all(|member| visit(member, 1.0))),
            Members::Zset(zset) => drop(zset.iter().all(|(member, score)| visit(member, score))),
        }
    }
}

/// How the scores of one member become one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum => number(score + other),
            Aggregate::Min if other < score => other,
            Aggregate::Max if other > score => other,
            Aggregate::Min | Aggregate::Max => score,
        }
    }
}

/// Zero for what is no number: infinity times zero, or the sum of both infinities.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// Visits what all sources have, with the scores together, as long as `visit` wants more. Puts the sources into
/// the order in which Redis adds scores: by size.
pub(super) fn intersect(
    sources: &mut [Source<'_>],
    aggregate: Aggregate,
    mut visit: impl FnMut(&[u8], f64) -> bool,
) {
    sources.sort_by_key(Source::len);
    let [smallest, others @ ..] = sources else { return };
    smallest.visit(|member, score| {
        let mut together = number(smallest.weight * score);
        for source in &*others {
            let Some(score) = source.score(member) else { return true };
            together = aggregate.of(together, source.weight * score);
        }
        visit(member, together)
    });
}

pub(super) fn unite(sources: &mut [Source<'_>], aggregate: Aggregate, limits: &ZsetLimits) -> Zset {
    sources.sort_by_key(Source::len);
    let mut result = Zset::new_large(limits);
    for source in sources {
        source.visit(|member, score| {
            let weighted = number(source.weight * score);
            let together = result.score(member).map_or(weighted, |score| aggregate.of(score, weighted));
            result.insert(member, together, limits);
            true
        });
    }
    result
}

pub(super) fn subtract(sources: &mut [Source<'_>], limits: &ZsetLimits) -> Zset {
    let [first, others @ ..] = sources else { return Zset::new() };
    let mut result = Zset::new_large(limits);
    if others.iter().any(|source| source.is_same(first)) {
        return result;
    }
    let look_ups = first.len().saturating_mul(others.len() + 1);
    let removals = first.len() + others.iter().map(Source::len).sum::<usize>();
    if look_ups / 2 <= removals {
        // The larger a source, the sooner it answers.
        others.sort_unstable_by_key(|source| Reverse(source.len()));
        first.visit(|member, score| {
            if others.iter().all(|source| source.score(member).is_none()) {
                result.insert(member, score, limits);
            }
            true
        });
        return result;
    }
    first.visit(|member, score| {
        result.insert(member, score, limits);
        true
    });
    for source in others {
        source.visit(|member, _| {
            result.remove(member);
            !result.is_empty()
        });
    }
    result
}
