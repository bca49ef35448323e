//! Clients heard in the middle of long work: their sockets are read and written without waiting, behind the runtime's
//! back, which finds out when it looks at them next.
//! Always: nobody is accepted and nobody is closed meanwhile; that waits for the turn's end, as does the end of a
//! connection.

use std::io;
use std::rc::Rc;

use tenon_base::{ConnectionId, Interlude, Micros, Outputs, Proceed};

use crate::connection::Link;
use crate::group::Behind;

/// What one read takes at most.
const READ_BYTES: usize = 16 * 1024;

/// The connections, as long work sees them.
pub(crate) struct Meanwhile<'a> {
    links: &'a [Option<Rc<Link>>],
    /// What they sent and the runtime has read already.
    behind: Behind<'a>,
    /// Whom to ask next.
    next: usize,
}

impl<'a> Meanwhile<'a> {
    pub(crate) fn new(links: &'a [Option<Rc<Link>>], behind: Behind<'a>) -> Meanwhile<'a> {
        Meanwhile { links, behind, next: 0 }
    }
}

impl Interlude for Meanwhile<'_> {
    fn poll(&mut self) -> Proceed {
        Proceed::Continue
    }

    fn hear(&mut self, busy: ConnectionId, bytes: &mut Vec<u8>) -> Option<ConnectionId> {
        while let Some(link) = self.links.get(self.next) {
            self.next += 1;
            let Some(link) = link.as_ref().filter(|link| link.id != busy && link.is_heard()) else {
                continue;
            };
            if let Some(read) = self.behind.take(link) {
                bytes.clear();
                bytes.extend_from_slice(read);
                // There may be more in the socket.
                self.next -= 1;
                return Some(link.id);
            }
            // An end is not an end yet: the connection's own task will see it again.
            if let Ok(count @ 1..) = link.receive(bytes, READ_BYTES) {
                // There may be more behind a full buffer.
                self.next -= usize::from(count == READ_BYTES);
                return Some(link.id);
            }
        }
        self.next = 0;
        None
    }

    fn send(&mut self, busy: ConnectionId, outputs: &mut Outputs) {
        for link in self.links.iter().flatten().filter(|link| link.id != busy && !link.is_closed.get()) {
            loop {
                let sendable = outputs.sendable(link.id.slot);
                if sendable.is_empty() {
                    break;
                }
                match link.send_now(sendable) {
                    Ok(count) => outputs.sent(link.id.slot, count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // What does not go now goes when the turn ends.
                    Err(_) => break,
                }
            }
        }
    }

    fn sleep(&mut self, span: Micros) {
        std::thread::sleep(std::time::Duration::from_micros(span.0));
    }
}
