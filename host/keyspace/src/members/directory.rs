//! A directory of a table of members: up to [`CHILDREN_MAX`] pages, or directories one level lower, in order of
//! position, each with the position where it begins and the number of members in it. Splits and merges its
//! children; does not split itself: its owner does.
//! Always: a directory is one block of at most 4 KiB, its children cover its span without a gap, and counts are exact.

use super::page::{Full, Insertion, Page, ROOM_MAX, ROOM_OF_TIES_MAX};
use super::position::{Key, Span};
use crate::left::Content;
use crate::memory::size_class;
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};

/// Children of a directory.
pub(super) const CHILDREN_MAX: usize = 168;
/// A directory this long is split before the next insertion, which may split a page several times.
const CHILDREN_FULL: usize = CHILDREN_MAX - 8;
/// A page with fewer live bytes looks for a neighbour to merge with.
const PAGE_SMALL_BYTES: usize = ROOM_MAX / 4;
const PAGE_MERGED_BYTES_MAX: usize = ROOM_MAX / 8 * 5;

/// What a directory costs.
pub(super) const DIRECTORY_MEMORY: usize = size_class(SHARED_OVERHEAD_BYTES + size_of::<Directory>());

const _: () = assert!(DIRECTORY_MEMORY <= 4_096);

/// See the module.
#[derive(Clone)]
pub(super) struct Directory {
    len: usize,
    lows: [u64; CHILDREN_MAX],
    counts: [u64; CHILDREN_MAX],
    children: Children,
}

/// All of it lies in the block itself.
impl Content for Directory {}

#[derive(Clone)]
enum Children {
    Pages([Option<Page>; CHILDREN_MAX]),
    Directories([Option<Shared<Directory>>; CHILDREN_MAX]),
}

/// One child of a directory, or the root of a table.
#[derive(Clone)]
pub(super) enum Node {
    Page(Page),
    Directory(Shared<Directory>),
}

/// What a change needs beside the member: the seed of the table, and its bytes, to be kept exact.
pub(super) struct Ledger<'a> {
    pub(super) seed: u64,
    pub(super) bytes: &'a mut usize,
}

/// A page, the positions it covers, and how many members it has.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) page: &'a Page,
    pub(super) span: Span,
    pub(super) count: usize,
}

