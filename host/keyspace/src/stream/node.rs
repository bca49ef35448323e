//! A node of a stream: a listpack that begins with how many entries it has and which fields they are expected to
//! have, byte for byte as Redis lays it out. Knows no other node, and not its own id: see `entries`.
//! Always: the listpack is sound, and the ids of its entries ascend; what comes from outside was checked whole.
//!
//! ```text
//! entries, deleted entries, N, field 1 ... field N, 0                       the head
//! flags, milliseconds, sequence, value 1 ... value N, elements before this   an entry with the fields of the head
//! flags, milliseconds, sequence, M, field 1, value 1 ... field M, value M, elements before this   any other
//! ```
//! The numbers of an id are differences from the node's id. A deleted entry keeps its place, and a flag says so. Its
//! id may come again behind it: XSETID may set the last id back, before Redis 7 also behind what XDEL had deleted.

use super::StreamId;
use super::range::StreamFields;
use crate::left::Content;
use crate::listpack::{Element, Iter, Listpack, entry_bytes_of};
use crate::ordered::Weighed;
use crate::shared::{SHARED_OVERHEAD_BYTES, Shared};
use crate::{Malformed, size_class};

/// Bytes that no node exceeds, whatever `stream-node-max-bytes` says.
pub(super) const NODE_BYTES_MAX: usize = 1 << 30;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Flags, the two numbers of the id, and the number of elements.
const ENTRY_ELEMENTS: u64 = 4;

/// The node.
#[derive(Clone)]
pub(super) struct Node {
    listpack: Listpack,
}

impl Content for Node {
    fn heap_bytes(&self) -> usize {
        self.listpack.memory()
    }
}

/// What the head of a node says.
#[derive(Clone)]
pub(super) struct Head<'n> {
    /// Entries that are not deleted.
    pub(super) live: u64,
    /// Deleted entries that still have their place.
    pub(super) deleted: u64,
    fields_len: usize,
    fields: Iter<'n>,
    /// The entries.
    entries: Iter<'n>,
}

/// An entry, deleted or not.
pub(super) struct Record<'n> {
    pub(super) id: StreamId,
    pub(super) is_deleted: bool,
    pub(super) fields: StreamFields<'n>,
    /// The elements from the flags on.
    start: Iter<'n>,
}

