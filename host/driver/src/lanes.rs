//! Threads beside the engine's: each lane's jobs run in order on a thread of its own; a save gets its own
//! thread each. Completions come back through one mailbox that wakes the flusher.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tenon_base::{Disk, Job, Lane, Step, Ticket};
use tokio::sync::Notify;

use crate::courteous::Courteous;

/// How long a job that waits to be fed sleeps.
const STARVED_WAIT: Duration = Duration::from_micros(500);

/// Jobs that wait in a lane. A machine that asks for more waits itself: it makes one a turn at most, so this is
/// only reached where a lane has stood still for long.
const QUEUED_JOBS_MAX: usize = 1_024;

/// A finished job.
pub(crate) struct Completion {
    pub(crate) ticket: Ticket,
    pub(crate) result: Box<dyn Any + Send>,
}

/// Where finished jobs are put.
#[derive(Default)]
pub(crate) struct Mailbox {
    completions: Mutex<Vec<Completion>>,
    pub(crate) arrived: Notify,
}

impl Mailbox {
    fn put(&self, completion: Completion) {
        self.completions.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(completion);
        self.arrived.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<Completion> {
        std::mem::take(&mut *self.completions.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// All lanes of one worker.
pub(crate) struct Lanes {
    disk: Arc<dyn Disk>,
    mailbox: Arc<Mailbox>,
    queues: HashMap<Lane, SyncSender<Queued>>,
}

type Queued = (Ticket, Box<dyn Job>);

impl Lanes {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Lanes {
        Lanes { disk, mailbox: Arc::default(), queues: HashMap::new() }
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Starts a job, or queues it in its lane.
    pub(crate) fn run(&mut self, ticket: Ticket, lane: Lane, job: Box<dyn Job>) {
        if lane == Lane::Save {
            let (disk, mailbox) = (Arc::clone(&self.disk), Arc::clone(&self.mailbox));
            spawn("save", move || finish(ticket, job, &*disk, &mailbox));
            return;
        }
        let queue = self.queues.entry(lane).or_insert_with(|| {
            let (sender, receiver) = sync_channel::<Queued>(QUEUED_JOBS_MAX);
            let (disk, mailbox) = (Arc::clone(&self.disk), Arc::clone(&self.mailbox));
            spawn(lane_name(lane), move || {
                for (ticket, job) in receiver {
                    finish(ticket, job, &*disk, &mailbox);
                }
            });
            sender
        });
        queue.send((ticket, job)).expect("a lane's thread outlives its queue");
    }
}

/// Runs a job to its end, courteously while it is not urgent. One that panics ends with its message as a `String`, which
/// no machine takes for success.
fn finish(ticket: Ticket, mut job: Box<dyn Job>, disk: &dyn Disk, mailbox: &Mailbox) {
    let courteous = Courteous(disk);
    let result = loop {
        let disk = if job.is_urgent() { disk } else { &courteous };
        match catch_unwind(AssertUnwindSafe(|| job.step(disk))) {
            Ok(Step::Again) if job.is_urgent() => {}
            Ok(Step::Again) => thread::yield_now(), // the engine may wait for this processor
            Ok(Step::Starved) => thread::sleep(STARVED_WAIT),
            Ok(Step::Done(result)) => break result,
            Err(panic) => break Box::new(panic_text(&*panic)),
        }
    };
    drop(job); // before its completion is told: what it held must be free by then
    mailbox.put(Completion { ticket, result });
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a job panicked: {}", text.unwrap_or("no message"))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system starts a thread");
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Sync => "sync",
        Lane::Write => "write",
        Lane::Save => "save",
        Lane::Load => "load",
        Lane::Free => "free",
        Lane::Compile => "compile",
    }
}
