//! The collection types as the keyspace itself sees them: a length, a cost, a name and a clone.
//! Always: at most 16 bytes in place.

macro_rules! collection {
    ($name:ident, $encoding:literal) => {
        /// A collection of members.
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            members: Option<crate::Shared<Vec<u64>>>,
        }

        impl $name {
            /// An empty collection.
            pub fn new() -> $name {
                $name::default()
            }

            /// The number of members.
            pub fn len(&self) -> usize {
                self.members.as_ref().map_or(0, |members| members.len())
            }

            /// Whether there is no member.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Bytes on the heap.
            pub fn memory(&self) -> usize {
                self.members.as_ref().map_or(0, |members| {
                    crate::size_class(size_of::<Vec<u64>>() + crate::SHARED_OVERHEAD_BYTES)
                        + crate::size_class(members.capacity() * 8)
                })
            }

            /// The name of the encoding.
            pub fn encoding(&self) -> &'static str {
                $encoding
            }

            /// Adds a member.
            pub fn push(&mut self, member: u64) {
                self.members.get_or_insert_with(|| crate::Shared::new(Vec::new())).make_unique().push(member);
            }

            /// The members.
            pub fn members(&self) -> &[u64] {
                self.members.as_ref().map_or(&[], |members| members)
            }
        }
    };
}

collection!(Set, "listpack");
collection!(Hash, "listpack");

/// The thresholds of hashes, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// `hash-max-listpack-entries`.
    pub entries: usize,
    /// `hash-max-listpack-value`.
    pub value_bytes: usize,
    /// Keys the hash of tables.
    pub seed: u64,
}

/// The thresholds of sets, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimits {
    /// `set-max-intset-entries`.
    pub intset_entries: usize,
    /// `set-max-listpack-entries`.
    pub listpack_entries: usize,
    /// `set-max-listpack-value`.
    pub listpack_value_bytes: usize,
    /// Keys the hash of tables.
    pub seed: u64,
}
