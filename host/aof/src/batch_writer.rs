//! How a batch is put into a file: header, timestamp line, SELECT, commands.
//!
//! Always: nothing else writes headers. Outside MULTI a batch with a header has SELECT only as its first command, and then an
//! empty annotation before it: Redis, where it goes on behind a header, writes a SELECT without one.

use tenon_base::UnixMillis;
use tenon_journal::{ReplicationId, ReplicationOffset};
use tenon_resp::{INTEGER_TEXT_BYTES_MAX, format_integer, write_array_header, write_bulk};

use crate::header;

/// Most bytes of a SELECT, and of what marks it.
pub(crate) const SELECT_BYTES_MAX: usize = 51;
/// Most bytes of a timestamp line.
pub(crate) const TIMESTAMP_BYTES_MAX: usize = 32;

/// Marks a SELECT as ours: a line that Redis passes over, and leaves out where it cuts a torn file to whole commands.
const MARK: &[u8] = b"#\r\n";
const SELECT: &[u8] = b"*2\r\n$6\r\nSELECT\r\n";
const MULTI_AND_SELECT: &[u8] = b"*1\r\n$5\r\nMULTI\r\n*2\r\n$6\r\nSELECT\r\n";

/// What goes around the commands of a batch.
pub(crate) struct Frame<'a> {
    /// When and under whose id; `None` for a batch without header.
    pub(crate) header: Option<(UnixMillis, &'a ReplicationId)>,
    /// Seconds since 1970 for a `#TS:` line.
    pub(crate) timestamp: Option<i64>,
    /// Whether the batch must select its database, if its first command does not.
    pub(crate) select: bool,
    /// The replication offset behind the batch.
    pub(crate) offset: ReplicationOffset,
    /// The database in which the first record runs.
    pub(crate) db: u32,
    /// Bytes before the batch that no fsync has covered.
    pub(crate) unsynced_bytes: u64,
}

impl Frame<'_> {
    /// Appends the batch to `out`.
    pub(crate) fn write<'p>(&self, out: &mut Vec<u8>, pieces: impl Iterator<Item = &'p [u8]>) {
        let start = self.header.map(|_| header::reserve(out));
        if let Some(seconds) = self.timestamp {
            out.extend_from_slice(b"#TS:");
            out.extend_from_slice(format_integer(seconds, &mut [0; INTEGER_TEXT_BYTES_MAX]));
            out.extend_from_slice(b"\r\n");
        }
        let mut select = self.select;
        for piece in pieces {
            let selects = piece.starts_with(SELECT);
            let adds = std::mem::take(&mut select) && !selects && !piece.starts_with(MULTI_AND_SELECT);
            if self.header.is_some() && (selects || adds) {
                out.extend_from_slice(MARK);
            }
            if adds {
                write_select(out, self.db);
            }
            out.extend_from_slice(piece);
        }
        if let (Some(start), Some((unix, id))) = (start, self.header) {
            header::fill(out, start, unix, self.offset, self.db, self.unsynced_bytes, id);
        }
    }
}

/// Appends `SELECT db`.
pub(crate) fn write_select(out: &mut Vec<u8>, db: u32) {
    write_array_header(out, 2);
    write_bulk(out, b"SELECT");
    write_bulk(out, format_integer(i64::from(db), &mut [0; INTEGER_TEXT_BYTES_MAX]));
}