/// A child on the way to a leaf.
pub(super) enum Way<'a> {
    Page(Leaf<'a>),
    Directory(&'a Directory, Span),
}

impl Directory {
    /// A directory with one child that covers its whole span.
    pub(super) fn over(child: Node, count: usize) -> Directory {
        let mut children = match &child {
            Node::Page(_) => Children::Pages([const { None }; CHILDREN_MAX]),
            Node::Directory(_) => Children::Directories([const { None }; CHILDREN_MAX]),
        };
        children.set(0, child);
        let mut directory =
            Directory { len: 1, lows: [0; CHILDREN_MAX], counts: [0; CHILDREN_MAX], children };
        directory.counts[0] = count as u64;
        directory
    }

    /// Whether its owner has to split it.
    pub(super) fn is_full(&self) -> bool {
        self.len >= CHILDREN_FULL
    }

    /// The only child, if there is just one.
    pub(super) fn sole_child(&self) -> Option<Node> {
        (self.len == 1).then(|| self.children.clone_of(0))
    }

    /// The child that covers `position`, in a directory that covers `span`.
    pub(super) fn toward(&self, position: u64, span: Span) -> Way<'_> {
        self.way(self.index_of(position), span)
    }

    /// The child that holds the member of rank `rank`, and the rank within that child.
    pub(super) fn toward_rank(&self, rank: usize, span: Span) -> (Way<'_>, usize) {
        let mut rest = rank as u64;
        let mut index = 0;
        while rest >= self.counts[index] {
            rest -= self.counts[index];
            index += 1;
        }
        (self.way(index, span), rest as usize)
    }

    /// Sets the value of a field somewhere below.
    pub(super) fn insert(
        &mut self,
        span: Span,
        key: &Key<'_>,
        value: &[u8],
        ledger: &mut Ledger<'_>,
    ) -> Insertion {
        let mut room = ROOM_MAX;
        loop {
            let index = self.index_of(key.position);
            let child_span = self.span_of(index, span);
            let count = self.counts[index] as usize;
            let insertion = match &mut self.children {
                Children::Directories(directories) => {
                    let child = directories[index].as_mut().expect("a child").make_unique();
                    let insertion = child.insert(child_span, key, value, ledger);
                    let child_is_full = child.is_full();
                    self.count_in(index, insertion);
                    if child_is_full {
                        self.split_directory(index, ledger);
                    }
                    return insertion;
                }
                Children::Pages(pages) => {
                    let page = pages[index].as_mut().expect("a child");
                    let before = page.memory();
                    let insertion = page.insert(child_span.place(key.position, count), key, value, room);
                    *ledger.bytes = *ledger.bytes + page.memory() - before;
                    insertion
                }
            };
            match insertion {
                Ok(insertion) => {
                    self.count_in(index, insertion);
                    return insertion;
                }
                Err(Full) if self.split_page(index, child_span, ledger) => {}
                Err(Full) => {
                    // No keyed hash of 52 bits maps so many members to one position.
                    assert!(room == ROOM_MAX, "more than 64 KiB of members share one position");
                    room = ROOM_OF_TIES_MAX;
                }
            }
        }
    }

    /// Removes a field that is somewhere below.
    pub(super) fn remove(&mut self, span: Span, key: &Key<'_>, ledger: &mut Ledger<'_>) {
        let index = self.index_of(key.position);
        let child_span = self.span_of(index, span);
        let count = self.counts[index] as usize;
        self.counts[index] -= 1;
        match &mut self.children {
            Children::Directories(directories) => {
                let child = directories[index].as_mut().expect("a child").make_unique();
                child.remove(child_span, key, ledger);
                if child.len < CHILDREN_MAX / 4 {
                    self.merge_directory(index, ledger);
                }
            }
            Children::Pages(pages) => {
                let page = pages[index].as_mut().expect("a child");
                let before = page.memory();
                let slot = page.find(child_span.place(key.position, count), key);
                page.remove(slot.expect("a field that is there"));
                *ledger.bytes = *ledger.bytes + page.memory() - before;
                if page.live_bytes() < PAGE_SMALL_BYTES {
                    self.merge_page(index, span, ledger);
                }
            }
        }
    }

    /// Splits the directory `index`.
    pub(super) fn split_directory(&mut self, index: usize, ledger: &mut Ledger<'_>) {
        let Children::Directories(directories) = &mut self.children else {
            unreachable!("only directories are split here")
        };
        let first = directories[index].as_mut().expect("a child").make_unique();
        let second = first.split_off(first.len / 2);
        let (low, count) = (second.lows[0], second.members());
        self.counts[index] -= count;
        self.open_gap(index + 1, low, count);
        self.children.set(index + 1, Node::Directory(Shared::new(second)));
        *ledger.bytes += DIRECTORY_MEMORY;
    }

    fn split_page(&mut self, index: usize, span: Span, ledger: &mut Ledger<'_>) -> bool {
        let Children::Pages(pages) = &mut self.children else { unreachable!("only pages are split here") };
        let page = pages[index].as_mut().expect("a child");
        let Some((first, middle, second)) = page.split(span, ledger.seed) else { return false };
        let before = page.memory();
        *ledger.bytes = *ledger.bytes + first.memory() + second.memory() - before;
        let count = second.len() as u64;
        *page = first;
        self.counts[index] -= count;
        self.open_gap(index + 1, middle, count);
        self.children.set(index + 1, Node::Page(second));
        true
    }

    fn merge_page(&mut self, index: usize, span: Span, ledger: &mut Ledger<'_>) {
        for left in [index, index.wrapping_sub(1)] {
            if left >= self.len - 1 {
                continue;
            }
            let both = Span { low: self.lows[left], high: self.span_of(left + 1, span).high };
            let Children::Pages(pages) = &mut self.children else { unreachable!("only pages merge here") };
            let [Some(first), Some(second)] = &pages[left..left + 2] else { unreachable!("two children") };
            if first.live_bytes() + second.live_bytes() > PAGE_MERGED_BYTES_MAX {
                continue;
            }
            let merged = first.merged(second, both, ledger.seed);
            *ledger.bytes = *ledger.bytes + merged.memory() - first.memory() - second.memory();
            pages[left] = Some(merged);
            self.absorb(left);
            return;
        }
    }

    fn merge_directory(&mut self, index: usize, ledger: &mut Ledger<'_>) {
        for left in [index, index.wrapping_sub(1)] {
            if left >= self.len - 1 {
                continue;
            }
            let Children::Directories(directories) = &mut self.children else {
                unreachable!("only directories merge here")
            };
            let (first, second) = directories[left..].split_at_mut(1);
            let [Some(first), Some(second)] = [&mut first[0], &mut second[0]] else {
                unreachable!("two children")
            };
            if first.len + second.len > CHILDREN_MAX * 3 / 4 {
                continue;
            }
            first.make_unique().append(second);
            *ledger.bytes -= DIRECTORY_MEMORY;
            self.absorb(left);
            return;
        }
    }

    /// Drops the child after `left`, whose members `left` has taken over.
    fn absorb(&mut self, left: usize) {
        self.counts[left] += self.counts[left + 1];
        self.lows[left + 1..self.len].rotate_left(1);
        self.counts[left + 1..self.len].rotate_left(1);
        self.len -= 1;
        self.children.close_gap(left + 1, self.len);
    }

    fn open_gap(&mut self, index: usize, low: u64, count: u64) {
        assert!(self.len < CHILDREN_MAX, "a directory is split before it overflows");
        self.children.open_gap(index, self.len);
        self.len += 1;
        self.lows[index..self.len].rotate_right(1);
        self.counts[index..self.len].rotate_right(1);
        (self.lows[index], self.counts[index]) = (low, count);
    }

    fn split_off(&mut self, at: usize) -> Directory {
        let mut second = self.clone();
        second.lows.copy_within(at..self.len, 0);
        second.counts.copy_within(at..self.len, 0);
        second.len = self.len - at;
        second.children.keep(at, self.len);
        self.children.keep(0, at);
        self.len = at;
        second
    }

    fn append(&mut self, next: &Directory) {
        let len = self.len + next.len;
        self.lows[self.len..len].copy_from_slice(&next.lows[..next.len]);
        self.counts[self.len..len].copy_from_slice(&next.counts[..next.len]);
        for index in 0..next.len {
            self.children.set(self.len + index, next.children.clone_of(index));
        }
        self.len = len;
    }

    fn members(&self) -> u64 {
        self.counts[..self.len].iter().sum()
    }

    fn count_in(&mut self, index: usize, insertion: Insertion) {
        self.counts[index] += u64::from(insertion == Insertion::Inserted);
    }

    fn index_of(&self, position: u64) -> usize {
        self.lows[1..self.len].partition_point(|&low| low <= position)
    }

    fn span_of(&self, index: usize, span: Span) -> Span {
        let high = if index + 1 < self.len { self.lows[index + 1] } else { span.high };
        Span { low: self.lows[index], high }
    }

    fn way(&self, index: usize, span: Span) -> Way<'_> {
        let span = self.span_of(index, span);
        match &self.children {
            Children::Pages(pages) => {
                let page = pages[index].as_ref().expect("a child");
                Way::Page(Leaf { page, span, count: self.counts[index] as usize })
            }
            Children::Directories(directories) => {
                Way::Directory(directories[index].as_ref().expect("a child"), span)
            }
        }
    }
}

