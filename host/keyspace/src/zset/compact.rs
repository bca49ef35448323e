//! A sorted set in a listpack: member, score, member, score, in order, as RDB files carry it. Every search
//! walks, so this is for few and short members; how many is for the caller to say.
//! Always: an even number of elements, every second one a score, pairs in ascending order.

use std::cmp::Ordering;
use std::ops::Range;

use super::range::ScoreRange;
use super::score::{ScoreText, integral, parse_score};
use crate::listpack::{At, INTEGER_TEXT_BYTES_MAX, Iter};
use crate::{Element, Listpack, Malformed};

/// Where the pair of `member` begins, and its score.
pub(super) fn find(listpack: &Listpack, member: &[u8]) -> Option<(At, f64)> {
    let at = listpack.find(member, 1)?;
    let score = listpack.next(at).expect("a score behind every member");
    Some((at, own_score(listpack.element(score))))
}

/// Adds a pair whose member is new.
pub(super) fn insert(listpack: &mut Listpack, member: &[u8], score: f64) {
    match first_after(listpack, member, score) {
        Some(at) => {
            write_score(score, |score| listpack.insert_before(at, score));
            listpack.insert_before(at, member);
        }
        None => push(listpack, member, score),
    }
}

/// Adds a pair that comes after all others.
pub(super) fn push(listpack: &mut Listpack, member: &[u8], score: f64) {
    listpack.push_back(member);
    write_score(score, |score| listpack.push_back(score));
}

/// The pairs in order, from either side.
pub(super) fn pairs(listpack: &Listpack) -> CompactPairs<'_> {
    CompactPairs { elements: listpack.iter() }
}

/// How many pairs at the start have members that satisfy `holds`.
pub(super) fn count_while(listpack: &Listpack, mut holds: impl FnMut(Element<'_>) -> bool) -> usize {
    pairs(listpack).take_while(|&(member, _)| holds(member)).count()
}

/// The ranks whose scores lie in a range that is not empty.
pub(super) fn ranks_of_scores(listpack: &Listpack, range: &ScoreRange) -> Range<usize> {
    let ends = [pairs(listpack).next(), pairs(listpack).next_back()];
    let [Some((_, lowest)), Some((_, highest))] = ends else { return 0..0 };
    if range.ends_before(lowest) || !range.starts_by(highest) {
        return 0..0;
    }
    let (mut start, mut end) = (0, 0);
    for score in pairs(listpack).scores().take_while(|&score| !range.ends_before(score)) {
        start += usize::from(!range.starts_by(score));
        end += 1;
    }
    start..end
}

/// Checks a listpack from outside: pairs, scores that are numbers, in order, no member twice.
pub(super) fn check(listpack: &Listpack) -> Result<(), Malformed> {
    let mut elements = listpack.iter();
    let mut members = Vec::new();
    let mut previous: Option<(Element<'_>, f64)> = None;
    while let Some(member) = elements.next() {
        let score = elements.next().ok_or(Malformed::new("sorted set member without a score", 0))?;
        let score = score_of(score).ok_or(Malformed::new("sorted set score that is no number", 0))?;
        if previous.is_some_and(|(before, own)| compare(before, own, member, score) != Ordering::Less) {
            return Err(Malformed::new("sorted set out of order", 0));
        }
        previous = Some((member, score));
        members.push(member);
    }
    members.sort_unstable_by(|&one, &other| compare_members(one, other));
    match members.windows(2).any(|pair| compare_members(pair[0], pair[1]) == Ordering::Equal) {
        true => Err(Malformed::new("sorted set member that occurs twice", 0)),
        false => Ok(()),
    }
}

/// The pairs of a listpack.
#[derive(Clone)]
pub(super) struct CompactPairs<'a> {
    elements: Iter<'a>,
}

impl CompactPairs<'_> {
    /// The scores alone.
    fn scores(mut self) -> impl Iterator<Item = f64> {
        std::iter::from_fn(move || {
            self.elements.advance(1);
            self.elements.next().map(own_score)
        })
    }
}

impl<'a> Iterator for CompactPairs<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<(Element<'a>, f64)> {
        let member = self.elements.next()?;
        let score = self.elements.next().expect("a score behind every member");
        Some((member, own_score(score)))
    }

    /// Passes over pairs without reading their scores.
    fn nth(&mut self, count: usize) -> Option<(Element<'a>, f64)> {
        self.elements.advance(2 * count);
        self.next()
    }
}

impl<'a> DoubleEndedIterator for CompactPairs<'a> {
    fn next_back(&mut self) -> Option<(Element<'a>, f64)> {
        let score = self.elements.next_back()?;
        let member = self.elements.next_back().expect("a member before every score");
        Some((member, own_score(score)))
    }

    fn nth_back(&mut self, count: usize) -> Option<(Element<'a>, f64)> {
        (0..2 * count).try_for_each(|_| self.elements.next_back().map(drop))?;
        self.next_back()
    }
}

/// The first pair after (`score`, `member`).
fn first_after(listpack: &Listpack, member: &[u8], score: f64) -> Option<At> {
    let mut place = listpack.first();
    while let Some(at) = place {
        let score_at = listpack.next(at).expect("a score behind every member");
        let own = own_score(listpack.element(score_at));
        if compare(listpack.element(at), own, Element::Bytes(member), score) == Ordering::Greater {
            return Some(at);
        }
        place = listpack.next(score_at);
    }
    None
}

/// Integral scores are kept as integers, all others as text.
fn write_score<R>(score: f64, write: impl FnOnce(Element<'_>) -> R) -> R {
    match integral(score) {
        Some(integer) => write(Element::Integer(integer)),
        None => write(Element::Bytes(ScoreText::of(score).as_bytes())),
    }
}

fn own_score(element: Element<'_>) -> f64 {
    score_of(element).expect("every second element is a score")
}

fn score_of(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Integer(integer) => Some(integer as f64),
        Element::Bytes(text) => parse_score(text),
    }
}

fn compare(one: Element<'_>, one_score: f64, other: Element<'_>, other_score: f64) -> Ordering {
    match one_score.partial_cmp(&other_score) {
        Some(Ordering::Equal) | None => compare_members(one, other),
        Some(decided) => decided,
    }
}

fn compare_members(one: Element<'_>, other: Element<'_>) -> Ordering {
    let (mut one_text, mut other_text) = ([0; INTEGER_TEXT_BYTES_MAX], [0; INTEGER_TEXT_BYTES_MAX]);
    one.as_bytes(&mut one_text).cmp(other.as_bytes(&mut other_text))
}
