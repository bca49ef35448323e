//! The default snapshot policy as a component: translates between the contract and the pure functions beside it.
//! Decides nothing itself and keeps no state.
//! Always: facts and verdicts pass through unchanged in meaning; a conformance suite holds it to the native build.
#![expect(missing_docs, reason = "the generated glue is public and has none")]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "snapshot-policy", generate_all });

use exports::tenon::policy::snapshot::{Facts, Guest, Job, Start, Verdict};
use snapshot_default_policy as policy;
use tenon::policy::types::Outcome;

struct Component;

impl Guest for Component {
    fn init(start: Start) -> Result<(), String> {
        policy::accept_settings(start.settings.iter().map(|setting| setting.key.as_str()))
    }

    fn decide(facts: Facts) -> Verdict {
        let situation = policy::Situation {
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
        };
        let points = facts
            .save_points
            .iter()
            .map(|point| policy::SavePoint { seconds: point.seconds, changes: point.changes });
        match policy::decide(&situation, points) {
            policy::Verdict::None => Verdict::None,
            policy::Verdict::Save => Verdict::Save,
            policy::Verdict::RewriteAof => Verdict::RewriteAof,
        }
    }
}

fn job(job: &Job) -> policy::Job {
    policy::Job {
        running: job.running,
        failed: job.last == Outcome::Failed,
        failures_in_a_row: job.failures_in_a_row,
        since_attempt_ms: job.since_attempt_ms,
        since_success_ms: job.since_success_ms,
        last_duration_ms: job.last_duration_ms,
    }
}

export!(Component);
