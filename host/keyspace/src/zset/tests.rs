//! Sorted sets of both forms against a plain model.

use super::*;
use std::collections::BTreeMap;

const LIMITS: ZsetLimits = ZsetLimits { entries: 128, value_bytes: 64, seed: 7 };

type Model = BTreeMap<Vec<u8>, f64>;

fn in_order(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut pairs: Vec<_> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
    pairs.sort_by(|one, other| {
        one.1.partial_cmp(&other.1).expect("numbers").then_with(|| one.0.cmp(&other.0))
    });
    pairs
}

fn collected(pairs: ZsetPairs<'_>) -> Vec<(Vec<u8>, f64)> {
    pairs.map(|(member, score)| (member.to_vec(), score)).collect()
}

fn any_score(dice: &mut Dice) -> f64 {
    let few = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e-310, -1e300, 0.1, 4e18, 1e19];
    match dice.below(3) {
        0 => few[dice.below(few.len() as u64) as usize],
        1 => dice.below(5) as f64,
        _ => (dice.below(20_000) as f64 - 1e4) / 3.0,
    }
}

fn any_member(dice: &mut Dice, members: u64) -> Vec<u8> {
    match dice.below(members) {
        0 => Vec::new(),
        number if number % 3 == 0 => number.to_string().into_bytes(),
        number => format!("member-{number}").into_bytes(),
    }
}

fn any_ranges(dice: &mut Dice) -> (ScoreRange, [Vec<u8>; 2]) {
    let (min, max) = (any_score(dice), any_score(dice));
    let range = ScoreRange { min, max, min_exclusive: dice.below(2) == 0, max_exclusive: dice.below(2) == 0 };
    let ends = [(); 2].map(|()| match dice.below(8) {
        0 => b"-".to_vec(),
        1 => b"+".to_vec(),
        kind => [if kind % 2 == 0 { b"[" } else { b"(" }.as_slice(), &any_member(dice, 400)].concat(),
    });
    (range, ends)
}

fn score_ranks(pairs: &[(Vec<u8>, f64)], range: &ScoreRange) -> Vec<(Vec<u8>, f64)> {
    let within = |score: f64| range.starts_by(score) && !range.ends_before(score);
    pairs.iter().filter(|(_, score)| within(*score)).cloned().collect()
}

fn check(zset: &Zset, model: &Model, dice: &mut Dice) {
    let pairs = in_order(model);
    assert_eq!(zset.len(), pairs.len());
    assert_eq!(collected(zset.iter()), pairs);
    for _ in 0..10 {
        let (range, _) = any_ranges(dice);
        let mut expected = score_ranks(&pairs, &range);
        assert_eq!(collected(zset.range_by_score(&range, false)), expected, "{range:?}");
        assert_eq!(zset.count_in_score_range(&range), expected.len());
        expected.reverse();
        assert_eq!(collected(zset.range_by_score(&range, true)), expected);
        let skip = dice.below(5) as usize;
        let skipped = zset.range_by_score(&range, true).nth(skip).map(|(member, _)| member.to_vec());
        assert_eq!(skipped.as_ref(), expected.get(skip).map(|(member, _)| member));
    }
    for (rank, (member, score)) in pairs.iter().enumerate().step_by(7) {
        assert_eq!(zset.score(member), Some(*score));
        assert_eq!(zset.rank(member, false), Some(rank));
        assert_eq!(zset.rank_and_score(member, true), Some((pairs.len() - 1 - rank, *score)));
        assert!(zset.pair(rank).is_some_and(|(own, _)| own.equals(member)));
    }
    let mut seen = Model::new();
    let mut cursor = 0;
    loop {
        cursor = zset.scan(cursor, 10, |member, score| seen.extend([(member.to_vec(), score)]));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&seen, model);
    let chosen = zset.random(dice).map(|(member, score)| (member.to_vec(), score));
    assert_eq!(chosen.is_none(), pairs.is_empty());
    assert!(chosen.is_none_or(|(member, score)| model.get(&member) == Some(&score)));
}

