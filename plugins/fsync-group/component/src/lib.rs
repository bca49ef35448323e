//! fsync-group as a component: translates between the contract and the pure functions beside it.
//! Decides nothing itself; it remembers the settings.
//! Always: facts and verdicts pass through unchanged in meaning.
#![expect(missing_docs, reason = "the generated glue is public and has none")]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "fsync-policy", generate_all });

use std::cell::Cell;

use exports::tenon::policy::fsync::{Bound, Durability, Facts, Gather, Guest, Start, Verdict};
use fsync_group_policy::{self as policy, Settings, Situation};
use tenon::policy::log::{self, Level};

thread_local! {
    static SETTINGS: Cell<Settings> = const { Cell::new(Settings::DEFAULT) };
}

struct Component;

impl Guest for Component {
    fn init(start: Start) -> Result<(), String> {
        let pairs = start.settings.iter().map(|setting| (setting.key.as_str(), setting.value.as_str()));
        let settings = Settings::read(pairs)?;
        log::write(Level::Notice, &format!("an fsync covers what gathers, up to {settings}"));
        SETTINGS.set(settings);
        Ok(())
    }

    fn decide(facts: Facts) -> Verdict {
        let situation = Situation {
            durability: match facts.durability {
                Durability::Always => policy::Durability::Always,
                Durability::Everysec => policy::Durability::Everysec,
                Durability::No => policy::Durability::No,
            },
            unsynced_bytes: facts.unsynced_bytes,
            oldest_unsynced_us: facts.oldest_unsynced_us,
            ceiling_us: facts.ceiling_us,
        };
        match policy::decide(&SETTINGS.get(), &situation) {
            policy::Verdict::Gather { us, bytes } => Verdict::Sync(Gather { us, bytes }),
            policy::Verdict::SyncWhen { age_us, bytes } => Verdict::SyncWhen(Bound { age_us, bytes }),
            policy::Verdict::Leave => Verdict::AskWhen(Bound { age_us: u64::MAX, bytes: u64::MAX }),
        }
    }
}

export!(Component);
