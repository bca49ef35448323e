//! Who is connected to whom in a world, and what passes between them: machines over links, clients of the scenario at
//! once. How long bytes take is `network`'s to say.
//! Always: a machine hears of a connection's end once, whoever wanted it.

use tenon_base::{ConnectionId, Input, Machine, Peer, Ticket, Transport};

use super::queue::Event;
use super::{Happened, PORT, World};
use crate::network::{End, Place};
use crate::node::Far;

/// What is read from a socket at once, at most.
const READ_BYTES_MAX: usize = 16 * 1024;

/// What a client of the scenario was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Bytes.
    Said {
        /// Which client.
        client: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Its connection is gone.
    Closed {
        /// Which client.
        client: u64,
    },
}

impl<M: Machine> World<M> {
    /// Connects a client of the scenario. `None` if nobody listens.
    pub fn connect(&mut self, seat: usize, client: u64) -> Option<ConnectionId> {
        let serial = self.next_serial();
        let node = self.seats[seat].node.as_mut().filter(|node| node.is_listening)?;
        let id = node.connect(serial, Far::Client(client));
        let peer = peer(&format!("10.0.1.{}:{}", client % 250, 10_000 + serial % 50_000), seat);
        self.trace.note("connect", &[self.clock.now().steady.0, seat as u64, client], b"");
        self.tell(seat, Input::Connected { connection: id, peer });
        Some(id)
    }

    /// A client of the scenario says something. False if its connection is gone.
    pub fn say(&mut self, seat: usize, connection: ConnectionId, bytes: &[u8]) -> bool {
        let is_there = self.seats[seat].node.as_ref().is_some_and(|node| node.find(connection).is_some());
        if is_there {
            self.trace.note("say", &[self.clock.now().steady.0, seat as u64, connection.serial], bytes);
            self.tell(seat, Input::Received { connection, bytes });
        }
        is_there
    }

    /// A client of the scenario leaves.
    pub fn leave(&mut self, seat: usize, connection: ConnectionId) {
        if let Some(node) = &mut self.seats[seat].node
            && node.find(connection).is_some()
        {
            node.end(&mut self.clock, connection);
            self.settle_soon(seat);
        }
    }

    /// What clients of the scenario were told since the last call.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// A connection that a machine asked for is made, or not.
    pub(super) fn link(&mut self, place: Place, ticket: Ticket, target: Option<usize>) {
        if self.living(place).is_none() {
            return;
        }
        let target = target.filter(|&target| {
            self.seats[target].node.as_ref().is_some_and(|node| node.is_listening && !node.is_over())
                && target != place.seat
        });
        let Some(target) = target else {
            let result = Err("Connection refused".to_owned());
            return self.tell(place.seat, Input::Linked { ticket, result });
        };
        let (near_serial, far_serial) = (self.next_serial(), self.next_serial());
        let far_place = self.place(target);
        let link = self.network.open(
            End { place, connection: ConnectionId { serial: near_serial, slot: 0 } },
            End { place: far_place, connection: ConnectionId { serial: far_serial, slot: 0 } },
        );
        let near = self.join(place.seat, near_serial, link, 0);
        let far = self.join(target, far_serial, link, 1);
        let (Some(near), Some(far)) = (near, far) else { return };
        self.network.set_connection(link, 0, near);
        self.network.set_connection(link, 1, far);
        self.trace.note("link", &[self.clock.now().steady.0, place.seat as u64, target as u64], b"");
        let near_address = format!("{}:{}", Self::host(place.seat), 20_000 + near_serial % 40_000);
        let far_address = format!("{}:{PORT}", Self::host(target));
        self.tell(target, Input::Connected { connection: far, peer: peer(&near_address, target) });
        let far_peer = Peer { local: near_address, ..peer(&far_address, place.seat) };
        self.tell(place.seat, Input::Linked { ticket, result: Ok((near, far_peer)) });
    }

