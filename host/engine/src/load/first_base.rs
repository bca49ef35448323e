//! The base that a new log begins with: what the dump file held, encoded at once, before anybody can change it.

use tenon_base::{Now, World};
use tenon_config::Directive;
use tenon_keyspace::CutBounds;
use tenon_rdb::Encoder;

use super::GIVEN_UP;
use crate::engine::Engine;

/// What is encoded of a base between two looks at who wants to be heard.
const ENCODED_UNITS: usize = 10_000;

impl Engine {
    /// The keyspace as the base of a new log.
    pub(super) fn encode_base(&mut self, now: Now, world: &mut World<'_>) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        if !self.config.bool(Directive::AofUseRdbPreamble) {
            return self.encode_command_base(now, world);
        }
        let mut encoder = Encoder::new(self.rdb_options());
        let cut = self
            .keyspace
            .begin_cut(CutBounds { waiting_bytes_max: usize::MAX, preimage_bytes_max: usize::MAX });
        let feed = self.keyspace.cut_feed(cut).expect("a cut that was just begun");
        let (aux, sizes) = (self.aux(now, true), self.database_sizes());
        let mut sink = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        let texts = self.scripts.libraries.texts();
        let mut encoded = encoder.begin(&aux, &sizes, &mut sink);
        encoded = encoded.and_then(|()| encoder.functions(&texts, &mut sink));
        while encoded.is_ok() && !feed.is_finished() {
            if self.load_goes_on(world).is_break() {
                encoded = Err(std::io::Error::other(GIVEN_UP));
            }
            self.keyspace.advance_cut(cut, ENCODED_UNITS);
            while let Some(batch) = feed.pop() {
                encoded = encoded.and_then(|()| encoder.batch(&batch, &mut sink));
            }
        }
        self.keyspace.end_cut(cut);
        encoded.and_then(|()| encoder.finish(&mut sink)).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn encode_command_base(&mut self, now: Now, world: &mut World<'_>) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let base = self.command_base();
        let mut encoder = crate::command_base::CommandEncoder::new(base, now.unix());
        let cut = self
            .keyspace
            .begin_cut(CutBounds { waiting_bytes_max: usize::MAX, preimage_bytes_max: usize::MAX });
        let feed = self.keyspace.cut_feed(cut).expect("a cut that was just begun");
        let mut sink = |block: &[u8]| {
            bytes.extend_from_slice(block);
            Ok(())
        };
        let texts = self.scripts.libraries.texts();
        let mut encoded = encoder.functions(&texts, &mut sink);
        while encoded.is_ok() && !feed.is_finished() {
            if self.load_goes_on(world).is_break() {
                encoded = Err(std::io::Error::other(GIVEN_UP));
            }
            self.keyspace.advance_cut(cut, ENCODED_UNITS);
            while let Some(batch) = feed.pop() {
                encoded = encoded.and_then(|()| encoder.batch(&batch, &mut sink));
            }
        }
        self.keyspace.end_cut(cut);
        encoded
            .and_then(|()| encoder.finish(&mut sink))
            .map_err(|error: std::io::Error| error.to_string())?;
        Ok(bytes)
    }
}
