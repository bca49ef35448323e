//! A set of integers as one sorted array in one block, exactly as RDB files carry it: the width of all
//! members (2, 4 or 8 bytes), their number, and the members, all little-endian.
//! Knows no threshold: when a set outgrows its array is for the set to say.
//! Always: the members ascend without repetition, and the width never shrinks.

use std::fmt;

use tenon_base::Dice;

use crate::Malformed;
use crate::thin::{Frame, Thin};

/// The members that no intset may exceed.
pub const INTSET_LEN_MAX: usize = 1 << 30;

const HEAD_BYTES: usize = 8;

/// A set of integers; eight bytes in place, everything else in one heap block.
#[derive(Clone)]
pub struct Intset {
    block: Thin<IntsetFrame>,
}

struct IntsetFrame;

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

// SAFETY: the length follows from the width and the number in the first eight bytes and is at least eight.
// A length is written by writing the number, which the assertion shows to give that length back.
unsafe impl Frame for IntsetFrame {
    const EMPTY: &'static [u8] = &[2, 0, 0, 0, 0, 0, 0, 0];
    const HEADER_BYTES: usize = HEAD_BYTES;

    fn length(header: &[u8]) -> usize {
        HEAD_BYTES + read_u32(header) as usize * read_u32(&header[4..]) as usize
    }

    fn write_length(header: &mut [u8], length: usize) {
        let width = read_u32(header) as usize;
        let number = (length - HEAD_BYTES) / width;
        assert!(number * width == length - HEAD_BYTES, "a member is kept whole");
        let number = u32::try_from(number).expect("an intset has fewer than 2^32 members");
        header[4..].copy_from_slice(&number.to_le_bytes());
    }
}

impl Intset {
    /// An empty set.
    pub fn new() -> Intset {
        Intset { block: Thin::new() }
    }

    /// A copy of `bytes`, once all of them have been checked. A set without members is malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Intset, Malformed> {
        check(bytes)?;
        let intset = Intset { block: Thin::copy_of(bytes) };
        for index in 1..intset.len() {
            if intset.member(index - 1) >= intset.member(index) {
                return Err(Malformed::new(
                    "intset member out of order",
                    HEAD_BYTES + index * intset.width(),
                ));
            }
        }
        Ok(intset)
    }

    /// The set as it is written to files.
    pub fn bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    /// Where the bytes begin, to be fetched into the cache.
    pub(crate) fn address(&self) -> *const u8 {
        self.block.address()
    }

    /// The heap bytes owned, in size classes.
    pub fn memory(&self) -> usize {
        self.block.memory()
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        read_u32(&self.bytes()[4..]) as usize
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `integer` is a member.
    pub fn contains(&self, integer: i64) -> bool {
        width_of(integer) <= self.width() && self.search(integer).is_ok()
    }

    /// The member at position `index` of the ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.member(index))
    }

    /// A member by chance.
    pub fn random(&self, dice: &mut Dice) -> Option<i64> {
        (!self.is_empty()).then(|| self.member(dice.below(self.len() as u64) as usize))
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        let width = self.width();
        self.bytes()[HEAD_BYTES..].chunks_exact(width).map(read_member)
    }

    /// Adds `integer`; says whether it is new. The set must be below [`INTSET_LEN_MAX`].
    pub fn insert(&mut self, integer: i64) -> bool {
        if width_of(integer) > self.width() {
            self.widen_and_insert(integer);
            return true;
        }
        let Err(index) = self.search(integer) else { return false };
        assert!(self.len() < INTSET_LEN_MAX, "a set beyond the bound of intsets");
        let width = self.width();
        self.block.resize(self.block.length() + width);
        let body = self.block.body_mut();
        body.copy_within(index * width..body.len() - width, (index + 1) * width);
        write_member(&mut body[index * width..][..width], integer);
        true
    }

    /// Removes `integer`; says whether it was a member.
    pub fn remove(&mut self, integer: i64) -> bool {
        if width_of(integer) > self.width() {
            return false;
        }
        let Ok(index) = self.search(integer) else { return false };
        let width = self.width();
        self.block.body_mut().copy_within((index + 1) * width.., index * width);
        self.block.resize(self.block.length() - width);
        true
    }

    fn width(&self) -> usize {
        read_u32(self.bytes()) as usize
    }

    fn member(&self, index: usize) -> i64 {
        let width = self.width();
        read_member(&self.bytes()[HEAD_BYTES + index * width..][..width])
    }

    /// Where `integer` is, or else where it would go.
    fn search(&self, integer: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        if high > 0 && self.member(high - 1) < integer {
            return Err(high); // ascending inserts are common
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.member(middle).cmp(&integer) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Rewrites all members in the width of `integer`, which lies outside of what the present width can say:
    /// so it goes to one of the ends.
    fn widen_and_insert(&mut self, integer: i64) {
        assert!(self.len() < INTSET_LEN_MAX, "a set beyond the bound of intsets");
        let width = width_of(integer);
        let number = self.len() + 1;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + number * width);
        bytes.extend_from_slice(&(width as u32).to_le_bytes());
        bytes.extend_from_slice(&(number as u32).to_le_bytes());
        let before = (integer < 0).then_some(integer);
        let after = (integer >= 0).then_some(integer);
        for member in before.into_iter().chain(self.iter()).chain(after) {
            bytes.extend_from_slice(&member.to_le_bytes()[..width]);
        }
        self.block = Thin::copy_of(&bytes);
    }
}

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Whether the head fits the bytes behind it.
fn check(bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() < HEAD_BYTES {
        return Err(Malformed::new("intset shorter than its head", bytes.len()));
    }
    let width = read_u32(bytes);
    if !matches!(width, 2 | 4 | 8) {
        return Err(Malformed::new("intset width that does not exist", 0));
    }
    let number = read_u32(&bytes[4..]) as usize;
    if number == 0 || number > INTSET_LEN_MAX || IntsetFrame::length(bytes) != bytes.len() {
        return Err(Malformed::new("intset of another number than it states", 4));
    }
    Ok(())
}

