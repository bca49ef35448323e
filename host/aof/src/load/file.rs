//! One file of a log into the sink: batches of ours by our rules, anything else by Redis's.
//!
//! Always: nothing of a batch is run before its checksum was found right, nothing of a transaction before its EXEC.

use std::path::PathBuf;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, UnixMillis};
use tenon_resp::{Args, OwnedArgs, parse_unsigned};

use crate::error::{ADVICE_REPAIR, ADVICE_TRUNCATED, AofError};
use crate::header::{BatchHeader, HEADER_BYTES, OPENING_START};
use crate::load::ahead::Ahead;
use crate::load::command::Found;
use crate::load::judge::{self, Verdict};
use crate::load::sink::{LoadNotice, LoadOptions, LoadSink, Origin, Passed};
use crate::load::window::{BLOCK_BYTES, Window};

/// Progress is told after so many commands, or a block.
const COMMANDS_PER_REPORT: u64 = 1024;

/// What a load has come to so far, across files.
pub(super) struct Progress<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) sink: &'a mut dyn LoadSink,
    pub(super) options: LoadOptions,
    pub(super) total_bytes: u64,
    /// Bytes of the files before this one.
    pub(super) bytes_before: u64,
    pub(super) commands: u64,
    pub(super) origin: Option<Origin>,
    pub(super) db: u32,
    pub(super) last_batch: Option<UnixMillis>,
    pub(super) cut_bytes: u64,
    /// How the last file that held anything ends.
    pub(super) plain_end: bool,
    pub(super) taken_over: bool,
}

/// One file to load.
pub(super) struct FileToLoad {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where to stop.
    pub(super) end: u64,
    /// Whether nothing follows it: then its end may be torn.
    pub(super) is_last: bool,
    /// The base: written whole and synced before any manifest names it. One that another server's file became may be
    /// torn.
    pub(super) is_base: bool,
}

/// Loading one file.
pub(super) struct FileLoad<'a, 'p> {
    pub(super) progress: &'a mut Progress<'p>,
    pub(super) from: &'a FileToLoad,
    window: Window,
    ahead: Ahead,
    args: OwnedArgs,
    /// Where a transaction began, and its commands so far.
    transaction: Option<u64>,
    queued: Vec<(u64, OwnedArgs)>,
    /// Behind what is whole so far, and how many commands of all files had been run there.
    pub(super) whole: (u64, u64),
    reported: u64,
    reported_commands: u64,
}

/// Loads `from` to its end.
pub(super) fn load(progress: &mut Progress<'_>, from: &FileToLoad) -> Result<(), AofError> {
    if from.end == 0 {
        // One of commands is empty where the data was; a dump never is.
        if from.is_base && from.name.ends_with(".rdb") {
            return Err(AofError::Format {
                what: "Bad file format",
                path: from.path.clone(),
                offset: 0,
                finding: "the base is empty, expected an RDB file".to_owned(),
                advice: ADVICE_REPAIR,
            });
        }
        return Ok(());
    }
    (progress.plain_end, progress.taken_over) = (false, false);
    let window = Window::new(Arc::clone(&from.file));
    let reported_commands = progress.commands;
    let mut file = FileLoad {
        progress,
        from,
        window,
        ahead: Ahead::default(),
        args: OwnedArgs::new(),
        transaction: None,
        queued: Vec::new(),
        whole: (0, reported_commands),
        reported: 0,
        reported_commands,
    };
    file.run_to_end().or_else(|error| file.cut_damage(error))
}

impl FileLoad<'_, '_> {
    fn run_to_end(&mut self) -> Result<(), AofError> {
        self.passed(0, Passed::File { name: &self.from.name, bytes: self.from.end })?;
        // A file starts in database 0, as a server that reads it alone would.
        self.select(0, 0)?;
        let mut at = self.rdb()?;
        let mut by_redis_rules = false;
        while at < self.from.end {
            let ours = !by_redis_rules && self.transaction.is_none() && self.opens_batch(at)?;
            if ours {
                if let Some(header) = self.good_header(at)? {
                    at = self.batch(at, &header)?;
                    self.progress.plain_end = false;
                    self.report(at);
                    continue;
                }
                match judge::judge(&mut self.window, at, self.from.end).map_err(self.unreadable())? {
                    // Nobody goes on with a base, and no crash leaves one torn.
                    Verdict::Torn { .. } | Verdict::TakenOver if self.from.is_base => {
                        return Err(self.bad(at, "a batch of the base is damaged".to_owned()));
                    }
                    Verdict::Torn { commands } => return self.cut(at, commands),
                    Verdict::Damaged { good_at } => return Err(self.damaged(at, good_at)),
                    Verdict::Unclear { at: place } => return Err(self.unclear(at, place)),
                    Verdict::TakenOver => by_redis_rules = self.taken_over(at),
                }
            }
            match self.plain(at)? {
                Some(next) => at = next,
                None => return self.cut(self.transaction.unwrap_or(at), self.queued.len() as u64),
            }
            self.report(at);
        }
        match self.transaction {
            Some(start) => self.cut(start, self.queued.len() as u64 + 1),
            None => Ok(()),
        }
    }

