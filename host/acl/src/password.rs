//! A password as it is kept: its SHA-256. Compared without telling by the time it takes where a difference is.
//! Always: `Debug` shows nothing of it.

use std::fmt;
use std::hint::black_box;

use sha2::{Digest, Sha256};

const BYTES: usize = 32;

#[derive(Clone, Copy)]
pub(crate) struct Hash([u8; BYTES]);

impl Hash {
    pub(crate) fn of(password: &[u8]) -> Hash {
        Hash(Sha256::digest(password).into())
    }

    /// From 64 hexadecimal digits in lower case.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Hash> {
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let mut bytes = [0; BYTES];
        if pairs.len() != BYTES {
            return None;
        }
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high)? * 16 + digit(low)?;
        }
        Some(Hash(bytes))
    }

    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether two hashes are of one password, looking at all of both.
    pub(crate) fn is_same(&self, other: &Hash) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |sum, (one, two)| black_box(sum | (one ^ two)));
        difference == 0
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(not shown)")
    }
}

/// Makes passwords that nobody can guess, not even from others that it made: ACL GENPASS.
pub struct PasswordMaker {
    secret: [u8; BYTES],
    made: u64,
}

impl PasswordMaker {
    /// `secret` is 32 bytes of entropy that nothing else is made from.
    pub fn new(secret: [u8; 32]) -> PasswordMaker {
        PasswordMaker { secret, made: 0 }
    }

    /// So many hexadecimal digits.
    pub fn make(&mut self, digits: usize) -> String {
        let mut password = String::with_capacity(digits + 2 * BYTES);
        while password.len() < digits {
            let block = Sha256::new().chain_update(self.secret).chain_update(self.made.to_le_bytes());
            password += &Hash(block.finalize().into()).hex();
            self.made += 1;
        }
        password.truncate(digits);
        password
    }
}

impl fmt::Debug for PasswordMaker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PasswordMaker(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_enough_and_all_different() {
        let mut maker = PasswordMaker::new([7; 32]);
        let made: Vec<String> = [1, 64, 64, 65, 1024].into_iter().map(|digits| maker.make(digits)).collect();
        assert_eq!(made.iter().map(String::len).collect::<Vec<_>>(), [1, 64, 64, 65, 1024]);
        assert_ne!(made[1], made[2]);
        assert!(!made[4][64..].contains(&made[4][..64]));
        assert!(!format!("{maker:?}").contains('7'));
    }
}