#[test]
fn sets_of_both_forms_do_as_the_model_does() {
    for seed in 0..12 {
        let mut dice = Dice::seeded(seed);
        let members = if seed % 2 == 0 { 120 } else { 4_000 };
        let (mut zset, mut model) = (Zset::new(), Model::new());
        let mut kept = Vec::new();
        for step in 0..4_000 {
            let member = any_member(&mut dice, members);
            match dice.below(100) {
                0 => {
                    let (range, _) = any_ranges(&mut dice);
                    let gone = score_ranks(&in_order(&model), &range);
                    if gone.len() * 3 < model.len() {
                        let mut seen = Vec::new();
                        let ranks = zset.ranks_of_scores(&range);
                        let count =
                            zset.remove_ranks(ranks, |member, score| seen.push((member.to_vec(), score)));
                        assert_eq!((&seen, count), (&gone, gone.len()));
                        model.retain(|member, _| !gone.iter().any(|(other, _)| other == member));
                    }
                }
                1..4 => {
                    let popped = taken_at(&mut zset, Some(0));
                    let first = in_order(&model).into_iter().next();
                    assert_eq!(popped, first);
                    first.map(|(member, _)| model.remove(&member));
                }
                4..7 => {
                    let last_rank = zset.len().checked_sub(1);
                    let popped = taken_at(&mut zset, last_rank);
                    let last = in_order(&model).pop();
                    assert_eq!(popped, last);
                    last.map(|(member, _)| model.remove(&member));
                }
                7..25 => assert_eq!(zset.remove(&member), model.remove(&member)),
                _ => {
                    let score = any_score(&mut dice);
                    let expected = match model.get(&member) {
                        None => Insertion::Added,
                        Some(old) if *old == score => Insertion::Unchanged,
                        Some(_) => Insertion::Updated,
                    };
                    assert_eq!(zset.insert(&member, score, &LIMITS), expected);
                    if expected != Insertion::Unchanged {
                        model.insert(member, score);
                    }
                }
            }
            if step % 400 == 0 {
                kept.push((zset.clone(), model.clone()));
                check(&zset, &model, &mut dice);
            }
        }
        assert_eq!(zset.encoding(), if members == 120 { "listpack" } else { "skiplist" });
        kept.iter().for_each(|(zset, model)| check(zset, model, &mut dice));
    }
}

/// Takes out the pair of a rank.
fn taken_at(zset: &mut Zset, rank: Option<usize>) -> Option<(Vec<u8>, f64)> {
    let (rank, mut taken) = (rank?, None);
    zset.remove_ranks(rank..rank + 1, |member, score| taken = Some((member.to_vec(), score)));
    taken
}

#[test]
fn ranges_of_members_are_those_of_the_model() {
    for members in [100, 3_000] {
        let mut dice = Dice::seeded(members);
        let mut zset = Zset::new();
        let mut model = Model::new();
        for _ in 0..members {
            let member = any_member(&mut dice, members);
            zset.insert(&member, 1.5, &LIMITS);
            model.insert(member, 1.5);
        }
        for _ in 0..500 {
            let (_, [min, max]) = any_ranges(&mut dice);
            let range = LexRange::parse(&min, &max).expect("a range");
            let within = |member: &[u8]| range.starts_by(member) && !range.ends_before(member);
            let expected: Vec<_> =
                in_order(&model).into_iter().filter(|(member, _)| within(member)).collect();
            assert_eq!(
                collected(zset.range_by_rank(zset.ranks_of_members(&range), false)),
                expected,
                "{range:?}"
            );
            assert_eq!(zset.count_in_lex_range(&range), expected.len());
            let mut rest = zset.clone();
            assert_eq!(rest.remove_ranks(rest.ranks_of_members(&range), |_, _| {}), expected.len());
            assert_eq!(rest.len(), model.len() - expected.len());
        }
    }
}

#[test]
fn forms_change_where_redis_changes_them() {
    let mut zset = Zset::new();
    for number in 0..128u32 {
        zset.insert(&number.to_be_bytes(), 1.0, &LIMITS);
    }
    assert_eq!(zset.encoding(), "listpack");
    zset.insert(b"one more", 1.0, &LIMITS);
    assert_eq!(zset.encoding(), "skiplist");
    zset.remove_ranks(5..usize::MAX, |_, _| {});
    assert_eq!((zset.encoding(), zset.len()), ("skiplist", 5));
    zset.make_compact(&LIMITS);
    assert_eq!((zset.encoding(), zset.len()), ("listpack", 5));

    let mut long = Zset::new();
    long.insert(&[b'x'; 64], 1.0, &LIMITS);
    assert_eq!(long.encoding(), "listpack");
    long.insert(&[b'x'; 65], 1.0, &LIMITS);
    assert_eq!(long.encoding(), "skiplist");
    long.make_compact(&LIMITS);
    assert_eq!(long.encoding(), "skiplist");

    assert_eq!(Zset::with_hints(128, 64, &LIMITS).encoding(), "listpack");
    assert_eq!(Zset::with_hints(129, 1, &LIMITS).encoding(), "skiplist");
    assert_eq!(Zset::with_hints(1, 65, &LIMITS).encoding(), "skiplist");
    let mut few = Zset::new();
    few.expect_members(128, &LIMITS);
    assert_eq!(few.encoding(), "listpack");
    few.expect_members(129, &LIMITS);
    assert_eq!(few.encoding(), "skiplist");
}

