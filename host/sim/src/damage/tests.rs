//! The scenario on a few seeds; many more by `cargo xtask sim damage`.

use super::*;
use crate::campaign::Campaign;

#[test]
fn damaged_files_are_refused_or_repaired() {
    let loaders = Loaders::new().expect("policies that can be loaded");
    let scenario = Damage::new(loaders, Vec::new());
    let campaign = Campaign { kept: Vec::new(), first: 1, seeds: 12, threads: 2, failures_max: 3 };
    let report = campaign.run(&scenario, &|_| {});
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(report.seeds, 12);
}

#[test]
fn every_mutation_leaves_what_it_says() {
    let mut dice = Dice::seeded(7);
    for length in [0, 1, 2, 9, 700, 5_000] {
        for _ in 0..500 {
            let content: Vec<u8> = (0..length).map(|index: u32| index as u8).collect();
            let mut damaged = content.clone();
            let told = mutate(&mut damaged, &mut dice);
            assert!(damaged.len() <= content.len() + 600 + 40, "{told}");
            let is_longer = told.contains("once more") || told.contains("where there were none");
            assert_eq!(damaged.len() > content.len(), is_longer, "{told}");
        }
    }
}
