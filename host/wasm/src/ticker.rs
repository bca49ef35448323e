//! The thread that advances the engine's epoch every millisecond while guests are being called.
//! Interrupts nobody itself: a call's deadline is an epoch, which the compiled code compares.
//! Always: while a call is running the epoch advances; while none was made for a while the thread sleeps and costs nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

const TICK: Duration = Duration::from_millis(1);

/// The thread goes to sleep after so many ticks without a new call: more than any call may last.
const IDLE_TICKS_MAX: u64 = 1_000;

/// The longest call for which the ticker stays awake.
pub(crate) const CALL_MS_MAX: u64 = IDLE_TICKS_MAX / 2;

/// Runs until it is dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// A call began since the last tick.
    called: AtomicBool,
    /// The thread sleeps, or is about to.
    asleep: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let run = move || tick(&engine, &of_thread);
        let thread = thread::Builder::new().name("policy-ticker".to_owned()).spawn(run)?;
        Ok(Ticker { shared, thread: Some(thread) })
    }

    /// Said before each call of a guest. Costs an uncontended atomic write, and rarely a wake-up.
    pub(crate) fn call_begins(&self) {
        // Either this sees `asleep` and wakes the thread, or the thread sees `called` before it sleeps.
        self.shared.called.store(true, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // It ends within a tick, and cannot have panicked: it only counts and sleeps.
            let _ = thread.join();
        }
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let mut idle_ticks = 0;
    while !shared.stopped.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        engine.increment_epoch();
        idle_ticks = if shared.called.swap(false, Ordering::SeqCst) { 0 } else { idle_ticks + 1 };
        if idle_ticks < IDLE_TICKS_MAX {
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while !shared.called.load(Ordering::SeqCst) && !shared.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle_ticks = 0;
    }
}
