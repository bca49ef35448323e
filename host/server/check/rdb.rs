//! `tenon check rdb`: a dump, read to its checksum.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, describe};
use tenon_rdb::{FileSource, Limits, LoadOptions, LoadReport, LoadedKey, load};

use super::repeats::{Next, Repeats};
use super::{Tenths, moment, say};
use crate::read_only::ReadOnlyDisk;

/// What is in a file, by what it says.
#[derive(Default)]
pub(super) struct Contents {
    /// Keys by database and type.
    keys: BTreeMap<(usize, &'static str), u64>,
    expiring: u64,
    largest: Option<(usize, Box<[u8]>)>,
}

/// Reads the file and says what is in it.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let file = ReadOnlyDisk
        .open(path, false)
        .map_err(|error| format!("{} cannot be opened: {}", path.display(), describe(&error)))?;
    let mut contents = Contents::default();
    let length = file.length().map_err(|error| format!("{}: {}", path.display(), describe(&error)))?;
    let report = contents.read(&file, &mut Tenths::new(), length).map_err(|error| {
        format!("{} is not sound: {error}. What was read before it:\n{}", path.display(), contents.lines())
    })?;
    say(&format!("{}: RDB version {}, {} bytes", path.display(), report.version, report.bytes));
    say(&origin(&report));
    say(&contents.lines());
    for (count, what) in [
        (report.empty, "keys with an empty collection, which a load passes over"),
        (
            report.module_values,
            "values of modules, which a load passes over: they are lost with the next save",
        ),
        (
            report.field_times,
            "fields of hashes with expiry times, which are not kept: a load makes lasting ones of them",
        ),
        (
            report.slot_imports,
            "ranges of slots were on their way to the server that wrote it: their keys are those that had arrived",
        ),
        (report.module_data, "pieces of module data, which a load passes over"),
    ] {
        if count > 0 {
            say(&format!("{count} {what}"));
        }
    }
    if report.lacks_checksum {
        say(
            "It was written without a checksum ('rdbchecksum no'): its structure is sound, its bytes are not proven",
        );
    }
    if length > report.bytes {
        say(&format!("{} bytes follow the end of the dump", length - report.bytes));
    }
    say("RDB is sound");
    Ok(())
}

impl Contents {
    /// Reads the RDB at the start of `file`, which is all of `total_bytes` or their first part.
    pub(super) fn read(
        &mut self,
        file: &Arc<dyn DiskFile>,
        tenths: &mut Tenths,
        total_bytes: u64,
    ) -> Result<LoadReport, String> {
        let options = LoadOptions {
            limits: Limits::standard(0),
            databases: usize::MAX,
            checksum: true,
            passes_over_expired_before: None,
        };
        let mut largest_bytes = 0;
        let mut repeats = Repeats::new();
        let report = load(
            &mut FileSource::new(Arc::clone(file), 0),
            &options,
            &mut |key| {
                repeats.key(key.database, key.key);
                *self.keys.entry((key.database, key.value.kind().name())).or_default() += 1;
                self.expiring += u64::from(key.expires_at.is_some());
                let bytes = key.value.memory();
                if bytes > largest_bytes || self.largest.is_none() {
                    largest_bytes = bytes;
                    self.largest = Some((bytes, key.key.into()));
                }
                true
            },
            &mut |bytes| {
                tenths.tell(bytes, total_bytes);
                ControlFlow::Continue(())
            },
        )
        .map_err(|error| error.to_string())?;
        refuse_repeats(repeats, file, &options)?;
        Ok(report)
    }

    /// Keys by database.
    pub(super) fn key_counts(&self) -> Vec<(usize, u64)> {
        let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
        self.keys.iter().for_each(|((database, _), count)| *counts.entry(*database).or_default() += count);
        counts.into_iter().collect()
    }

    /// Keys by database and type, and what stands out.
    pub(super) fn lines(&self) -> String {
        let mut lines = Vec::new();
        for database in
            self.keys.keys().map(|(database, _)| *database).collect::<std::collections::BTreeSet<_>>()
        {
            let of_database = self.keys.range((database, "")..=(database, "\u{10FFFF}"));
            let kinds: Vec<String> =
                of_database.map(|((_, kind), count)| format!("{count} {kind}")).collect();
            lines.push(format!("database {database}: {}", kinds.join(", ")));
        }
        if lines.is_empty() {
            return "no keys".to_owned();
        }
        lines.push(format!("{} keys expire", self.expiring));
        if let Some((bytes, key)) = &self.largest {
            let shown = &key[..key.len().min(64)];
            lines.push(format!(
                "the largest value takes {bytes} bytes of memory: \"{}\"",
                shown.escape_ascii()
            ));
        }
        lines.join("\n")
    }
}

/// Reads the file again as often as it takes to know that no key comes twice.
fn refuse_repeats(
    mut repeats: Repeats,
    file: &Arc<dyn DiskFile>,
    options: &LoadOptions,
) -> Result<(), String> {
    loop {
        match repeats.read() {
            Next::Nothing => return Ok(()),
            Next::Found(database, key) => {
                let shown = key[..key.len().min(64)].escape_ascii();
                return Err(format!("the key \"{shown}\" of database {database} is in it twice"));
            }
            Next::ReadAgain => {
                let (part, parts) = repeats.progress();
                let _ =
                    writeln!(std::io::stderr(), "looking for keys that come twice, part {part} of {parts}");
            }
        }
        let mut source = FileSource::new(Arc::clone(file), 0);
        let mut key = |key: LoadedKey<'_>| {
            repeats.key(key.database, key.key);
            true
        };
        load(&mut source, options, &mut key, &mut |_| ControlFlow::Continue(()))
            .map_err(|error| error.to_string())?;
    }
}

fn origin(report: &LoadReport) -> String {
    let aux = &report.aux;
    let writer = match (&aux.tenon_version, &aux.redis_version) {
        (Some(version), _) => format!("Tenon {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "an unknown server".to_owned(),
    };
    let created = aux
        .created_seconds
        .map_or_else(String::new, |at| format!(" on {}", moment(at.saturating_mul(1_000))));
    let place = match (&aux.replication_id, aux.replication_offset) {
        (Some(id), Some(offset)) => format!(", at offset {offset} of replication id {id}"),
        _ => String::new(),
    };
    format!("written by {writer}{created}{place}")
}
