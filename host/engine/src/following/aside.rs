//! A full synchronization over two links: the snapshot comes over one of its own, and the stream behind it meanwhile over
//! the other, where it is gathered until the snapshot is loaded. So it does not gather at the primary.
//! Always: what was gathered runs behind the snapshot and before whatever comes later, and no more of it is read than
//! `client-output-buffer-limit replica` allows.

use std::collections::VecDeque;

use tenon_base::{ConnectionId, Now, Output, Peer, Ticket, World};
use tenon_config::Config;
use tenon_replication::Upstream;

use super::Following;
use crate::engine::Engine;

/// Bytes of a block of what is gathered.
const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes of it that are run in one turn.
const RUN_BYTES: usize = 1024 * 1024;

/// The link of the snapshot, and what the other one has brought.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) link: Option<Upstream>,
    /// Of the attempt to connect.
    pub(crate) ticket: Option<Ticket>,
    gathered: VecDeque<Vec<u8>>,
    gathered_bytes: u64,
    /// The stream is not read, because too much of it is here.
    pub(super) deaf: Option<ConnectionId>,
    /// It has failed once: the next attempt is made over one link.
    pub(super) has_failed: bool,
}

impl Aside {
    /// Bytes of the stream that wait for the snapshot.
    pub(crate) fn gathered_bytes(&self) -> u64 {
        self.gathered_bytes
    }

    pub(crate) fn has_gathered(&self) -> bool {
        self.gathered_bytes > 0
    }

    /// The snapshot is here: its link is not needed any more.
    pub(super) fn end(&mut self, world: &mut World<'_>) {
        if let Some(connection) = self.link.take().and_then(|link| link.link()) {
            world.outputs.request(Output::Close { connection, at_once: true });
        }
        self.ticket = None;
    }

    pub(super) fn forget(&mut self, world: &mut World<'_>) {
        self.end(world);
        *self = Aside { has_failed: self.has_failed, ..Aside::default() };
    }

    fn push(&mut self, bytes: &[u8]) {
        self.gathered_bytes += bytes.len() as u64;
        match self.gathered.back_mut() {
            Some(block) if block.capacity() - block.len() >= bytes.len() => block.extend_from_slice(bytes),
            _ => {
                let mut block = Vec::with_capacity(BLOCK_BYTES.max(bytes.len()));
                block.extend_from_slice(bytes);
                self.gathered.push_back(block);
            }
        }
    }
}

impl Following {
    /// The synchronization has failed. If it was one over two links, the next is not.
    pub(super) fn give_up_aside(&mut self) {
        self.aside.has_failed |= self.upstream.is_split();
    }
}

impl Engine {
    /// The snapshot is to come over a link of its own.
    pub(super) fn open_aside(&mut self, now: Now, following: &mut Following, world: &mut World<'_>) {
        following.aside.forget(world);
        if let Some(arriving) = following.forget_incoming(world) {
            self.free_elsewhere(arriving, world);
        }
        let address = following.upstream.address();
        let address = (address.0.to_owned(), address.1);
        following.aside.link = Some(following.upstream.for_snapshot(now.steady));
        following.aside.ticket = Some(self.connect_to_primary(address, world));
    }

    /// An attempt to connect for a snapshot has ended.
    pub(super) fn linked_aside(
        &mut self,
        now: Now,
        result: Result<(ConnectionId, Peer), String>,
        world: &mut World<'_>,
    ) {
        let Some(following) = &mut self.replication.following else { return };
        following.aside.ticket = None;
        match (result, &mut following.aside.link) {
            (Ok((connection, _)), Some(link)) => link.linked(now.steady, connection, world.outputs),
            (Ok((connection, _)), None) => {
                world.outputs.request(Output::Close { connection, at_once: true });
            }
            (Err(reason), _) => {
                tracing::warn!("Error condition on socket for the snapshot: {reason}");
                following.give_up_aside();
                self.drop_upstream(now, world);
            }
        }
    }

    /// Keeps a part of the stream until everything before it has been run.
    pub(super) fn gather(&mut self, following: &mut Following, bytes: &[u8], world: &mut World<'_>) {
        let aside = &mut following.aside;
        aside.push(bytes);
        let max = gathered_bytes_max(&self.config);
        if aside.deaf.is_none() && max > 0 && aside.gathered_bytes >= max {
            tracing::info!(
                "Replication buffer limit reached, stopping buffering: {} bytes of the stream wait for the snapshot. \
                 The rest waits at the primary",
                aside.gathered_bytes
            );
            aside.deaf = following.upstream.link();
            if let Some(connection) = aside.deaf {
                world.outputs.request(Output::Reading { connection, wanted: false });
            }
        }
    }

    /// Runs some of what was gathered, now that the snapshot is loaded.
    pub(super) fn run_gathered(&mut self, now: Now, world: &mut World<'_>) {
        let Some(mut following) = self.replication.following.take() else { return };
        let (mut ran, mut outcome) = (0, Ok(()));
        while ran < RUN_BYTES
            && outcome.is_ok()
            && let Some(block) = following.aside.gathered.pop_front()
        {
            ran += block.len();
            following.aside.gathered_bytes -= block.len() as u64;
            following.raw.extend_from_slice(&block);
            outcome = self.run_stream(now, &mut following, world);
        }
        if following.aside.gathered.is_empty()
            && let Some(connection) = following.aside.deaf.take()
        {
            following.upstream.was_deaf(now.steady);
            world.outputs.request(Output::Reading { connection, wanted: true });
        }
        if !following.aside.has_gathered() {
            tracing::info!("The stream that was gathered during the synchronization has been run");
        }
        self.replication.following = Some(following);
        if let Err(reason) = outcome {
            if let Some(following) = &mut self.replication.following {
                following.refuse(&reason);
            }
            self.drop_upstream(now, world);
        }
    }
}

/// What may be gathered; 0 for any amount.
fn gathered_bytes_max(config: &Config) -> u64 {
    config.output_limits().replica.hard_bytes
}
