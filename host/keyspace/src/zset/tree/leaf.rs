//! A leaf of the tree: a page of (score, member) pairs in order. Slots of fixed size grow from its start, the
//! members' bytes from its end, so an insertion shifts slots and never members.
//! Not a tree: splitting and merging are decided above.
//! Always: slots are in ascending order, and the heap from `heap` on holds every inline member once.

use std::sync::Arc;

use super::{Bound, Separator};
use crate::memory::size_class;

/// Bytes for slots and inline members.
pub(super) const PAGE_BYTES: usize = 4_048;
/// A longer member has an allocation of its own, so that a page always holds several.
pub(super) const INLINE_BYTES_MAX: usize = 900;

/// A slot: the score, then where in the page the member's record begins.
const SLOT_BYTES: usize = 10;
/// The first byte of a record: up to this it is the member's length...
const SHORT_BYTES_MAX: usize = 253;
/// ...this announces a length of two bytes...
const TWO_BYTE_LENGTH: u8 = 254;
/// ...and this the index, in two bytes, of a member that is kept outside.
const OUTSIDE: u8 = 255;

#[derive(Clone)]
pub(super) struct Leaf {
    /// Pairs in the page.
    count: u16,
    /// Where the members' records begin.
    heap: u16,
    /// Bytes of the heap that belong to removed members.
    dead: u16,
    outside: Outside,
    page: [u8; PAGE_BYTES],
}

impl Leaf {
    pub(super) fn new() -> Leaf {
        Leaf {
            count: 0,
            heap: PAGE_BYTES as u16,
            dead: 0,
            outside: Outside::default(),
            page: [0; PAGE_BYTES],
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Bytes of the page in use.
    pub(super) fn used(&self) -> usize {
        self.len() * SLOT_BYTES + PAGE_BYTES - usize::from(self.heap) - usize::from(self.dead)
    }

    /// Bytes of members kept outside the page.
    pub(super) fn outside_memory(&self) -> usize {
        self.outside.memory()
    }

    pub(super) fn score(&self, at: usize) -> f64 {
        let slot = at * SLOT_BYTES;
        f64::from_le_bytes(self.page[slot..slot + 8].try_into().expect("eight bytes"))
    }

    pub(super) fn member(&self, at: usize) -> &[u8] {
        let record = self.record(at);
        match self.page[record] {
            OUTSIDE => self.outside.member(self.two_bytes(record + 1)),
            TWO_BYTE_LENGTH => {
                let length = usize::from(self.two_bytes(record + 1));
                &self.page[record + 3..record + 3 + length]
            }
            length => &self.page[record + 1..record + 1 + usize::from(length)],
        }
    }

    /// The last pair.
    pub(super) fn last(&self) -> Option<(&[u8], f64)> {
        let last = self.len().checked_sub(1)?;
        Some((self.member(last), self.score(last)))
    }

    /// How many pairs lie before `bound`.
    pub(super) fn count_before(&self, bound: &Bound<'_>) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if bound.is_after(self.score(middle), || self.member(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Puts a pair in place `at`. False, and nothing changed, if the page has no room.
    pub(super) fn insert(&mut self, at: usize, score: f64, member: &[u8]) -> bool {
        self.insert_from(at, score, Source::Bytes(member))
    }

    fn insert_from(&mut self, at: usize, score: f64, member: Source<'_>) -> bool {
        let needed = SLOT_BYTES + record_bytes(member.bytes().len());
        if self.used() + needed > PAGE_BYTES {
            return false;
        }
        if self.len() * SLOT_BYTES + needed > usize::from(self.heap) {
            self.compact();
        }
        let record = self.write_record(member);
        let (slot, end) = (at * SLOT_BYTES, self.len() * SLOT_BYTES);
        self.page.copy_within(slot..end, slot + SLOT_BYTES);
        self.page[slot..slot + 8].copy_from_slice(&score.to_le_bytes());
        self.page[slot + 8..slot + 10].copy_from_slice(&record.to_le_bytes());
        self.count += 1;
        true
    }

    /// Takes the pairs from `start` to before `end` out.
    pub(super) fn remove(&mut self, start: usize, end: usize) {
        for at in start..end {
            let record = self.record(at);
            let inline = match self.page[record] {
                OUTSIDE => {
                    self.outside.release(self.two_bytes(record + 1));
                    0
                }
                TWO_BYTE_LENGTH => usize::from(self.two_bytes(record + 1)),
                length => usize::from(length),
            };
            self.dead += (header_bytes(self.page[record]) + inline) as u16;
        }
        let slots_end = self.len() * SLOT_BYTES;
        self.page.copy_within(end * SLOT_BYTES..slots_end, start * SLOT_BYTES);
        self.count -= (end - start) as u16;
        if self.count == 0 {
            (self.heap, self.dead) = (PAGE_BYTES as u16, 0);
        }
    }

    /// Gives the pair in place `from` another score, which belongs in place `to` once it is taken out.
    pub(super) fn rescore(&mut self, from: usize, to: usize, score: f64) {
        let (start, target) = (from * SLOT_BYTES, to * SLOT_BYTES);
        let mut slot = [0; SLOT_BYTES];
        slot.copy_from_slice(&self.page[start..start + SLOT_BYTES]);
        slot[..8].copy_from_slice(&score.to_le_bytes());
        if from < to {
            self.page.copy_within(start + SLOT_BYTES..target + SLOT_BYTES, start);
        } else {
            self.page.copy_within(target..start, target + SLOT_BYTES);
        }
        self.page[target..target + SLOT_BYTES].copy_from_slice(&slot);
    }

    /// Moves the upper half, by bytes, into a new leaf.
    pub(super) fn split_off_half(&mut self) -> Leaf {
        let half = self.used() / 2;
        let (mut at, mut bytes) = (0, 0);
        while at + 1 < self.len() && bytes < half {
            bytes += SLOT_BYTES + record_bytes(self.member(at).len());
            at += 1;
        }
        let mut upper = Leaf::new();
        upper.append(self, at);
        self.remove(at, self.len());
        upper
    }

    /// Copies the pairs of `other` from place `start` on to the end of this leaf, which has the room.
    pub(super) fn append(&mut self, other: &Leaf, start: usize) {
        for at in start..other.len() {
            let record = other.record(at);
            let member = match other.page[record] {
                OUTSIDE => Source::Outside(other.outside.shared(other.two_bytes(record + 1))),
                _ => Source::Bytes(other.member(at)),
            };
            let fits = self.insert_from(self.len(), other.score(at), member);
            assert!(fits, "two leaves are joined only if one page holds both");
        }
    }

    /// The shortest bound between this leaf and `next`, the leaf after it.
    pub(super) fn separator(&self, next: &Leaf) -> (f64, Separator) {
        let last = self.len() - 1;
        let (score, first) = (next.score(0), next.member(0));
        if self.score(last) < score {
            return (score, Separator::default());
        }
        let common = self.member(last).iter().zip(first).take_while(|(one, other)| one == other).count();
        (score, Separator::new(&first[..(common + 1).min(first.len())]))
    }

    fn record(&self, at: usize) -> usize {
        usize::from(self.two_bytes(at * SLOT_BYTES + 8))
    }

    fn two_bytes(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.page[at], self.page[at + 1]])
    }

    fn write_record(&mut self, source: Source<'_>) -> u16 {
        let member = source.bytes();
        let record = usize::from(self.heap) - record_bytes(member.len());
        let number = if member.len() <= SHORT_BYTES_MAX {
            self.page[record] = member.len() as u8;
            None
        } else if member.len() <= INLINE_BYTES_MAX {
            self.page[record] = TWO_BYTE_LENGTH;
            Some(member.len() as u16)
        } else {
            self.page[record] = OUTSIDE;
            Some(self.outside.keep(source))
        };
        if let Some(number) = number {
            self.page[record + 1..record + 3].copy_from_slice(&number.to_le_bytes());
        }
        let start = record + header_bytes(self.page[record]);
        if self.page[record] != OUTSIDE {
            self.page[start..start + member.len()].copy_from_slice(member);
        }
        self.heap = record as u16;
        record as u16
    }

    /// Closes the gaps that removed members left in the heap.
    fn compact(&mut self) {
        let old = self.page;
        let mut heap = PAGE_BYTES;
        for at in 0..self.len() {
            let record = self.record(at);
            let bytes = match old[record] {
                OUTSIDE => 3,
                TWO_BYTE_LENGTH => 3 + usize::from(u16::from_le_bytes([old[record + 1], old[record + 2]])),
                length => 1 + usize::from(length),
            };
            heap -= bytes;
            self.page[heap..heap + bytes].copy_from_slice(&old[record..record + bytes]);
            let slot = at * SLOT_BYTES + 8;
            self.page[slot..slot + 2].copy_from_slice(&(heap as u16).to_le_bytes());
        }
        (self.heap, self.dead) = (heap as u16, 0);
    }
}

/// Bytes of the page that a member of `length` takes beside its slot.
fn record_bytes(length: usize) -> usize {
    match length {
        _ if length <= SHORT_BYTES_MAX => 1 + length,
        _ if length <= INLINE_BYTES_MAX => 3 + length,
        _ => 3,
    }
}

fn header_bytes(first: u8) -> usize {
    if first >= TWO_BYTE_LENGTH { 3 } else { 1 }
}

/// A member about to enter a page: one that is kept outside already is shared, not copied.
#[derive(Clone, Copy)]
enum Source<'a> {
    Bytes(&'a [u8]),
    Outside(&'a Arc<[u8]>),
}

impl<'a> Source<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Source::Bytes(bytes) => bytes,
            Source::Outside(bytes) => bytes,
        }
    }
}

