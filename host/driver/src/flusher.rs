//! The end of every turn: the machine settles, replies leave, it goes on with what nobody waits for, its requests are
//! carried out, and some of what was pushed leaves.
//! Always: a message to thousands lets those be heard in between who wait for replies.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tenon_base::{Input, Machine, Micros};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::alarm::Alarm;
use crate::connection::attend;
use crate::lanes::Mailbox;
use crate::worker::{Shared, carry_out};

/// Deadlines nearer than this are too near for the runtime's timer, which counts in milliseconds: an alarm is set.
const NEAR_US: u64 = 1_000;
/// Deadlines nearer than this are polled for: to sleep and wake takes as long.
const POLLED_US: u64 = 50;
/// Connections that pushed messages are sent to in one turn.
const PUSHED_MAX: usize = 128;
/// Rounds of requests that lead to requests, in one turn.
const ROUNDS_MAX: usize = 64;

/// Runs turns until the machine asks to exit; returns the exit code.
pub(crate) async fn serve<M: Machine + 'static>(worker: Shared<M>) -> i32 {
    let mailbox = Arc::clone(worker.borrow().lanes.mailbox());
    let flush = Rc::clone(&worker.borrow().flush);
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut timer_at = None;
    let alarm = Alarm::new();
    let polled_us = if alarm.is_some() { POLLED_US } else { NEAR_US };
    let mut dirty = Vec::new();
    loop {
        deliver(&worker, &mailbox);
        end_turn(&worker, &mut dirty);
        let exit_code = worker.borrow().exit_code();
        let has_more =
            send_pushed(&worker, &mut dirty, if exit_code.is_some() { usize::MAX } else { PUSHED_MAX });
        if let Some(code) = exit_code {
            return code;
        }
        if has_more {
            // The runtime looks at its sockets before it comes back here.
            tokio::task::yield_now().await;
            continue;
        }
        let wake_at = worker.borrow().wake_at();
        if look_again(&worker, wake_at, polled_us) {
            // The runtime looks at its sockets before it comes back here.
            tokio::task::yield_now().await;
            continue_or_poll(&worker, wake_at, polled_us).await;
            continue;
        }
        let alarm = alarm.as_ref().filter(|alarm| set_alarm(&worker, alarm, wake_at));
        if alarm.is_none() {
            set_timer(&worker, timer.as_mut(), &mut timer_at, wake_at);
        }
        let timer = timer.as_mut();
        wait(&flush, &mailbox, alarm, (alarm.is_none() && wake_at.is_some()).then_some(timer)).await;
    }
}

/// Hands over finished jobs.
fn deliver<M: Machine + 'static>(worker: &Shared<M>, mailbox: &Mailbox) {
    for completion in mailbox.take() {
        worker.borrow_mut().tell(Input::Completed { ticket: completion.ticket, result: completion.result });
    }
}

/// Settles, carries out and sends until nothing is owed.
fn end_turn<M: Machine + 'static>(worker: &Shared<M>, dirty: &mut Vec<u32>) {
    for _ in 0..ROUNDS_MAX {
        worker.borrow_mut().settle(dirty);
        for slot in dirty.drain(..) {
            worker.borrow_mut().send(slot);
        }
        worker.borrow_mut().linger();
        let requests = worker.borrow_mut().take_requests();
        if requests.is_empty() {
            break;
        }
        for request in requests {
            carry_out(worker, request);
        }
    }
    attend_newcomers(worker);
    let mut worker = worker.borrow_mut();
    let now = worker.clock.steady();
    worker.spin.settled(now);
}

/// Gives tasks to those who came in the middle of long work.
fn attend_newcomers<M: Machine + 'static>(worker: &Shared<M>) {
    let (links, visitors) = worker.borrow_mut().take_newcomers();
    links.into_iter().for_each(|link| attend(worker, link));
    visitors.into_iter().for_each(|visitor| visitor.resume(worker));
}

/// Sends to some of those whom something was pushed to. Says whether there are more.
fn send_pushed<M: Machine + 'static>(worker: &Shared<M>, slots: &mut Vec<u32>, slots_max: usize) -> bool {
    worker.borrow_mut().outputs.take_pushed(slots, slots_max);
    for slot in slots.drain(..) {
        worker.borrow_mut().send(slot);
    }
    worker.borrow().outputs.has_pushed()
}

fn look_again<M: Machine + 'static>(worker: &Shared<M>, wake_at: Option<Micros>, polled_us: u64) -> bool {
    let mut worker = worker.borrow_mut();
    let now = worker.clock.steady();
    wake_at.is_some_and(|at| at.since(now).0 < polled_us && at > now) || worker.spin.wants_look(now)
}

/// Looks at the sockets again and again until a turn begins, the near deadline comes, or patience ends.
async fn continue_or_poll<M: Machine + 'static>(worker: &Shared<M>, wake_at: Option<Micros>, polled_us: u64) {
    loop {
        {
            let worker = worker.borrow();
            if worker.is_in_turn() || wake_at.is_some_and(|at| at <= worker.clock.steady()) {
                return;
            }
        }
        if !look_again(worker, wake_at, polled_us) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Sets the alarm to a near deadline. Says whether there is one to wait for.
fn set_alarm<M: Machine + 'static>(worker: &Shared<M>, alarm: &Alarm, wake_at: Option<Micros>) -> bool {
    let now = worker.borrow().clock.steady();
    let near = wake_at.map(|at| at.since(now).0).filter(|after_us| *after_us < NEAR_US);
    near.is_some_and(|after_us| alarm.set(Duration::from_micros(after_us)))
}

fn set_timer<M: Machine + 'static>(
    worker: &Shared<M>,
    timer: Pin<&mut Sleep>,
    timer_at: &mut Option<Micros>,
    wake_at: Option<Micros>,
) {
    if let Some(at) = wake_at
        && *timer_at != Some(at)
    {
        timer.reset(worker.borrow().clock.instant(at).into());
        *timer_at = Some(at);
    }
}

/// Sleeps until a turn has begun, a job has ended, or the machine's own time has come.
async fn wait(
    flush: &tokio::sync::Notify,
    mailbox: &Mailbox,
    alarm: Option<&Alarm>,
    mut timer: Option<Pin<&mut Sleep>>,
) {
    let mut flushed = pin!(flush.notified());
    let mut arrived = pin!(mailbox.arrived.notified());
    poll_fn(|context| {
        let is_alarmed = alarm.is_some_and(|alarm| alarm.poll(context).is_ready());
        let is_due = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        let is_flushed = flushed.as_mut().poll(context).is_ready();
        let has_arrived = arrived.as_mut().poll(context).is_ready();
        if is_alarmed || is_due || is_flushed || has_arrived { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
