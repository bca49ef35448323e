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

/// Buckets looked at for one sample before it is told otherwise.
const SAMPLE_TRIES: usize = 64;

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

    /// Any key with an expiry time, each with about the same chance. None only if there is none.
    pub fn random_volatile(&self, dice: &mut Dice) -> Option<Entry<'_>> {
        if self.volatile_len() == 0 {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            let address = self.random_bucket(dice);
            if self.table.notes(address.page).volatile == 0 {
                continue;
            }
            let faces = FAIR_BUCKET_ENTRIES.max(self.table.bucket_len(address) as u64);
            let found = self.table.entries_of(address).nth(dice.below(faces) as usize);
            if let Some(entry) = found.filter(|entry| entry.is_volatile()) {
                return Some(entry);
            }
        }
        self.volatile_at(dice.below(self.volatile_len() as u64) as usize)
    }

    /// Visits at least `count` keys chosen at random, or volatile keys alone: whole buckets, so that each key has the
    /// same chance and the memory that is looked at anyway is used. Fewer if there are fewer; a key may come twice.
    pub fn sample(
        &self,
        dice: &mut Dice,
        count: usize,
        volatile_only: bool,
        visit: &mut dyn FnMut(Entry<'_>),
    ) {
        let available = if volatile_only { self.volatile_len() } else { self.len() };
        if available <= count {
            let wanted = self.entries().filter(|entry| !volatile_only || entry.is_volatile());
            if available == 0 || self.len() <= BUCKETS {
                return wanted.take(available).for_each(visit);
            }
        }
        let mut visited = 0;
        for _ in 0..SAMPLE_TRIES * count.min(available) {
            if visited >= count {
                return;
            }
            let address = self.random_bucket(dice);
            if volatile_only && self.table.notes(address.page).volatile == 0 {
                continue;
            }
            for entry in self.table.entries_of(address) {
                if !volatile_only || entry.is_volatile() {
                    visited += 1;
                    visit(entry);
                }
            }
        }
        // Volatile keys among very many others: found by their number.
        while visited < count.min(available) {
            visited += 1;
            let found = if volatile_only { self.random_volatile(dice) } else { self.random(dice) };
            found.into_iter().for_each(&mut *visit);
        }
    }

    /// The volatile key of this number, in the order of pages and buckets.
    fn volatile_at(&self, number: usize) -> Option<Entry<'_>> {
        let mut left = number;
        for page in 0..self.table.pages() {
            let volatile = self.table.notes(page).volatile as usize;
            if left < volatile {
                let entries = (0..BUCKETS).flat_map(|bucket| self.table.entries_of(Address { page, bucket }));
                return entries.filter(|entry| entry.is_volatile()).nth(left);
            }
            left -= volatile;
        }
        None
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
                self.table.prefetch_entries(Address { page, bucket: (bucket + AHEAD) % BUCKETS }, 1);
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
