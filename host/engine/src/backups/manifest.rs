//! What is in a backup: a text that a person can read and a tool can check. The last line is a checksum of all lines
//! before it.
//! Always: reading what [`BackupManifest::text`] wrote gives an equal manifest, and a text of which a byte was changed
//! is refused.

use std::fmt::Write as _;

/// The file's name, in the directory of the backup.
pub(super) const FILE: &str = "backup.txt";
/// The longest that is read.
pub(super) const BYTES_MAX: u64 = 64 * 1024;

const FORMAT: &str = "1";
const HEAD: &str = "\
# A backup of a Tenon server: a state of all its data at one moment.
# To see whether it is sound:     tenon check backup DIRECTORY
# To start a server on a copy:    tenon --dir COPY
";

/// A backup, told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupManifest {
    /// Whether all of it was written.
    pub is_complete: bool,
    /// The moment that the data shows, in milliseconds since 1970.
    pub moment_unix_ms: i64,
    /// The version of the server that made it.
    pub tenon_version: String,
    /// The history that the data is of, and how far of it.
    pub replication_id: String,
    /// See `replication_id`.
    pub replication_offset: u64,
    /// Databases that hold something, and their keys.
    pub databases: Vec<(usize, u64)>,
    /// Libraries of functions.
    pub functions: u64,
    /// What else is in the directory; nothing while it is being written.
    pub files: Vec<BackupFile>,
}

/// The snapshot's name in a backup, which is what `dbfilename` is by itself.
pub const DUMP: &str = "dump.rdb";
/// The name that a copy of the `aclfile` has in a backup.
pub const USERS: &str = "users.acl";

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Its name in the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-64/XZ of its content.
    pub checksum: u64,
}

impl BackupManifest {
    /// The snapshot.
    pub fn dump(&self) -> Option<&BackupFile> {
        self.files.iter().find(|file| file.name == DUMP)
    }

    /// The users, where the server had them in an `aclfile`.
    pub fn users(&self) -> Option<&BackupFile> {
        self.files.iter().find(|file| file.name == USERS)
    }

    /// All keys.
    pub fn keys(&self) -> u64 {
        self.databases.iter().map(|(_, keys)| keys).sum()
    }

    /// The lines of the file.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("format", FORMAT);
        line("state", if self.is_complete { "complete" } else { "unfinished" });
        line("moment", &format!("{} ({} ms since 1970)", utc(self.moment_unix_ms), self.moment_unix_ms));
        line("tenon-version", &self.tenon_version);
        line("replication-id", &self.replication_id);
        line("replication-offset", &self.replication_offset.to_string());
        line("keys", &self.keys().to_string());
        for (database, keys) in &self.databases {
            line("database", &format!("{database} {keys} keys"));
        }
        line("function-libraries", &self.functions.to_string());
        for BackupFile { name, bytes, checksum } in &self.files {
            line("file", &format!("{name} {bytes} bytes crc64-xz {checksum:016x}"));
        }
        let checksum = checksum_of(text.as_bytes());
        let _ = writeln!(text, "checksum: {checksum:016x}");
        text
    }

    /// Reads the lines of a file. The error is a sentence.
    pub fn parse(text: &[u8]) -> Result<BackupManifest, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
        let last = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
        let (covered, last) = text.split_at(last);
        let stated = last.trim_end().strip_prefix("checksum: ").and_then(hexadecimal);
        let stated =
            stated.ok_or("it does not end in a line with its checksum: it is torn, or no backup's")?;
        let found = checksum_of(covered.as_bytes());
        if stated != found {
            return Err(format!("its checksum is {stated:016x}, and that of its lines {found:016x}"));
        }
        Fields(covered).manifest()
    }
}

