//! Pages made of other pages: in two halves, two as one, without gaps, or with more room.
//! Always: a page made here shares the long members of those that it is made of, and copies everything else.

use super::{Head, Page, SLOT_BYTES, Stored, read_slot, rounded_room, slot_of, write_long, write_slot};
use crate::members::block::Block;
use crate::members::position::Span;

impl Page {
    /// The page in two halves of about as many bytes, and the position where the second begins. None where
    /// all members share one position.
    pub(in crate::members) fn split(&self, span: Span, seed: u64) -> Option<(Page, u64, Page)> {
        let mut order: Vec<(u64, usize)> =
            (0..self.len()).map(|slot| (self.position(slot, seed), slot)).collect();
        order.sort_unstable();
        let half = self.live_bytes() / 2;
        let mut before = 0;
        let mut best: Option<(usize, usize)> = None; // distance from the middle, index
        for (index, pair) in order.windows(2).enumerate() {
            before += SLOT_BYTES + self.stored_bytes(pair[0].1);
            let distance = before.abs_diff(half);
            if pair[0].0 != pair[1].0 && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, index + 1));
            }
        }
        let (first, second) = order.split_at(best?.1);
        let middle = second[0].0;
        let build = |span: Span, members: &[(u64, usize)]| {
            let room = members.iter().map(|&(_, slot)| SLOT_BYTES + self.stored_bytes(slot)).sum();
            let members = members.iter().map(|&(position, slot)| (span.fragment(position), self, slot));
            Page::gathered(room, members)
        };
        let low = build(Span { low: span.low, high: middle }, first);
        let high = build(Span { low: middle, high: span.high }, second);
        Some((low, middle, high))
    }

    /// Two neighbouring pages as one, for the `span` of both.
    pub(in crate::members) fn merged(&self, next: &Page, span: Span, seed: u64) -> Page {
        let pages = [self, next];
        let mut order: Vec<(u64, usize, usize)> = Vec::with_capacity(self.len() + next.len());
        for (which, page) in pages.iter().enumerate() {
            order.extend((0..page.len()).map(|slot| (page.position(slot, seed), which, slot)));
        }
        order.sort_unstable();
        let members =
            order.iter().map(|&(position, which, slot)| (span.fragment(position), pages[which], slot));
        Page::gathered(self.live_bytes() + next.live_bytes(), members)
    }

    /// A page with at least `room` bytes and these members, given by fragment, page and slot, in order.
    pub(super) fn gathered<'a>(room: usize, members: impl Iterator<Item = (u16, &'a Page, usize)>) -> Page {
        let capacity = rounded_room(room);
        let mut block = Block::zeroed(Head::default(), capacity);
        let (head, bytes) = block.unique().expect("just made");
        let mut data_start = capacity;
        let mut count = 0;
        for (fragment, page, slot) in members {
            let stored = page.stored_slice(slot);
            data_start -= stored.len();
            let target = &mut bytes[data_start..data_start + stored.len()];
            if let Stored::Long { index, position } = page.stored(slot) {
                let long = page.block.head().long.as_ref().expect("a slot leads to a long member");
                write_long(target, head.add_long(long.list[index].clone()), position);
            } else {
                target.copy_from_slice(stored);
            }
            write_slot(bytes, count, slot_of(fragment, data_start));
            count += 1;
        }
        head.count = count as u16;
        head.data_start = data_start as u16;
        Page { block }
    }

    pub(super) fn compacted(&self, room: usize) -> Page {
        Page::gathered(room, (0..self.len()).map(|slot| (self.fragment(slot), self, slot)))
    }

    /// The same page, gaps and all, with more room in the middle.
    pub(super) fn grown(&self, room: usize) -> Page {
        let capacity = rounded_room(room);
        let (old_head, old) = (self.block.head(), self.block.bytes());
        let mut block = Block::zeroed(old_head.clone(), capacity);
        let (head, bytes) = block.unique().expect("just made");
        let shift = capacity - old.len();
        let data_start = usize::from(head.data_start);
        head.data_start = (data_start + shift) as u16;
        bytes[data_start + shift..].copy_from_slice(&old[data_start..]);
        for slot in 0..usize::from(head.count) {
            write_slot(bytes, slot, read_slot(old, slot) + shift as u32);
        }
        Page { block }
    }
}
