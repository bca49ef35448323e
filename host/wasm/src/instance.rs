//! One guest: a store of its own with its limits, called with a fresh budget each time.
//! Decides nothing about failures: they are reported as faults, and the guard discards the instance.
//! Always: a store belongs to one policy of one tenant, because a trap poisons the whole store.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tenon_policy::{Factory, Fault, FaultKind, Level, Policy, Start, Usage, one_line};
use wasmtime::component::InstancePre;
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

use crate::contract::{Contract, is_exhausted};
use crate::log_gate::LogGate;
use crate::sandbox::{
    HOSTCALL_BYTES_MAX, INSTANCES_PER_GUEST_MAX, MEMORY_BYTES_MAX, Sandbox, TABLE_ELEMENTS_MAX,
    TABLES_PER_GUEST_MAX,
};
use crate::ticker::CALL_MS_MAX;

/// A call's time is given in so many windows. A healthy guest whose thread lost its processor for longer than a window
/// finishes in the next one; one that really runs on uses them all.
const WINDOWS: u64 = 3;

/// Of an error's text, in a line.
const TEXT_BYTES_MAX: usize = 200;

/// What is needed to make instances of a loaded policy.
pub(crate) struct Recipe {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) linked: Arc<InstancePre<Host>>,
    pub(crate) start: Start,
    pub(crate) voice: Arc<Voice>,
}

/// Why there is no instance.
pub(crate) enum StartError {
    /// It trapped, or used up its budget.
    Fault(Fault),
    /// Its functions have other types than the contract's.
    Types(String),
    /// `init` said no, with this sentence.
    Refused(String),
}

impl Recipe {
    /// Makes an instance and tells it its settings.
    pub(crate) fn make<D: Contract>(&self) -> Result<Guest<D>, StartError> {
        let mut guest = self.instantiate()?;
        match D::init(&guest.functions, &mut guest.store, &self.start).map_err(fault)? {
            Ok(()) => Ok(guest),
            Err(sentence) => Err(StartError::Refused(one_line(&sentence, TEXT_BYTES_MAX))),
        }
    }

    /// Makes an instance that knows no settings yet; its start code runs.
    pub(crate) fn instantiate<D: Contract>(&self) -> Result<Guest<D>, StartError> {
        let host = Host { memory_bytes: 0, windows_left: 0, voice: self.voice.clone() };
        let mut store = Store::new(self.sandbox.engine(), host);
        store.limiter(|host| host);
        let window_ms = window_ms(&self.sandbox);
        store.epoch_deadline_callback(move |mut store| {
            let windows_left = &mut store.data_mut().windows_left;
            match windows_left.checked_sub(1) {
                Some(left) => *windows_left = left,
                None => return Err(Trap::Interrupt.into()),
            }
            Ok(UpdateDeadline::Continue(window_ms))
        });
        store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
        begin_call(&self.sandbox, &mut store, self.sandbox.limits().fuel_per_start);
        let instance = self.linked.instantiate(&mut store).map_err(fault)?;
        let functions = D::bind(&mut store, &instance).map_err(|error| StartError::Types(causes(&error)))?;
        Ok(Guest { sandbox: self.sandbox.clone(), store, functions, fuel: 0 })
    }
}

impl<D: Contract> Factory<D> for Recipe {
    fn build(&self) -> Result<Box<dyn Policy<D>>, Fault> {
        match self.make::<D>() {
            Ok(guest) => Ok(Box::new(guest)),
            Err(StartError::Fault(fault)) => Err(fault),
            // It was bound and accepted these settings when it was loaded.
            Err(StartError::Types(text) | StartError::Refused(text)) => {
                Err(Fault { kind: FaultKind::Nonsense, text: format!("cannot be rebuilt: {text}") })
            }
        }
    }
}

/// A running guest.
pub(crate) struct Guest<D: Contract> {
    sandbox: Arc<Sandbox>,
    store: Store<Host>,
    functions: D::Functions,
    fuel: u64,
}

