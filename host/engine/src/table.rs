//! The merged table of commands: data commands and server commands behind one look-up by name.
//! Built once for each engine; a command's place in it is its identity for statistics.

use tenon_commands::{Argument, Begin, Categories, Flags, Group, Handler, KeySpec, Row};

use tenon_config::Rename;
use tenon_resp::Args;

use crate::server::ServerHandler;

/// Identity of a command or subcommand in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(u16);

impl CommandId {
    /// As an index into statistics by command.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What runs a command.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    Data(Handler),
    Server(ServerHandler),
}

/// How a command names the script that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    Text,
    Digest,
    Function,
}

/// A row of either table, with its handler's kind forgotten.
pub struct Command {
    /// `config`, or `config|get` for a subcommand.
    pub full_name: String,
    pub(crate) run: Run,
    /// See [`Row`].
    pub name: &'static str,
    /// See [`Row`].
    pub arity: i16,
    /// See [`Row`].
    pub flags: Flags,
    /// See [`Row`].
    pub keys: &'static [KeySpec],
    /// Categories, the implied ones included.
    pub categories: Categories,
    /// See [`Row`].
    pub tips: &'static [&'static str],
    /// See [`Row`].
    pub group: Group,
    /// See [`Row`].
    pub since: &'static str,
    /// See [`Row`].
    pub complexity: &'static str,
    /// See [`Row`].
    pub summary: &'static str,
    /// See [`Row`].
    pub arguments: &'static [Argument],
    /// Its subcommands, in table order.
    pub subcommands: Vec<CommandId>,
    /// The first key's word, where that is fixed: what prefetch looks at.
    pub(crate) first_key: Option<u8>,
    /// Whether it is for collections, whose content lies apart from the key: prefetch goes one step further.
    pub(crate) wants_collection: bool,
    /// How its second word names a script, if it runs one.
    pub(crate) runs: Option<Runs>,
}

impl Command {
    /// Whether `words` words, name included, are a right number.
    pub fn accepts(&self, words: usize) -> bool {
        if self.arity >= 0 {
            words == self.arity as usize
        } else {
            words >= self.arity.unsigned_abs() as usize
        }
    }
}

/// What of a request is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    Command,
    /// A word behind this command.
    Subcommand(CommandId),
}

/// All commands of an engine.
pub struct CommandTable {
    commands: Vec<Command>,
    /// Ids of commands that are no subcommands, in table order.
    top: Vec<CommandId>,
    /// Open addressing over packed names; a power of two, at most half full.
    slots: Box<[Option<(u128, CommandId)>]>,
    /// Names too long to pack.
    long: Vec<(Vec<u8>, CommandId)>,
}

const PACKED_BYTES_MAX: usize = 16;

