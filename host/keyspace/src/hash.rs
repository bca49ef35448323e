//! A hash: fields with values, as one listpack of pairs while it is small, then as a table of members.
//! Knows no commands and no key. Converts where Redis does, so that `OBJECT ENCODING` agrees, and never back.
//! Always: no field is there twice, and the listpack holds a value after every field.

mod iter;
#[cfg(test)]
mod tests;

pub use iter::HashIter;

use crate::distinct::{Selection, all_distinct, distinct_ranks, is_dense};
use crate::listpack::{self, Element, INTEGER_TEXT_BYTES_MAX, Listpack};
use crate::memory::size_class;
use crate::{Insertion, Malformed, Members};
use tenon_base::Dice;

/// When a hash becomes a table.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// `hash-max-listpack-entries`: fields of a compact hash.
    pub entries: usize,
    /// `hash-max-listpack-value`: bytes of a field or value in a compact hash.
    pub value_bytes: usize,
    /// Keys the hash of tables: secret, and the same for the life of the process.
    pub seed: u64,
}

/// A hash. A clone of a large one is O(1).
#[derive(Clone)]
pub struct Hash {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Compact(Listpack),
    Large(Box<Members>),
}

const _: () = assert!(size_of::<Hash>() <= 16);

impl Hash {
    /// An empty hash.
    pub fn new() -> Hash {
        Hash { form: Form::Compact(Listpack::new()) }
    }

    /// An empty hash that is about to get `expected` fields from a file.
    pub fn with_expected(expected: usize, limits: &HashLimits) -> Hash {
        let mut hash = Hash::new();
        if expected > limits.entries {
            hash.make_large(limits.seed);
        }
        hash
    }

    /// A hash from a listpack of fields and values, all of which is checked; a table if it is beyond the limits.
    pub fn from_listpack(bytes: &[u8], limits: &HashLimits) -> Result<Hash, Malformed> {
        let listpack = Listpack::from_bytes(bytes)?;
        let elements = listpack.len();
        if !elements.is_multiple_of(2) {
            return Err(Malformed::new("hash field without a value", bytes.len() - 1));
        }
        let duplicate = Malformed::new("hash field that is there twice", 0);
        if elements / 2 <= limits.entries {
            let distinct = all_distinct(listpack.pairs().map(|(field, _)| field));
            return distinct.then_some(Hash { form: Form::Compact(listpack) }).ok_or(duplicate);
        }
        let mut hash = Hash { form: Form::Compact(listpack) };
        hash.make_large(limits.seed);
        if hash.len() == elements / 2 { Ok(hash) } else { Err(duplicate) }
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Compact(listpack) => listpack.len() / 2,
            Form::Large(members) => members.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        match &self.form {
            Form::Compact(listpack) => listpack.is_empty(),
            Form::Large(members) => members.is_empty(),
        }
    }

    /// Heap bytes owned, in size classes. O(1).
    pub fn memory(&self) -> usize {
        match &self.form {
            Form::Compact(listpack) => listpack.memory(),
            Form::Large(members) => size_class(size_of::<Members>()) + members.memory(),
        }
    }

    /// The table of a large hash.
    pub fn table(&self) -> Option<&Members> {
        match &self.form {
            Form::Compact(_) => None,
            Form::Large(members) => Some(members),
        }
    }