    /// Loads the RDB part, if the file starts with one; returns what follows it.
    fn rdb(&mut self) -> Result<u64, AofError> {
        /// How RDB files begin, those of Redis and those of Valkey 9.
        const MAGICS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];
        let unreadable = self.unreadable();
        let start = self.window.bytes(0, self.from.end, MAGICS[1].len()).map_err(unreadable)?;
        if !MAGICS.iter().any(|magic| start.starts_with(magic)) {
            let is_dump = self.from.is_base && self.from.name.ends_with(".rdb");
            return if is_dump {
                Err(self.bad(0, "no RDB file, which the base is".to_owned()))
            } else {
                Ok(0)
            };
        }
        let loaded = self.progress.sink.rdb(&self.from.file).map_err(|text| self.bad(0, text))?;
        if loaded.bytes > self.from.end {
            return Err(self.bad(0, format!("its RDB part has {} bytes", loaded.bytes)));
        }
        self.progress.origin = loaded.origin.or(self.progress.origin);
        self.passed(loaded.bytes, Passed::Whole { end: loaded.bytes })?;
        self.report(loaded.bytes);
        Ok(loaded.bytes)
    }

    /// Whether what is at `at` can only be a header, good or not: a PING, which nobody else writes. Flipped bits may have
    /// made letters small and ends of lines something else, and it would still be read as one; and a page that reached
    /// the disk in part left zeros, which nobody writes there.
    fn opens_batch(&mut self, at: u64) -> Result<bool, AofError> {
        let unreadable = self.unreadable();
        let bytes = self.window.bytes(at, self.from.end, OPENING_START.len()).map_err(unreadable)?;
        let Some(start) = bytes.get(..OPENING_START.len()) else { return Ok(false) };
        let is_left = |index: usize, &expected: &u8| {
            start[index] == 0
                || start[index].eq_ignore_ascii_case(&expected)
                || matches!(expected, b'\r' | b'\n')
        };
        let opening = &OPENING_START[..b"*2\r\n$4\r\nPING".len()];
        let looks_so = opening.iter().enumerate().all(|(index, expected)| is_left(index, expected));
        Ok(looks_so && start[..opening.len()].iter().any(|&byte| byte != 0))
    }

    /// The header at `at`, if its batch is whole and as it was written.
    fn good_header(&mut self, at: u64) -> Result<Option<BatchHeader>, AofError> {
        let unreadable = self.unreadable();
        let bytes = self.window.bytes(at, self.from.end, HEADER_BYTES).map_err(unreadable)?;
        let Some(header) = BatchHeader::parse(bytes) else { return Ok(None) };
        let verifies = judge::verifies(&mut self.window, at, self.from.end, &header);
        Ok(verifies.map_err(self.unreadable())?.then_some(header))
    }

    /// Runs a batch that verified; returns what follows it.
    fn batch(&mut self, start: u64, header: &BatchHeader) -> Result<u64, AofError> {
        self.passed(start, Passed::Batch { at: start, header })?;
        let mut selected = false;
        let mut at = start + HEADER_BYTES as u64;
        let end = at + header.batch_bytes;
        while at < end {
            let mut args = std::mem::take(&mut self.args);
            let found = self.read_command(at, end, &mut args)?;
            let next = match found {
                Found::Annotation { next } => next,
                Found::Command { next } => {
                    if !std::mem::replace(&mut selected, true) && !is_select(args.as_args()) {
                        self.select(header.db, start)?;
                    }
                    self.command(args.as_args(), at)?;
                    next
                }
                Found::Incomplete => return Err(self.bad(at, "a batch ends within a command".to_owned())),
                Found::Malformed { at, finding } => return Err(self.bad(at, finding)),
            };
            (self.args, at) = (args, next);
        }
        if let Some(begun) = self.transaction {
            return Err(self.bad(begun, "a batch ends within a transaction".to_owned()));
        }
        self.progress.origin = Some(Origin {
            replication_id: header.replication_id,
            offset: header.offset,
            db: self.progress.db,
        });
        self.progress.last_batch = Some(header.unix);
        self.passed(end, Passed::Whole { end })?;
        Ok(end)
    }

    /// Runs one command without a batch; `None` at a torn end.
    fn plain(&mut self, at: u64) -> Result<Option<u64>, AofError> {
        let mut args = std::mem::take(&mut self.args);
        let found = self.read_command(at, self.from.end, &mut args)?;
        let next = match found {
            Found::Annotation { next } => {
                self.timestamp(at, next)?;
                Some(next)
            }
            Found::Command { next } => {
                self.begin_plain(at);
                self.command(args.as_args(), at)?;
                if self.transaction.is_none() {
                    self.passed(next, Passed::Whole { end: next })?;
                }
                Some(next)
            }
            Found::Incomplete => None,
            Found::Malformed { at: place, finding } => {
                let ours = !self.progress.plain_end && self.transaction.is_none();
                let end = self.from.end;
                if ours && judge::is_blank_end(&mut self.window, at, end).map_err(self.unreadable())? {
                    None
                } else if ours
                    && judge::is_lost_page(&mut self.window, place, end).map_err(self.unreadable())?
                {
                    match judge::judge_lost_page(&mut self.window, at, end).map_err(self.unreadable())? {
                        Verdict::Damaged { good_at } => return Err(self.damaged(at, good_at)),
                        Verdict::Unclear { at: place } => return Err(self.unclear(at, place)),
                        Verdict::Torn { .. } | Verdict::TakenOver => None,
                    }
                } else {
                    return Err(self.bad(place, finding));
                }
            }
        };
        self.args = args;
        Ok(next)
    }

    fn read_command(&mut self, at: u64, end: u64, args: &mut OwnedArgs) -> Result<Found, AofError> {
        let found = self.ahead.read(&mut self.window, at, end, args, self.progress.sink);
        found.map_err(self.unreadable())
    }

    /// Runs a command, or queues it in its transaction.
    fn command(&mut self, args: Args<'_>, at: u64) -> Result<(), AofError> {
        let name = args.get(0);
        if name.eq_ignore_ascii_case(b"EXEC") {
            let transaction = self.transaction.take();
            let mut queued = std::mem::take(&mut self.queued);
            for (at, command) in queued.drain(..) {
                self.run(command.as_args(), at, transaction)?;
            }
            self.queued = queued;
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"MULTI") {
            self.transaction = self.transaction.or(Some(at));
            return Ok(());
        }
        if self.transaction.is_some() {
            self.queued.push((at, OwnedArgs::from(args)));
            return Ok(());
        }
        self.run(args, at, None)
    }

    fn run(&mut self, args: Args<'_>, at: u64, transaction: Option<u64>) -> Result<(), AofError> {
        let name = args.get(0);
        if name.eq_ignore_ascii_case(b"PING") {
            return Ok(()); // a header that Redis's rules apply to
        }
        if is_select(args)
            && let Some(db) = args.try_get(1).and_then(parse_unsigned).and_then(|db| u32::try_from(db).ok())
        {
            self.progress.db = db;
        }
        self.progress.commands += 1;
        self.passed(at, Passed::Command { at, transaction })?;
        self.progress.sink.command(args).map_err(|reason| AofError::Refused {
            reason,
            path: self.from.path.clone(),
            offset: at,
        })
    }

    /// Tells of the time line from `at` to `next`, if it is one. Redis reads its number as C's `atoll` does.
    fn timestamp(&mut self, at: u64, next: u64) -> Result<(), AofError> {
        let unreadable = self.unreadable();
        let line = self.window.bytes(at, next, (next - at) as usize).map_err(unreadable)?;
        let Some(number) = line.strip_prefix(b"#TS:") else { return Ok(()) };
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit());
        let unix_seconds = digits
            .fold(0_i64, |seconds, digit| seconds.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
        self.passed(at, Passed::Timestamp { at, unix_seconds })
    }

    fn passed(&mut self, at: u64, passed: Passed<'_>) -> Result<(), AofError> {
        if let Passed::Whole { end } = passed {
            self.whole = (end, self.progress.commands);
        }
        self.progress.sink.passed(passed).map_err(|text| self.bad(at, text))
    }

    /// Selects a database that the file does not select by itself.
    fn select(&mut self, db: u32, at: u64) -> Result<(), AofError> {
        if self.progress.db == db {
            return Ok(());
        }
        let mut select = OwnedArgs::new();
        select.push(b"SELECT");
        select.push_integer(i64::from(db));
        self.progress.db = db;
        self.progress.sink.command(select.as_args()).map_err(|text| self.bad(at, text))
    }

    /// The file's end is torn: cuts it off, if it may be.
    fn cut(&mut self, at: u64, commands: u64) -> Result<(), AofError> {
        let FileToLoad { path, name, file, end, is_last, is_base } = self.from;
        let error = |finding: &str| AofError::Format {
            what: "Unexpected end of file",
            path: path.clone(),
            offset: at,
            finding: format!("{finding} (the file has {end} bytes)"),
            advice: ADVICE_TRUNCATED,
        };
        if !is_last {
            let error = error("the truncated file is not the last file");
            return Err(match error {
                AofError::Format { what, path, offset, finding, .. } => {
                    AofError::Format { what, path, offset, finding, advice: ADVICE_REPAIR }
                }
                other => other,
            });
        }
        if *is_base && self.opens_batch(0)? {
            return Err(self.bad(at, "a batch of the base is damaged".to_owned()));
        }
        if !self.progress.options.cut_torn_end {
            return Err(error("found the end, expected the rest of a command or batch"));
        }
        let bytes = end - at;
        self.warn(format!("!!! Warning: short read while loading the AOF file {name}!!!"));
        self.warn(format!(
            "!!! Truncating the AOF {name} at offset {at}: {bytes} bytes with {commands} whole commands are cut off !!!"
        ));
        (file.truncate(at).and_then(|()| file.sync()))
            .map_err(AofError::disk("Truncating the AOF file", path))?;
        self.warn(format!("AOF {name} loaded anyway because aof-load-truncated is enabled"));
        self.progress.cut_bytes += bytes;
        self.report(at);
        Ok(())
    }

    /// Commands without headers follow: if batches of ours came before, whoever reads the log is told.
    fn begin_plain(&mut self, at: u64) {
        let was_plain = std::mem::replace(&mut self.progress.plain_end, true);
        if !was_plain && !self.progress.taken_over && self.progress.last_batch.is_some() {
            let text = format!(
                "From offset {at} on the AOF file {} has no headers: another server went on with it, or this one with \
                 'aof-checksum no'",
                self.from.name
            );
            self.progress.sink.notice(LoadNotice { text, is_warning: false });
        }
    }

    fn taken_over(&mut self, at: u64) -> bool {
        self.warn(format!(
            "The batch at offset {at} of the AOF file {} is incomplete and another server went on there: from there \
             on every whole command is loaded",
            self.from.name
        ));
        self.progress.taken_over = true;
        true
    }

    pub(super) fn report(&mut self, at: u64) {
        let progress = &mut *self.progress;
        let commands = progress.commands - self.reported_commands;
        if at.saturating_sub(self.reported) >= BLOCK_BYTES as u64
            || commands >= COMMANDS_PER_REPORT
            || at >= self.from.end
        {
            (self.reported, self.reported_commands) = (at, progress.commands);
            progress.sink.progress(progress.bytes_before + at, progress.total_bytes);
        }
    }

    pub(super) fn warn(&mut self, text: String) {
        self.progress.sink.notice(LoadNotice { text, is_warning: true });
    }

    fn unreadable(&self) -> impl FnOnce(std::io::Error) -> AofError + use<> {
        let path = self.from.path.clone();
        move |error| AofError::Disk { action: "Reading the AOF file", path, error }
    }

    fn bad(&self, offset: u64, finding: String) -> AofError {
        AofError::Format {
            what: "Bad file format",
            path: self.from.path.clone(),
            offset,
            finding,
            advice: ADVICE_REPAIR,
        }
    }

    fn damaged(&self, at: u64, good_at: u64) -> AofError {
        self.bad(
            at,
            format!("the checksum of a batch is wrong, and a good batch follows at offset {good_at}"),
        )
    }

    fn unclear(&self, at: u64, place: u64) -> AofError {
        let finding = format!(
            "the checksum of a batch is wrong, and so much behind it looks like batches that the search for a good one \
             was given up at offset {place}"
        );
        self.bad(at, finding)
    }
}

fn is_select(args: Args<'_>) -> bool {
    args.get(0).eq_ignore_ascii_case(b"SELECT")
}
