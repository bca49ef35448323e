//! The table of members against a `BTreeMap`, with clones taken in between that must stay as they were.

use super::directory::Way;
use super::*;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn number(number: u64) -> Vec<u8> {
    format!("member:{number:08}").into_bytes()
}

fn filled(count: u64) -> Members {
    let mut members = Members::new(7);
    for index in 0..count {
        members.insert(&number(index), b"");
    }
    members
}

fn assert_same(members: &Members, model: &Model) {
    assert_eq!(members.len(), model.len());
    let seen: Model = members.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
    assert_eq!(&seen, model);
    assert_eq!(members.iter().len(), model.len());
    assert_eq!(members.memory(), blocks(members).values().sum::<usize>(), "the running sum");
}

/// The address and the cost of every block.
fn blocks(members: &Members) -> BTreeMap<usize, usize> {
    let mut blocks = BTreeMap::new();
    let mut position = 0;
    while position < POSITION_END {
        let mut way = members.way_in();
        loop {
            match way {
                Way::Directory(directory, span) => {
                    blocks.insert(std::ptr::from_ref(directory).addr(), DIRECTORY_MEMORY);
                    way = directory.toward(position, span);
                }
                Way::Page(leaf) => {
                    assert_eq!(leaf.page.len(), leaf.count);
                    blocks.insert(leaf.page.address(), leaf.page.memory());
                    position = leaf.span.high;
                    break;
                }
            }
        }
    }
    blocks
}

fn bytes_of(dice: &mut Dice, longest: u64) -> Vec<u8> {
    let mut bytes = vec![0; dice.below(longest + 1) as usize];
    dice.fill(&mut bytes);
    bytes
}

#[test]
fn random_changes_agree_with_a_model_and_leave_clones_alone() {
    for seed in 0..6 {
        let mut dice = Dice::seeded(seed);
        let mut members = Members::new(seed);
        let mut model = Model::new();
        let mut clones: Vec<(Members, Model)> = Vec::new();
        let fields = [20, 300, 4_000][seed as usize % 3];
        for step in 0..6_000 {
            let mut field = number(dice.below(fields));
            if dice.below(50) == 0 {
                field.resize(field.len() + dice.below(3_000) as usize % 1_500, b'x');
            }
            let removes = if step % 2_000 < 1_200 { 1 } else { 6 };
            if dice.below(8) < removes {
                assert_eq!(members.remove(&field), model.remove(&field).is_some(), "seed {seed}");
            } else {
                let longest = [0, 8, 100, 2_000][dice.below(4) as usize];
                let value = bytes_of(&mut dice, longest);
                let inserted = members.insert(&field, &value) == Insertion::Inserted;
                assert_eq!(inserted, model.insert(field.clone(), value).is_none(), "seed {seed}");
            }
            assert_eq!(members.get(&field), model.get(&field).map(Vec::as_slice), "seed {seed}");
            if step % 500 == 0 {
                clones.push((members.clone(), model.clone()));
            }
        }
        assert_same(&members, &model);
        clones.iter().for_each(|(members, model)| assert_same(members, model));
    }
}

#[test]
fn a_table_that_loses_all_members_costs_what_an_empty_one_does() {
    let base = Members::new(7).memory();
    let mut members = filled(30_000);
    members.insert(b"long", &[1; 5_000]);
    assert!(members.memory() > 30_000 * 16);
    for index in (0..30_000).rev() {
        assert!(members.remove(&number(index)));
        if index == 300 {
            let blocks = blocks(&members);
            assert!(blocks.len() < 20, "{} blocks for 300 members", blocks.len());
        }
    }
    assert_eq!(members.memory(), blocks(&members).values().sum::<usize>());
    assert!(members.remove(b"long"));
    assert_eq!((members.len(), members.memory()), (0, base));
    assert_eq!(members.iter().next(), None);
}