#[test]
fn a_listpack_reads_as_redis_writes_it() {
    let mut zset = Zset::new();
    for (member, score) in [("b", 1.0), ("a", 2.5), ("c", -0.0), ("7", f64::INFINITY), ("d", 1e20)] {
        zset.insert(member.as_bytes(), score, &LIMITS);
    }
    let bytes = zset.as_listpack().expect("few members").to_vec();
    let mut expected = Listpack::new();
    expected.push_back(b"c");
    expected.push_back(0); // a listpack knows no minus zero
    expected.push_back(b"b");
    expected.push_back(1);
    expected.push_back(b"a");
    expected.push_back(b"2.5");
    expected.push_back(b"d");
    expected.push_back(b"1e+20");
    expected.push_back(b"7");
    expected.push_back(b"inf");
    assert_eq!(bytes, expected.bytes());
    let back = Zset::from_listpack(&bytes).expect("sound");
    assert_eq!(collected(back.iter()), collected(zset.iter()));
}

#[test]
fn a_listpack_from_outside_is_checked() {
    let refused = |elements: &[&[u8]]| {
        let mut listpack = Listpack::new();
        elements.iter().for_each(|&element| listpack.push_back(element));
        Zset::from_listpack(listpack.bytes()).is_err()
    };
    assert!(!refused(&[b"a", b"1", b"b", b"1"]));
    assert!(refused(&[b"a"]));
    assert!(refused(&[b"a", b"x"]));
    assert!(refused(&[b"a", b"nan"]));
    assert!(refused(&[b"a", b""]));
    assert!(refused(&[b"b", b"1", b"a", b"1"]));
    assert!(refused(&[b"a", b"2", b"b", b"1"]));
    assert!(refused(&[b"a", b"1", b"a", b"1"]));
    assert!(refused(&[b"a", b"1", b"a", b"2"]));
}

#[test]
fn hostile_bytes_never_panic() {
    let mut dice = Dice::seeded(5);
    let mut zset = Zset::new();
    for _ in 0..60 {
        let member = any_member(&mut dice, 500);
        zset.insert(&member, any_score(&mut dice), &LIMITS);
    }
    let sound = zset.as_listpack().expect("few members").to_vec();
    for _ in 0..30_000 {
        let mut bytes = sound.clone();
        for _ in 0..1 + dice.below(3) {
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] = dice.roll() as u8;
        }
        if let Ok(mut read) = Zset::from_listpack(&bytes) {
            let model: Model = read.iter().map(|(member, score)| (member.to_vec(), score)).collect();
            check(&read, &model, &mut dice);
            read.insert(b"new", 0.5, &LIMITS);
            read.expect_members(1_000, &LIMITS);
            assert!(read.remove(b"new").is_some());
        }
    }
}

#[test]
fn sorted_pairs_become_a_large_set() {
    let pairs = || (0..5_000u32).map(|number| (format!("{number:05}"), f64::from(number / 3)));
    let mut zset = Zset::from_sorted(pairs(), &LIMITS).expect("in order");
    assert_eq!(zset.rank(b"04321", true), Some(678));
    assert_eq!(zset.insert(b"04321", 1_440.0, &LIMITS), Insertion::Unchanged);
    assert!(Zset::from_sorted([("a", f64::NAN)].into_iter(), &LIMITS).is_err());
    assert!(Zset::from_sorted([("a", 2.0), ("b", 1.0)].into_iter(), &LIMITS).is_err());
    assert!(Zset::from_sorted([("a", 1.0), ("a", 2.0)].into_iter(), &LIMITS).is_err());
}

#[test]
fn memory_returns_to_where_it_began() {
    let limits = ZsetLimits { entries: 0, ..LIMITS };
    let mut zset = Zset::new_large(&limits);
    let base = zset.memory();
    let mut dice = Dice::seeded(9);
    let member = |number: u32| {
        let length = if number.is_multiple_of(50) { 2_000 } else { number as usize % 60 };
        [&number.to_be_bytes()[..], &vec![b'x'; length]].concat()
    };
    let members: Vec<Vec<u8>> = (0..4_000).map(member).collect();
    for member in &members {
        zset.insert(member, any_score(&mut dice), &limits);
    }
    let full = zset.memory();
    assert!(full > base + 300_000);
    let cut = zset.clone();
    for member in &members {
        assert!(zset.remove(member).is_some());
    }
    assert_eq!((zset.memory(), zset.len()), (base, 0));
    assert_eq!((cut.memory(), cut.len()), (full, 4_000));
}

#[test]
fn sets_may_change_threads() {
    fn movable<T: Send + Sync>() {}
    movable::<Zset>();
}
