//! Who follows which shared stream, and how far each was sent it.
//! Always: a stream keeps what its slowest follower has not been sent, and a follower is marked for the flusher whenever
//! its stream grows.

use super::Outputs;
use crate::{ConnectionId, SharedStream};

/// Names a shared stream. Used again after the stream was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(u32);

impl Outputs {
    /// Opens a stream that begins at `start`, of which about `kept_bytes` are to be kept.
    pub fn open_stream(&mut self, start: u64, kept_bytes: u64) -> StreamId {
        let stream = Some(SharedStream::new(start, kept_bytes));
        let index = self.streams.iter().position(Option::is_none).unwrap_or(self.streams.len());
        if index == self.streams.len() {
            self.streams.push(stream);
        } else {
            self.streams[index] = stream;
        }
        StreamId(index as u32)
    }

    /// Forgets a stream. Whoever followed it is sent no more of it.
    pub fn close_stream(&mut self, id: StreamId) {
        let buffers = &mut self.buffers;
        self.followers.retain(|&slot| {
            let follows = &mut buffers[slot as usize].follows;
            let is_its = follows.is_some_and(|(followed, _)| followed == id);
            if is_its {
                *follows = None;
            }
            !is_its
        });
        self.streams[id.0 as usize] = None;
    }

    /// An open stream.
    pub fn stream(&self, id: StreamId) -> &SharedStream {
        self.streams[id.0 as usize].as_ref().expect("a stream that is named is open")
    }

    /// Adds to a stream, and marks its followers for the flusher.
    pub fn extend_stream(&mut self, id: StreamId, add: impl FnOnce(&mut SharedStream)) {
        add(self.streams[id.0 as usize].as_mut().expect("a stream that is named is open"));
        for &slot in &self.followers {
            let buffer = &mut self.buffers[slot as usize];
            if !buffer.is_dirty && buffer.follows.is_some_and(|(followed, _)| followed == id) {
                buffer.is_dirty = true;
                self.dirty.push(slot);
            }
        }
    }

    /// Lets go of what lies before `keep_from`, and before the place of every follower.
    pub fn trim_stream(&mut self, id: StreamId, keep_from: u64) {
        let followers = self.followers.iter().filter_map(|&slot| self.buffers[slot as usize].follows);
        let places = followers.filter(|(followed, _)| *followed == id).map(|(_, place)| place);
        let keep_from = places.fold(keep_from, u64::min);
        if let Some(stream) = &mut self.streams[id.0 as usize] {
            stream.trim(keep_from);
        }
    }

    /// Sends a connection, behind what was written to it, a stream from the place `from` on, which must be kept.
    pub fn follow(&mut self, connection: ConnectionId, id: StreamId, from: u64) {
        let stream = self.stream(id);
        assert!(stream.start() <= from && from <= stream.end(), "a follower begins in what is kept");
        self.writer(connection);
        let follows = &mut self.buffers[connection.slot as usize].follows;
        if follows.replace((id, from)).is_none() {
            self.followers.push(connection.slot);
        }
    }

    /// Sends a connection no more of the stream that it follows.
    pub fn unfollow(&mut self, connection: ConnectionId) {
        if let Some(buffer) = self.buffers.get_mut(connection.slot as usize)
            && buffer.follows.take().is_some()
        {
            self.followers.retain(|&slot| slot != connection.slot);
        }
    }

    /// The stream that a connection follows, and the place up to which it was sent.
    pub fn followed(&self, connection: ConnectionId) -> Option<(StreamId, u64)> {
        self.buffers.get(connection.slot as usize)?.follows
    }
}
