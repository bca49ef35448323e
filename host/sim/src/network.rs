//! Links between machines: what is said arrives in order, after a delay, in pieces, up to a window; a link may be cut.
//! Knows no protocol. Always: what arrives is a prefix of what was sent.

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Dice, Micros};

/// Bytes that may be on their way in one direction: what sockets of both ends hold.
const WINDOW_BYTES: usize = 64 * 1024;

/// Where a machine sits, and in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) seat: usize,
    pub(crate) life: u64,
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) place: Place,
    pub(crate) connection: ConnectionId,
}

/// All links.
#[derive(Default)]
pub(crate) struct Network {
    links: Vec<Link>,
    cuts: Vec<Cut>,
    /// The longest that bytes take, in microseconds.
    pub(crate) delay_us: u64,
}

struct Link {
    ends: [Option<End>; 2],
    ways: [Way; 2],
}

/// What is on its way to one end.
#[derive(Default)]
struct Way {
    last_arrival: Micros,
    in_flight_bytes: usize,
    /// Arrived, while the end does not read.
    waiting: VecDeque<Vec<u8>>,
    is_paused: bool,
}

/// Nothing passes between two seats until a moment.
struct Cut {
    seats: (usize, usize),
    until: Micros,
}

impl Network {
    /// Opens a link. Its number, and its ends are sides 0 and 1.
    pub(crate) fn open(&mut self, near: End, far: End) -> usize {
        self.links.push(Link { ends: [Some(near), Some(far)], ways: Default::default() });
        self.links.len() - 1
    }

    /// The connection that an end is to its machine.
    pub(crate) fn set_connection(&mut self, link: usize, side: usize, connection: ConnectionId) {
        if let Some(end) = &mut self.links[link].ends[side] {
            end.connection = connection;
        }
    }

    /// The end on a side, if it is still there.
    pub(crate) fn end(&self, link: usize, side: usize) -> Option<End> {
        self.links[link].ends[side]
    }

    /// One end is gone. Returns the other one, if that is still there.
    pub(crate) fn leave(&mut self, link: usize, side: usize) -> Option<End> {
        self.links[link].ends[side] = None;
        self.links[link].ends[1 - side]
    }

    /// Links with an end at a place: their numbers and sides.
    pub(crate) fn ends_at(&self, place: Place) -> Vec<(usize, usize)> {
        let sides = |(link, each): (usize, &Link)| {
            (0..2)
                .filter(|&side| each.ends[side].is_some_and(|end| end.place == place))
                .map(|side| (link, side))
                .collect::<Vec<_>>()
        };
        self.links.iter().enumerate().flat_map(sides).collect()
    }

    /// Links between two seats.
    pub(crate) fn between(&self, one: usize, other: usize) -> Vec<usize> {
        let seats = |link: &Link| Some((link.ends[0]?.place.seat, link.ends[1]?.place.seat));
        let is_between =
            |link: &Link| seats(link).is_some_and(|seats| seats == (one, other) || seats == (other, one));
        (0..self.links.len()).filter(|&link| is_between(&self.links[link])).collect()
    }

    /// How many bytes may be sent to a side now.
    pub(crate) fn room(&self, link: usize, to: usize) -> usize {
        WINDOW_BYTES.saturating_sub(self.links[link].ways[to].in_flight_bytes)
    }

    /// Sends bytes to a side. When they arrive.
    pub(crate) fn send(
        &mut self,
        link: usize,
        to: usize,
        bytes: usize,
        now: Micros,
        dice: &mut Dice,
    ) -> Micros {
        let delay = self.delay(now, self.seats(link), dice);
        let way = &mut self.links[link].ways[to];
        way.in_flight_bytes += bytes;
        way.last_arrival = (now + delay).max(way.last_arrival + Micros(1));
        way.last_arrival
    }

    /// When the news that the other end is gone arrives at a side, behind all bytes.
    pub(crate) fn hang_up(&mut self, link: usize, to: usize, now: Micros, dice: &mut Dice) -> Micros {
        self.send(link, to, 0, now, dice)
    }

    /// Bytes have come to a side. They are given back if it reads.
    pub(crate) fn arrive(&mut self, link: usize, side: usize, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let way = &mut self.links[link].ways[side];
        if way.is_paused {
            way.waiting.push_back(bytes);
            return None;
        }
        way.in_flight_bytes -= bytes.len();
        Some(bytes)
    }

    /// A side stops or goes on to read. What has come meanwhile is to arrive once more.
    pub(crate) fn read(&mut self, link: usize, side: usize, wanted: bool) -> Vec<Vec<u8>> {
        let way = &mut self.links[link].ways[side];
        way.is_paused = !wanted;
        if wanted { way.waiting.drain(..).collect() } else { Vec::new() }
    }

    /// Lets nothing pass between two seats until a moment.
    pub(crate) fn cut(&mut self, one: usize, other: usize, until: Micros) {
        self.cuts.push(Cut { seats: (one, other), until });
    }

    /// Whether a connection can be made now.
    pub(crate) fn is_cut(&self, one: usize, other: usize, now: Micros) -> bool {
        self.cut_until(now, Some((one, other))) > now
    }

    /// All cuts are over.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// How long something takes that is sent now.
    pub(crate) fn delay(&self, now: Micros, seats: Option<(usize, usize)>, dice: &mut Dice) -> Micros {
        let held = self.cut_until(now, seats).since(now);
        held + Micros(1 + dice.below(self.delay_us + 1))
    }

    fn cut_until(&self, now: Micros, seats: Option<(usize, usize)>) -> Micros {
        let Some((one, other)) = seats else { return now };
        let concerns = |cut: &&Cut| cut.seats == (one, other) || cut.seats == (other, one);
        self.cuts.iter().filter(concerns).map(|cut| cut.until).fold(now, Micros::max)
    }

    fn seats(&self, link: usize) -> Option<(usize, usize)> {
        let ends = &self.links[link].ends;
        Some((ends[0]?.place.seat, ends[1]?.place.seat))
    }
}
