//! What memory really costs: the size that the allocator sets aside for a request. Every count of bytes in
//! the keyspace goes through here, so that `used_memory` agrees with the allocator's own figure.

/// The bytes that jemalloc sets aside for a request of `bytes`: its size classes are 8, multiples of 16 up
/// to 128, then four to each doubling. Zero costs nothing.
pub const fn size_class(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => (bytes + 15) & !15,
        _ => {
            let doubling = usize::BITS - (bytes - 1).leading_zeros() - 1;
            let step = 1 << (doubling - 2);
            (bytes + step - 1) & !(step - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn classes_are_those_of_jemalloc() {
        let table =
            [(0, 0), (1, 8), (9, 16), (17, 32), (112, 112), (113, 128), (129, 160), (161, 192), (257, 320)];
        for (request, class) in table {
            assert_eq!(size_class(request), class, "{request}");
        }
        assert_eq!(size_class(4_097), 5_120);
        assert_eq!(size_class(1 << 20), 1 << 20);
        assert_eq!(size_class((1 << 20) + 1), (1 << 20) + (1 << 18));
    }
}
