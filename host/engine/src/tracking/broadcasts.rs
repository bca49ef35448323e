//! Prefixes that clients want to hear of, and the keys under them that have changed in this turn.
//! Always: a prefix is there while somebody listens to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tenon_base::ConnectionId;

/// All prefixes.
#[derive(Default)]
pub(crate) struct Broadcasts {
    prefixes: BTreeMap<Arc<[u8]>, Prefix>,
    /// How many prefixes there are of each length: a key is looked up by its beginnings of these lengths.
    lengths: BTreeMap<usize, usize>,
    /// Whether any key has changed.
    has_changes: bool,
}

#[derive(Default)]
struct Prefix {
    listeners: BTreeMap<u32, ConnectionId>,
    changes: Changes,
}

/// Keys that have changed, and who has changed each last, if that was a client.
pub(crate) type Changes = BTreeMap<Box<[u8]>, Option<ConnectionId>>;

impl Broadcasts {
    /// How many prefixes there are.
    pub(crate) fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Whether nobody listens.
    pub(crate) fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Whether there is something to tell.
    pub(crate) fn has_changes(&self) -> bool {
        self.has_changes
    }

    /// Adds a listener to a prefix; returns the prefix as it is kept.
    pub(crate) fn listen(&mut self, prefix: &[u8], listener: ConnectionId) -> Arc<[u8]> {
        let known = self.prefixes.get_key_value(prefix).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| {
            *self.lengths.entry(prefix.len()).or_default() += 1;
            Arc::from(prefix)
        });
        self.prefixes.entry(Arc::clone(&name)).or_default().listeners.insert(listener.slot, listener);
        name
    }

    /// Takes a listener from a prefix.
    pub(crate) fn leave(&mut self, prefix: &[u8], listener: ConnectionId) {
        let Some(state) = self.prefixes.get_mut(prefix) else { return };
        state.listeners.remove(&listener.slot);
        if !state.listeners.is_empty() {
            return;
        }
        self.prefixes.remove(prefix);
        if let Some(count) = self.lengths.get_mut(&prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.len());
            }
        }
    }

    /// Notes that a key has changed.
    pub(crate) fn note(&mut self, key: &[u8], by: Option<ConnectionId>) {
        for &length in self.lengths.range(..=key.len()).map(|(length, _)| length) {
            if let Some(prefix) = self.prefixes.get_mut(&key[..length]) {
                prefix.changes.insert(key.into(), by);
                self.has_changes = true;
            }
        }
    }

    /// What is to be told to whom, prefix by prefix. Nothing is left to tell.
    pub(crate) fn take_changes(&mut self) -> Vec<(Changes, Vec<ConnectionId>)> {
        self.has_changes = false;
        let changed = self.prefixes.values_mut().filter(|prefix| !prefix.changes.is_empty());
        changed
            .map(|prefix| (std::mem::take(&mut prefix.changes), prefix.listeners.values().copied().collect()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noted_under_every_prefix_of_its_key() {
        let mut broadcasts = Broadcasts::default();
        let (one, other) = (ConnectionId { serial: 1, slot: 0 }, ConnectionId { serial: 2, slot: 1 });
        broadcasts.listen(b"", one);
        broadcasts.listen(b"us", other);
        broadcasts.listen(b"it", other);
        broadcasts.note(b"user", Some(one));
        broadcasts.note(b"u", None);
        assert!(broadcasts.has_changes());
        let told = broadcasts.take_changes();
        let keys: Vec<Vec<&[u8]>> =
            told.iter().map(|(changes, _)| changes.keys().map(|key| &**key).collect()).collect();
        assert_eq!(keys, [vec![&b"u"[..], b"user"], vec![b"user"]]);
        assert_eq!((&told[0].1, &told[1].1), (&vec![one], &vec![other]));
        assert!(!broadcasts.has_changes() && broadcasts.take_changes().is_empty());
    }

    #[test]
    fn a_prefix_without_listeners_is_gone() {
        let mut broadcasts = Broadcasts::default();
        let one = ConnectionId { serial: 1, slot: 0 };
        broadcasts.listen(b"ab", one);
        broadcasts.listen(b"ab", one);
        assert_eq!(broadcasts.len(), 1);
        broadcasts.leave(b"ab", one);
        broadcasts.leave(b"ab", one);
        assert!(broadcasts.is_empty() && broadcasts.lengths.is_empty());
        broadcasts.note(b"abc", None);
        assert!(!broadcasts.has_changes());
    }
}
