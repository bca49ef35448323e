//! A client of a scenario: sends requests, some before earlier ones are answered, and reads replies.
//! Always: replies belong to requests in the order in which those were sent.

use std::collections::VecDeque;

use tenon_base::ConnectionId;
use tenon_resp::{ReplyDecoder, Value};

/// One client. `W` is what it remembers of each request.
pub(crate) struct Client<W> {
    /// Its connection, if it has one.
    pub(crate) connection: Option<ConnectionId>,
    /// The machine that it is connected to.
    pub(crate) seat: usize,
    decoder: ReplyDecoder,
    awaited: VecDeque<W>,
}

impl<W> Client<W> {
    pub(crate) fn new(seat: usize) -> Client<W> {
        Client { connection: None, seat, decoder: ReplyDecoder::new(), awaited: VecDeque::new() }
    }

    /// It is connected, and has sent nothing yet.
    pub(crate) fn connected(&mut self, seat: usize, connection: ConnectionId) {
        (self.connection, self.seat) = (Some(connection), seat);
        self.decoder = ReplyDecoder::new();
        self.awaited.clear();
    }

    /// Its connection is gone, and with it what was to be answered.
    pub(crate) fn closed(&mut self) {
        self.connection = None;
        self.awaited.clear();
    }

    /// It has sent a request.
    pub(crate) fn asked(&mut self, what: W) {
        self.awaited.push_back(what);
    }

    /// Requests that were not answered yet.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Bytes have come: the answers in them, with what they answer.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<(W, Value)>, String> {
        self.decoder.feed(bytes);
        let mut answers = Vec::new();
        loop {
            match self.decoder.next_reply() {
                Ok(Some(Value::Push(_))) => {}
                Ok(Some(reply)) => {
                    let asked = self.awaited.pop_front();
                    answers.push((asked.ok_or("a reply to nothing that was asked")?, reply));
                }
                Ok(None) => return Ok(answers),
                Err(error) => return Err(format!("a malformed reply: {error}")),
            }
        }
    }
}
