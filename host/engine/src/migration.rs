//! MIGRATE as the engine does it: the request waits while its keys are on their way over a connection of our own, which
//! is kept for a while for the next one. What is said on it is decided in `transfer`.
//! Always: a key leaves once the other server has said that it has it, and only if nobody wrote to it since it was
//! sent; until then other requests that would change it wait.

mod conclusion;
mod link;
mod transfer;

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Micros, Now, Output, Peer, Ticket, World};
use tenon_commands::{Flags, Touched, key_positions};
use tenon_resp::{Args, OwnedArgs};

use self::conclusion::Trouble;
use self::link::{IDLE_MAX, Link, Look, State};
pub(crate) use self::transfer::Order;
use self::transfer::Transfer;
use crate::engine::{Engine, Purpose};
use crate::session::Parked;
use crate::sockets::outgoing_tls;
use crate::table::CommandId;

/// How many connections that nobody uses are kept.
const IDLE_LINKS_MAX: usize = 64;
/// Connections to servers that keys are moved to, and who waits because of them.
#[derive(Default)]
pub(crate) struct Migrations {
    links: Vec<Link>,
    /// Transfers among the links.
    on_their_way: usize,
    /// Clients whose requests would change a key on its way.
    kept: VecDeque<ConnectionId>,
    /// A transfer has ended: they are looked at again.
    is_released: bool,
}

impl Migrations {
    /// Whether any key is on its way.
    pub(crate) fn is_any_on_its_way(&self) -> bool {
        self.on_their_way > 0
    }

    /// How many connections there are.
    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Takes note of what has changed.
    pub(crate) fn note(&mut self, touched: &[Touched], databases: &[u32]) {
        for transfer in self.links.iter_mut().filter_map(|link| link.transfer.as_deref_mut()) {
            let source = transfer.source as u32;
            let is_whole = databases.contains(&source);
            for item in &mut transfer.items {
                let is_it = |one: &Touched| one.database == source && one.hash == item.hash;
                item.is_changed |= is_whole || touched.iter().any(is_it);
            }
        }
    }

    /// When settling is due if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        if self.is_released {
            return Some(Micros(0));
        }
        let moments = self.links.iter().map(|link| match &link.transfer {
            Some(transfer) => transfer.deadline,
            None => link.used_at + IDLE_MAX,
        });
        moments.min()
    }

    fn place_of(&self, connection: ConnectionId) -> Option<usize> {
        self.links.iter().position(|link| link.state == State::Open(connection))
    }

    fn idle_link_to(&self, order: &Order) -> Option<usize> {
        self.links.iter().position(|link| {
            let is_idle = link.transfer.is_none() && matches!(link.state, State::Open(_));
            is_idle && link.host == order.host && link.port == order.port
        })
    }

    fn oldest_idle_link(&self) -> Option<usize> {
        let idle = self.links.iter().enumerate().filter(|(_, link)| link.transfer.is_none());
        idle.min_by_key(|(_, link)| link.used_at).map(|(place, _)| place)
    }

    fn concerns(&self, args: Args<'_>, at: usize) -> bool {
        self.links
            .iter()
            .filter_map(|link| link.transfer.as_deref())
            .any(|transfer| transfer.concerns(args, at))
    }
}

impl Engine {
    /// Sends keys away; the client waits until the other server has answered.
    pub(crate) fn send_away(
        &mut self,
        now: Now,
        client: ConnectionId,
        command: CommandId,
        order: Order,
        world: &mut World<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        session.parked = Some(Parked::Migration);
        let deadline = now.steady + order.timeout;
        let transfer = Box::new(Transfer::new(client, command, session.database, order, deadline));
        self.migrations.on_their_way += 1;
        self.listen_to_units();
        match self.migrations.idle_link_to(&transfer.order) {
            Some(place) => {
                self.migrations.links[place].transfer = Some(transfer);
                self.speak(now, place, world);
            }
            None => self.link_for(now, transfer, world),
        }
    }

