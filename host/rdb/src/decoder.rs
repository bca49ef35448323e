//! A file, read: what it says of itself, then key after key, then the checksum. One key (or one piece of any kind) is
//! handed out at a time, so that a machine can read a little between other things.
//! Inserts nothing itself. Always: after an error nothing more is handed out.

use tenon_base::UnixMillis;
use tenon_keyspace::Value;

use crate::aux::Aux;
use crate::error::{LoadError, LoadErrorKind};
use crate::format::{
    Dialect, VERSION_WITH_CHECKSUM, has_key, is_readable, is_timed_hash, kind, module_part, opcode,
};
use crate::header;
use crate::limits::Limits;
use crate::read_value::ValueReader;
use crate::reader::Reader;
use crate::source::Source;
use crate::timed_hash::{self, TimedHash};

/// Names of keys of one kind that a report holds.
const NAMES_MAX: usize = 100;
/// ... and how much of each.
const NAME_BYTES_MAX: usize = 128;

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// The thresholds under which values are taken in.
    pub limits: Limits,
    /// How many databases there are; a key of another one is an error.
    pub databases: usize,
    /// `rdbchecksum`: whether the checksum at the end is compared.
    pub checksum: bool,
    /// Keys that expired before this moment are passed over. A primary does so with its own file, a replica never,
    /// and nobody with the base of an append-only file. Never in a file that names its place in a replication stream:
    /// whoever goes on from that place must be told that they are gone. Fields of hashes that expired before it are left
    /// out in any file.
    pub passes_over_expired_before: Option<UnixMillis>,
}

/// One key of a file.
#[derive(Debug)]
pub struct LoadedKey<'a> {
    /// The number of its database.
    pub database: usize,
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: Value,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
    /// What the file says of the last access to it.
    pub access: Access,
    /// The type under which the file keeps it; `encoding_name` has a word for it.
    pub type_byte: u8,
}

/// One piece of a file, for who wants to see everything that is in it.
#[derive(Debug)]
pub enum Piece<'a> {
    /// What the file says of itself.
    Aux {
        /// The field.
        name: &'a [u8],
        /// What it says.
        value: &'a [u8],
    },
    /// The text of a library of functions.
    Library(&'a [u8]),
    /// Slots of a Valkey cluster that were on their way to the server that wrote the file: the name of the migration.
    SlotImport(&'a [u8]),
    /// Data of a module, passed over.
    ModuleData,
    /// The value of a module, passed over: there are no modules.
    ModuleValue {
        /// The number of its database.
        database: usize,
        /// The key.
        key: &'a [u8],
    },
    /// A collection without members, which old bugs left; a load passes it over.
    Empty {
        /// The number of its database.
        database: usize,
        /// The key.
        key: &'a [u8],
    },
    /// A key.
    Key(LoadedKey<'a>),
}

/// What a file says of the last access to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    #[default]
    Unknown,
    /// Seconds since then.
    IdleSeconds(u64),
    /// A logarithmic count of accesses.
    Frequency(u8),
}

/// What a load came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The version of the file.
    pub version: u32,
    /// What the file says of itself.
    pub aux: Aux,
    /// Keys handed out.
    pub keys: u64,
    /// Keys passed over because they had expired.
    pub expired: u64,
    /// Keys passed over because their collection is empty.
    pub empty: u64,
    /// The names of the first of them.
    pub empty_keys: Vec<Vec<u8>>,
    /// Keys passed over because their value is one of a module.
    pub module_values: u64,
    /// The names of the first of them.
    pub module_keys: Vec<Vec<u8>>,
    /// Fields of hashes that have expiry times, which are not kept.
    pub field_times: u64,
    /// The names of the first of those hashes.
    pub timed_keys: Vec<Vec<u8>>,
    /// Ranges of slots of a Valkey cluster that were on their way to the server that wrote the file: their keys are
    /// those that had arrived.
    pub slot_imports: u64,
    /// The texts of libraries of functions.
    pub libraries: Vec<Vec<u8>>,
    /// Data of modules passed over: there are no modules.
    pub module_data: u64,
    /// The file has a checksum of zero: it was written without one.
    pub lacks_checksum: bool,
    /// Bytes from the start to behind the checksum.
    pub bytes: u64,
}

/// Reads a file key by key.
pub struct Decoder<S> {
    reader: Reader<S>,
    values: ValueReader,
    dialect: Dialect,
    options: LoadOptions,
    report: LoadReport,
    database: usize,
    /// The key, or the name of a field.
    key: Vec<u8>,
    /// What a field says, or the text of a library.
    text: Vec<u8>,
    notes: Notes,
    is_at_end: bool,
}

/// What came next; its texts are in the decoder.
enum Found {
    Aux,
    Library,
    SlotImport,
    ModuleData,
    ModuleValue,
    Empty,
    Key(FoundKey),
    End,
}

/// A key but for its name, which is in the decoder.
pub(crate) struct FoundKey {
    type_byte: u8,
    value: Value,
    notes: Notes,
}