impl Node {
    /// A node without entries that expects entries to have these fields.
    pub(super) fn new<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone) -> Node {
        let mut listpack = Listpack::new();
        for number in [0, 0, fields.clone().count() as i64] {
            listpack.push_back(Element::Integer(number));
        }
        fields.for_each(|(field, _)| listpack.push_back(field));
        listpack.push_back(Element::Integer(0));
        Node { listpack }
    }

    /// The node of a listpack from outside, once all of it has been checked; and the id of its last entry that is not
    /// deleted, if it has any.
    pub(super) fn from_bytes(master: StreamId, bytes: &[u8]) -> Result<(Node, Option<StreamId>), Malformed> {
        let listpack = Listpack::from_bytes(bytes)?;
        let last = Checker { rest: listpack.iter(), total: bytes.len() - 1 }.check(master)?;
        Ok((Node { listpack }, last))
    }

    /// The listpack.
    pub(super) fn bytes(&self) -> &[u8] {
        self.listpack.bytes()
    }

    pub(super) fn head(&self) -> Head<'_> {
        let mut elements = self.listpack.iter();
        let [live, deleted, fields_len] = [0; 3].map(|_: i32| number(elements.next()));
        let fields = elements.clone();
        elements.advance(fields_len as usize + 1);
        Head {
            live: live as u64,
            deleted: deleted as u64,
            fields_len: fields_len as usize,
            fields,
            entries: elements,
        }
    }

    /// The entries by ascending id, deleted ones included.
    pub(super) fn records(&self, master: StreamId) -> Records<'_> {
        Records { master, head: self.head() }
    }

    /// The entries by descending id, deleted ones included.
    pub(super) fn records_backward(&self, master: StreamId) -> RecordsBackward<'_> {
        RecordsBackward { master, head: self.head(), rest: self.listpack.iter() }
    }

    /// Adds an entry behind all others.
    pub(super) fn push<'f>(
        &mut self,
        master: StreamId,
        id: StreamId,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) {
        let len = fields.clone().count();
        let head = self.head();
        let is_same = head.fields_len == len
            && head.fields.zip(fields.clone()).all(|(expected, (field, _))| expected.equals(field));
        let live = head.live + 1;
        let listpack = &mut self.listpack;
        let mut push = |number: i64| listpack.push_back(Element::Integer(number));
        push(if is_same { SAME_FIELDS } else { 0 });
        push(id.milliseconds.wrapping_sub(master.milliseconds) as i64);
        push(id.sequence.wrapping_sub(master.sequence) as i64);
        if !is_same {
            push(len as i64);
        }
        for (field, value) in fields {
            if !is_same {
                listpack.push_back(field);
            }
            listpack.push_back(value);
        }
        listpack.push_back(Element::Integer(elements_before_end(is_same, len as u64) as i64));
        self.state(0, live);
    }

    /// Marks entries as deleted: the first `most`, of those before the id `until` if there is one. Says how many.
    pub(super) fn delete_first(&mut self, master: StreamId, most: u64, until: Option<StreamId>) -> u64 {
        let mut removed = 0;
        // Where the last look ended: what is marked changes no length.
        let mut bytes_left = None;
        while removed < most {
            let mut records = self.records(master);
            if let Some(bytes_left) = bytes_left {
                records.skip_to(bytes_left);
            }
            let mut before =
                records.by_ref().take_while(|record| until.is_none_or(|until| record.id < until));
            let Some(record) = before.find(|record| !record.is_deleted) else { break };
            let to_end = record.start.len_bytes();
            bytes_left = Some(records.head.entries.len_bytes());
            self.flag_deleted(to_end);
            removed += 1;
        }
        self.count_deleted(removed);
        removed
    }

    /// Where the entry of this id is, unless it is deleted: how many bytes before the end.
    pub(super) fn find(&self, master: StreamId, id: StreamId) -> Option<usize> {
        let record = self.records(master).find(|record| record.id == id && !record.is_deleted)?;
        Some(record.start.len_bytes())
    }

    /// Marks an entry, which is not deleted yet, as deleted.
    pub(super) fn delete(&mut self, place: usize) {
        self.flag_deleted(place);
        self.count_deleted(1);
    }

    /// Sets the flag of the entry that begins so many bytes before the end.
    fn flag_deleted(&mut self, to_end: usize) {
        let at = self.listpack.at_before_end(to_end);
        let flags = number(Some(self.listpack.element(at)));
        self.listpack.replace(at, Element::Integer(flags | DELETED));
    }

    fn count_deleted(&mut self, more: u64) {
        let Head { live, deleted, .. } = self.head();
        self.state(0, live - more);
        self.state(1, deleted + more);
    }

    /// Writes a number of the head.
    fn state(&mut self, index: usize, value: u64) {
        let at = self.listpack.seek(index).expect("a node has a head");
        self.listpack.replace(at, Element::Integer(value as i64));
    }
}

/// Bytes that the listpack of a new node for an entry needs.
pub(super) fn node_bytes_of<'f>(fields: impl Iterator<Item = (&'f [u8], &'f [u8])>) -> usize {
    fields.fold(0usize, |bytes, (field, value)| {
        bytes.saturating_add(2 * entry_bytes_of(field)).saturating_add(entry_bytes_of(value))
    })
}

impl Weighed for Shared<Node> {
    fn heap_bytes(&self) -> usize {
        size_class(SHARED_OVERHEAD_BYTES + size_of::<Node>()) + self.listpack.memory()
    }
}

/// How many elements lie between the start of an entry and the element that says so.
fn elements_before_end(is_same: bool, len: u64) -> u64 {
    if is_same { ENTRY_ELEMENTS - 1 + len } else { ENTRY_ELEMENTS + 2 * len }
}

fn number(element: Option<Element<'_>>) -> i64 {
    element.and_then(|element| element.integer()).expect("a node was checked when it came in")
}

impl<'n> Head<'n> {
    /// Reads an entry up to its fields; `elements` stands at its flags.
    fn record(&self, master: StreamId, elements: &mut Iter<'n>) -> Record<'n> {
        let start = elements.clone();
        let [flags, milliseconds, sequence] = [0; 3].map(|_: i32| number(elements.next()));
        let is_same = flags & SAME_FIELDS != 0;
        let len = if is_same { self.fields_len } else { number(elements.next()) as usize };
        let names = is_same.then(|| self.fields.clone());
        Record {
            id: master.plus(milliseconds, sequence),
            is_deleted: flags & DELETED != 0,
            fields: StreamFields::new(names, elements.clone(), len),
            start,
        }
    }
}

/// Entries by ascending id.
pub(super) struct Records<'n> {
    master: StreamId,
    head: Head<'n>,
}

