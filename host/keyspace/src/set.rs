//! A set: an intset while its members are few and integers, a listpack while they are few and short, then a
//! table of members. Knows no commands and no key. Converts where Redis does, so that `OBJECT ENCODING` agrees.
//! Always: no member is there twice.

mod iter;
mod look_ups;
mod pop;
#[cfg(test)]
mod tests;

pub use iter::SetIter;
pub use look_ups::SetLookUps;

use crate::distinct::{Selection, all_distinct, distinct_ranks, is_dense};
use crate::listpack::{self, Element, INTEGER_TEXT_BYTES_MAX, Index, Listpack, canonical_integer};
use crate::memory::size_class;
use crate::{Intset, Malformed, Members};
use tenon_base::Dice;

/// When a set changes its form.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// `set-max-intset-entries`: members of an intset.
    pub intset_entries: usize,
    /// `set-max-listpack-entries`: members of a listpack.
    pub listpack_entries: usize,
    /// `set-max-listpack-value`: bytes of a member in a listpack.
    pub listpack_value_bytes: usize,
    /// Keys the hash of tables: secret, and the same for the life of the process.
    pub seed: u64,
}

/// No intset is longer, whatever the limits say.
const INTSET_ENTRIES_MAX: usize = 1 << 30;

/// A set. A clone of a large one is O(1).
#[derive(Clone)]
pub struct Set {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Integers(Intset),
    Compact(Listpack),
    Large(Box<Members>),
}

const _: () = assert!(size_of::<Set>() <= 16);

impl Set {
    /// An empty set, ready for integers.
    pub fn new() -> Set {
        Set { form: Form::Integers(Intset::new()) }
    }

    /// An empty set, ready for short members.
    pub fn new_compact() -> Set {
        Set { form: Form::Compact(Listpack::new()) }
    }

    /// An empty set for a command that adds `expected` members, `first` first.
    pub fn with_expected(first: &[u8], expected: usize, limits: &SetLimits) -> Set {
        if expected <= limits.intset_entries && canonical_integer(first).is_some() {
            Set::new()
        } else if expected <= limits.listpack_entries {
            Set::new_compact()
        } else {
            Set { form: Form::Large(Box::new(Members::new(limits.seed))) }
        }
    }

    /// An empty set that is about to get `expected` members from a file.
    pub fn from_file(expected: usize, limits: &SetLimits) -> Set {
        let mut set = Set::new();
        if expected > limits.intset_max() {
            set.make_large(limits.seed);
        }
        set
    }

    /// A set from an intset, which is checked; a table if it is beyond the limits.
    pub fn from_intset(bytes: &[u8], limits: &SetLimits) -> Result<Set, Malformed> {
        let mut set = Set { form: Form::Integers(Intset::from_bytes(bytes)?) };
        if set.len() > limits.intset_entries {
            set.make_large(limits.seed);
        }
        Ok(set)
    }

    /// A set from a listpack, which is checked; a table if it is beyond the limits.
    pub fn from_listpack(bytes: &[u8], limits: &SetLimits) -> Result<Set, Malformed> {
        let listpack = Listpack::from_bytes(bytes)?;
        let len = listpack.len();
        let duplicate = Malformed::new("set member that is there twice", 0);
        if len <= limits.listpack_entries {
            let distinct = all_distinct(listpack.iter());
            return distinct.then_some(Set { form: Form::Compact(listpack) }).ok_or(duplicate);
        }
        let mut set = Set { form: Form::Compact(listpack) };
        set.make_large(limits.seed);
        if set.len() == len { Ok(set) } else { Err(duplicate) }
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Integers(intset) => intset.len(),
            Form::Compact(listpack) => listpack.len(),
            Form::Large(members) => members.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        match &self.form {
            Form::Integers(intset) => intset.is_empty(),
            Form::Compact(listpack) => listpack.is_empty(),
            Form::Large(members) => members.is_empty(),
        }
    }

    /// Heap bytes owned, in size classes. O(1).
    pub fn memory(&self) -> usize {
        match &self.form {
            Form::Integers(intset) => intset.memory(),
            Form::Compact(listpack) => listpack.memory(),
            Form::Large(members) => size_class(size_of::<Members>()) + members.memory(),
        }
    }