    /// Keeps a request that would change a key on its way. Says whether it did.
    pub(crate) fn keep_for_migration(
        &mut self,
        connection: ConnectionId,
        id: CommandId,
        flags: Flags,
        args: Args<'_>,
    ) -> bool {
        if !self.migrations.is_any_on_its_way() || self.waiting.is_retrying() {
            return false;
        }
        let command = &self.commands[id];
        let Some(session) = self.sessions.get_mut(connection) else { return false };
        let is_exec = command.name == "exec";
        if session.transaction.is_some() && !is_exec {
            return false;
        }
        let is_script = command.runs.is_some();
        let may_write = flags.has(Flags::WRITE) || is_script && flags.has(Flags::MAY_REPLICATE);
        if !may_write {
            return false;
        }
        let ranges = command.keys.iter().filter_map(|spec| key_positions(spec, args));
        let mut keys = ranges.flat_map(|range| range.positions());
        // What names no keys may change any.
        let may_change_any = is_exec || is_script || command.keys.is_empty();
        if !may_change_any && !keys.any(|at| self.migrations.concerns(args, at)) {
            return false;
        }
        session.parked = Some(Parked::Again(OwnedArgs::from(args)));
        self.migrations.kept.push_back(connection);
        true
    }

    /// Another server was reached, or not.
    pub(crate) fn target_linked(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<(ConnectionId, Peer), String>,
        world: &mut World<'_>,
    ) {
        let links = &mut self.migrations.links;
        let place = links.iter().position(|link| link.state == State::Connecting(ticket));
        match (place, result) {
            (Some(place), Ok((connection, _))) => {
                links[place].state = State::Open(connection);
                self.speak(now, place, world);
            }
            (Some(place), Err(reason)) => {
                tracing::debug!("MIGRATE to {}:{}: {reason}", links[place].host, links[place].port);
                // As Redis tells it, who fails to say anything of use at once has failed to write.
                let is_late = links[place].transfer.as_ref().is_some_and(|one| one.deadline <= now.steady);
                let trouble = if is_late { Trouble::Late } else { Trouble::Refused };
                self.break_off(now, place, trouble, world);
            }
            (None, Ok((connection, _))) => {
                world.outputs.request(Output::Close { connection, at_once: true });
            }
            (None, Err(_)) => {}
        }
    }

    /// Takes in what came on a connection, if it is one of ours to another server. Says whether it is.
    pub(crate) fn received_from_target(
        &mut self,
        now: Now,
        connection: ConnectionId,
        bytes: &[u8],
        world: &mut World<'_>,
    ) -> bool {
        let Some(place) = self.migrations.place_of(connection) else { return false };
        self.stats.net_input_bytes += bytes.len() as u64;
        let link = &mut self.migrations.links[place];
        match link.hear(now, bytes) {
            Err(()) => self.break_off(now, place, Trouble::Broken, world),
            Ok(()) if link.transfer.as_ref().is_some_and(|transfer| transfer.is_over()) => {
                self.conclude_transfer(now, place, None, world);
            }
            Ok(()) => {}
        }
        true
    }

    /// A connection has ended, whoever's it was.
    pub(crate) fn target_closed(&mut self, now: Now, connection: ConnectionId, world: &mut World<'_>) {
        if let Some(place) = self.migrations.place_of(connection) {
            self.break_off(now, place, Trouble::Broken, world);
        }
    }

    /// Gives up what takes too long, closes what nobody uses, and runs what was kept.
    pub(crate) fn settle_migrations(&mut self, now: Now, world: &mut World<'_>) {
        let mut place = 0;
        while let Some(link) = self.migrations.links.get_mut(place) {
            match link.look_at(now, world) {
                Look::Keep => place += 1,
                Look::Idle => self.close_link(place, world),
                Look::Late => self.break_off(now, place, Trouble::Late, world),
            }
        }
        if !std::mem::take(&mut self.migrations.is_released) {
            return;
        }
        // What has to wait for another transfer is kept again.
        let kept = std::mem::take(&mut self.migrations.kept);
        self.run_kept_whole(now, kept, world);
    }