    fn join(&mut self, seat: usize, serial: u64, link: usize, side: usize) -> Option<ConnectionId> {
        Some(self.seats[seat].node.as_mut()?.connect(serial, Far::Link { link, side }))
    }

    /// Sends what may leave on one connection.
    pub(super) fn send(&mut self, seat: usize, slot: u32) {
        let now = self.clock.now().steady;
        loop {
            let Some(node) = self.seats[seat].node.as_mut() else { return };
            let Some(connected) = node.at(slot) else { return };
            let sendable = node.outputs.sendable(slot);
            if sendable.is_empty() {
                if connected.closes_when_sent && node.outputs.pending_bytes(slot) == 0 {
                    self.close(seat, connected.id);
                }
                return;
            }
            match connected.far {
                Far::Client(client) => {
                    let bytes = sendable.to_vec();
                    node.outputs.sent(slot, bytes.len());
                    self.trace.note("told", &[now.0, seat as u64, client], &bytes);
                    self.told.push(Told::Said { client, bytes });
                }
                Far::Link { link, side } => {
                    let room = self.network.room(link, 1 - side).min(sendable.len());
                    if room == 0 {
                        return;
                    }
                    let is_split = room > 1 && self.dice.below(8) == 0;
                    let count = if is_split { 1 + self.dice.below(room as u64 - 1) as usize } else { room };
                    let bytes = sendable[..count.min(READ_BYTES_MAX)].to_vec();
                    node.outputs.sent(slot, bytes.len());
                    let at = self.network.send(link, 1 - side, bytes.len(), now, &mut self.dice);
                    self.schedule(at, Event::Arrive { link, side: 1 - side, bytes });
                }
            }
        }
    }

    /// Bytes have come over a link; its other end may go on sending.
    pub(super) fn arrive(&mut self, link: usize, side: usize, bytes: Vec<u8>) -> Happened {
        let Some(end) = self.network.end(link, side) else { return Happened::Moment(u64::MAX) };
        let seat = end.place.seat;
        if self.living(end.place).is_none() {
            return Happened::At(seat);
        }
        let Some(bytes) = self.network.arrive(link, side, bytes) else { return Happened::At(seat) };
        self.trace.note("arrive", &[self.clock.now().steady.0, seat as u64], &bytes);
        self.tell(seat, Input::Received { connection: end.connection, bytes: &bytes });
        if let Some(other) = self.network.end(link, 1 - side)
            && self.living(other.place).is_some_and(|node| !node.is_over())
        {
            self.send(other.place.seat, other.connection.slot);
        }
        Happened::At(seat)
    }

    /// The other end of a link is gone.
    pub(super) fn hung_up(&mut self, link: usize, side: usize) -> Happened {
        let Some(end) = self.network.end(link, side) else { return Happened::Moment(u64::MAX) };
        if self.living(end.place).is_some() {
            self.close(end.place.seat, end.connection);
        }
        Happened::At(end.place.seat)
    }

    /// Ends a connection, whoever wanted it.
    pub(super) fn close(&mut self, seat: usize, connection: ConnectionId) {
        let Some(node) = &mut self.seats[seat].node else { return };
        let Some(connected) = node.find(connection) else { return };
        match connected.far {
            Far::Client(client) => self.told.push(Told::Closed { client }),
            Far::Link { link, side } => {
                if self.network.leave(link, side).is_some() {
                    let now = self.clock.now().steady;
                    let at = self.network.hang_up(link, 1 - side, now, &mut self.dice);
                    self.schedule(at, Event::HungUp { link, side: 1 - side });
                }
            }
        }
        let Some(node) = &mut self.seats[seat].node else { return };
        node.end(&mut self.clock, connection);
        self.settle_soon(seat);
    }
}

fn peer(address: &str, seat: usize) -> Peer {
    Peer {
        address: address.to_owned(),
        local: format!("10.0.0.{}:{PORT}", seat + 1),
        descriptor: 8,
        transport: Transport::Tcp,
        is_local: false,
    }
}
