//! fsync-adaptive as a component: translates between the contract and the pure functions beside it.
//! Decides nothing itself; it remembers the settings, and whether it has said that the disk is too slow for them.
//! Always: facts and verdicts pass through unchanged in meaning.
#![expect(missing_docs, reason = "the generated glue is public and has none")]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "fsync-policy", generate_all });

use std::cell::Cell;

use exports::tenon::policy::fsync::{Bound, Durability, Facts, Gather, Guest, Start, Verdict};
use fsync_adaptive_policy::{self as policy, Settings, Situation};
use fsync_default_policy as default;
use tenon::policy::log::{self, Level};
use tenon::policy::types::Outcome;

thread_local! {
    static SETTINGS: Cell<Settings> = const { Cell::new(Settings::DEFAULT) };
    static TOLD: Cell<bool> = const { Cell::new(false) };
}

struct Component;

impl Guest for Component {
    fn init(start: Start) -> Result<(), String> {
        let pairs = start.settings.iter().map(|setting| (setting.key.as_str(), setting.value.as_str()));
        let settings = Settings::read(pairs)?;
        log::write(Level::Notice, &format!("under everysec writes are synced by {settings}"));
        SETTINGS.set(settings);
        Ok(())
    }

    fn decide(facts: Facts) -> Verdict {
        let (settings, situation) = (SETTINGS.get(), situation(&facts));
        if facts.durability == Durability::Everysec {
            tell(&settings, &situation);
        }
        match policy::decide(&settings, &situation) {
            default::Verdict::Sync { gather_us: us } => Verdict::Sync(Gather { us, bytes: u64::MAX }),
            default::Verdict::SyncAtAge { age_us } => Verdict::SyncWhen(Bound { age_us, bytes: u64::MAX }),
            default::Verdict::Leave => Verdict::AskWhen(Bound { age_us: u64::MAX, bytes: u64::MAX }),
        }
    }
}

/// Says once that the disk has become too slow for the bound, and once that it is quick enough again.
fn tell(settings: &Settings, situation: &Situation) {
    let is_slow = !policy::bound_can_be_kept(settings, situation);
    if TOLD.replace(is_slow) == is_slow {
        return;
    }
    let took_us = situation.last_fsync_us.max(situation.usual.mean_fsync_us);
    if is_slow {
        let line =
            format!("fsyncs take {took_us} us, too long for {settings}; writes stay unsynced for longer");
        log::write(Level::Warning, &line);
    } else {
        log::write(Level::Notice, &format!("fsyncs take {took_us} us, quick enough for {settings} again"));
    }
}

fn situation(facts: &Facts) -> Situation {
    Situation {
        usual: default::Situation {
            now_us: facts.now_us,
            durability: match facts.durability {
                Durability::Always => default::Durability::Always,
                Durability::Everysec => default::Durability::Everysec,
                Durability::No => default::Durability::No,
            },
            unsynced_bytes: facts.unsynced_bytes,
            oldest_unsynced_us: facts.oldest_unsynced_us,
            since_fsync_us: facts.since_fsync_us,
            mean_fsync_us: facts.mean_fsync_us,
            ceiling_us: facts.ceiling_us,
        },
        fsync_running_us: facts.fsync_running_us,
        last_fsync_us: facts.last_fsync_us,
        worst_fsync_us: facts.worst_fsync_us,
        last_fsync_failed: facts.last_fsync == Outcome::Failed,
        disk_busy: facts.disk_busy,
    }
}

export!(Component);
