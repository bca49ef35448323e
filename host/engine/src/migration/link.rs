//! A connection to another server: who is there, what came on it, and whether anything still moves.
//! Knows no key and no client: see `transfer`.

use tenon_base::{ConnectionId, Micros, Now, Ticket, World};

use super::transfer::Transfer;

/// How long a connection that nobody uses is kept.
pub(super) const IDLE_MAX: Micros = Micros(10_000_000);
/// Longest answer of another server (bytes).
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A connection to another server.
pub(super) struct Link {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) state: State,
    /// The database that is selected there, if that is known.
    pub(super) selected: Option<i64>,
    pub(super) used_at: Micros,
    pub(super) transfer: Option<Box<Transfer>>,
    pub(super) line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting(Ticket),
    Open(ConnectionId),
}

/// What is to be done about a link.
pub(super) enum Look {
    Keep,
    Idle,
    Late,
}

impl Link {
    pub(super) fn hear(&mut self, now: Now, bytes: &[u8]) -> Result<(), ()> {
        // Nobody was asked, so nothing should be answered.
        let transfer = self.transfer.as_mut().ok_or(())?;
        transfer.deadline = now.steady + transfer.order.timeout;
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(());
            }
            if self.line.last() == Some(&b'\n') {
                transfer.hear(self.line.trim_ascii_end())?;
                self.line.clear();
            }
        }
        Ok(())
    }

    pub(super) fn look_at(&mut self, now: Now, world: &mut World<'_>) -> Look {
        let Some(transfer) = &mut self.transfer else {
            return if self.used_at + IDLE_MAX <= now.steady { Look::Idle } else { Look::Keep };
        };
        let is_late = transfer.deadline <= now.steady;
        // A large value takes its time: what still flows is not late.
        if let State::Open(connection) = self.state {
            let unsent_bytes = world.outputs.pending_bytes(connection.slot);
            let has_moved = unsent_bytes < std::mem::replace(&mut transfer.unsent_bytes, unsent_bytes);
            if has_moved && !(is_late && unsent_bytes == 0) {
                transfer.deadline = now.steady + transfer.order.timeout;
                return Look::Keep;
            }
        }
        if is_late { Look::Late } else { Look::Keep }
    }
}