/// What stands before a key.
#[derive(Default)]
struct Notes {
    expires_at: Option<UnixMillis>,
    access: Access,
}

impl<S: Source> Decoder<S> {
    /// Reads the first nine bytes.
    pub fn new(source: S, options: &LoadOptions) -> Result<Decoder<S>, LoadError> {
        let mut reader = Reader::new(source, usize::MAX);
        let version = header::read(&mut reader)?;
        Ok(Decoder {
            reader,
            values: ValueReader::new(options.limits),
            dialect: Dialect::of_version(version),
            options: *options,
            report: LoadReport { version, ..LoadReport::default() },
            database: 0,
            key: Vec::new(),
            text: Vec::new(),
            notes: Notes::default(),
            is_at_end: false,
        })
    }

    /// The next key; None once the end, checksum included, was read. After an error there is nothing more to ask for.
    pub fn next_key(&mut self) -> Result<Option<LoadedKey<'_>>, LoadError> {
        let found = self.find_key()?;
        Ok(found.map(|found| self.key_of(found)))
    }

    /// As [`Decoder::next_key`]; what is found becomes a key by [`Decoder::key_of`].
    pub(crate) fn find_key(&mut self) -> Result<Option<FoundKey>, LoadError> {
        loop {
            match self.advance()? {
                Found::End => return Ok(None),
                Found::Library => self.report.libraries.push(std::mem::take(&mut self.text)),
                Found::Aux | Found::SlotImport | Found::ModuleData | Found::ModuleValue | Found::Empty => {}
                Found::Key(found) => {
                    let passes_over = self.options.passes_over_expired_before;
                    let passes_over = passes_over.filter(|_| self.report.aux.replication_id.is_none());
                    if found.notes.expires_at.zip(passes_over).is_some_and(|(at, now)| at < now) {
                        self.report.expired += 1;
                        continue;
                    }
                    self.report.keys += 1;
                    return Ok(Some(found));
                }
            }
        }
    }

    /// The next piece of any kind; None once the end, checksum included, was read. Libraries are handed out and not
    /// kept, and no key is passed over.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, LoadError> {
        Ok(Some(match self.advance()? {
            Found::SlotImport => Piece::SlotImport(&self.text),
            Found::End => return Ok(None),
            Found::Aux => Piece::Aux { name: &self.key, value: &self.text },
            Found::Library => Piece::Library(&self.text),
            Found::ModuleData => Piece::ModuleData,
            Found::ModuleValue => Piece::ModuleValue { database: self.database, key: &self.key },
            Found::Empty => Piece::Empty { database: self.database, key: &self.key },
            Found::Key(found) => {
                self.report.keys += 1;
                Piece::Key(self.key_of(found))
            }
        }))
    }

    pub(crate) fn key_of(&self, found: FoundKey) -> LoadedKey<'_> {
        let FoundKey { type_byte, value, notes: Notes { expires_at, access } } = found;
        LoadedKey { database: self.database, key: &self.key, value, expires_at, access, type_byte }
    }

    fn advance(&mut self) -> Result<Found, LoadError> {
        self.reader.pass();
        let type_byte = match self.next_type()? {
            Ok(type_byte) => type_byte,
            Err(found) => return Ok(found),
        };
        let type_offset = self.reader.offset() - 1;
        let unknown = match self.dialect {
            Dialect::Valkey if type_byte > kind::STREAM_WITH_ACTIVE_TIMES => {
                LoadErrorKind::ValkeyType(type_byte)
            }
            _ => LoadErrorKind::Type(type_byte),
        };
        let unknown = LoadError { at: type_offset, key: None, kind: unknown };
        if !is_readable(type_byte) && !has_key(type_byte, self.dialect) {
            return Err(unknown);
        }
        self.reader.string(&mut self.key)?;
        if type_byte == kind::MODULE {
            self.skip_module_parts().map_err(|error| error.with_key(&self.key))?;
            self.notes = Notes::default();
            self.report.module_values += 1;
            note_name(&mut self.report.module_keys, &self.key);
            return Ok(Found::ModuleValue);
        }
        let is_timed = is_timed_hash(type_byte, self.dialect);
        if !is_readable(type_byte) && !is_timed {
            return Err(unknown.with_key(&self.key));
        }
        let value = match is_timed {
            true => self.timed_hash(type_byte),
            false => self.values.read(&mut self.reader, type_byte),
        };
        let notes = std::mem::take(&mut self.notes);
        match value.map_err(|error| error.with_key(&self.key))? {
            Some(value) => Ok(Found::Key(FoundKey { type_byte, value, notes })),
            None => {
                self.report.empty += 1;
                note_name(&mut self.report.empty_keys, &self.key);
                Ok(Found::Empty)
            }
        }
    }

    /// Where the bytes come from, and the way back to the beginning of what is read next.
    pub(crate) fn reader_mut(&mut self) -> &mut Reader<S> {
        &mut self.reader
    }

    fn timed_hash(&mut self, type_byte: u8) -> Result<Option<Value>, LoadError> {
        let (limits, before) = (&self.options.limits, self.options.passes_over_expired_before);
        let TimedHash { hash, times } =
            timed_hash::read(&mut self.reader, type_byte, self.dialect, limits, before)?;
        if times > 0 {
            self.report.field_times += times;
            note_name(&mut self.report.timed_keys, &self.key);
        }
        Ok((!hash.is_empty()).then_some(Value::Hash(hash)))
    }

    /// What was read so far.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    pub(crate) fn into_report(self) -> LoadReport {
        self.report
    }

    /// The error of the key that was handed out last, if it was there already.
    pub(crate) fn duplicate(&self) -> LoadError {
        LoadError::duplicate(self.reader.offset(), &self.key)
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.reader.offset()
    }

    /// The type of the next key; what is no key comes before it as the other half.
    fn next_type(&mut self) -> Result<Result<u8, Found>, LoadError> {
        while !self.is_at_end {
            let (reader, notes) = (&mut self.reader, &mut self.notes);
            match reader.byte()? {
                opcode::EXPIRES_SECONDS => {
                    let seconds = i64::from(i32::from_le_bytes(reader.array()?));
                    notes.expires_at = expiry(seconds * 1_000);
                }
                opcode::EXPIRES_MS => notes.expires_at = expiry(i64::from_le_bytes(reader.array()?)),
                opcode::FREQUENCY => notes.access = Access::Frequency(reader.byte()?),
                opcode::IDLE => notes.access = Access::IdleSeconds(reader.length()?),
                opcode::SELECT => self.select()?,
                opcode::RESIZE => {
                    reader.length()?;
                    reader.length()?;
                }
                opcode::SLOT_IMPORT if self.dialect == Dialect::Valkey => {
                    self.skip_slot_import()?;
                    return Ok(Err(Found::SlotImport));
                }
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        reader.length()?;
                    }
                }
                opcode::AUX => {
                    reader.string(&mut self.key)?;
                    reader.string(&mut self.text)?;
                    self.report.aux.take(&self.key, &self.text);
                    return Ok(Err(Found::Aux));
                }
                opcode::FUNCTION => {
                    reader.string(&mut self.text)?;
                    return Ok(Err(Found::Library));
                }
                opcode::MODULE_AUX => {
                    self.skip_module_data()?;
                    return Ok(Err(Found::ModuleData));
                }
                opcode::END => self.end()?,
                type_byte => return Ok(Ok(type_byte)),
            }
        }
        Ok(Err(Found::End))
    }

    fn select(&mut self) -> Result<(), LoadError> {
        let found = self.reader.length()?;
        let databases = self.options.databases;
        match usize::try_from(found) {
            Ok(database) if database < databases => {
                self.database = database;
                Ok(())
            }
            _ => Err(self.reader.error(LoadErrorKind::Database { found, databases })),
        }
    }

    /// The name of a migration, and the ranges of slots that it is of.
    fn skip_slot_import(&mut self) -> Result<(), LoadError> {
        self.reader.string(&mut self.text)?;
        let ranges = self.reader.length()?;
        for _ in 0..ranges {
            self.reader.length()?;
            self.reader.length()?;
        }
        // Of what arrives bit by bit, it is begun anew when it was not all there.
        self.report.slot_imports = self.report.slot_imports.saturating_add(ranges);
        Ok(())
    }

    fn skip_module_data(&mut self) -> Result<(), LoadError> {
        self.skip_module_parts()?;
        // Of what arrives bit by bit, it is begun anew when it was not all there.
        self.report.module_data += 1;
        Ok(())
    }

    fn skip_module_parts(&mut self) -> Result<(), LoadError> {
        // The module's id; where it is no value, then the moment in which the data were written, as a part like the others.
        self.reader.length()?;
        let reader = &mut self.reader;
        loop {
            match reader.length()? {
                module_part::END => break,
                module_part::SIGNED | module_part::UNSIGNED => drop(reader.length()?),
                module_part::FLOAT => reader.skip(4)?,
                module_part::DOUBLE => reader.skip(8)?,
                module_part::STRING => reader.string(&mut Vec::new())?,
                other => return Err(reader.error(LoadErrorKind::ModulePart(other))),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), LoadError> {
        if self.report.version >= VERSION_WITH_CHECKSUM {
            let computed = self.reader.checksum();
            let found = u64::from_le_bytes(self.reader.array()?);
            self.report.lacks_checksum = found == 0;
            if self.options.checksum && found != 0 && found != computed {
                return Err(self.reader.error(LoadErrorKind::Checksum { computed, found }));
            }
        }
        self.report.bytes = self.reader.offset();
        self.is_at_end = true;
        Ok(())
    }
}

/// Remembers the name of a key, as long as there are not too many of them.
fn note_name(names: &mut Vec<Vec<u8>>, key: &[u8]) {
    if names.len() < NAMES_MAX {
        names.push(key[..key.len().min(NAME_BYTES_MAX)].to_vec());
    }
}

/// In a file, -1 means that a key does not expire.
fn expiry(unix_ms: i64) -> Option<UnixMillis> {
    (unix_ms != -1).then_some(UnixMillis(unix_ms))
}
