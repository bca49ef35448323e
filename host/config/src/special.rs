//! The values that have a shape of their own: save points, output buffer limits, event classes, the primary's address.
//! Parses and prints each; knows no file and no table.

use crate::number::parse_memory;

/// One pair of `save`: a snapshot is due when so many changes are at least so old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot; at least 1.
    pub seconds: u64,
    /// Changes since the last snapshot.
    pub changes: u64,
}

impl SavePoint {
    /// Pairs of words. None, or one empty word, is no save point.
    pub(crate) fn parse(words: &[&[u8]]) -> Option<Vec<SavePoint>> {
        if words == [b""] {
            return Some(Vec::new());
        }
        let (pairs, []) = words.as_chunks::<2>() else { return None };
        let pair = |[seconds, changes]: &[&[u8]; 2]| {
            let point = SavePoint { seconds: decimal(seconds)?, changes: decimal(changes)? };
            (point.seconds >= 1).then_some(point)
        };
        pairs.iter().map(pair).collect()
    }
}

/// When a client that does not read its replies is closed. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Closed at once beyond this.
    pub hard_bytes: u64,
    /// Closed if beyond this for `soft_seconds`.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// The limits of `client-output-buffer-limit` by class of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients subscribed to something.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The classes with the names CONFIG GET prints.
    pub(crate) fn classes(&self) -> [(&'static str, OutputLimit); 3] {
        [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)]
    }

    /// These limits with the named classes replaced, or Redis's reason why not.
    pub(crate) fn amended(mut self, words: &[&[u8]]) -> Result<Self, &'static str> {
        let (groups, []) = words.as_chunks::<4>() else {
            return Err("Wrong number of arguments in buffer limit configuration.");
        };
        for [class, hard, soft, seconds] in groups {
            let slot = match class.to_ascii_lowercase().as_slice() {
                b"normal" => &mut self.normal,
                b"slave" | b"replica" => &mut self.replica,
                b"pubsub" => &mut self.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration."),
            };
            *slot = Self::limit(hard, soft, seconds)
                .ok_or("Error in hard, soft or soft_seconds setting in buffer limit configuration.")?;
        }
        Ok(self)
    }

    fn limit(hard: &[u8], soft: &[u8], seconds: &[u8]) -> Option<OutputLimit> {
        let (hard_bytes, soft_bytes) = (parse_memory(hard)?, parse_memory(soft)?);
        Some(OutputLimit { hard_bytes, soft_bytes, soft_seconds: decimal(seconds)? })
    }
}

/// The event classes of `notify-keyspace-events`, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceEvents(u16);

impl KeyspaceEvents {
    /// Every letter with its bit, in the order CONFIG GET prints them. `A` stands for the first ten.
    const LETTERS: &'static [u8] = b"g$lshzxetdnKEm";
    const ALL: u16 = (1 << 10) - 1;

    /// The set those letters name; `None` if one is no event class.
    pub fn parse(letters: &[u8]) -> Option<Self> {
        let mut set = 0;
        for letter in letters {
            set |= match letter {
                b'A' => Self::ALL,
                _ => 1 << Self::LETTERS.iter().position(|own| own == letter)?,
            };
        }
        Some(Self(set))
    }

    /// Whether the class of that letter is in the set.
    pub fn has(self, letter: u8) -> bool {
        Self::parse(&[letter]).is_some_and(|class| self.0 & class.0 == class.0)
    }

    /// Whether nothing is published.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The letters, as Redis orders them.
    pub(crate) fn letters(self) -> String {
        let all = self.0 & Self::ALL == Self::ALL;
        let own = Self::LETTERS.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0);
        // Redis prints no `n` beside `A`, although `A` does not contain it.
        let shown = own.filter(|(bit, _)| !all || *bit > 10).map(|(_, letter)| char::from(*letter));
        all.then_some('A').into_iter().chain(shown).collect()
    }
}

/// Where the primary of `replicaof` listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address, as written.
    pub host: Vec<u8>,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// Host and port, or `None` for `no one`; else Redis's reason why not.
    pub(crate) fn parse(words: &[&[u8]]) -> Result<Option<Address>, &'static str> {
        let [host, port] = words else { return Err("wrong number of arguments") };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            return Ok(None);
        }
        let port = decimal(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid master port")?;
        Ok(Some(Address { host: host.to_vec(), port }))
    }
}

/// Decimal digits; at most what fits into 63 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    let is_decimal = text.first().is_some_and(u8::is_ascii_digit);
    let number: i64 = if is_decimal { std::str::from_utf8(text).ok()?.parse().ok()? } else { return None };
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_letters_come_back_in_order() {
        for (written, printed) in
            [("", ""), ("AKE", "AKE"), ("g$lshzxetdKE", "AKE"), ("mEKl$", "$lKEm"), ("An", "A"), ("nK", "nK")]
        {
            let events = KeyspaceEvents::parse(written.as_bytes()).unwrap();
            assert_eq!(events.letters(), printed, "{written}");
        }
        assert_eq!(KeyspaceEvents::parse(b"q"), None);
        assert!(KeyspaceEvents::parse(b"Kn").unwrap().has(b'n'));
        assert!(!KeyspaceEvents::parse(b"A").unwrap().has(b'K'));
    }

    #[test]
    fn save_points_come_in_pairs() {
        assert_eq!(SavePoint::parse(&[b"900", b"0"]), Some(vec![SavePoint { seconds: 900, changes: 0 }]));
        assert_eq!(SavePoint::parse(&[]), Some(vec![]));
        for wrong in [&[&b"0"[..], b"1"][..], &[b"900"], &[b"-1", b"1"], &[b"1", b""], &[b"1x", b"1"]] {
            assert_eq!(SavePoint::parse(wrong), None);
        }
    }
}
