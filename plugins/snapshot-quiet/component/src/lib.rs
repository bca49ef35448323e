//! snapshot-quiet as a component: translates between the contract and the rules beside it.
//! Decides nothing itself; it holds the settings and the rules' memory, and says why a job starts now.
//! Always: facts and verdicts pass through unchanged in meaning.
#![expect(missing_docs, reason = "the generated glue is public and has none")]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "snapshot-policy", generate_all });

use std::cell::{Cell, RefCell};

use exports::tenon::policy::snapshot::{Facts, Guest, Job, Start, Verdict};
use snapshot_default_policy as default;
use snapshot_quiet_policy::{Memory, Settings, Situation};
use tenon::policy::log::{self, Level};
use tenon::policy::types::Outcome;

thread_local! {
    static SETTINGS: Cell<Settings> = const { Cell::new(Settings::DEFAULT) };
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory::NEW) };
}

struct Component;

impl Guest for Component {
    fn init(start: Start) -> Result<(), String> {
        let pairs = start.settings.iter().map(|setting| (setting.key.as_str(), setting.value.as_str()));
        let settings = Settings::read(pairs)?;
        log::write(Level::Notice, &format!("saves and rewrites wait for quiet by {settings}"));
        SETTINGS.set(settings);
        MEMORY.replace(Memory::NEW);
        Ok(())
    }

    fn decide(facts: Facts) -> Verdict {
        let situation = situation(&facts);
        let points = facts
            .save_points
            .iter()
            .map(|point| default::SavePoint { seconds: point.seconds, changes: point.changes });
        let (verdict, waited_ms) = MEMORY.with_borrow_mut(|memory| {
            let verdict = memory.decide(&SETTINGS.get(), &situation, points);
            (verdict, memory.waited_ms(facts.now_ms))
        });
        let (verdict, what) = match verdict {
            default::Verdict::None => return Verdict::None,
            default::Verdict::Save => (Verdict::Save, "a save"),
            default::Verdict::RewriteAof => (Verdict::RewriteAof, "a rewrite"),
        };
        log::write(Level::Notice, &format!("{what} that was wanted for {} s begins", waited_ms / 1_000));
        verdict
    }
}

fn situation(facts: &Facts) -> Situation {
    Situation {
        now_ms: facts.now_ms,
        changes_total: facts.changes_total,
        commands_total: facts.commands_total,
        usual: default::Situation {
            wall_unix_ms: facts.wall_unix_ms,
            changes_since_save: facts.changes_since_save,
            save: job(&facts.save),
            rewrite: job(&facts.rewrite),
            aof_enabled: facts.aof_enabled,
            aof_bytes: facts.aof_bytes,
            aof_base_bytes: facts.aof_base_bytes,
            rewrite_percentage: facts.rewrite_percentage,
            rewrite_min_bytes: facts.rewrite_min_bytes,
            full_syncs_running: facts.full_syncs_running,
        },
    }
}

fn job(job: &Job) -> default::Job {
    default::Job {
        running: job.running,
        failed: job.last == Outcome::Failed,
        failures_in_a_row: job.failures_in_a_row,
        since_attempt_ms: job.since_attempt_ms,
        since_success_ms: job.since_success_ms,
        last_duration_ms: job.last_duration_ms,
    }
}

export!(Component);
