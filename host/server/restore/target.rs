//! What `--to` asks for: a time, a replication offset, or a place in a file.
//! Looks at no log.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Where the restored log is to end, at the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Milliseconds since 1970.
    Time(i64),
    /// A replication offset.
    Offset(u64),
    /// A place in a file.
    Place {
        /// Its name.
        file: String,
        /// Bytes from its start.
        bytes: u64,
    },
}

impl Target {
    /// Understands the word behind `--to`; the error says what would have been understood.
    pub(super) fn parse(word: &str) -> Result<Target, String> {
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let unknown = || {
            format!(
                "--to {word:?} is not understood: expected a time (2026-11-22T19:00:00Z, '2026-11-22 19:00:00' or \
                 @SECONDS), an offset (digits) or FILE:BYTES"
            )
        };
        if is_digits(word) {
            return word.parse().map(Target::Offset).map_err(|_| unknown());
        }
        if let Some(seconds) = word.strip_prefix('@') {
            return unix_ms(seconds).map(Target::Time).ok_or_else(unknown);
        }
        if let Ok(moment) = word.parse::<Timestamp>() {
            return Ok(Target::Time(moment.as_millisecond()));
        }
        if let Ok(local) = word.parse::<DateTime>() {
            let zoned = local.to_zoned(TimeZone::system()).map_err(|_| unknown())?;
            return Ok(Target::Time(zoned.timestamp().as_millisecond()));
        }
        match word.rsplit_once(':') {
            Some((file, bytes)) if !file.is_empty() && is_digits(bytes) => {
                let bytes = bytes.parse().map_err(|_| unknown())?;
                Ok(Target::Place { file: file.to_owned(), bytes })
            }
            _ => Err(unknown()),
        }
    }
}

/// `SECONDS[.FRACTION]` since 1970 in milliseconds, rounded down.
fn unix_ms(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(seconds) || !is_digits(fraction) {
        return None;
    }
    let milliseconds: String = fraction.chars().chain("00".chars()).take(3).collect();
    let span = SignedDuration::from_secs(seconds.parse().ok()?)
        .checked_add(SignedDuration::from_millis(milliseconds.parse().ok()?))?;
    Timestamp::from_duration(span).ok().map(|moment| moment.as_millisecond())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Time(unix_ms) => write!(f, "the state at {}", crate::check::moment(*unix_ms)),
            Target::Offset(offset) => write!(f, "the state at offset {offset}"),
            Target::Place { file, bytes } => write!(f, "the state at byte {bytes} of {file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_offsets_and_places_are_told_apart() {
        let place = |file: &str, bytes| Target::Place { file: file.to_owned(), bytes };
        let cases = [
            ("0", Target::Offset(0)),
            ("18446744073709551615", Target::Offset(u64::MAX)),
            ("@1700000000", Target::Time(1_700_000_000_000)),
            ("@1700000000.25", Target::Time(1_700_000_000_250)),
            ("@1700000000.98765", Target::Time(1_700_000_000_987)),
            ("2023-11-14T22:13:20Z", Target::Time(1_700_000_000_000)),
            ("2023-11-14T23:13:20.5+01:00", Target::Time(1_700_000_000_500)),
            ("appendonly.aof.1.incr.aof:120", place("appendonly.aof.1.incr.aof", 120)),
            ("a:b:7", place("a:b", 7)),
        ];
        for (word, expected) in cases {
            assert_eq!(Target::parse(word), Ok(expected), "{word}");
        }
        let local = Target::parse("2023-11-14 22:13:20").expect("a local time");
        assert!(matches!(local, Target::Time(at) if (at - 1_700_000_000_000).abs() <= 26 * 3_600_000));
    }

    #[test]
    fn anything_else_is_refused_with_what_would_do() {
        for word in [
            "",
            "@",
            "@1.",
            "@x",
            "-1",
            "18446744073709551616",
            "yesterday",
            "2023-13-01T00:00:00Z",
            ":5",
            "a:",
        ] {
            let complaint = Target::parse(word).expect_err(word);
            assert!(complaint.contains("is not understood: expected a time"), "{complaint}");
        }
    }
}