    /// Gives up all transfers: what is here will be another server's data.
    pub(crate) fn cancel_migrations(&mut self, now: Now, world: &mut World<'_>) {
        while let Some(place) = self.migrations.links.iter().position(|link| link.transfer.is_some()) {
            self.break_off(now, place, Trouble::Forced, world);
        }
    }

    /// Opens a connection for a transfer.
    fn link_for(&mut self, now: Now, mut transfer: Box<Transfer>, world: &mut World<'_>) {
        if self.migrations.links.len() >= IDLE_LINKS_MAX
            && let Some(place) = self.migrations.oldest_idle_link()
        {
            self.close_link(place, world);
        }
        let ticket = self.ticket(Purpose::Migrate);
        let order = &transfer.order;
        let (host, port, patience) = (order.host.clone(), order.port, order.timeout);
        transfer.deadline = now.steady + patience;
        self.migrations.links.push(Link {
            host: host.clone(),
            port,
            state: State::Connecting(ticket),
            selected: None,
            used_at: now.steady,
            transfer: Some(transfer),
            line: Vec::new(),
        });
        let tls = outgoing_tls(&self.config);
        world.outputs.request(Output::Connect { ticket, host, port, patience, source: None, tls });
    }

    /// Says everything that a transfer has to say.
    fn speak(&mut self, now: Now, place: usize, world: &mut World<'_>) {
        let link = &mut self.migrations.links[place];
        let (State::Open(connection), Some(transfer)) = (link.state, &mut link.transfer) else { return };
        let out = world.outputs.writer(connection);
        transfer.greet(link.selected, out);
        let database = self.keyspace.db(transfer.source);
        for key in transfer.order.keys.clone() {
            let Some(entry) = database.find(&key) else { continue };
            let ttl_ms = entry.expires_at().map(|at| at.0 - now.unix().0);
            if ttl_ms.is_some_and(|ttl| ttl < 0) {
                continue;
            }
            let payload = tenon_rdb::dump(entry.value(), &self.limits.payload);
            let hash = database.hash(&key);
            transfer.send(key, hash, ttl_ms.map_or(0, |ttl| ttl.max(1)), payload, out);
        }
        transfer.deadline = now.steady + transfer.order.timeout;
        transfer.unsent_bytes = world.outputs.pending_bytes(connection.slot);
        if transfer.is_over() {
            // All have expired meanwhile, and nothing had to be said.
            self.conclude_transfer(now, place, None, world);
        }
    }

    /// Ends a link that is of no use any more. Its transfer gets another one if nothing of it can have been done.
    fn break_off(&mut self, now: Now, place: usize, trouble: Trouble, world: &mut World<'_>) {
        let may_retry = |transfer: &Transfer| transfer.may_retry && !transfer.has_begun();
        let is_retried = self.migrations.links[place].transfer.as_deref().is_some_and(may_retry);
        if is_retried && trouble == Trouble::Broken {
            let transfer = self.migrations.links[place].transfer.take();
            self.close_link(place, world);
            if let Some(mut transfer) = transfer {
                transfer.may_retry = false;
                self.link_for(now, transfer, world);
            }
            return;
        }
        if self.migrations.links[place].transfer.is_some() {
            self.conclude_transfer(now, place, Some(trouble), world);
        } else {
            self.close_link(place, world);
        }
    }

    fn close_link(&mut self, place: usize, world: &mut World<'_>) {
        let link = self.migrations.links.swap_remove(place);
        if let State::Open(connection) = link.state {
            world.outputs.request(Output::Close { connection, at_once: true });
        }
    }
}

#[cfg(test)]
mod tests;
