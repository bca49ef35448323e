//! Digests of values and of everything: equal content gives equal digests, in whatever encoding and order it lies.
//! What DEBUG DIGEST says is Redis's, so that it can be compared with a real one; [`full_digest`] is ours and sees
//! more. Not a checksum of any file.

use sha1::{Digest as _, Sha1};
use tenon_base::UnixMillis;
use tenon_keyspace::zset::{ScoreText, integral};
use tenon_keyspace::{Element, Keyspace, Kind, Stream, StreamId, TextRef, ValueRef};

/// A digest.
pub type Digest = [u8; 20];

/// What DEBUG DIGEST says: all keys and values of all databases, and which of them expire.
pub fn dataset_digest(keyspace: &Keyspace) -> Digest {
    digest_of(keyspace, Detail::Redis, sha1)
}

/// As [`dataset_digest`], and when the keys expire, and of streams the figures, the groups and what is pending.
pub fn full_digest(keyspace: &Keyspace) -> Digest {
    digest_of(keyspace, Detail::Full, sha1)
}

/// As [`full_digest`], with another hash: for simulations, which take a digest after every change.
pub fn full_digest_by(keyspace: &Keyspace, hash: fn(&[u8]) -> Digest) -> Digest {
    digest_of(keyspace, Detail::Full, hash)
}

/// What DEBUG DIGEST-VALUE says: a value, and whether it expires. The key is not part of it.
pub fn value_digest(value: ValueRef<'_>, expires_at: Option<UnixMillis>) -> Digest {
    let mut sum = Sum::new(sha1);
    sum.add_value(value, expires_at, Detail::Redis);
    sum.sum
}

/// How much counts.
#[derive(Clone, Copy)]
enum Detail {
    /// What Redis counts: of an expiry time that there is one, of a stream its entries.
    Redis,
    /// When a key expires, and all of a stream.
    Full,
}

fn sha1(bytes: &[u8]) -> Digest {
    Sha1::digest(bytes).into()
}

fn digest_of(keyspace: &Keyspace, detail: Detail, hash: fn(&[u8]) -> Digest) -> Digest {
    let mut all = Sum::new(hash);
    for number in (0..keyspace.databases()).filter(|&number| !keyspace.db(number).is_empty()) {
        all.mix(&(number as u32).to_be_bytes());
        for entry in keyspace.db(number).entries() {
            let mut one = Sum::new(hash);
            one.mix(entry.key());
            one.add_value(entry.value(), entry.expires_at(), detail);
            all.add(&one.sum);
        }
    }
    all.sum
}

/// A digest that is being added to.
struct Sum {
    sum: Digest,
    hash: fn(&[u8]) -> Digest,
}

impl Sum {
    fn new(hash: fn(&[u8]) -> Digest) -> Sum {
        Sum { sum: Digest::default(), hash }
    }

    /// Adds bytes such that order does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let hash = (self.hash)(bytes);
        self.sum.iter_mut().zip(hash).for_each(|(own, added)| *own ^= added);
    }

    /// Adds bytes such that order matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.sum = (self.hash)(&self.sum);
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.as_bytes(&mut [0; 20]));
    }

    fn mix_entries(&mut self, stream: &Stream) {
        for entry in stream.iter() {
            self.mix(format!("{}.{}", entry.id.milliseconds, entry.id.sequence).as_bytes());
            for (field, value) in entry.fields {
                self.mix_element(field);
                self.mix_element(value);
            }
        }
    }

    /// What DEBUG DIGEST does not see. When consumers were seen is left out: a follower may see them at other times.
    fn mix_figures_and_groups(&mut self, stream: &Stream) {
        let counted = |count: Option<u64>| count.unwrap_or(u64::MAX).to_be_bytes();
        self.mix(&stream.last_id().to_bytes());
        self.mix(&stream.max_deleted_id().to_bytes());
        self.mix(&stream.entries_added().to_be_bytes());
        for (name, group) in stream.groups() {
            self.mix(name);
            self.mix(&group.last_id().to_bytes());
            self.mix(&counted(group.entries_read()));
            group.consumers().for_each(|consumer| self.mix(consumer.name()));
            for (id, pending) in group.pending_range(StreamId::MIN, StreamId::MAX) {
                self.mix(&id.to_bytes());
                self.mix(pending.consumer());
                self.mix(&pending.delivery_time().0.to_be_bytes());
                self.mix(&pending.delivery_count().to_be_bytes());
            }
        }
    }

    fn add_value(&mut self, value: ValueRef<'_>, expires_at: Option<UnixMillis>, detail: Detail) {
        self.mix(&type_number(value.kind()).to_be_bytes());
        match value {
            ValueRef::String(TextRef::Integer(integer)) => self.mix_element(Element::Integer(integer)),
            ValueRef::String(TextRef::Bytes(bytes)) => self.mix(bytes),
            ValueRef::List(list) => list.iter().for_each(|element| self.mix_element(element)),
            ValueRef::Set(set) => set.iter().for_each(|member| self.add(member.as_bytes(&mut [0; 20]))),
            ValueRef::Hash(hash) => hash.iter().for_each(|(field, value)| {
                let mut pair = Sum::new(self.hash);
                pair.mix_element(field);
                pair.mix_element(value);
                self.add(&pair.sum);
            }),
            ValueRef::Zset(zset) => zset.iter().for_each(|(member, score)| {
                let mut pair = Sum::new(self.hash);
                pair.mix_element(member);
                pair.mix(score_text(score).as_bytes());
                self.add(&pair.sum);
            }),
            ValueRef::Stream(stream) => {
                self.mix_entries(stream);
                if let Detail::Full = detail {
                    self.mix_figures_and_groups(stream);
                }
            }
        }
        if let Some(at) = expires_at {
            self.add(b"!!expire!!");
            if let Detail::Full = detail {
                self.add(&at.0.to_be_bytes());
            }
        }
    }
}

fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::Zset => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// The text of a score in a digest: the shortest digits that read back as the score, also where replies show an
/// integer in full.
fn score_text(score: f64) -> String {
    if score == 0.0 || integral(score).is_none() {
        return String::from_utf8_lossy(ScoreText::of(score).as_bytes()).into_owned();
    }
    let scientific = format!("{:e}", score.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("the form of {:e}");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: usize = exponent.parse().expect("an integer below 1 has no digits");
    let sign = if score < 0.0 { "-" } else { "" };
    if exponent < digits.len() + 7 {
        return format!("{sign}{digits:0<width$}", width = exponent + 1);
    }
    format!("{sign}{mantissa}e+{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_mixed_in_as_the_shortest_digits() {
        let texts = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-1_200.0, "-1200"),
            (10_000_000.0, "10000000"),
            (100_000_000.0, "1e+8"),
            (-12e9, "-1.2e+10"),
            (1e15, "1e+15"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (4_611_686_018_427_387_904.0, "4611686018427388000"),
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (score, text) in texts {
            assert_eq!(score_text(score), text);
        }
    }
}
