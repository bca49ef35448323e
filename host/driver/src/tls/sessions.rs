//! Sessions that clients may resume: `tls-session-cache-size` and `tls-session-cache-timeout`.
//! Always: no more sessions than the bound, the oldest give way; none is resumed that is older than the timeout.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;
use tenon_base::SessionCache;

/// What OpenSSL takes for no bound. A session takes a few kilobytes when clients show certificates.
const UNBOUNDED_MAX: usize = 1 << 20;

/// A bounded store.
pub(super) struct Sessions {
    sessions_max: usize,
    lifetime: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_key: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// In the order in which they came; keys that were taken out meanwhile are passed over.
    order: VecDeque<Vec<u8>>,
}

impl Sessions {
    pub(super) fn new(bounds: SessionCache) -> Sessions {
        let sessions_max = if bounds.sessions_max == 0 { UNBOUNDED_MAX } else { bounds.sessions_max };
        Sessions { sessions_max, lifetime: Duration::from_secs(bounds.seconds), kept: Mutex::default() }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn put_at(&self, now: Instant, key: Vec<u8>, value: Vec<u8>) {
        let kept = &mut *self.kept();
        while kept.order.len() >= self.sessions_max
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_key.remove(&oldest);
        }
        if kept.by_key.insert(key.clone(), (now, value)).is_none() {
            kept.order.push_back(key);
        }
    }

    fn fresh_at(&self, now: Instant, came: Instant) -> bool {
        now.saturating_duration_since(came) <= self.lifetime
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.put_at(Instant::now(), key, value);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept();
        let (came, value) = kept.by_key.get(key)?;
        self.fresh_at(Instant::now(), *came).then(|| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (came, value) = self.kept().by_key.remove(key)?;
        self.fresh_at(Instant::now(), came).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

/// Secrets are not shown.
impl fmt::Debug for Sessions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sessions").field("sessions_max", &self.sessions_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way_and_the_old_are_not_resumed() {
        let sessions = Sessions::new(SessionCache { sessions_max: 2, seconds: 300 });
        for key in 1..=3 {
            assert!(sessions.put(vec![key], vec![key, key]));
        }
        assert_eq!(sessions.get(&[1]), None);
        assert_eq!(sessions.get(&[3]), Some(vec![3, 3]));
        assert_eq!(sessions.take(&[3]), Some(vec![3, 3]));
        assert_eq!(sessions.take(&[3]), None);
        sessions.put(vec![2], vec![9]);
        assert_eq!(sessions.get(&[2]), Some(vec![9]), "a key that comes again is replaced");
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(301)) else { return };
        sessions.put_at(long_ago, vec![4], vec![4]);
        assert_eq!(sessions.get(&[4]), None);
        for key in 0..100 {
            sessions.put(vec![5], vec![key]);
            sessions.take(&[5]);
        }
        assert!(sessions.kept().order.len() <= 2, "what was taken out leaves nothing behind");
    }
}
