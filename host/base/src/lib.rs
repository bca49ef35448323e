//! What every floor stands on: ids, time, chance, and the one interface between a machine and its world.
//! Opens nothing and reads no clock; it only names what the world must offer.

mod dice;
mod disk;
mod glob;
mod id;
mod machine; // read me first
mod outputs;
mod shared_stream;
mod stamp;
mod time;
mod tls;
mod words;

pub use dice::Dice;
pub use disk::{Disk, DiskFile, FileKind, Job, Listed, Step, describe, forget_cached};
pub use glob::{glob_matches, glob_matches_ignore_case};
pub use id::{ConnectionId, Ticket};
pub use machine::{
    Heard, Input, Interlude, Lane, ListenError, Listener, Listening, Machine, NextPiece, Output, Peer,
    Pieces, Protocol, Report, Reported, Signal, Stopwatch, Talk, Transport, World,
};
pub use outputs::{Outputs, SegmentKind, SentTotals, StreamId};
pub use shared_stream::SharedStream;
pub use stamp::{Level, Reached, Stamp};
pub use time::{Micros, Now, UnixMillis};
pub use tls::{ClientCertificates, SessionCache, Tls};
pub use words::{quoted, quoted_if_needed, split_words, write_quoted};
