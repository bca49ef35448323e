//! The default fsync policy as a component: translates between the contract and the pure functions beside it.
//! Decides nothing itself and keeps no state.
//! Always: facts and verdicts pass through unchanged in meaning; a conformance suite holds it to the native build.
#![expect(missing_docs, reason = "the generated glue is public and has none")]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "fsync-policy" });

use exports::tenon::policy::fsync::{Bound, Durability, Facts, Gather, Guest, Start, Verdict};
use fsync_default_policy as policy;

struct Component;

impl Guest for Component {
    fn init(start: Start) -> Result<(), String> {
        policy::accept_settings(start.settings.iter().map(|setting| setting.key.as_str()))
    }

    fn decide(facts: Facts) -> Verdict {
        let situation = policy::Situation {
            now_us: facts.now_us,
            durability: match facts.durability {
                Durability::Always => policy::Durability::Always,
                Durability::Everysec => policy::Durability::Everysec,
                Durability::No => policy::Durability::No,
            },
            unsynced_bytes: facts.unsynced_bytes,
            oldest_unsynced_us: facts.oldest_unsynced_us,
            since_fsync_us: facts.since_fsync_us,
            mean_fsync_us: facts.mean_fsync_us,
            ceiling_us: facts.ceiling_us,
        };
        match policy::decide(&situation) {
            policy::Verdict::Sync { gather_us: us } => Verdict::Sync(Gather { us, bytes: u64::MAX }),
            policy::Verdict::SyncAtAge { age_us } => Verdict::SyncWhen(Bound { age_us, bytes: u64::MAX }),
            policy::Verdict::Leave => Verdict::AskWhen(Bound { age_us: u64::MAX, bytes: u64::MAX }),
        }
    }
}

export!(Component);
