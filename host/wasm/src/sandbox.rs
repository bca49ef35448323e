//! What every guest runs in: one engine with one set of limits, and the ticker that enforces the limit of time.
//! Knows no decision and no file.
//! Always: compiled code of one sandbox runs in that sandbox alone, so the limits hold for whatever was loaded.

use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::ticker::Ticker;

/// A larger file is not read.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// The linear memory of one guest.
pub(crate) const MEMORY_BYTES_MAX: usize = 16 << 20;
/// Elements of one of a guest's tables.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Core instances in one guest: its module, and the adapters that a component linker adds.
pub(crate) const INSTANCES_PER_GUEST_MAX: usize = 16;
/// Tables in one guest.
pub(crate) const TABLES_PER_GUEST_MAX: usize = 8;
/// Bytes that a guest can hand to the host in one call: a log message, a refusal.
pub(crate) const HOSTCALL_BYTES_MAX: usize = 64 << 10;

const STACK_BYTES_MAX: usize = 256 << 10;

/// The budgets of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one decision; a unit is about one instruction.
    pub fuel_per_call: u64,
    /// Of instantiation and `init` together.
    pub fuel_per_start: u64,
    /// Milliseconds of one call, for what fuel does not see; at most 500.
    pub call_ms_max: u64,
    /// Guests at a time in this process; two are needed for a moment while one replaces another.
    pub guests_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fuel_per_call: 1_000_000, fuel_per_start: 10_000_000, call_ms_max: 10, guests_max: 1_024 }
    }
}

/// An engine with its limits and its ticker.
pub(crate) struct Sandbox {
    engine: Engine,
    ticker: Ticker,
    limits: Limits,
}

impl Sandbox {
    pub(crate) fn new(limits: Limits) -> wasmtime::Result<Sandbox> {
        let engine = Engine::new(&config(&limits))?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Sandbox { engine, ticker, limits })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Compiles a component; takes milliseconds to seconds.
    pub(crate) fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Component> {
        Component::from_binary(&self.engine, bytes)
    }
}

fn config(limits: &Limits) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let guests = limits.guests_max;
    pool.total_component_instances(guests)
        .total_core_instances(guests.saturating_mul(4))
        .total_memories(guests)
        .total_tables(guests.saturating_mul(4))
        .max_core_instances_per_component(INSTANCES_PER_GUEST_MAX as u32)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES_PER_GUEST_MAX as u32)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        // A guest that is gone leaves nothing resident.
        .linear_memory_keep_resident(0)
        .table_keep_resident(0)
        .max_unused_warm_slots(0);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // Reserves what a guest may have and no more, so that hundreds of guests fit any limit of address space.
        .memory_reservation(MEMORY_BYTES_MAX as u64)
        .memory_guard_size(64 << 10)
        .max_wasm_stack(STACK_BYTES_MAX)
        .consume_fuel(true)
        .epoch_interruption(true)
        // Its default triples the cost of a call, and every call here is synchronous.
        .concurrency_support(false)
        // The same answers on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false);
    config
}
