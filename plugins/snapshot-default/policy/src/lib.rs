//! The default snapshot policy: Redis's `save` points and automatic AOF rewrite, decided from facts alone.
//! It keeps no state, knows no clock and no host: the component around it and the host's native fallback both call it.
//! Always: at most one job at a time, a save before a rewrite, as in Redis's `serverCron`.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;

/// One kind of job as the host reports it; times in milliseconds, `u64::MAX` for never.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// It is at work.
    pub running: bool,
    /// The last attempt failed.
    pub failed: bool,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Since the last attempt began.
    pub since_attempt_ms: u64,
    /// Since the last success ended, or since the start.
    pub since_success_ms: u64,
    /// Of the last attempt that ended.
    pub last_duration_ms: u64,
}

/// What the decision depends on, beside the save points.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The wall clock; Redis counts whole seconds of it.
    pub wall_unix_ms: i64,
    /// Redis's dirty count.
    pub changes_since_save: u64,
    /// Saves.
    pub save: Job,
    /// Rewrites of the append-only file.
    pub rewrite: Job,
    /// Whether there is an append-only file.
    pub aof_enabled: bool,
    /// Its size.
    pub aof_bytes: u64,
    /// Its size after the last rewrite, or at the start.
    pub aof_base_bytes: u64,
    /// `auto-aof-rewrite-percentage`; 0 turns it off.
    pub rewrite_percentage: u32,
    /// `auto-aof-rewrite-min-size`.
    pub rewrite_min_bytes: u64,
    /// Full syncs of replicas; each is a child of Redis.
    pub full_syncs_running: u32,
}

/// One pair of `save`.
#[derive(Clone, Copy, Debug)]
pub struct SavePoint {
    /// More than so many seconds since the last save.
    pub seconds: u64,
    /// And at least so many changes.
    pub changes: u64,
}

/// What to start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    None,
    /// A save.
    Save,
    /// A rewrite of the append-only file.
    RewriteAof,
}

/// After a failed save the next one waits for more than so many seconds.
pub const SAVE_RETRY_SECONDS: u64 = 5;

/// From so many failures in a row on, automatic rewrites are spaced out.
pub const REWRITE_FAILURES_FREE: u32 = 3;

/// The longest of those spaces.
pub const REWRITE_DELAY_MAX_MINUTES: u64 = 60;

/// Decides what to start now.
pub fn decide(situation: &Situation, points: impl IntoIterator<Item = SavePoint>) -> Verdict {
    if situation.save.running || situation.rewrite.running || situation.full_syncs_running > 0 {
        return Verdict::None;
    }
    if points.into_iter().any(|point| save_is_due(situation, point)) {
        return Verdict::Save;
    }
    if rewrite_is_due(situation) && !rewrite_is_limited(situation.wall_unix_ms, &situation.rewrite) {
        return Verdict::RewriteAof;
    }
    Verdict::None
}

/// Whether rewrites that nobody asked for just now have to wait because the last ones failed. The host asks this for a
/// scheduled rewrite too.
///
/// The first two failures cost nothing; from the third on the space is 1, 2, 4 ... 60 minutes from the end of the
/// failed attempt, counted in whole seconds of the wall clock. (Redis counts from the first question after it, at most a
/// tick later.)
pub fn rewrite_is_limited(wall_unix_ms: i64, rewrite: &Job) -> bool {
    if rewrite.failures_in_a_row < REWRITE_FAILURES_FREE {
        return false;
    }
    let doublings = (rewrite.failures_in_a_row - REWRITE_FAILURES_FREE).min(6);
    let delay_minutes = (1u64 << doublings).min(REWRITE_DELAY_MAX_MINUTES);
    let since_end_ms = rewrite.since_attempt_ms.saturating_sub(rewrite.last_duration_ms);
    whole_seconds(wall_unix_ms, since_end_ms) < delay_minutes * 60
}

/// The default policy has no settings: any is refused, with a sentence for the operator.
pub fn accept_settings<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    match keys.into_iter().next() {
        None => Ok(()),
        Some(key) => Err(format!("unknown setting '{key}': the default snapshot policy has no settings")),
    }
}

fn save_is_due(situation: &Situation, point: SavePoint) -> bool {
    let seconds = |since_ms| whole_seconds(situation.wall_unix_ms, since_ms);
    situation.changes_since_save >= point.changes
        && seconds(situation.save.since_success_ms) > point.seconds
        && (!situation.save.failed || seconds(situation.save.since_attempt_ms) > SAVE_RETRY_SECONDS)
}

fn rewrite_is_due(situation: &Situation) -> bool {
    if !situation.aof_enabled
        || situation.rewrite_percentage == 0
        || situation.aof_bytes <= situation.rewrite_min_bytes
    {
        return false;
    }
    let base = u128::from(situation.aof_base_bytes.max(1));
    u128::from(situation.aof_bytes) * 100 / base >= 100 + u128::from(situation.rewrite_percentage)
}

/// Redis stamps events with the wall clock's whole seconds and subtracts those: 200 ms may count as one second, and so
/// may 1,900 ms.
fn whole_seconds(wall_unix_ms: i64, since_ms: u64) -> u64 {
    let then_ms = i128::from(wall_unix_ms) - i128::from(since_ms);
    let seconds = i128::from(wall_unix_ms).div_euclid(1_000) - then_ms.div_euclid(1_000);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_whole_seconds_of_the_wall_clock() {
        assert_eq!(whole_seconds(10_100, 200), 1);
        assert_eq!(whole_seconds(10_900, 900), 0);
        assert_eq!(whole_seconds(10_899, 900), 1);
        assert!(whole_seconds(0, u64::MAX) > u64::MAX / 2_000);
    }

    #[test]
    fn failed_rewrites_are_spaced_out() {
        const WALL: i64 = 1_795_362_303_999;
        let job = |failures_in_a_row, since_attempt_ms| Job {
            running: false,
            failed: true,
            failures_in_a_row,
            since_attempt_ms,
            since_success_ms: u64::MAX,
            last_duration_ms: 5_000,
        };
        assert!(!rewrite_is_limited(WALL, &job(2, 0)));
        assert!(rewrite_is_limited(WALL, &job(3, 64_999)));
        assert!(!rewrite_is_limited(WALL, &job(3, 65_000)));
        assert!(rewrite_is_limited(WALL, &job(5, 4 * 60_000)));
        assert!(!rewrite_is_limited(WALL, &job(5, 4 * 60_000 + 5_000)));
        assert!(rewrite_is_limited(WALL, &job(u32::MAX, 60 * 60_000)));
        assert!(!rewrite_is_limited(WALL, &job(u32::MAX, 60 * 60_000 + 5_000)));
    }

    #[test]
    fn settings_are_refused_by_name() {
        assert_eq!(accept_settings([]), Ok(()));
        assert!(accept_settings(["hour"]).unwrap_err().contains("'hour'"));
    }
}
