//! SIGTERM and SIGINT, caught on a thread of their own: long work on the worker's thread hears of them, too, though the
//! runtime there sees nothing meanwhile. A hang-up is caught and does nothing: it does not end a server. SIGABRT, which
//! watchdogs send to what hangs, is told to the log before the process ends by it.
//! Always: a signal is handed out once, to whoever asks first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tenon_base::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot};

const TERMINATE: u8 = 1;
const INTERRUPT: u8 = 2;

const ABORT: SignalKind = SignalKind::from_raw(6);

/// Signals that have come. The thread ends with this.
pub(crate) struct Signals {
    pending: Arc<Pending>,
    _end: oneshot::Sender<()>,
}

/// What is shared with the thread.
#[derive(Default)]
pub(crate) struct Pending {
    bits: AtomicU8,
    pub(crate) arrived: Notify,
}

impl Signals {
    /// Catches signals from now on.
    pub(crate) fn catch() -> io::Result<Signals> {
        let pending = Arc::new(Pending::default());
        let (end, ended) = oneshot::channel();
        let (report, ready) = mpsc::sync_channel(1);
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let shared = Arc::clone(&pending);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(attend(&shared, ended, &report)))?;
        ready.recv().map_err(io::Error::other)??;
        Ok(Signals { pending, _end: end })
    }

    /// A signal that nobody was told of.
    pub(crate) fn take(&self) -> Option<Signal> {
        self.pending.take()
    }

    pub(crate) fn pending(&self) -> &Arc<Pending> {
        &self.pending
    }
}

impl Pending {
    /// See [`Signals::take`].
    pub(crate) fn take(&self) -> Option<Signal> {
        // Nearly always there is none, and long work asks often.
        if self.bits.load(Ordering::Acquire) == 0 {
            return None;
        }
        let came = |bit: u8| self.bits.fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        if came(TERMINATE) { Some(Signal::Terminate) } else { came(INTERRUPT).then_some(Signal::Interrupt) }
    }

    fn put(&self, bit: u8) {
        self.bits.fetch_or(bit, Ordering::AcqRel);
        self.arrived.notify_one();
    }
}

/// Ends the process by SIGSEGV, after a line in the log.
pub(crate) fn crash() -> ! {
    tracing::error!("Tenon {} crashed by signal: 11 (SIGSEGV)", env!("CARGO_PKG_VERSION"));
    // The first one may only remove the handler that tells of a stack that has overflown.
    for _ in 0..2 {
        // One that cannot be sent leaves what is below.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::SEGV);
        thread::sleep(Duration::from_millis(10));
    }
    std::process::abort();
}

async fn attend(
    pending: &Pending,
    mut ended: oneshot::Receiver<()>,
    report: &mpsc::SyncSender<io::Result<()>>,
) {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), ABORT];
    let caught = kinds.map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up), Ok(mut abort)] = caught else {
        let failed = caught.into_iter().find_map(Result::err).unwrap_or_else(|| io::ErrorKind::Other.into());
        let _ = report.send(Err(failed));
        return;
    };
    // Whoever started the thread waits for this.
    let _ = report.send(Ok(()));
    loop {
        tokio::select! {
            _ = terminate.recv() => pending.put(TERMINATE),
            _ = interrupt.recv() => pending.put(INTERRUPT),
            _ = hang_up.recv() => {}
            _ = abort.recv() => {
                tracing::error!("Tenon {} crashed by signal: 6 (SIGABRT)", env!("CARGO_PKG_VERSION"));
                std::process::abort();
            }
            _ = &mut ended => return,
        }
    }
}