impl Children {
    fn set(&mut self, index: usize, child: Node) {
        match (self, child) {
            (Children::Pages(pages), Node::Page(page)) => pages[index] = Some(page),
            (Children::Directories(directories), Node::Directory(directory)) => {
                directories[index] = Some(directory);
            }
            _ => unreachable!("all children of a directory are on one level"),
        }
    }

    fn clone_of(&self, index: usize) -> Node {
        match self {
            Children::Pages(pages) => Node::Page(pages[index].clone().expect("a child")),
            Children::Directories(directories) => {
                Node::Directory(directories[index].clone().expect("a child"))
            }
        }
    }

    /// Moves the children from `index` to `len` one further.
    fn open_gap(&mut self, index: usize, len: usize) {
        match self {
            Children::Pages(pages) => pages[index..=len].rotate_right(1),
            Children::Directories(directories) => directories[index..=len].rotate_right(1),
        }
    }

    /// Drops the child `index`; `last` is the index of the last one.
    fn close_gap(&mut self, index: usize, last: usize) {
        match self {
            Children::Pages(pages) => {
                pages[index..=last].rotate_left(1);
                pages[last] = None;
            }
            Children::Directories(directories) => {
                directories[index..=last].rotate_left(1);
                directories[last] = None;
            }
        }
    }

    /// Keeps the children `from..to` alone, at the front.
    fn keep(&mut self, from: usize, to: usize) {
        fn keep<T>(children: &mut [Option<T>], from: usize, to: usize) {
            children.rotate_left(from);
            children[to - from..].fill_with(|| None);
        }
        match self {
            Children::Pages(pages) => keep(pages, from, to),
            Children::Directories(directories) => keep(directories, from, to),
        }
    }
}
