//! POLICY: what decides, and how it fares.
use crate::engine::Engine;
use tenon_base::{ConnectionId, World};
use tenon_policy::AvailableFile;
pub(crate) fn list(_: &mut Engine, _: ConnectionId, _: &[AvailableFile], _: &mut World<'_>) {}
