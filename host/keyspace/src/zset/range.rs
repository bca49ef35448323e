//! Ranges as ZRANGEBYSCORE and ZRANGEBYLEX spell them. Pure values: they know no sorted set.
//! Always: the ends of a score range are numbers, never NaN.

use super::score::parse_score_bound;

/// An interval of scores. It is empty where `min` is above `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The lower end.
    pub min: f64,
    /// The upper end.
    pub max: f64,
    /// Whether the lower end itself is left out.
    pub min_exclusive: bool,
    /// Whether the upper end itself is left out.
    pub max_exclusive: bool,
}

impl ScoreRange {
    /// Reads `1.5`, `(1.5`, `-inf`, `+inf`; None where Redis says that min or max is not a float.
    pub fn parse(min: &[u8], max: &[u8]) -> Option<ScoreRange> {
        let ((min, min_exclusive), (max, max_exclusive)) = (score_end(min)?, score_end(max)?);
        Some(ScoreRange { min, max, min_exclusive, max_exclusive })
    }

    /// Whether no score at all lies within.
    pub fn is_empty(&self) -> bool {
        self.min > self.max || (self.min == self.max && (self.min_exclusive || self.max_exclusive))
    }

    /// Whether `score` is not below the range.
    pub fn starts_by(&self, score: f64) -> bool {
        if self.min_exclusive { score > self.min } else { score >= self.min }
    }

    /// Whether `score` is above the range.
    pub fn ends_before(&self, score: f64) -> bool {
        if self.max_exclusive { score >= self.max } else { score > self.max }
    }
}

fn score_end(text: &[u8]) -> Option<(f64, bool)> {
    match text {
        [b'(', score @ ..] => Some((parse_score_bound(score)?, true)),
        _ => Some((parse_score_bound(text)?, false)),
    }
}

/// One end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexEnd<'a> {
    /// `-`: below every member.
    Lowest,
    /// `+`: above every member.
    Highest,
    /// `[member`: the member itself belongs to the range.
    Inclusive(&'a [u8]),
    /// `(member`: the member itself does not.
    Exclusive(&'a [u8]),
}

impl<'a> LexEnd<'a> {
    /// Reads one end; None where Redis says that it is not a valid string range item.
    pub fn parse(text: &'a [u8]) -> Option<LexEnd<'a>> {
        match text {
            b"-" => Some(LexEnd::Lowest),
            b"+" => Some(LexEnd::Highest),
            [b'[', member @ ..] => Some(LexEnd::Inclusive(member)),
            [b'(', member @ ..] => Some(LexEnd::Exclusive(member)),
            _ => None,
        }
    }
}

/// An interval of members, for sets whose scores are all equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lower end.
    pub min: LexEnd<'a>,
    /// The upper end.
    pub max: LexEnd<'a>,
}

impl<'a> LexRange<'a> {
    /// Reads `[a`, `(a`, `-`, `+`; None where Redis says that min or max is not a valid string range item.
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        Some(LexRange { min: LexEnd::parse(min)?, max: LexEnd::parse(max)? })
    }

    /// Whether `member` is not below the range.
    pub fn starts_by(&self, member: &[u8]) -> bool {
        match self.min {
            LexEnd::Lowest => true,
            LexEnd::Highest => false,
            LexEnd::Inclusive(min) => member >= min,
            LexEnd::Exclusive(min) => member > min,
        }
    }

    /// Whether `member` is above the range.
    pub fn ends_before(&self, member: &[u8]) -> bool {
        match self.max {
            LexEnd::Lowest => true,
            LexEnd::Highest => false,
            LexEnd::Inclusive(max) => member > max,
            LexEnd::Exclusive(max) => member >= max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_ranges_read_as_in_redis() {
        let range = ScoreRange::parse(b"(1", b"+inf").expect("a range");
        assert_eq!(
            range,
            ScoreRange { min: 1.0, max: f64::INFINITY, min_exclusive: true, max_exclusive: false }
        );
        assert!(!range.starts_by(1.0) && range.starts_by(1.5) && !range.ends_before(f64::INFINITY));
        assert_eq!(ScoreRange::parse(b"(", b" 7").map(|range| (range.min, range.max)), Some((0.0, 7.0)));
        assert!(ScoreRange::parse(b"1", b"1").is_some_and(|range| !range.is_empty()));
        assert!(ScoreRange::parse(b"(1", b"1").is_some_and(|range| range.is_empty()));
        assert!(ScoreRange::parse(b"2", b"1").is_some_and(|range| range.is_empty()));
        for bad in [b"nan".as_slice(), b"((1", b"1x", b"[1", b"1 ", b" "] {
            assert_eq!(ScoreRange::parse(bad, b"1"), None);
            assert_eq!(ScoreRange::parse(b"1", bad), None);
        }
    }

    #[test]
    fn member_ranges_read_as_in_redis() {
        let range = LexRange::parse(b"[a", b"(c").expect("a range");
        assert!(!range.starts_by(b"") && range.starts_by(b"a") && range.starts_by(b"z"));
        assert!(!range.ends_before(b"bzz") && range.ends_before(b"c"));
        let backwards = LexRange::parse(b"+", b"-").expect("a range");
        assert!(!backwards.starts_by(b"\xff\xff") && backwards.ends_before(b""));
        assert!(LexRange::parse(b"[", b"+").is_some_and(|range| range.starts_by(b"")));
        for bad in [b"".as_slice(), b"a", b"-a", b"++", b"1"] {
            assert_eq!(LexRange::parse(bad, b"+"), None);
            assert_eq!(LexRange::parse(b"-", bad), None);
        }
    }
}
