//! Room for a handful of borrowed things while one command runs, without an allocation.
//! Knows nothing of what is kept in it.

/// So many fit without an allocation.
const FEW: usize = 16;

/// Lends `act` a slice of `count` copies of `filler`.
pub(crate) fn with_room<T: Copy, R>(count: usize, filler: T, act: impl FnOnce(&mut [T]) -> R) -> R {
    if count <= FEW { act(&mut [filler; FEW][..count]) } else { act(&mut vec![filler; count]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_as_long_as_asked_for() {
        for count in [0, 1, FEW, FEW + 1, 1_000] {
            let sum = with_room(count, 2, |slots| {
                slots.iter_mut().for_each(|slot| *slot += 1);
                slots.iter().sum::<usize>()
            });
            assert_eq!(sum, 3 * count);
        }
    }
}
