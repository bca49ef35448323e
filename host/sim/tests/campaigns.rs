//! Some hundreds of seeds of each scenario, and those that have failed once. `cargo xtask sim` runs as many as are wanted.

use tenon_sim::{Campaign, Crash, Loaders, Replicas, Scenario};

fn assert_right(scenario: &dyn Scenario, kept: &str, seeds: u64) {
    let kept = kept.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    let campaign = Campaign { kept, first: 1, seeds, threads: 2, failures_max: 3 };
    let report = campaign.run(scenario, &|_| {});
    assert!(report.seeds >= seeds && report.events > seeds, "{} seeds were run", report.seeds);
    assert!(report.failures.is_empty(), "{}: {:#?}", scenario.name(), report.failures);
}

#[test]
fn an_engine_keeps_its_promises_through_crashes() {
    let loaders = Loaders::new().expect("policies can be loaded");
    assert_right(&Crash::new(loaders), include_str!("../kept/crash"), 300);
}

#[test]
fn a_primary_and_its_replicas_agree_in_the_end() {
    let loaders = Loaders::new().expect("policies can be loaded");
    assert_right(&Replicas::new(loaders), include_str!("../kept/replication"), 60);
}