impl<D: Contract> Policy<D> for Guest<D> {
    fn decide(&mut self, facts: &D::Facts) -> Result<D::Verdict, Fault> {
        let budget = self.sandbox.limits().fuel_per_call;
        begin_call(&self.sandbox, &mut self.store, budget);
        let verdict = D::decide(&self.functions, &mut self.store, facts);
        self.fuel = budget.saturating_sub(self.store.get_fuel().unwrap_or(0));
        verdict.map_err(fault)
    }

    fn usage(&self) -> Usage {
        Usage { fuel: self.fuel, memory_bytes: self.store.data().memory_bytes as u64 }
    }
}

fn begin_call(sandbox: &Sandbox, store: &mut Store<Host>, fuel: u64) {
    store.set_fuel(fuel).expect("the sandbox counts fuel");
    store.data_mut().windows_left = WINDOWS - 1;
    // The tick in progress counts as one.
    store.set_epoch_deadline(window_ms(sandbox) + 1);
    sandbox.ticker().call_begins();
}

fn window_ms(sandbox: &Sandbox) -> u64 {
    sandbox.limits().call_ms_max.min(CALL_MS_MAX).div_ceil(WINDOWS)
}

fn fault(error: wasmtime::Error) -> Fault {
    let kind = if is_exhausted(&error) { FaultKind::Exhausted } else { FaultKind::Trap };
    let text = error.root_cause().to_string();
    Fault { kind, text: one_line(text.strip_prefix("wasm trap: ").unwrap_or(&text), TEXT_BYTES_MAX) }
}

/// An error with its causes, as one line.
pub(crate) fn causes(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| cause.to_string()).collect();
    one_line(&causes.join(": "), 300)
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> StartError {
        StartError::Fault(fault)
    }
}

/// What a store knows: how much memory and time its guest has, and how to log for it.
pub(crate) struct Host {
    memory_bytes: usize,
    windows_left: u64,
    voice: Arc<Voice>,
}

impl Host {
    /// Logs for the guest; no level is the lowest one.
    pub(crate) fn log(&mut self, level: Option<Level>, message: &str) {
        self.voice.say(level, message);
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > MEMORY_BYTES_MAX {
            // An error ends the call at once; `false` would let the guest try again and again.
            return Err(wasmtime::Error::new(TooMuch {
                what: "bytes of memory",
                desired,
                max: MEMORY_BYTES_MAX,
            }));
        }
        self.memory_bytes = desired;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            return Err(wasmtime::Error::new(TooMuch {
                what: "table elements",
                desired,
                max: TABLE_ELEMENTS_MAX,
            }));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_PER_GUEST_MAX
    }

    fn tables(&self) -> usize {
        TABLES_PER_GUEST_MAX
    }

    fn memories(&self) -> usize {
        1
    }
}

#[derive(Debug)]
struct TooMuch {
    what: &'static str,
    desired: usize,
    max: usize,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for {} {}, at most {} are allowed", self.desired, self.what, self.max)
    }
}

impl std::error::Error for TooMuch {}

/// The voice of one loaded policy in the log, shared by its instances: a rebuilt one gets no fresh burst.
pub(crate) struct Voice {
    decision: &'static str,
    name: String,
    began: Instant,
    gate: Mutex<LogGate>,
    muted: AtomicBool,
}

impl Voice {
    pub(crate) fn new(decision: &'static str, name: &str) -> Voice {
        let gate = Mutex::new(LogGate::new(std::time::Duration::ZERO));
        Voice { decision, name: name.to_owned(), began: Instant::now(), gate, muted: AtomicBool::new(false) }
    }

    /// While the host probes, what a guest says would only mislead.
    pub(crate) fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    fn say(&self, level: Option<Level>, message: &str) {
        if self.muted.load(Ordering::Relaxed) {
            return;
        }
        let line =
            self.gate.lock().unwrap_or_else(PoisonError::into_inner).pass(self.began.elapsed(), message);
        let Some(line) = line else { return };
        let (decision, name) = (self.decision, &self.name);
        match level {
            None => tracing::trace!("Policy {decision}: {name} says: {line}"),
            Some(Level::Verbose) => tracing::debug!("Policy {decision}: {name} says: {line}"),
            Some(Level::Notice) => tracing::info!("Policy {decision}: {name} says: {line}"),
            Some(Level::Warning) => tracing::warn!("Policy {decision}: {name} says: {line}"),
        }
    }
}
