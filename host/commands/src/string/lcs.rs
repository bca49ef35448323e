//! LCS: the longest common subsequence of two strings, its length, or where its runs lie.
//! Always: the table of lengths is no larger than `proto-max-bulk-len`.

use tenon_keyspace::ValueRef;
use tenon_resp::Args;

use crate::{CommandError, Context, Outcome, Words};

#[derive(Default)]
struct Options {
    wants_length: bool,
    wants_runs: bool,
    run_bytes_min: i64,
    with_run_length: bool,
}

/// Lengths of the longest common subsequences of all pairs of beginnings.
struct Lengths {
    cells: Vec<u32>,
    width: usize,
}

/// A run of bytes that both strings have: where it ends (exclusively), and how long it is.
#[derive(Clone, Copy)]
struct Run {
    left_end: usize,
    right_end: usize,
    bytes: usize,
}

pub(super) fn lcs(ctx: &mut Context<'_>, args: Args<'_>) -> Outcome {
    let left = string_to_compare(ctx, args.get(1));
    let right = string_to_compare(ctx, args.get(2));
    let (left, right) = (left?, right?);
    let options = Options::parse(args)?;
    let lengths = Lengths::of(&left, &right, ctx.limits.string_bytes_max)?;
    let length = lengths.at(left.len(), right.len());
    if options.wants_runs {
        reply_runs(ctx, &lengths, &left, &right, &options);
    } else if options.wants_length {
        ctx.reply.integer(i64::from(length));
    } else {
        let mut common = vec![0; length as usize];
        let mut at = common.len();
        lengths.walk_back(&left, &right, |left_at, _| {
            at -= 1;
            common[at] = left[left_at];
        });
        ctx.reply.bulk(&common);
    }
    Ok(())
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = 3;
        while index < args.len() {
            if args.is(index, "IDX") {
                options.wants_runs = true;
            } else if args.is(index, "LEN") {
                options.wants_length = true;
            } else if args.is(index, "WITHMATCHLEN") {
                options.with_run_length = true;
            } else if args.is(index, "MINMATCHLEN") && index + 1 < args.len() {
                index += 1;
                options.run_bytes_min = args.integer(index)?;
            } else {
                return Err(CommandError::Syntax);
            }
            index += 1;
        }
        if options.wants_length && options.wants_runs {
            return Err(CommandError::text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

impl Lengths {
    fn of(left: &[u8], right: &[u8], bytes_max: usize) -> Result<Lengths, CommandError> {
        if left.len().max(right.len()) >= u32::MAX as usize - 1 {
            return Err(CommandError::text("ERR String too long for LCS"));
        }
        let width = right.len() + 1;
        // Both factors are below 2^32, so only the bytes can exceed 64 bits.
        let count = (left.len() + 1) * width;
        if count.checked_mul(size_of::<u32>()).is_none_or(|bytes| bytes > bytes_max) {
            return Err(CommandError::text(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).map_err(|_| {
            CommandError::text("ERR Insufficient memory, failed allocating transient memory for LCS")
        })?;
        cells.resize(count, 0);
        let mut lengths = Lengths { cells, width };
        for (row, left_byte) in left.iter().enumerate() {
            for (column, right_byte) in right.iter().enumerate() {
                let longest = if left_byte == right_byte {
                    lengths.at(row, column) + 1
                } else {
                    lengths.at(row, column + 1).max(lengths.at(row + 1, column))
                };
                lengths.cells[(row + 1) * width + column + 1] = longest;
            }
        }
        Ok(lengths)
    }

    /// Of the first `left` and the first `right` bytes.
    fn at(&self, left: usize, right: usize) -> u32 {
        self.cells[left * self.width + right]
    }

    /// Visits the places of the common bytes, last first.
    fn walk_back(&self, left: &[u8], right: &[u8], mut visit: impl FnMut(usize, usize)) {
        let (mut row, mut column) = (left.len(), right.len());
        while row > 0 && column > 0 {
            if left[row - 1] == right[column - 1] {
                (row, column) = (row - 1, column - 1);
                visit(row, column);
            } else if self.at(row - 1, column) > self.at(row, column - 1) {
                row -= 1;
            } else {
                column -= 1;
            }
        }
    }
}

fn reply_runs(ctx: &mut Context<'_>, lengths: &Lengths, left: &[u8], right: &[u8], options: &Options) {
    ctx.reply.map(2);
    ctx.reply.bulk(b"matches");
    let matches = ctx.reply.defer_array();
    let mut count = 0;
    let mut run: Option<Run> = None;
    let mut write = |ctx: &mut Context<'_>, run: Option<Run>| {
        if let Some(run) = run
            && run.bytes as i64 >= options.run_bytes_min
        {
            write_run(ctx, run, options.with_run_length);
            count += 1;
        }
    };
    lengths.walk_back(left, right, |left_at, right_at| {
        if let Some(run) = &mut run
            && run.left_end - run.bytes == left_at + 1
            && run.right_end - run.bytes == right_at + 1
        {
            run.bytes += 1;
            return;
        }
        write(ctx, run.take());
        run = Some(Run { left_end: left_at + 1, right_end: right_at + 1, bytes: 1 });
    });
    write(ctx, run);
    ctx.reply.finish(matches, count);
    ctx.reply.bulk(b"len");
    ctx.reply.integer(i64::from(lengths.at(left.len(), right.len())));
}

fn write_run(ctx: &mut Context<'_>, run: Run, with_length: bool) {
    ctx.reply.array(2 + usize::from(with_length));
    for end in [run.left_end, run.right_end] {
        ctx.reply.array(2);
        ctx.reply.integer((end - run.bytes) as i64);
        ctx.reply.integer(end as i64 - 1);
    }
    if with_length {
        ctx.reply.integer(run.bytes as i64);
    }
}

/// A copy of a string, because two are looked at together; empty if there is none.
fn string_to_compare(ctx: &mut Context<'_>, key: &[u8]) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    match ctx.db.find(key).map(|entry| entry.value()) {
        None => {}
        Some(ValueRef::String(text)) => text.write_into(&mut bytes),
        Some(_) => return Err(CommandError::text("ERR The specified keys must contain string values")),
    }
    Ok(bytes)
}
