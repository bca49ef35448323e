//! Which clients may have which keys in their caches: by hash of the key, in all databases alike.
//! Always: a client is there once for a key; `items` is the number of pairs of a key and a client.

use std::collections::BTreeMap;

use tenon_base::ConnectionId;

/// The table.
#[derive(Default)]
pub(crate) struct TrackedKeys {
    by_hash: BTreeMap<u64, TrackedKey>,
    items: usize,
}

/// A key, and who has read it.
pub(crate) struct TrackedKey {
    pub(crate) key: Box<[u8]>,
    /// In order of slots. Who is gone, or tracks nothing any more, stays until the key changes.
    pub(crate) readers: Vec<ConnectionId>,
}

impl TrackedKeys {
    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// How many pairs of a key and a client there are.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Notes that a client has read a key. Returns another key of the same hash that had to make room.
    pub(crate) fn remember(&mut self, hash: u64, key: &[u8], reader: ConnectionId) -> Option<TrackedKey> {
        let displaced = match self.by_hash.get(&hash) {
            Some(known) if *known.key != *key => self.take(hash),
            _ => None,
        };
        let known =
            self.by_hash.entry(hash).or_insert_with(|| TrackedKey { key: key.into(), readers: Vec::new() });
        match known.readers.binary_search_by_key(&reader.slot, |known| known.slot) {
            // Whoever had the slot before is gone.
            Ok(at) => known.readers[at] = reader,
            Err(at) => {
                known.readers.insert(at, reader);
                self.items += 1;
            }
        }
        displaced
    }

    /// Takes a key out.
    pub(crate) fn take(&mut self, hash: u64) -> Option<TrackedKey> {
        let taken = self.by_hash.remove(&hash)?;
        self.items -= taken.readers.len();
        Some(taken)
    }

    /// Takes the key out that comes first from a hash on.
    pub(crate) fn take_from(&mut self, hash: u64) -> Option<TrackedKey> {
        let found = self.by_hash.range(hash..).next().or_else(|| self.by_hash.iter().next());
        let hash = *found?.0;
        self.take(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(serial: u64, slot: u32) -> ConnectionId {
        ConnectionId { serial, slot }
    }

    #[test]
    fn a_client_is_noted_once_for_a_key() {
        let mut keys = TrackedKeys::default();
        for serial in [1, 2, 1] {
            assert!(keys.remember(7, b"key", client(serial, serial as u32)).is_none());
        }
        assert_eq!((keys.len(), keys.items()), (1, 2));
        assert!(keys.remember(7, b"key", client(3, 2)).is_none(), "a slot that is used again");
        assert_eq!(keys.items(), 2);
        let taken = keys.take(7).expect("a key that was read");
        assert_eq!(taken.readers, [client(1, 1), client(3, 2)]);
        assert_eq!((keys.len(), keys.items()), (0, 0));
    }

    #[test]
    fn two_keys_of_one_hash_are_not_confused() {
        let mut keys = TrackedKeys::default();
        keys.remember(7, b"key", client(1, 1));
        let displaced = keys.remember(7, b"other", client(2, 2)).expect("the first key");
        assert_eq!((&*displaced.key, &displaced.readers[..]), (&b"key"[..], &[client(1, 1)][..]));
        assert_eq!((keys.len(), keys.items()), (1, 1));
    }

    #[test]
    fn any_key_can_be_taken_out() {
        let mut keys = TrackedKeys::default();
        assert!(keys.take_from(0).is_none());
        keys.remember(3, b"a", client(1, 1));
        keys.remember(9, b"b", client(1, 1));
        assert_eq!(*keys.take_from(4).expect("a key").key, *b"b");
        assert_eq!(*keys.take_from(4).expect("a key").key, *b"a", "it begins anew at the end");
    }
}
