//! Keys as the commands that make them: the base of an append-only file without RDB.
//! The commands are those of Redis's own rewrite (streams need some more); long collections come in several commands
//! of bounded size.

mod stream;

use std::io;
use std::sync::Arc;

use tenon_aof::CommandBase;
use tenon_base::UnixMillis;
use tenon_keyspace::{CutBatch, CutEntry, Element, TextRef, ValueRef, zset::ScoreText};
use tenon_resp::{write_array_header, write_bulk};

/// Elements in one command, as Redis's AOF_REWRITE_ITEMS_PER_CMD.
const ITEMS_MAX: usize = 64;
/// Encoded bytes after which they are passed on.
const FLUSH_BYTES: usize = 256 * 1024;

/// Encodes a cut as commands.
pub(crate) struct CommandEncoder {
    base: CommandBase,
    unix: UnixMillis,
    commands: Vec<u8>,
    out: Vec<u8>,
}

type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

impl CommandEncoder {
    pub(crate) fn new(base: CommandBase, unix: UnixMillis) -> CommandEncoder {
        CommandEncoder { base, unix, commands: Vec::new(), out: Vec::new() }
    }

    /// Writes libraries of functions, before anything else.
    pub(crate) fn functions(&mut self, texts: &[Arc<[u8]>], sink: &mut Sink<'_>) -> io::Result<()> {
        texts.iter().try_for_each(|text| {
            write_array_header(&mut self.commands, 3);
            write_bulk(&mut self.commands, b"FUNCTION");
            write_bulk(&mut self.commands, b"LOAD");
            write_bulk(&mut self.commands, text);
            self.pass_on(0, sink)
        })
    }

    pub(crate) fn batch(&mut self, batch: &CutBatch, sink: &mut Sink<'_>) -> io::Result<()> {
        for entry in batch.iter() {
            self.entry(&entry, sink)?;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        self.base.end(self.unix, &mut self.out);
        sink(&self.out)
    }

    /// What an encoder is made of whose commands go through [`CommandEncoder::piece`].
    pub(crate) fn pieces(&self) -> (CommandBase, UnixMillis) {
        (self.base.piece_writer(), self.unix)
    }

    /// Passes everything on: a piece that ends with a whole batch.
    pub(crate) fn finish_piece(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        self.base.finish_piece(self.unix, &mut self.out);
        sink(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Writes a part of what the piece encoder made.
    pub(crate) fn piece(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
        self.base.piece(self.unix, bytes, &mut self.out);
        sink(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn entry(&mut self, entry: &CutEntry<'_>, sink: &mut Sink<'_>) -> io::Result<()> {
        let (key, database) = (entry.key, entry.database as u32);
        match entry.value {
            ValueRef::String(text) => self.string(key, text),
            ValueRef::List(list) => {
                self.items(b"RPUSH", key, database, list.iter().map(|element| [element, NONE]), 1, sink)?;
            }
            ValueRef::Set(set) => {
                self.items(b"SADD", key, database, set.iter().map(|member| [member, NONE]), 1, sink)?;
            }
            ValueRef::Hash(hash) => {
                self.items(
                    b"HMSET",
                    key,
                    database,
                    hash.iter().map(|(field, value)| [field, value]),
                    2,
                    sink,
                )?;
            }
            ValueRef::Zset(zset) => self.scores(key, database, zset, sink)?,
            ValueRef::Stream(stream) => self.stream(key, database, stream, sink)?,
        }
        if let Some(at) = entry.expires_at {
            write_array_header(&mut self.commands, 3);
            write_bulk(&mut self.commands, b"PEXPIREAT");
            write_bulk(&mut self.commands, key);
            write_bulk(&mut self.commands, at.to_string().as_bytes());
        }
        self.pass_on(database, sink)
    }

    fn string(&mut self, key: &[u8], text: TextRef<'_>) {
        write_array_header(&mut self.commands, 3);
        write_bulk(&mut self.commands, b"SET");
        write_bulk(&mut self.commands, key);
        write_bulk(&mut self.commands, text.bytes(&mut [0; 20]));
    }

    /// Elements, `width` to an item, in commands of at most [`ITEMS_MAX`] items.
    fn items<'e>(
        &mut self,
        verb: &[u8],
        key: &[u8],
        database: u32,
        mut items: impl ExactSizeIterator<Item = [Element<'e>; 2]>,
        width: usize,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        while items.len() > 0 {
            let count = items.len().min(ITEMS_MAX);
            write_array_header(&mut self.commands, 2 + count * width);
            write_bulk(&mut self.commands, verb);
            write_bulk(&mut self.commands, key);
            for item in items.by_ref().take(count) {
                for element in &item[..width] {
                    write_bulk(&mut self.commands, element.as_bytes(&mut [0; 20]));
                }
            }
            self.pass_on(database, sink)?;
        }
        Ok(())
    }

    fn scores(
        &mut self,
        key: &[u8],
        database: u32,
        zset: &tenon_keyspace::Zset,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let mut pairs = zset.iter();
        while pairs.len() > 0 {
            let count = pairs.len().min(ITEMS_MAX);
            write_array_header(&mut self.commands, 2 + count * 2);
            write_bulk(&mut self.commands, b"ZADD");
            write_bulk(&mut self.commands, key);
            for (member, score) in pairs.by_ref().take(count) {
                write_bulk(&mut self.commands, ScoreText::of(score).as_bytes());
                write_bulk(&mut self.commands, member.as_bytes(&mut [0; 20]));
            }
            self.pass_on(database, sink)?;
        }
        Ok(())
    }

    /// Hands what is encoded so far to the base, and what that has complete to the file.
    fn pass_on(&mut self, database: u32, sink: &mut Sink<'_>) -> io::Result<()> {
        if !self.commands.is_empty() {
            self.base.add(self.unix, database, &self.commands, &mut self.out);
            self.commands.clear();
        }
        if self.out.len() >= FLUSH_BYTES {
            sink(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}

/// Stands where an item has one element only.
const NONE: Element<'static> = Element::Integer(0);
