//! The log and its fsyncs: what is appended when a turn settles, when it is synced, and what that releases.

use tenon_base::{Micros, Stamp};
use tenon_commands::Touched;
use tenon_journal::LogPosition;

/// The state of durability of one tenant.
#[derive(Default)]
pub(crate) struct Durability {}

impl Durability {
    pub(crate) fn stamp(&self, _position: LogPosition) -> Option<Stamp> {
        None
    }
    pub(crate) fn note_touched(&mut self, _touched: &[Touched]) {}
    pub(crate) fn failure(&self) -> Option<&str> {
        None
    }
    pub(crate) fn wake_at(&self) -> Option<Micros> {
        None
    }
    pub(crate) fn settings_changed(&mut self) {}
}