impl CommandTable {
    /// Merges the tables; `renames` says which answer to another name, or to none. Two rows of one name are a
    /// mistake in the source.
    pub(crate) fn new(
        data: &[&'static [Row<Handler>]],
        server: &[&'static [Row<ServerHandler>]],
        renames: &[Rename],
    ) -> CommandTable {
        let mut table =
            CommandTable { commands: Vec::new(), top: Vec::new(), slots: Box::default(), long: Vec::new() };
        for row in data.iter().flat_map(|rows| rows.iter()) {
            let id = table.add(row, None, Run::Data);
            table.top.push(id);
        }
        for row in server.iter().flat_map(|rows| rows.iter()) {
            let id = table.add(row, None, Run::Server);
            table.top.push(id);
        }
        table.index_names(renames);
        table
    }

    /// Looks a command up by name, in letters of either case.
    pub fn find(&self, name: &[u8]) -> Option<CommandId> {
        let Some(packed) = pack(name) else {
            let is_it = |known: &&(Vec<u8>, CommandId)| known.0.eq_ignore_ascii_case(name);
            return self.long.iter().find(is_it).map(|known| known.1);
        };
        let mask = self.slots.len() - 1;
        let mut at = spread(packed) & mask;
        loop {
            match self.slots[at] {
                Some((known, id)) if known == packed => return Some(id),
                Some(_) => at = (at + 1) & mask,
                None => return None,
            }
        }
    }

    /// Looks up what a request calls: a command, or its subcommand if it has some and one is named.
    pub fn resolve(&self, args: Args<'_>) -> Result<CommandId, Unresolved> {
        let id = self.find(args.get(0)).ok_or(Unresolved::Command)?;
        self.resolve_subcommand(id, args)
    }

    /// As [`CommandTable::resolve`], of a request whose first word is looked up already.
    #[inline]
    pub fn resolve_subcommand(&self, id: CommandId, args: Args<'_>) -> Result<CommandId, Unresolved> {
        match args.try_get(1) {
            Some(word) if !self[id].subcommands.is_empty() => {
                self.find_subcommand(id, word).ok_or(Unresolved::Subcommand(id))
            }
            _ => Ok(id),
        }
    }

    /// Looks a command up by `name` or `parent|name`.
    pub fn find_full_name(&self, name: &[u8]) -> Option<CommandId> {
        let mut words = name.splitn(2, |&byte| byte == b'|');
        let parent = self.find(words.next()?)?;
        words.next().map_or(Some(parent), |child| self.find_subcommand(parent, child))
    }

    /// Looks a subcommand up.
    pub fn find_subcommand(&self, parent: CommandId, name: &[u8]) -> Option<CommandId> {
        let is_it = |id: &&CommandId| self[**id].name.as_bytes().eq_ignore_ascii_case(name);
        self[parent].subcommands.iter().find(is_it).copied()
    }

    /// Commands that are no subcommands, in table order.
    pub fn top(&self) -> &[CommandId] {
        &self.top
    }

    /// How many ids there are: commands and subcommands.
    pub fn count(&self) -> usize {
        self.commands.len()
    }

    /// Every id.
    pub fn ids(&self) -> impl Iterator<Item = CommandId> + use<> {
        (0..self.commands.len() as u16).map(CommandId)
    }

    fn add<F: Copy>(&mut self, row: &'static Row<F>, parent: Option<&str>, wrap: fn(F) -> Run) -> CommandId {
        let id = CommandId(self.commands.len() as u16);
        let full_name = parent.map_or_else(|| row.name.to_owned(), |parent| format!("{parent}|{}", row.name));
        self.commands.push(Command {
            full_name,
            run: wrap(row.run),
            name: row.name,
            arity: row.arity,
            flags: row.flags,
            keys: row.keys,
            categories: row.all_categories(),
            tips: row.tips,
            group: row.group,
            since: row.since,
            complexity: row.complexity,
            summary: row.summary,
            arguments: row.arguments,
            subcommands: Vec::new(),
            first_key: first_key(row.keys),
            wants_collection: matches!(
                row.group,
                Group::List | Group::Set | Group::SortedSet | Group::Hash | Group::Geo | Group::Stream
            ),
            runs: match row.name {
                "eval" | "eval_ro" => Some(Runs::Text),
                "evalsha" | "evalsha_ro" => Some(Runs::Digest),
                "fcall" | "fcall_ro" => Some(Runs::Function),
                _ => None,
            },
        });
        for subcommand in row.subcommands {
            let child = self.add(subcommand, Some(row.name), wrap);
            self.commands[id.index()].subcommands.push(child);
        }
        id
    }

    fn index_names(&mut self, renames: &[Rename]) {
        let capacity = (self.top.len() * 2).next_power_of_two().max(2);
        self.slots = vec![None; capacity].into_boxed_slice();
        for &id in &self.top {
            let own = self.commands[id.index()].name.as_bytes();
            let renamed = renames.iter().rev().find(|rename| rename.command.eq_ignore_ascii_case(own));
            let name = renamed.map_or(own, |rename| &rename.name);
            if name.is_empty() {
                continue;
            }
            let Some(packed) = pack(name) else {
                self.long.push((name.to_vec(), id));
                continue;
            };
            let mut at = spread(packed) & (capacity - 1);
            while let Some((known, _)) = self.slots[at] {
                assert_ne!(known, packed, "two rows are named {}", name.escape_ascii());
                at = (at + 1) & (capacity - 1);
            }
            self.slots[at] = Some((packed, id));
        }
    }

    /// Refuses renames that name no command, or the name of another one.
    pub(crate) fn check_renames(&self, renames: &[Rename]) -> Result<(), String> {
        let own =
            |name: &[u8]| self.top.iter().any(|&id| self[id].name.as_bytes().eq_ignore_ascii_case(name));
        for (index, rename) in renames.iter().enumerate() {
            let (command, name) = (rename.command.escape_ascii(), rename.name.escape_ascii());
            if !own(&rename.command) {
                return Err(format!("rename-command: No such command in rename-command: '{command}'"));
            }
            let is_taken = renames[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&rename.name));
            if !rename.name.is_empty() && (own(&rename.name) || is_taken) {
                return Err(format!("rename-command: Target command name already exists: '{name}'"));
            }
        }
        Ok(())
    }
}

impl std::ops::Index<CommandId> for CommandTable {
    type Output = Command;
    fn index(&self, id: CommandId) -> &Command {
        &self.commands[id.index()]
    }
}

fn first_key(keys: &[KeySpec]) -> Option<u8> {
    keys.iter().find_map(|spec| match spec.begin {
        Begin::Index(index) => u8::try_from(index).ok(),
        Begin::Keyword { .. } | Begin::Unknown => None,
    })
}

/// A short name, in lower case, as a number. No name holds a zero byte, so lengths cannot be confused.
///
/// All of it happens in registers: bytes that were stored one by one would be slow to load as one number.
fn pack(name: &[u8]) -> Option<u128> {
    const ONES: u128 = u128::from_le_bytes([1; PACKED_BYTES_MAX]);
    const HIGHS: u128 = ONES << 7;
    let bytes = match name.len() {
        0 => return None,
        1..4 => {
            let (middle, last) = (name.len() / 2, name.len() - 1);
            u128::from(name[0])
                | u128::from(name[middle]) << (8 * middle)
                | u128::from(name[last]) << (8 * last)
        }
        4..8 => {
            let first = u32::from_le_bytes(*name.first_chunk()?);
            let last = u32::from_le_bytes(*name.last_chunk()?);
            u128::from(first) | u128::from(last) << (8 * (name.len() - 4))
        }
        8..=PACKED_BYTES_MAX => {
            let first = u64::from_le_bytes(*name.first_chunk()?);
            let last = u64::from_le_bytes(*name.last_chunk()?);
            u128::from(first) | u128::from(last) << (8 * (name.len() - 8))
        }
        _ => return None,
    };
    let behind = u128::MAX.checked_shl(8 * name.len() as u32).unwrap_or(0);
    let has_zero = (bytes | behind).wrapping_sub(ONES) & !(bytes | behind) & HIGHS != 0;
    // Byte by byte, the high bit says "at least `A`" and "beyond `Z`", as long as the byte has none of its own.
    let low_bits = bytes & !HIGHS;
    let from_a = low_bits + ONES * u128::from(0x80 - b'A');
    let beyond_z = low_bits + ONES * u128::from(0x7F - b'Z');
    let capitals = from_a & !beyond_z & !bytes & HIGHS;
    (!has_zero).then_some(bytes | capitals >> 2)
}

fn spread(packed: u128) -> usize {
    let folded = (packed as u64) ^ ((packed >> 64) as u64).rotate_left(23);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_packed_in_lower_case() {
        let all: Vec<u8> = (1..=u8::MAX).collect();
        for length in 1..=PACKED_BYTES_MAX {
            for name in all.windows(length) {
                let mut bytes = [0; PACKED_BYTES_MAX];
                bytes[..length].copy_from_slice(&name.to_ascii_lowercase());
                assert_eq!(pack(name), Some(u128::from_le_bytes(bytes)), "{}", name.escape_ascii());
            }
        }
        for other in [&b""[..], b"\0", b"get\0", b"\0get", b"a name of 17 byte"] {
            assert_eq!(pack(other), None, "{}", other.escape_ascii());
        }
    }
}
