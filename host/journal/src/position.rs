//! Two numbers that must not be mixed up, each a type.
//!
//! Always: a distance is taken between two of one kind, and only a plain count is added.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl Add<u64> for $name {
            type Output = $name;

            fn add(self, count: u64) -> $name {
                $name(self.0 + count)
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, count: u64) {
                self.0 += count;
            }
        }

        impl Sub for $name {
            type Output = u64;

            /// The distance from `earlier`, which must not be later.
            fn sub(self, earlier: $name) -> u64 {
                self.0.checked_sub(earlier.0).expect("the distance from a later position")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position! {
    /// How many units have changed something, ever: what stamps and waits compare.
    LogPosition
}
position! {
    /// Bytes of the replication stream, as Redis counts them.
    ReplicationOffset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_move_and_measure() {
        let mut position = LogPosition(40) + 1;
        position += 1;
        assert_eq!(
            (position, position - LogPosition(40), position.to_string()),
            (LogPosition(42), 2, "42".into())
        );
    }

    #[test]
    #[should_panic(expected = "the distance from a later position")]
    fn distances_are_not_negative() {
        let _ = ReplicationOffset(1) - ReplicationOffset(2);
    }
}
