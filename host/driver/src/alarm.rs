//! Wakes the engine's thread at a near moment. The runtime's own timer counts in milliseconds, and polling for less would
//! take a processor that clients or jobs need.
//! Not for distant moments: those cost the runtime's timer nothing.

use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer of the system's that counts in nanoseconds (timerfd).
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// `None` where the system gives none.
    pub(crate) fn new() -> Option<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok()?;
        #[expect(
            deprecated,
            reason = "what took its place is unsafe, and an owned descriptor needs no promise"
        )]
        let timer = AsyncFd::new(timer).ok()?;
        Some(Alarm { timer })
    }

    /// Goes off once, so long from now, and not when it was set to before. Says whether it will.
    pub(crate) fn set(&self, after: Duration) -> bool {
        // Zero would switch it off.
        let after = after.max(Duration::from_nanos(1));
        let Ok(tv_sec) = after.as_secs().try_into() else { return false };
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec, tv_nsec: after.subsec_nanos().into() },
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once).is_ok()
    }

    /// Ready once after it has gone off.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut readiness) = ready!(self.timer.poll_read_ready(context)) else {
                return Poll::Ready(());
            };
            let mut times = [0; 8];
            if readiness.try_io(|timer| Ok(rustix::io::read(timer, &mut times)?)).is_ok() {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Instant;

    #[tokio::test]
    async fn it_goes_off_once_at_the_time_it_was_set_to_last() {
        let alarm = Alarm::new().expect("Linux has timers");
        let began = Instant::now();
        assert!(alarm.set(Duration::from_secs(3600)) && alarm.set(Duration::from_micros(300)));
        poll_fn(|context| alarm.poll(context)).await;
        assert!(began.elapsed() >= Duration::from_micros(300));
        let again = tokio::time::timeout(Duration::from_millis(5), poll_fn(|context| alarm.poll(context)));
        assert!(again.await.is_err(), "it goes off once");
        assert!(alarm.set(Duration::ZERO));
        poll_fn(|context| alarm.poll(context)).await;
    }
}
