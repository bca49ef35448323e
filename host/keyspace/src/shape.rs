//! How evenly a table is filled: for DEBUG alone, which walks all of it.

/// Chains longer than this are counted with those of this length.
const CHAINS_TOLD_APART: usize = 50;

/// The places of a table that hold elements together, by how many they hold: buckets of a database, pages of a
/// collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Places.
    pub places: usize,
    /// Elements in all of them.
    pub elements: usize,
    /// Places that hold any.
    pub used: usize,
    /// The most that one holds.
    pub longest: usize,
    /// How many places hold so many elements.
    pub by_length: Vec<usize>,
}

impl TableShape {
    pub(crate) fn of(lengths: impl Iterator<Item = usize>) -> TableShape {
        let by_length = vec![0; CHAINS_TOLD_APART];
        let mut shape = TableShape { places: 0, elements: 0, used: 0, longest: 0, by_length };
        for length in lengths {
            shape.places += 1;
            shape.elements += length;
            shape.used += usize::from(length > 0);
            shape.longest = shape.longest.max(length);
            shape.by_length[length.min(CHAINS_TOLD_APART - 1)] += 1;
        }
        shape
    }
}
