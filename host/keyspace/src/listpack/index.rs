//! An index over a listpack, for many look-ups in it while it does not change. It lies on the stack and is forgotten.
//! Always: it finds what a walk over the listpack finds.

use std::hash::Hasher;

use foldhash::SharedSeed;

use super::element::{Element, INTEGER_TEXT_BYTES_MAX, Needle};
use super::{At, Listpack};

/// Half of them are used at most.
const SLOTS: usize = 512;
/// A listpack with fewer elements is walked as soon as it is indexed.
const LEN_MIN: usize = 16;
/// Fewer look-ups do not pay for the walk that makes the index.
const LOOK_UPS_MIN: usize = 16;

/// See the module.
pub(crate) struct Index<'a> {
    listpack: &'a Listpack,
    seed: u64,
    /// Sixteen bits of an element's hash above its offset, which is never zero; found by open addressing.
    slots: [u32; SLOTS],
}

impl<'a> Index<'a> {
    /// An index, if it pays for so many look-ups. `seed` keys its hash.
    pub(crate) fn of(listpack: &'a Listpack, look_ups: usize, seed: u64) -> Option<Index<'a>> {
        let fits = listpack.len() <= SLOTS / 2 && u16::try_from(listpack.total_bytes()).is_ok();
        if !fits || listpack.len() < LEN_MIN || look_ups < LOOK_UPS_MIN {
            return None;
        }
        let mut index = Index { listpack, seed, slots: [0; SLOTS] };
        let mut next = listpack.first();
        while let Some(at) = next {
            let (mut slot, tag) = index.place_of(listpack.element(at));
            while index.slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            index.slots[slot] = tag << 16 | at.0;
            next = listpack.next(at);
        }
        Some(index)
    }

    /// Whether the listpack has this element.
    pub(crate) fn contains(&self, element: Element<'_>) -> bool {
        let (mut slot, tag) = self.place_of(element);
        loop {
            match self.slots[slot] {
                0 => return false,
                found if found >> 16 == tag => {
                    let at = At(found & 0xFFFF);
                    let mut text = [0; INTEGER_TEXT_BYTES_MAX];
                    if Needle::of(element, &mut text).matches(self.listpack.element(at)) {
                        return true;
                    }
                }
                _ => {}
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The slot where a search for an element begins, and its tag: the same for a text and the integer that it spells.
    fn place_of(&self, element: Element<'_>) -> (usize, u32) {
        let mut hasher = foldhash::fast::FoldHasher::with_seed(self.seed, SharedSeed::global_fixed());
        match (element.integer(), element) {
            (None, Element::Bytes(bytes)) => hasher.write(bytes),
            (integer, _) => hasher.write_i64(integer.unwrap_or_default()),
        }
        let hash = hasher.finish();
        (hash as usize % SLOTS, (hash >> 48) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::Dice;

    #[test]
    fn it_finds_what_a_walk_finds() {
        let mut dice = Dice::seeded(7);
        for round in 0..200 {
            let mut listpack = Listpack::new();
            for _ in 0..LEN_MIN + dice.below(200) as usize {
                let number = dice.below(400);
                if number.is_multiple_of(3) {
                    listpack.push_back((number as i64 - 200) << (number % 50));
                } else {
                    listpack.push_back(format!("member {number}").as_bytes());
                }
            }
            let index = Index::of(&listpack, LOOK_UPS_MIN, round).expect("it pays");
            for number in 0..400i64 {
                let texts = [format!("member {number}"), ((number - 200) << (number % 50)).to_string()];
                for text in texts {
                    let walked = listpack.find(text.as_bytes(), 0).is_some();
                    assert_eq!(index.contains(Element::Bytes(text.as_bytes())), walked, "{text}");
                    if let Ok(integer) = text.parse() {
                        assert_eq!(index.contains(Element::Integer(integer)), walked, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn it_is_made_where_it_pays() {
        let mut listpack = Listpack::new();
        for number in 0..1_000i64 {
            let pays = (LEN_MIN as i64..=SLOTS as i64 / 2).contains(&number);
            assert_eq!(Index::of(&listpack, LOOK_UPS_MIN, 1).is_some(), pays, "{number}");
            assert!(Index::of(&listpack, LOOK_UPS_MIN - 1, 1).is_none());
            listpack.push_back(number);
        }
        let mut long = Listpack::new();
        (0..40).for_each(|_| long.push_back(&[b'x'; 4_000]));
        assert!(Index::of(&long, LOOK_UPS_MIN, 1).is_none(), "offsets are of 16 bits");
    }
}
