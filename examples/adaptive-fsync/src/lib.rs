//! An fsync policy that keeps what a crash could lose below a target, on fast disks and on slow ones.
//!
//! Under `everysec` Redis syncs once a second. This policy starts an fsync early enough that it *ends* when the oldest
//! unsynced write is `target-ms` old, judging by how long recent fsyncs took; see `deadline.rs`, where the thinking is.
//! This file is the component around it: it translates between the contract and plain Rust.

mod deadline;

use std::cell::RefCell;

use deadline::{Deadline, Target};

wit_bindgen::generate!({ path: "../../wit/v0.1", world: "fsync-policy" });

use exports::tenon::policy::fsync::{Bound, Cause, Durability, Facts, Gather, Guest, Start, Verdict};
use tenon::policy::log::{self, Level};
use tenon::policy::types::Outcome;

thread_local! {
    /// The instance's memory. It is gone when the host reloads or rebuilds the instance: then `init` is called again.
    static DEADLINE: RefCell<Deadline> = RefCell::new(Deadline::new(Target::DEFAULT));
}

struct AdaptiveFsync;

impl Guest for AdaptiveFsync {
    fn init(start: Start) -> Result<(), String> {
        let mut target = Target::DEFAULT;
        for setting in &start.settings {
            match setting.key.as_str() {
                "target-ms" => target = Target::parse(&setting.value)?,
                key => return Err(format!("unknown setting '{key}'; the only one is target-ms")),
            }
        }
        log::write(
            Level::Notice,
            &format!("what a crash could lose is kept below {target} where the disk allows it"),
        );
        DEADLINE.replace(Deadline::new(target));
        Ok(())
    }

    fn decide(facts: Facts) -> Verdict {
        DEADLINE.with_borrow_mut(|deadline| {
            if facts.cause == Cause::FsyncEnded && facts.last_fsync == Outcome::Ok {
                let was_met = deadline.is_met();
                deadline.learn(facts.last_fsync_us);
                if was_met && !deadline.is_met() {
                    let line = format!("fsyncs take {} us, too long for the target", facts.last_fsync_us);
                    log::write(Level::Warning, &line);
                }
            }
            match facts.durability {
                _ if facts.unsynced_bytes == 0 => Verdict::AskWhen(NEVER),
                // Replies wait for it: at once.
                Durability::Always => Verdict::Sync(Gather { us: 0, bytes: u64::MAX }),
                Durability::Everysec => {
                    // A deadline that has passed means now; past the ceiling the host syncs anyway.
                    let age_us = deadline.age_us().min(facts.ceiling_us);
                    Verdict::SyncWhen(Bound { age_us, ..NEVER })
                }
                Durability::No => Verdict::AskWhen(NEVER),
            }
        })
    }
}

const NEVER: Bound = Bound { age_us: u64::MAX, bytes: u64::MAX };

export!(AdaptiveFsync);
