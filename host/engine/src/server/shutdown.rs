//! SHUTDOWN, and the signals that mean it.
use tenon_base::{Now, Output, Signal, World};
use tenon_commands::Row;

use super::ServerHandler;
use crate::engine::Engine;

pub(super) static COMMANDS: &[Row<ServerHandler>] = &[];

/// A shutdown that waits for something.
pub(crate) struct Pending {}

pub(crate) fn signalled(_engine: &mut Engine, _now: Now, _signal: Signal, world: &mut World<'_>) {
    world.outputs.request(Output::Exit { code: 0 });
}

pub(crate) fn settle(_engine: &mut Engine, _now: Now, _world: &mut World<'_>) {}
