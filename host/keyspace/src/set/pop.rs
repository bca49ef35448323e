//! Taking members out by chance: one, or many with the cheaper of two strategies.

use super::{Form, Set, SetLimits};
use crate::distinct::{Selection, distinct_ranks};
use crate::listpack::{Element, Listpack};
use crate::{Intset, Members};
use tenon_base::Dice;

/// When more than this many times as many members are taken as are left, those that are left move to a new set.
const MOVE_FACTOR: usize = 5;

impl Set {
    /// Takes out a member, each with the same chance, after `visit` has seen it. Whether there was one.
    pub fn pop(&mut self, dice: &mut Dice, mut visit: impl FnMut(Element<'_>)) -> bool {
        if self.is_empty() {
            return false;
        }
        let rank = dice.below(self.len() as u64) as usize;
        match &mut self.form {
            Form::Integers(intset) => pop_integer(intset, rank, &mut visit),
            Form::Compact(listpack) => pop_from_listpack(listpack, rank, &mut visit),
            Form::Large(members) => pop_from_members(members, rank, &mut Vec::new(), &mut visit),
        }
        true
    }

    /// Takes out `count` members, or all where there are fewer, each after `visit` has seen it. Every choice
    /// is equally likely. Where few are left they become a new set, in the form that a new set has.
    pub fn pop_many(
        &mut self,
        count: usize,
        dice: &mut Dice,
        limits: &SetLimits,
        mut visit: impl FnMut(Element<'_>),
    ) {
        let Some(left) = self.len().checked_sub(count).filter(|&left| left > 0) else {
            self.iter().for_each(visit);
            *self = Set::new();
            return;
        };
        if left.saturating_mul(MOVE_FACTOR) <= count {
            return self.keep(left, dice, limits, visit);
        }
        if let Form::Large(members) = &mut self.form {
            let mut text = Vec::new();
            for _ in 0..count {
                let rank = dice.below(members.len() as u64) as usize;
                pop_from_members(members, rank, &mut text, &mut visit);
            }
            return;
        }
        let mut order = distinct_ranks(self.len(), count, dice);
        order.reverse(); // so that the ranks before stay what they are
        for rank in order {
            match &mut self.form {
                Form::Integers(intset) => pop_integer(intset, rank, &mut visit),
                Form::Compact(listpack) => pop_from_listpack(listpack, rank, &mut visit),
                Form::Large(_) => unreachable!("a set that loses members keeps its form"),
            }
        }
    }

    /// Takes out all but `left` members.
    fn keep(&mut self, left: usize, dice: &mut Dice, limits: &SetLimits, mut visit: impl FnMut(Element<'_>)) {
        let mut kept = match &self.form {
            Form::Integers(_) => Set::new(),
            Form::Compact(_) | Form::Large(_) => Set::new_compact(),
        };
        let mut selection = Selection::of(self.len(), left);
        for element in self.iter() {
            if selection.takes_next(dice) {
                kept.add_element(element, limits);
            } else {
                visit(element);
            }
        }
        *self = kept;
    }
}

fn pop_integer(intset: &mut Intset, rank: usize, visit: &mut impl FnMut(Element<'_>)) {
    let integer = intset.get(rank).expect("a rank below the length");
    visit(Element::Integer(integer));
    intset.remove(integer);
}

fn pop_from_listpack(listpack: &mut Listpack, rank: usize, visit: &mut impl FnMut(Element<'_>)) {
    let at = listpack.seek(rank).expect("a rank below the length");
    visit(listpack.element(at));
    listpack.delete(at);
}

/// `text` is only lent, to be used again.
fn pop_from_members(
    members: &mut Members,
    rank: usize,
    text: &mut Vec<u8>,
    visit: &mut impl FnMut(Element<'_>),
) {
    text.clear();
    text.extend_from_slice(members.nth(rank).0);
    visit(Element::Bytes(text));
    members.remove(text);
}