fn width_of(integer: i64) -> usize {
    if i16::try_from(integer).is_ok() {
        2
    } else if i32::try_from(integer).is_ok() {
        4
    } else {
        8
    }
}

fn read_member(bytes: &[u8]) -> i64 {
    match *bytes {
        [b0, b1] => i64::from(i16::from_le_bytes([b0, b1])),
        [b0, b1, b2, b3] => i64::from(i32::from_le_bytes([b0, b1, b2, b3])),
        [b0, b1, b2, b3, b4, b5, b6, b7] => i64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        _ => unreachable!("a width is 2, 4 or 8"),
    }
}

fn write_member(target: &mut [u8], integer: i64) {
    target.copy_from_slice(&integer.to_le_bytes()[..target.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut set = Intset::new();
        assert!(set.insert(5) && set.insert(-2) && !set.insert(5));
        assert_eq!(set.bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 0xFE, 0xFF, 5, 0]);
        set.insert(65_536);
        assert_eq!(set.bytes(), [4, 0, 0, 0, 3, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 5, 0, 0, 0, 0, 0, 1, 0]);
        set.insert(i64::MIN);
        assert_eq!(set.bytes()[..16], [8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!(set.get(0), Some(i64::MIN));
        assert_eq!(set.get(4), None);
    }

    #[test]
    fn it_behaves_as_a_sorted_set() {
        let mut dice = Dice::seeded(11);
        for bits in [4, 12, 30, 60] {
            let mut set = Intset::new();
            let mut model = BTreeSet::new();
            for _ in 0..4_000 {
                let integer = (dice.roll() as i64) >> (64 - bits);
                if dice.below(3) == 0 {
                    assert_eq!(set.remove(integer), model.remove(&integer));
                } else {
                    assert_eq!(set.insert(integer), model.insert(integer));
                }
                assert_eq!(set.contains(integer), model.contains(&integer));
                assert_eq!(set.len(), model.len());
            }
            assert!(set.iter().eq(model.iter().copied()));
            assert!(set.random(&mut dice).is_some_and(|member| model.contains(&member)));
            let again = Intset::from_bytes(set.bytes()).expect("own bytes are sound");
            assert!(again.iter().eq(set.iter()));
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_sound() {
        let mut dice = Dice::seeded(12);
        let mut seed = Intset::new();
        (0..40).for_each(|step| assert!(seed.insert(step * 977)));
        for _ in 0..50_000 {
            let mut bytes = seed.bytes().to_vec();
            for _ in 0..=dice.below(3) {
                let at = dice.below(bytes.len() as u64) as usize;
                bytes[at] = dice.roll() as u8;
            }
            bytes.truncate(bytes.len() - dice.below(2) as usize * dice.below(12) as usize);
            if let Ok(mut set) = Intset::from_bytes(&bytes) {
                assert!(set.iter().is_sorted());
                set.insert(dice.roll() as i64);
                set.remove(977);
            }
        }
        assert!(Intset::from_bytes(&[8, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(Intset::from_bytes(&[2, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