/// The lines before the checksum.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn manifest(&self) -> Result<BackupManifest, String> {
        let format = self.one("format")?;
        if format != FORMAT {
            return Err(format!(
                "it is of format '{format}', and this program knows {FORMAT}: use a newer one"
            ));
        }
        let database = |value: &str| {
            let (database, keys) = value.strip_suffix(" keys")?.split_once(' ')?;
            Some((database.parse().ok()?, keys.parse().ok()?))
        };
        let file = |value: &str| {
            let mut words = value.split(' ');
            let (name, bytes) = (words.next()?, words.next()?.parse().ok()?);
            let is_plain = !name.is_empty() && !name.contains('/') && name != "..";
            let rest = [words.next()?, words.next()?];
            let checksum = hexadecimal(words.next()?)?;
            let is_understood = rest == ["bytes", "crc64-xz"] && words.next().is_none() && is_plain;
            is_understood.then(|| BackupFile { name: name.to_owned(), bytes, checksum })
        };
        let moment = |value: &str| value.split_once(" (")?.1.strip_suffix(" ms since 1970)")?.parse().ok();
        Ok(BackupManifest {
            is_complete: self.one("state")? == "complete",
            moment_unix_ms: self.read("moment", moment)?,
            tenon_version: self.one("tenon-version")?.to_owned(),
            replication_id: self.one("replication-id")?.to_owned(),
            replication_offset: self.read("replication-offset", |value| value.parse().ok())?,
            databases: self.all("database", database)?,
            functions: self.read("function-libraries", |value| value.parse().ok())?,
            files: self.all("file", file)?,
        })
    }

    fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn one(&self, name: &'a str) -> Result<&'a str, String> {
        self.values(name).next().ok_or_else(|| format!("it has no line '{name}'"))
    }

    fn read<T>(&self, name: &'a str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let value = self.one(name)?;
        parse(value).ok_or_else(|| format!("its line '{name}: {value}' is not understood"))
    }

    fn all<T>(&self, name: &'a str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
        let parsed = self
            .values(name)
            .map(|value| parse(value).ok_or_else(|| format!("its line '{name}: {value}' is not understood")));
        parsed.collect()
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?
}

fn checksum_of(bytes: &[u8]) -> u64 {
    let mut digest = crc64fast::Digest::new();
    digest.write(bytes);
    digest.sum64()
}

/// A moment as people write it, in UTC.
pub(crate) fn utc(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(86_400_000), unix_ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let (seconds, ms) = (ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// The day of the Gregorian calendar that is so many days after the first of 1970. Years are counted from March on, so
/// that the leap day is the last one.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097; // 400 years
    let shifted = days + 719_468; // since the first of March of the year 0
    let (era, of_era) = (shifted.div_euclid(ERA_DAYS), shifted.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> BackupManifest {
        BackupManifest {
            is_complete: true,
            moment_unix_ms: 1_709_164_799_999,
            tenon_version: "0.1.0".into(),
            replication_id: "a".repeat(40),
            replication_offset: 17,
            databases: vec![(0, 5), (9, 1)],
            functions: 2,
            files: vec![BackupFile { name: "dump.rdb".into(), bytes: 123, checksum: 0xAB }],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = manifest().text();
        assert!(
            text.contains("moment: 2024-02-28T23:59:59.999Z (") && text.contains("\nkeys: 6\n"),
            "{text}"
        );
        assert!(text.contains("file: dump.rdb 123 bytes crc64-xz 00000000000000ab\n"), "{text}");
        assert_eq!(BackupManifest::parse(text.as_bytes()), Ok(manifest()));
        let unfinished = BackupManifest { is_complete: false, files: Vec::new(), ..manifest() };
        assert_eq!(BackupManifest::parse(unfinished.text().as_bytes()), Ok(unfinished));
    }

    #[test]
    fn whatever_is_changed_or_cut_is_refused() {
        let text = manifest().text();
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(BackupManifest::parse(&bytes).is_err(), "byte {at}");
            assert!(BackupManifest::parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
        assert!(BackupManifest::parse(b"").is_err() && BackupManifest::parse(&[0xFF; 30]).is_err());
        let elsewhere = text.replace("dump.rdb", "../x.rdb");
        assert!(BackupManifest::parse(elsewhere.as_bytes()).is_err());
        let mut lines = manifest();
        lines.files[0].name = "../dump.rdb".into();
        let error = BackupManifest::parse(lines.text().as_bytes()).expect_err("a path");
        assert!(error.contains("not understood"), "{error}");
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(utc(unix_ms), text);
        }
    }
}