#[test]
fn a_change_of_a_cloned_table_copies_one_page_and_the_way_to_it() {
    let mut members = filled(2_000_000);
    let clone = members.clone();
    let before = blocks(&members);
    assert!(before.len() > 10_000);
    assert_eq!(members.insert(b"one more", b"value"), Insertion::Inserted);
    assert!(members.remove(&number(77)));
    members.remove(b"not there");
    let copied = blocks(&members).keys().filter(|address| !before.contains_key(address)).count();
    assert!((2..=8).contains(&copied), "{copied} blocks copied by two changes");
    assert_eq!(blocks(&clone), before);
    assert_eq!((clone.len(), clone.contains(&number(77))), (2_000_000, true));
}

#[test]
fn blocks_stay_small() {
    let members = filled(50_000);
    assert!(blocks(&members).values().all(|&bytes| bytes <= 4_096));
    assert!(members.memory() < 50_000 * 32, "{} bytes", members.memory());
}

#[test]
fn a_scan_visits_what_stays_while_the_table_grows_and_shrinks() {
    for (start, churn) in [(5_000u64, 40_000u64), (40_000, 5_000), (0, 100)] {
        let mut members = filled(start + 1_000);
        let mut seen = BTreeSet::new();
        let (mut cursor, mut step) = (0, 0);
        loop {
            let mut visited = 0;
            cursor = members.scan(cursor, 10, |field, _| {
                seen.insert(field.to_vec());
                visited += 1;
            });
            assert!(cursor < 1 << 53 && visited <= 30, "{visited} visited");
            if cursor == 0 {
                break;
            }
            for _ in 0..50 {
                step += 1;
                if churn > start && step < churn {
                    members.insert(&number(1_000_000 + step), b"new");
                } else if step <= start {
                    members.remove(&number(999 + step));
                }
            }
        }
        assert!((0..1_000).all(|index| seen.contains(&number(index))), "from {start}");
    }
}

#[test]
fn a_scan_of_a_quiet_table_visits_each_member_once() {
    let members = filled(20_000);
    for at_least in [0, 1, 10, 1_000, usize::MAX] {
        let (mut cursor, mut visited, mut calls) = (0, 0, 0);
        loop {
            cursor = members.scan(cursor, at_least, |_, _| visited += 1);
            calls += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(visited, 20_000);
        assert!(calls <= 20_000 / at_least.max(1) + 1, "{calls} calls");
    }
    for cursor in [POSITION_END, u64::MAX] {
        assert_eq!(members.scan(cursor, 10, |_, _| panic!("nothing is there")), 0);
    }
}

#[test]
fn ranks_run_through_all_members_in_order_and_chance_is_fair() {
    let members = filled(3_000);
    let in_order: Vec<_> = members.iter().collect();
    assert!(in_order.iter().enumerate().all(|(rank, member)| members.nth(rank) == *member));
    let mut dice = Dice::seeded(3);
    let mut counts: BTreeMap<&[u8], u32> = BTreeMap::new();
    for _ in 0..150_000 {
        *counts.entry(members.random(&mut dice).expect("a member").0).or_default() += 1;
    }
    assert_eq!(counts.len(), 3_000);
    assert!(counts.values().all(|&count| (15..110).contains(&count)), "50 expected for each");
    assert!(Members::new(1).random(&mut dice).is_none());
}

#[test]
fn pages_whose_members_cannot_be_told_apart_grow_beyond_their_size() {
    let span = Span { low: 9, high: 10 };
    let mut page = Page::empty();
    for index in 0..1_000u64 {
        let field = index.to_le_bytes();
        let key = Key { field: &field, position: 9 };
        let place = span.place(9, page.len());
        if page.insert(place, &key, b"12345678", ROOM_MAX).is_err() {
            assert!(page.insert(place, &key, b"12345678", page::ROOM_OF_TIES_MAX).is_ok());
        }
    }
    assert!(page.memory() > 4_096 && page.len() == 1_000);
    assert!((0..1_000u64).all(|index| {
        page.find(span.place(9, 1_000), &Key { field: &index.to_le_bytes(), position: 9 }).is_ok()
    }));
}
