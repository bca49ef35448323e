//! snapshot-growth as a component: translates between the contract and the pure functions beside it.
//! Decides nothing itself; it remembers the settings, and says why it asks for a job.
//! Always: facts and verdicts pass through unchanged in meaning.
#![expect(missing_docs, reason = "the generated glue is public and has none")]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "snapshot-policy", generate_all });

use std::cell::Cell;

use exports::tenon::policy::snapshot::{Facts, Guest, Job, Start, Verdict};
use snapshot_default_policy as default;
use snapshot_growth_policy::{self as policy, Settings, Situation};
use tenon::policy::log::{self, Level};
use tenon::policy::types::Outcome;

thread_local! {
    static SETTINGS: Cell<Settings> = const { Cell::new(Settings::DEFAULT) };
}

struct Component;

impl Guest for Component {
    fn init(start: Start) -> Result<(), String> {
        let pairs = start.settings.iter().map(|setting| (setting.key.as_str(), setting.value.as_str()));
        let settings = Settings::read(pairs)?;
        log::write(Level::Notice, &format!("saves and rewrites go by {settings}"));
        SETTINGS.set(settings);
        Ok(())
    }

    fn decide(facts: Facts) -> Verdict {
        let settings = SETTINGS.get();
        let (verdict, reason) = match policy::decide(&settings, &situation(&facts)) {
            policy::Verdict::None => return Verdict::None,
            policy::Verdict::SaveBytes(bytes) => {
                (Verdict::Save, format!("a save, because {bytes} bytes have changed"))
            }
            policy::Verdict::SaveAge(age_s) => {
                (Verdict::Save, format!("a save, because the last one was {age_s} s ago"))
            }
            policy::Verdict::Rewrite(restart_ms) => {
                (Verdict::RewriteAof, format!("a rewrite, because a restart would take {restart_ms} ms"))
            }
        };
        log::write(Level::Notice, &reason);
        verdict
    }
}

fn situation(facts: &Facts) -> Situation {
    Situation {
        wall_unix_ms: facts.wall_unix_ms,
        changes_since_save: facts.changes_since_save,
        bytes_since_save: facts.bytes_since_save,
        save: job(&facts.save),
        last_save_bytes: facts.save.last_file_bytes,
        rewrite: job(&facts.rewrite),
        aof_enabled: facts.aof_enabled,
        aof_bytes: facts.aof_bytes,
        aof_replay_bytes: facts.aof_replay_bytes,
        load_rate: facts.load_bytes_per_second,
        replay_rate: facts.replay_bytes_per_second,
        full_syncs_running: facts.full_syncs_running,
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
