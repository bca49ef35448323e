//! A dump, piece by piece in the order of the file.

use std::sync::Arc;

use tenon_base::DiskFile;
use tenon_rdb::{
    Access, Decoder, FileSource, Limits, LoadError, LoadOptions, LoadedKey, Piece, encoding_name,
};

use super::{Ended, Lines, value};

/// Writes everything that is in the dump at the start of `file`; returns its length (bytes).
pub(super) fn dump(file: &Arc<dyn DiskFile>, lines: &mut Lines) -> Result<u64, Ended> {
    let options = LoadOptions {
        limits: Limits::standard(0),
        databases: usize::MAX,
        checksum: true,
        passes_over_expired_before: None,
    };
    let unsound = |error: LoadError| Ended::Input(error.to_string());
    let mut decoder = Decoder::new(FileSource::new(Arc::clone(file), 0), &options).map_err(unsound)?;
    lines.begin_line("rdb")?;
    lines.number("version", decoder.report().version)?;
    lines.end_line()?;
    while let Some(piece) = decoder.next_piece().map_err(unsound)? {
        match piece {
            Piece::Aux { name, value } => {
                lines.begin_line("aux")?;
                lines.named_text("name", name)?;
                lines.named_text("value", value)?;
            }
            Piece::Library(text) => {
                lines.begin_line("library")?;
                lines.named_text("code", text)?;
            }
            Piece::SlotImport(name) => {
                lines.begin_line("slot_import")?;
                lines.named_text("name", name)?;
            }
            Piece::ModuleData => lines.begin_line("module_data")?,
            Piece::ModuleValue { database, key } => {
                lines.begin_line("module_value")?;
                lines.number("database", database)?;
                lines.named_text("key", key)?;
            }
            Piece::Empty { database, key } => {
                lines.begin_line("empty")?;
                lines.number("database", database)?;
                lines.named_text("key", key)?;
            }
            Piece::Key(key) => self::key(&key, lines)?,
        }
        lines.end_line()?;
    }
    let report = decoder.report();
    lines.begin_line("rdb_end")?;
    lines.number("keys", report.keys)?;
    lines.number("bytes", report.bytes)?;
    lines.named_text("checksum", if report.lacks_checksum { b"none" } else { b"right" })?;
    lines.end_line()?;
    Ok(report.bytes)
}

fn key(key: &LoadedKey<'_>, lines: &mut Lines) -> std::io::Result<()> {
    lines.begin_line("key")?;
    lines.number("database", key.database)?;
    lines.named_text("key", key.key)?;
    lines.named_text("type", key.value.kind().name().as_bytes())?;
    lines.named_text("encoding", encoding_name(key.type_byte).as_bytes())?;
    lines.number_or_null("expires_at_ms", key.expires_at.map(|at| at.0))?;
    match key.access {
        Access::Unknown => {}
        Access::IdleSeconds(seconds) => lines.number("idle_seconds", seconds)?,
        Access::Frequency(count) => lines.number("frequency", count)?,
    }
    lines.name("value")?;
    value::write(lines, key.value.as_ref())
}