/// Members too long for a page. Their places are reused, not closed up, since records name them.
#[derive(Clone, Default)]
struct Outside {
    members: Vec<Option<Arc<[u8]>>>,
    member_bytes: usize,
}

impl Outside {
    fn memory(&self) -> usize {
        size_class(self.members.len() * size_of::<Option<Arc<[u8]>>>()) + self.member_bytes
    }

    fn member(&self, index: u16) -> &[u8] {
        self.shared(index)
    }

    fn shared(&self, index: u16) -> &Arc<[u8]> {
        self.members[usize::from(index)].as_ref().expect("a record names a member that is kept")
    }

    fn keep(&mut self, member: Source<'_>) -> u16 {
        let index = self.members.iter().position(Option::is_none).unwrap_or_else(|| {
            self.members.reserve_exact(1); // so that the length tells the memory
            self.members.push(None);
            self.members.len() - 1
        });
        self.member_bytes += shared_bytes(member.bytes().len());
        self.members[index] = Some(match member {
            Source::Bytes(bytes) => Arc::from(bytes),
            Source::Outside(shared) => Arc::clone(shared),
        });
        index as u16
    }

    fn release(&mut self, index: u16) {
        let member = self.members[usize::from(index)].take().expect("a member is released once");
        self.member_bytes -= shared_bytes(member.len());
        if self.member_bytes == 0 {
            self.members = Vec::new();
        }
    }
}

/// What `Arc<[u8]>` sets aside for `length` bytes: two counts come with them.
pub(super) fn shared_bytes(length: usize) -> usize {
    size_class((2 * size_of::<usize>() + length).next_multiple_of(align_of::<usize>()))
}
