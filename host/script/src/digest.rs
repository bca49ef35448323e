//! SHA-1, by which scripts are known.

use sha1::Digest as _;

/// 40 lower-case hexadecimal digits.
pub type Digest = [u8; 40];

/// The SHA-1 of `bytes`, in hexadecimal.
pub fn sha1_hex(bytes: &[u8]) -> Digest {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(sha1::Sha1::digest(bytes)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}