impl Records<'_> {
    /// Goes to the entry that begins so many bytes before the end.
    fn skip_to(&mut self, bytes_left: usize) {
        let entries = &mut self.head.entries;
        entries.skip_bytes(entries.len_bytes() - bytes_left);
    }
}

impl<'n> Iterator for Records<'n> {
    type Item = Record<'n>;

    fn next(&mut self) -> Option<Record<'n>> {
        let mut elements = self.head.entries.clone();
        if elements.len_bytes() == 0 {
            return None;
        }
        let record = self.head.record(self.master, &mut elements);
        elements.advance(record.fields.elements_len() + 1);
        self.head.entries = elements;
        Some(record)
    }
}

/// Entries by descending id.
pub(super) struct RecordsBackward<'n> {
    master: StreamId,
    head: Head<'n>,
    /// All before the entries that were seen.
    rest: Iter<'n>,
}

impl<'n> Iterator for RecordsBackward<'n> {
    type Item = Record<'n>;

    fn next(&mut self) -> Option<Record<'n>> {
        let count = number(self.rest.next_back());
        if count == 0 {
            return None; // the end of the head
        }
        let mut elements = self.rest.clone();
        (0..count).for_each(|_| {
            self.rest.next_back();
        });
        elements.skip_bytes(self.rest.len_bytes());
        Some(self.head.record(self.master, &mut elements))
    }
}

/// Looks at a listpack that claims to be a node.
struct Checker<'n> {
    rest: Iter<'n>,
    total: usize,
}

impl Checker<'_> {
    /// Whether everything is there and says the same; the id of the last entry that is not deleted.
    fn check(mut self, master: StreamId) -> Result<Option<StreamId>, Malformed> {
        let live = self.count("number of entries in a stream node")?;
        let deleted = self.count("number of deleted entries in a stream node")?;
        let fields_len = self.count("number of fields in a stream node")?;
        self.skip(fields_len)?;
        if self.number("end of the head of a stream node")? != 0 {
            return Err(self.error("end of the head of a stream node"));
        }
        let (mut found_live, mut found_deleted) = (0, 0);
        let mut last = None;
        while self.rest.len_bytes() > 0 {
            let flags = self.number("flags of a stream entry")?;
            if flags & !(DELETED | SAME_FIELDS) != 0 {
                return Err(self.error("flags of a stream entry"));
            }
            let milliseconds = self.number("id of a stream entry")?;
            let sequence = self.number("id of a stream entry")?;
            let id = master.plus(milliseconds, sequence);
            let is_deleted = flags & DELETED != 0;
            if id < master || !is_deleted && last.is_some_and(|last| id <= last) {
                return Err(self.error("order of the ids in a stream node"));
            }
            let is_same = flags & SAME_FIELDS != 0;
            let len = if is_same { fields_len } else { self.count("number of fields in a stream entry")? };
            self.skip(if is_same { len } else { len.saturating_mul(2) })?;
            if self.count("number of elements in a stream entry")? != elements_before_end(is_same, len) {
                return Err(self.error("number of elements in a stream entry"));
            }
            if is_deleted {
                found_deleted += 1;
            } else {
                found_live += 1;
                last = Some(id);
            }
        }
        if (found_live, found_deleted) != (live, deleted) {
            return Err(Malformed::new("stream node of another number of entries than it states", 0));
        }
        Ok(last)
    }

    fn error(&self, what: &'static str) -> Malformed {
        Malformed::new(what, self.total - self.rest.len_bytes())
    }

    fn number(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let error = self.error(what);
        self.rest.next().and_then(|element| element.integer()).ok_or(error)
    }

    fn count(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let error = self.error(what);
        u64::try_from(self.number(what)?).map_err(|_| error)
    }

    fn skip(&mut self, count: u64) -> Result<(), Malformed> {
        for _ in 0..count {
            let error = self.error("stream node that ends within an entry");
            self.rest.next().ok_or(error)?;
        }
        Ok(())
    }
}