    /// Where what the value has beside its place begins, without reading it: to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        match &self.form {
            Form::Compact(listpack) => listpack.address(),
            Form::Large(members) => std::ptr::from_ref(&**members).cast(),
        }
    }

    /// What `OBJECT ENCODING` says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Compact(_) => "listpack",
            Form::Large(_) => "hashtable",
        }
    }

    /// The bytes of a compact hash, as files carry them.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Compact(listpack) => Some(listpack.bytes()),
            Form::Large(_) => None,
        }
    }

    /// The value of a field.
    pub fn value(&self, field: &[u8]) -> Option<Element<'_>> {
        match &self.form {
            Form::Compact(listpack) => {
                let at = listpack.find(field, 1)?;
                Some(listpack.element(listpack.next(at).expect("a value after every field")))
            }
            Form::Large(members) => members.get(field).map(Element::Bytes),
        }
    }

    /// Whether there is such a field.
    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.form {
            Form::Compact(listpack) => listpack.find(field, 1).is_some(),
            Form::Large(members) => members.contains(field),
        }
    }

    /// Converts ahead of a command that sets several fields, as Redis does: `texts` are all its fields and
    /// values. The result may be a table even where some fields are the same.
    pub fn make_ready_for<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>, limits: &HashLimits) {
        let Form::Compact(listpack) = &self.form else { return };
        let (mut count, mut bytes, mut too_long) = (0usize, 0usize, false);
        for text in texts {
            count += 1;
            bytes = bytes.saturating_add(text.len());
            too_long |= text.len() > limits.value_bytes;
        }
        if too_long || count / 2 > limits.entries || !listpack::fits(listpack.total_bytes(), bytes) {
            self.make_large(limits.seed);
        }
    }

    /// Sets the value of a field.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &HashLimits) -> Insertion {
        let insertion = match &mut self.form {
            Form::Large(members) => return members.insert(field, value),
            Form::Compact(listpack) if !is_compact(listpack, field, value, limits) => {
                return self.make_large(limits.seed).insert(field, value);
            }
            Form::Compact(listpack) => set_in_listpack(listpack, field, value),
        };
        if insertion == Insertion::Inserted && self.len() > limits.entries {
            self.make_large(limits.seed);
        }
        insertion
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Compact(listpack) => {
                let Some(at) = listpack.find(field, 1) else { return false };
                listpack.delete_from(at, 2);
                true
            }
            Form::Large(members) => members.remove(field),
        }
    }

    /// Every field with its value: compact hashes in order of insertion, large ones in no order.
    pub fn iter(&self) -> HashIter<'_> {
        match &self.form {
            Form::Compact(listpack) => HashIter::over_pairs(listpack.pairs(), listpack.len() / 2),
            Form::Large(members) => HashIter::over_members(members.iter()),
        }
    }

    /// Visits fields from `cursor` on, about `at_least` of them, and says where to go on (0: the end). A
    /// compact hash is visited whole. See [`Members::scan`].
    pub fn scan(&self, cursor: u64, at_least: usize, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        match &self.form {
            Form::Compact(listpack) => {
                listpack.pairs().for_each(|(field, value)| visit(field, value));
                0
            }
            Form::Large(members) => members.scan(cursor, at_least, |field, value| {
                visit(Element::Bytes(field), Element::Bytes(value));
            }),
        }
    }

    /// A field with its value, each with the same chance. None of none.
    pub fn random(&self, dice: &mut Dice) -> Option<(Element<'_>, Element<'_>)> {
        (!self.is_empty()).then(|| self.nth(dice.below(self.len() as u64) as usize))
    }

    /// Visits `count` different fields, or all where there are fewer; every choice is equally likely.
    pub fn sample(&self, count: usize, dice: &mut Dice, mut visit: impl FnMut(Element<'_>, Element<'_>)) {
        let len = self.len();
        match &self.form {
            Form::Large(members) if !is_dense(len, count) => {
                for rank in distinct_ranks(len, count, dice) {
                    let (field, value) = members.nth(rank);
                    visit(Element::Bytes(field), Element::Bytes(value));
                }
            }
            _ => {
                let mut selection = Selection::of(len, count);
                self.iter()
                    .filter(|_| selection.takes_next(dice))
                    .for_each(|(field, value)| visit(field, value));
            }
        }
    }

    fn nth(&self, rank: usize) -> (Element<'_>, Element<'_>) {
        match &self.form {
            Form::Compact(listpack) => {
                let field = listpack.seek(rank * 2).expect("a rank below the length");
                let value = listpack.next(field).expect("a value after every field");
                (listpack.element(field), listpack.element(value))
            }
            Form::Large(members) => {
                let (field, value) = members.nth(rank);
                (Element::Bytes(field), Element::Bytes(value))
            }
        }
    }

    fn make_large(&mut self, seed: u64) -> &mut Members {
        if let Form::Compact(listpack) = &self.form {
            let mut members = Box::new(Members::new(seed));
            let (mut field_text, mut value_text) = ([0; INTEGER_TEXT_BYTES_MAX], [0; INTEGER_TEXT_BYTES_MAX]);
            for (field, value) in listpack.pairs() {
                members.insert(field.as_bytes(&mut field_text), value.as_bytes(&mut value_text));
            }
            self.form = Form::Large(members);
        }
        match &mut self.form {
            Form::Large(members) => members,
            Form::Compact(_) => unreachable!("just made large"),
        }
    }
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::new()
    }
}

/// Whether a listpack may take this field and value, apart from their number.
fn is_compact(listpack: &Listpack, field: &[u8], value: &[u8], limits: &HashLimits) -> bool {
    field.len() <= limits.value_bytes
        && value.len() <= limits.value_bytes
        && listpack::fits(
            listpack.total_bytes(),
            listpack::entry_bytes_of(field).saturating_add(listpack::entry_bytes_of(value)),
        )
}

fn set_in_listpack(listpack: &mut Listpack, field: &[u8], value: &[u8]) -> Insertion {
    match listpack.find(field, 1) {
        Some(at) => {
            let at = listpack.next(at).expect("a value after every field");
            listpack.replace(at, value);
            Insertion::Updated
        }
        None => {
            listpack.push_back(field);
            listpack.push_back(value);
            Insertion::Inserted
        }
    }
}
