//! The ways to go through a database: SCAN, active expiry, a random key, everything.

use tenon_base::{Dice, UnixMillis};

use super::Database;
use crate::entry::Entry;
use crate::table::{AHEAD, Address, BUCKETS};

/// Bits of a position that a SCAN cursor keeps. Fourteen more are free for the slot of a cluster, and the sum stays
/// below 2^53, because clients read cursors as floats.
const CURSOR_BITS: u32 = 38;

/// Tries to find a random key by throwing dice, before walking to the next one.
const RANDOM_TRIES: usize = 128;

/// Buckets with more entries than this give the others an unfair chance in a random choice; they hardly exist.
const FAIR_BUCKET_ENTRIES: u64 = 16;

/// What one step of active expiry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireProgress {
    /// Entries looked at, and pages skipped.
    pub examined: usize,
    /// Expired keys handed out.
    pub expired: usize,
    /// Whether the step came round all pages; if not, the budget ended it.
    pub complete: bool,
}

/// The time that keys have left, summed up.
#[derive(Default)]
struct TimeLeft {
    sum_ms: i64,
    keys: i64,
}

impl Database {
    /// Visits at least so many buckets (all entries of each) from the cursor on, and returns the cursor to go on
    /// with: 0 at the end. A key that is there from the first call to the last is visited at least once, however
    /// the table grows and shrinks meanwhile. Cursors stay below 2^38.
    pub fn scan(&self, cursor: u64, buckets_at_least: usize, visit: &mut dyn FnMut(Entry<'_>)) -> u64 {
        let mut position = cursor << (u64::BITS - CURSOR_BITS);
        for _ in 0..buckets_at_least.max(1) {
            let Some((address, next)) = self.table.address_at(position) else { return 0 };
            self.table.entries_of(address).for_each(&mut *visit);
            let Some(next) = next else { return 0 };
            position = next;
        }
        position >> (u64::BITS - CURSOR_BITS)
    }

    /// Any key, each with about the same chance. None only if there is none.
    pub fn random(&self, dice: &mut Dice) -> Option<Entry<'_>> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            let address = self.random_bucket(dice);
            // As many faces for every bucket: one with few entries misses more often.
            let faces = FAIR_BUCKET_ENTRIES.max(self.table.bucket_len(address) as u64);
            if let Some(entry) = self.table.entries_of(address).nth(dice.below(faces) as usize) {
                return Some(entry);
            }
        }
        let start = self.random_bucket(dice);
        let first = start.page * BUCKETS + start.bucket;
        let all = self.table.pages() * BUCKETS;
        (0..all).find_map(|step| {
            let number = (first + step) % all;
            let address = Address { page: number / BUCKETS, bucket: number % BUCKETS };
            let len = self.table.bucket_len(address) as u64;
            (len > 0).then(|| self.table.entries_of(address).nth(dice.below(len) as usize)).flatten()
        })
    }

    /// A key with an expiry time, chosen at random though not fairly. None only if there is none.
    pub fn random_volatile(&self, dice: &mut Dice) -> Option<Entry<'_>> {
        if self.volatile_len() == 0 {
            return None;
        }
        let start = self.random_bucket(dice);
        let pages = self.table.pages();
        (0..pages).map(|step| (start.page + step) % pages).find_map(|page| {
            if self.table.notes(page).volatile == 0 {
                return None;
            }
            let buckets = (0..BUCKETS).map(|step| (start.bucket + step) % BUCKETS);
            let mut entries = buckets.flat_map(|bucket| self.table.entries_of(Address { page, bucket }));
            entries.find(|entry| entry.is_volatile())
        })
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.table.entries()
    }

    /// Goes on through the pages and hands out keys whose expiry time lies before `now`, until about `budget_entries` were
    /// looked at. Pages in which nothing can have expired are skipped at the cost of one entry. The caller removes the
    /// keys; one that it leaves is handed out again the next time round.
    pub fn expire_step(
        &mut self,
        now: UnixMillis,
        budget_entries: usize,
        visit: &mut dyn FnMut(&[u8]),
    ) -> ExpireProgress {
        let mut progress = ExpireProgress { complete: true, ..ExpireProgress::default() };
        let mut left = TimeLeft::default();
        let pages = self.table.pages();
        for _ in 0..pages {
            if self.volatile_len() == 0 {
                break;
            }
            if progress.examined >= budget_entries {
                progress.complete = false;
                break;
            }
            let page = self.expire_page % pages;
            self.expire_page = page + 1;
            let notes = self.table.notes(page);
            if notes.volatile == 0 || notes.earliest >= now {
                progress.examined += 1;
                continue;
            }
            let mut earliest = UnixMillis(i64::MAX);
            for bucket in 0..BUCKETS {
                self.table.prefetch_entries(Address { page, bucket: (bucket + AHEAD) % BUCKETS });
                for entry in self.table.entries_of(Address { page, bucket }) {
                    progress.examined += 1;
                    let Some(expires) = entry.expires_at() else { continue };
                    earliest = earliest.min(expires);
                    if expires < now {
                        progress.expired += 1;
                        visit(entry.key());
                    } else {
                        left.sum_ms = left.sum_ms.saturating_add(expires.0.saturating_sub(now.0));
                        left.keys += 1;
                    }
                }
            }
            self.table.set_earliest(page, earliest);
        }
        if left.keys > 0 {
            let sample = left.sum_ms / left.keys;
            // As INFO has always shown it: a slow average over what active expiry came across.
            self.average_ttl_ms = match self.average_ttl_ms {
                0 => sample,
                average => average / 50 * 49 + sample / 50,
            };
        }
        progress
    }

    /// An estimate of the time that keys with an expiry time have left, in milliseconds; zero if nothing is known.
    pub fn average_ttl_ms(&self) -> i64 {
        if self.volatile_len() == 0 { 0 } else { self.average_ttl_ms }
    }

    fn random_bucket(&self, dice: &mut Dice) -> Address {
        let page = dice.below(self.table.pages() as u64) as usize;
        Address { page, bucket: dice.below(BUCKETS as u64) as usize }
    }
}