    /// The table of a large set.
    pub fn table(&self) -> Option<&Members> {
        match &self.form {
            Form::Integers(_) | Form::Compact(_) => None,
            Form::Large(members) => Some(members),
        }
    }

    /// Where what the value has beside its place begins, without reading it: to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        match &self.form {
            Form::Integers(intset) => intset.address(),
            Form::Compact(listpack) => listpack.address(),
            Form::Large(members) => std::ptr::from_ref(&**members).cast(),
        }
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Integers(_) => "intset",
            Form::Compact(_) => "listpack",
            Form::Large(_) => "hashtable",
        }
    }

    /// The bytes of an intset, as files carry them.
    pub fn as_intset(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Integers(intset) => Some(intset.bytes()),
            _ => None,
        }
    }

    /// The bytes of a compact set, as files carry them.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Compact(listpack) => Some(listpack.bytes()),
            _ => None,
        }
    }

    /// Whether `member` is there.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Integers(intset) => {
                canonical_integer(member).is_some_and(|integer| intset.contains(integer))
            }
            Form::Compact(listpack) => listpack.find(member, 0).is_some(),
            Form::Large(members) => members.contains(member),
        }
    }

    /// Whether the element of another set is there.
    pub fn contains_element(&self, element: Element<'_>) -> bool {
        match (&self.form, element) {
            (Form::Integers(intset), Element::Integer(integer)) => intset.contains(integer),
            _ => self.contains(element.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX])),
        }
    }

    /// The same questions as [`Set::contains_element`], of which there will be about `count`: where that is cheaper, what
    /// answers them is prepared first. `seed` is the one of [`SetLimits`].
    pub fn look_ups(&self, count: usize, seed: u64) -> SetLookUps<'_> {
        let index = match &self.form {
            Form::Compact(listpack) => Index::of(listpack, count, seed),
            _ => None,
        };
        SetLookUps::new(self, index)
    }

    /// Converts ahead of a command that adds `more` members, as Redis does: to a table, if there alone are
    /// too many of them.
    pub fn make_ready_for(&mut self, more: usize, limits: &SetLimits) {
        let entries = match &self.form {
            Form::Integers(_) => limits.intset_entries,
            Form::Compact(_) => limits.listpack_entries,
            Form::Large(_) => return,
        };
        if more > entries {
            self.make_large(limits.seed);
        }
    }

    /// Adds a member; whether it is new.
    pub fn add(&mut self, member: &[u8], limits: &SetLimits) -> bool {
        match &mut self.form {
            Form::Large(members) => members.add(member),
            Form::Compact(listpack) => {
                if listpack.find(member, 0).is_some() {
                    return false;
                }
                if listpack.len() < limits.listpack_entries && is_compact(listpack, member, limits) {
                    listpack.push_back(member);
                } else {
                    self.make_large(limits.seed).insert(member, b"");
                }
                true
            }
            Form::Integers(_) => match canonical_integer(member) {
                Some(integer) => self.add_integer(integer, limits),
                None => {
                    self.add_text_to_integers(member, limits);
                    true
                }
            },
        }
    }

    /// Adds an element of another set; whether it is new.
    pub fn add_element(&mut self, element: Element<'_>, limits: &SetLimits) -> bool {
        match (&self.form, element) {
            (Form::Integers(_), Element::Integer(integer)) => self.add_integer(integer, limits),
            _ => self.add(element.as_bytes(&mut [0; INTEGER_TEXT_BYTES_MAX]), limits),
        }
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Integers(intset) => canonical_integer(member).is_some_and(|integer| intset.remove(integer)),
            Form::Compact(listpack) => match listpack.find(member, 0) {
                Some(at) => {
                    listpack.delete(at);
                    true
                }
                None => false,
            },
            Form::Large(members) => members.remove(member),
        }
    }

    /// Becomes an intset if all members are integers and few enough, as the result of an intersection does.
    pub fn make_integers(&mut self, limits: &SetLimits) {
        if matches!(self.form, Form::Integers(_)) || self.len() > limits.intset_max() {
            return;
        }
        let mut intset = Intset::new();
        for element in self.iter() {
            let Some(integer) = element.integer() else { return };
            intset.insert(integer);
        }
        self.form = Form::Integers(intset);
    }

    /// Every member: integers ascending, compact sets in order of insertion, large ones in no order.
    pub fn iter(&self) -> SetIter<'_> {
        match &self.form {
            Form::Integers(intset) => SetIter::over_integers(intset),
            Form::Compact(listpack) => SetIter::over_listpack(listpack),
            Form::Large(members) => SetIter::over_members(members.iter()),
        }
    }

    /// Visits members from `cursor` on, about `at_least` of them, and says where to go on (0: the end). A
    /// set that is no table is visited whole. See [`Members::scan`].
    pub fn scan(&self, cursor: u64, at_least: usize, mut visit: impl FnMut(Element<'_>)) -> u64 {
        if let Form::Large(members) = &self.form {
            return members.scan(cursor, at_least, |member, _| visit(Element::Bytes(member)));
        }
        self.iter().for_each(visit);
        0
    }

    /// A member, each with the same chance. None of none.
    pub fn random(&self, dice: &mut Dice) -> Option<Element<'_>> {
        (!self.is_empty()).then(|| self.nth(dice.below(self.len() as u64) as usize))
    }

    /// Visits `count` different members, or all where there are fewer; every choice is equally likely.
    pub fn sample(&self, count: usize, dice: &mut Dice, mut visit: impl FnMut(Element<'_>)) {
        let len = self.len();
        if matches!(self.form, Form::Compact(_)) || is_dense(len, count) {
            let mut selection = Selection::of(len, count);
            self.iter().filter(|_| selection.takes_next(dice)).for_each(visit);
        } else {
            distinct_ranks(len, count, dice).into_iter().for_each(|rank| visit(self.nth(rank)));
        }
    }

    fn nth(&self, rank: usize) -> Element<'_> {
        match &self.form {
            Form::Integers(intset) => Element::Integer(intset.get(rank).expect("a rank below the length")),
            Form::Compact(listpack) => {
                listpack.element(listpack.seek(rank).expect("a rank below the length"))
            }
            Form::Large(members) => Element::Bytes(members.nth(rank).0),
        }
    }

    fn add_integer(&mut self, integer: i64, limits: &SetLimits) -> bool {
        let Form::Integers(intset) = &mut self.form else { unreachable!("asked of intsets alone") };
        let is_new = intset.insert(integer);
        if is_new && intset.len() > limits.intset_max() {
            self.make_large(limits.seed);
        }
        is_new
    }

    /// Adds what is no integer to an intset, which so becomes something else.
    fn add_text_to_integers(&mut self, member: &[u8], limits: &SetLimits) {
        let Form::Integers(intset) = &self.form else { unreachable!("asked of intsets alone") };
        let ends = [intset.iter().next(), intset.iter().next_back()];
        let ends = || ends.iter().flatten().map(|&end| Element::Integer(end));
        let longest_bytes = ends().map(|end| end.text_bytes()).max().unwrap_or(0);
        let entry_bytes = ends().map(listpack::entry_bytes_of).max().unwrap_or(0);
        let mut compact = Listpack::new();
        if intset.len() < limits.listpack_entries
            && longest_bytes <= limits.listpack_value_bytes
            && listpack::fits(compact.total_bytes(), entry_bytes.saturating_mul(intset.len()))
            && is_compact(&compact, member, limits)
        {
            intset.iter().for_each(|integer| compact.push_back(integer));
            compact.push_back(member);
            self.form = Form::Compact(compact);
        } else {
            self.make_large(limits.seed).insert(member, b"");
        }
    }

    fn make_large(&mut self, seed: u64) -> &mut Members {
        if !matches!(self.form, Form::Large(_)) {
            let mut members = Box::new(Members::new(seed));
            let mut text = [0; INTEGER_TEXT_BYTES_MAX];
            for element in self.iter() {
                members.insert(element.as_bytes(&mut text), b"");
            }
            self.form = Form::Large(members);
        }
        match &mut self.form {
            Form::Large(members) => members,
            _ => unreachable!("just made large"),
        }
    }
}

impl Default for Set {
    fn default() -> Set {
        Set::new()
    }
}

impl SetLimits {
    fn intset_max(&self) -> usize {
        self.intset_entries.min(INTSET_ENTRIES_MAX)
    }
}

/// Whether a listpack may take this member, apart from their number.
fn is_compact(listpack: &Listpack, member: &[u8], limits: &SetLimits) -> bool {
    member.len() <= limits.listpack_value_bytes
        && listpack::fits(listpack.total_bytes(), listpack::entry_bytes_of(member))
}
