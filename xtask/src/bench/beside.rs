//! What clients feel while a server does something beside them, and in a control window of the same length without it.
//! Always: both windows ask the server the same questions, so that only the work makes the difference.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::pace::{Heard, Probe, Question, write_paced};
use super::process::{children_private_bytes, resident_bytes};
use super::server::Server;

const SETTLED_AFTER: Duration = Duration::from_secs(2);
const CONTROL_AT_LEAST: Duration = Duration::from_secs(2);
const SAMPLED_EVERY: Duration = Duration::from_millis(50);

/// Some work of a server under load, and the same time without it.
pub(super) struct Beside {
    pub(super) during: Heard,
    pub(super) control: Heard,
    pub(super) took: Duration,
    /// Resident memory when it began, and the most that server and children had of their own meanwhile, in bytes.
    pub(super) before_bytes: u64,
    pub(super) peak_bytes: u64,
}

/// Has a writer at its pace and a probe beside `observe`.
pub(super) fn under_load<T>(
    port: u16,
    rate: u32,
    keys: u32,
    asked: &[Question],
    observe: impl FnOnce(&Probe) -> Result<T, String>,
) -> Result<T, String> {
    let (stop, probe) = (AtomicBool::new(false), Probe::default());
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_paced(port, rate, keys, &stop));
        let prober = scope.spawn(|| probe.run(port, asked, &stop));
        let outcome = observe(&probe);
        stop.store(true, Ordering::Relaxed);
        for client in [writer, prober] {
            client.join().map_err(|_| "a client thread panicked".to_owned())??;
        }
        outcome
    })
}

/// Begins `work` and watches until it `is_over`, which must be `within` so long; then the control.
pub(super) fn watch(
    server: &Server,
    probe: &Probe,
    work: &str,
    within: Duration,
    begin: impl FnOnce() -> Result<(), String>,
    mut is_over: impl FnMut() -> Result<bool, String>,
) -> Result<Beside, String> {
    let memory_bytes =
        || Ok::<u64, String>(resident_bytes(server.pid())? + children_private_bytes(server.pid()));
    sleep(SETTLED_AFTER);
    probe.take();
    let before_bytes = resident_bytes(server.pid())?;
    let mut peak_bytes = before_bytes;
    let started = Instant::now();
    begin()?;
    loop {
        peak_bytes = peak_bytes.max(memory_bytes()?);
        if is_over()? {
            break;
        }
        if started.elapsed() > within {
            return Err(format!("{}: {work} still runs after {within:?}", server.name));
        }
        sleep(SAMPLED_EVERY);
    }
    let took = started.elapsed();
    let during = probe.take();
    sleep(SETTLED_AFTER);
    probe.take();
    let until = Instant::now() + took.max(CONTROL_AT_LEAST);
    while Instant::now() < until {
        memory_bytes()?;
        is_over()?;
        sleep(SAMPLED_EVERY);
    }
    Ok(Beside { during, control: probe.take(), took, before_bytes, peak_bytes })
}
