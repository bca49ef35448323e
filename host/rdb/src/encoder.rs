//! A whole file, written: what it says of itself, then key after key as a cut hands them over, then the checksum.
//! Decides nothing about when, where to and how durably: blocks go to a [`Sink`].
//! Always: at most about half a MiB and one compressed element wait, however large a value is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tenon_keyspace::{CutBatch, CutEntry, TextRef};

use crate::aux::Aux;
use crate::format::{MAGICS, RdbVersion, opcode};
use crate::write_value::{type_byte, write_value};
use crate::writer::{Sink, Writer};

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct EncoderOptions {
    /// `rdb-version`.
    pub version: RdbVersion,
    /// `rdbcompression`.
    pub compression: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
    /// What is said of the last access to keys.
    pub access: AccessField,
}

impl Default for EncoderOptions {
    fn default() -> EncoderOptions {
        EncoderOptions {
            version: RdbVersion::default(),
            compression: true,
            checksum: true,
            access: AccessField::None,
        }
    }
}

/// What is said of the last access to keys, which depends on `maxmemory-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessField {
    /// Nothing.
    #[default]
    None,
    /// Access clocks count seconds: for how long a key has been idle.
    Idle {
        /// The present value of the clock, 24 bits.
        clock: u32,
    },
    /// The low eight bits of access clocks count accesses.
    Frequency,
}

/// How many keys a database has: a hint for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSize {
    /// Its number.
    pub database: usize,
    /// Its keys.
    pub keys: usize,
    /// Those that expire.
    pub volatile: usize,
}

/// Writes one file. After an error of the sink it must not be used again.
pub struct Encoder {
    options: EncoderOptions,
    writer: Writer,
    /// The database of the entries to come, once one is selected.
    database: Option<usize>,
    entries: u64,
}

impl Encoder {
    /// An encoder that has written nothing.
    pub fn new(options: EncoderOptions) -> Encoder {
        let writer = Writer::new(options.checksum, options.compression);
        Encoder { options, writer, database: None, entries: 0 }
    }

    /// The same, which compresses nothing while `hurry` is set, also in the midst of a value.
    #[must_use]
    pub fn hurried_by(mut self, hurry: &Arc<AtomicBool>) -> Encoder {
        self.writer.hurried_by(hurry);
        self
    }

    /// Begins the file. To be called once, first.
    pub fn begin(&mut self, aux: &Aux, sizes: &[DatabaseSize], sink: &mut Sink<'_>) -> io::Result<()> {
        self.writer.bytes(MAGICS[0]);
        self.writer.bytes(format!("{:04}", self.options.version.number()).as_bytes());
        for (name, value) in aux.fields() {
            self.writer.byte(opcode::AUX);
            self.writer.string(name.as_bytes(), sink)?;
            self.writer.string(value.as_bytes(), sink)?;
        }
        for size in sizes.iter().filter(|size| size.keys > 0) {
            self.select(size.database);
            self.writer.byte(opcode::RESIZE);
            self.writer.length(size.keys);
            self.writer.length(size.volatile);
        }
        Ok(())
    }

    /// Writes libraries of functions. To be called once, behind [`Encoder::begin`].
    pub fn functions(&mut self, texts: &[Arc<[u8]>], sink: &mut Sink<'_>) -> io::Result<()> {
        texts.iter().try_for_each(|text| {
            self.writer.byte(opcode::FUNCTION);
            self.writer.string(text, sink)
        })
    }

    /// Writes what a cut handed over.
    pub fn batch(&mut self, batch: &CutBatch, sink: &mut Sink<'_>) -> io::Result<()> {
        batch.iter().try_for_each(|entry| self.entry(&entry, sink))
    }

    /// Writes one key. A large value goes to the sink in many blocks; a sink that returns an error ends it at any of them.
    pub fn entry(&mut self, entry: &CutEntry<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
        self.select(entry.database);
        let writer = &mut self.writer;
        if let Some(expires) = entry.expires_at {
            writer.byte(opcode::EXPIRES_MS);
            writer.bytes(&expires.0.to_le_bytes());
        }
        match self.options.access {
            AccessField::None => {}
            AccessField::Idle { clock } => {
                writer.byte(opcode::IDLE);
                // The clock has 24 bits and wraps.
                writer.length((clock.wrapping_sub(entry.access_clock) & 0x00FF_FFFF) as usize);
            }
            AccessField::Frequency => {
                writer.byte(opcode::FREQUENCY);
                writer.byte(entry.access_clock as u8);
            }
        }
        writer.byte(type_byte(entry.value, self.options.version));
        writer.text(TextRef::Bytes(entry.key), sink)?;
        write_value(writer, entry.value, self.options.version, sink)?;
        self.entries += 1;
        Ok(())
    }

    /// Hands on what was written so far: a piece that starts with the first entry after [`Encoder::new`] or
    /// [`Encoder::finish_piece`] and holds whole entries, for [`Encoder::piece`] of another encoder.
    pub fn finish_piece(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        self.database = None;
        self.writer.hand_on(sink)
    }

    /// Writes entries that another encoder with the same options has encoded: a part of pieces, in their order, with
    /// no entry of this one's until all of them are written.
    pub fn piece(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        self.database = None;
        self.writer.bytes(bytes);
        self.writer.hand_on_if_full(sink)
    }

    /// Ends the file, and says how many bytes it has.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> io::Result<u64> {
        self.writer.byte(opcode::END);
        let checksum = self.writer.checksum(sink)?;
        self.writer.bytes(&checksum.to_le_bytes());
        self.writer.hand_on(sink)?;
        Ok(self.writer.written_bytes())
    }

    /// Bytes written so far, those that wait to be handed on included.
    pub fn written_bytes(&self) -> u64 {
        self.writer.written_bytes()
    }

    /// Bytes that the sink was given so far.
    pub fn handed_on_bytes(&self) -> u64 {
        self.writer.handed_on_bytes()
    }

    /// Keys written so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn select(&mut self, database: usize) {
        if self.database != Some(database) {
            self.database = Some(database);
            self.writer.byte(opcode::SELECT);
            self.writer.length(database);
        }
    }
}
