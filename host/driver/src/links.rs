//! The connections of a worker, by slot.
//! Always: a slot is given again only after its connection was let go; a serial never is.

use std::rc::Rc;

use tenon_base::ConnectionId;

use crate::connection::{Link, Stream};

/// All of them.
#[derive(Default)]
pub(crate) struct Links {
    by_slot: Vec<Option<Rc<Link>>>,
    free_slots: Vec<u32>,
    last_serial: u64,
}

impl Links {
    /// Gives a socket a slot. `is_own`: the machine asked for this connection.
    pub(crate) fn adopt(&mut self, stream: Stream, is_own: bool) -> Rc<Link> {
        let slot = self.free_slots.pop().unwrap_or(self.by_slot.len() as u32);
        self.last_serial += 1;
        let id = ConnectionId { serial: self.last_serial, slot };
        let link = Rc::new(Link::new(id, stream, is_own));
        if slot as usize == self.by_slot.len() {
            self.by_slot.push(None);
        }
        self.by_slot[slot as usize] = Some(Rc::clone(&link));
        link
    }

    /// The connection of a slot.
    pub(crate) fn at(&self, slot: u32) -> Option<&Rc<Link>> {
        self.by_slot.get(slot as usize)?.as_ref()
    }

    /// This connection, if it is still there.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<&Rc<Link>> {
        self.at(id.slot).filter(|link| link.id == id)
    }

    /// Lets go of a connection; its slot is free.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        if self.find(id).is_some() {
            self.by_slot[id.slot as usize] = None;
            self.free_slots.push(id.slot);
        }
    }

    /// One more than the highest slot that was ever given.
    pub(crate) fn slots(&self) -> usize {
        self.by_slot.len()
    }
}
