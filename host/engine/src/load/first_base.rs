//! The base that a new log begins with: what the dump file held, encoded at once, before anybody can change it.

use std::io;

use tenon_base::{Now, World};
use tenon_config::Directive;
use tenon_keyspace::{CutBounds, CutId};

use super::GIVEN_UP;
use crate::engine::Engine;
use crate::save_job::Format;

/// What is encoded of a base between two looks at who wants to be heard.
const ENCODED_UNITS: usize = 10_000;

impl Engine {
    /// The keyspace as the base of a new log.
    pub(super) fn encode_base(&mut self, now: Now, world: &mut World<'_>) -> Result<Vec<u8>, String> {
        let is_rdb = self.config.bool(Directive::AofUseRdbPreamble);
        let format = if is_rdb { self.rdb_format(now, true) } else { self.command_format(now) };
        let bounds = CutBounds { waiting_bytes_max: usize::MAX, preimage_bytes_max: usize::MAX };
        let cut = self.keyspace.begin_cut(bounds);
        let encoded = self.encode_cut(cut, format, world);
        self.keyspace.end_cut(cut);
        encoded.map_err(|error| error.to_string())
    }

    fn encode_cut(&mut self, cut: CutId, format: Format, world: &mut World<'_>) -> io::Result<Vec<u8>> {
        let feed = self.keyspace.cut_feed(cut).expect("a cut that was just begun");
        let mut bytes = Vec::new();
        let mut sink = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        let mut encoder = format.begin(feed.hurry(), &mut sink)?;
        while !feed.is_finished() {
            if self.load_goes_on(world).is_break() {
                return Err(io::Error::other(GIVEN_UP));
            }
            self.keyspace.advance_cut(cut, ENCODED_UNITS);
            while let Some(batch) = feed.pop() {
                encoder.batch(&batch, &mut sink)?;
            }
        }
        encoder.finish(&mut sink)?;
        Ok(bytes)
    }
}
