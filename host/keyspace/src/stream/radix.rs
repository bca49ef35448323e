//! How many nodes Redis's radix tree would have for the same keys, which XINFO STREAM reports. There is no radix
//! tree here: the number follows from the keys alone, since that tree has one form for one set of keys.

use super::StreamId;

/// Nodes of the tree for ascending keys of sixteen bytes each. It has one for every key; one for every prefix after
/// which keys differ; and one for every stretch of bytes without a choice, before such a prefix or a key's end.
/// An empty tree is one node.
pub(super) fn node_count(keys: impl Iterator<Item = StreamId>) -> usize {
    let mut count = Counter { nodes: 0, forks: Vec::with_capacity(StreamId::BYTES) };
    let mut former: Option<StreamId> = None;
    let mut common_before = None;
    for key in keys {
        if let Some(former) = former {
            let common = common_bytes(former, key);
            count.leaf(common_before.max(Some(common)));
            count.close_above(common);
            if count.forks.last() != Some(&common) {
                count.forks.push(common);
            }
            common_before = Some(common);
        }
        former = Some(key);
    }
    if former.is_none() {
        return 1;
    }
    count.leaf(common_before);
    while let Some(depth) = count.forks.pop() {
        count.fork(depth, count.forks.last().copied());
    }
    count.nodes
}

struct Counter {
    nodes: usize,
    /// The depths at which the path to the newest key has a choice, ascending.
    forks: Vec<usize>,
}

impl Counter {
    /// Ends the forks that lie deeper than `depth`.
    fn close_above(&mut self, depth: usize) {
        while let Some(&deepest) = self.forks.last()
            && deepest > depth
        {
            self.forks.pop();
            self.fork(deepest, self.forks.last().copied().max(Some(depth)));
        }
    }

    fn leaf(&mut self, parent: Option<usize>) {
        self.fork(StreamId::BYTES, parent);
    }

    /// A node at `depth`, and the stretch between it and the byte chosen in the fork above.
    fn fork(&mut self, depth: usize, parent: Option<usize>) {
        let stretch_start = parent.map_or(0, |parent| parent + 1);
        self.nodes += 1 + usize::from(depth > stretch_start);
    }
}

fn common_bytes(one: StreamId, other: StreamId) -> usize {
    let (one, other) = (one.to_bytes(), other.to_bytes());
    one.iter().zip(&other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ids: &[(u64, u64)]) -> usize {
        node_count(ids.iter().map(|&(milliseconds, sequence)| StreamId::new(milliseconds, sequence)))
    }

    #[test]
    fn counts_are_those_of_redis() {
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[(1, 1)]), 2);
        assert_eq!(count(&[(1, 1), (1, 2)]), 4);
        assert_eq!(count(&[(1, 1), (1, 2), (2, 1)]), 8);
        assert_eq!(count(&[(1, 0), (1, 256), (1, 257)]), 7);
        let times: Vec<_> = (0..1_000).map(|at| (1_600_000_000_000 + 37 * at, at % 3)).collect();
        assert_eq!(count(&times), 2_149);
        assert_eq!(count(&(1..=300).map(|at| (at, 0)).collect::<Vec<_>>()), 604);
    }
}
