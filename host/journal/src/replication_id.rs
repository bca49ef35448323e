//! The name of one history of a data set. Offsets mean something only together with it.

use std::fmt;

/// Whose stream an offset counts: 40 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplicationId(pub [u8; ReplicationId::BYTES]);

impl ReplicationId {
    /// Characters.
    pub const BYTES: usize = 40;

    /// From its characters; `None` unless there are 40, all of them letters or digits.
    pub fn parse(text: &[u8]) -> Option<ReplicationId> {
        let characters: [u8; ReplicationId::BYTES] = text.try_into().ok()?;
        characters.iter().all(u8::is_ascii_alphanumeric).then_some(ReplicationId(characters))
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_forty_letters_or_digits() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        let id = ReplicationId::parse(text.as_bytes()).expect("forty digits");
        assert_eq!(
            (id.as_str(), id.to_string(), format!("{id:?}")),
            (text, text.to_owned(), text.to_owned())
        );
        assert!(ReplicationId::parse(b"?").is_none());
        assert!(ReplicationId::parse(&[b' '; 40]).is_none());
    }
}
