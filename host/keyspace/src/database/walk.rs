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
        let mut progress = ExpireProgress::default();
        let (mut ttl_sum, mut ttl_count) = (0i64, 0i64);
        let pages = self.table.pages();
        for _ in 0..pages {
            if self.table.volatile_len() == 0 {
                break;
            }
            if progress.examined >= budget_entries {
                return progress;
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
                        ttl_sum = ttl_sum.saturating_add(expires.0 - now.0);
                        ttl_count += 1;
                    }
                }
            }
            self.table.set_earliest(page, earliest);
        }
        if ttl_count > 0 {
            let sample = ttl_sum / ttl_count;
            // As INFO has always shown it: a slow average over what active expiry came across.
            self.average_ttl_ms = match self.average_ttl_ms {
                0 => sample,
                average => average / 50 * 49 + sample / 50,
            };
        }
        progress.complete = true;
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
