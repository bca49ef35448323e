//! Sets against a `BTreeSet`; conversions, taking out by chance, and hostile bytes.

use super::*;
use std::collections::BTreeSet;

const LIMITS: SetLimits =
    SetLimits { intset_entries: 16, listpack_entries: 8, listpack_value_bytes: 20, seed: 5 };

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    let members: BTreeSet<_> = set.iter().map(|element| element.to_vec()).collect();
    assert_eq!((members.len(), set.iter().len()), (set.len(), set.len()));
    members
}

fn integers(range: std::ops::Range<i64>) -> Set {
    let mut set = Set::new();
    for integer in range {
        assert!(set.add_element(Element::Integer(integer), &LIMITS));
    }
    set
}

fn words(count: usize) -> Set {
    let mut set = Set::new_compact();
    (0..count).for_each(|word| assert!(set.add(format!("word {word}").as_bytes(), &LIMITS)));
    set
}

#[test]
fn random_changes_agree_with_a_model_and_leave_clones_alone() {
    for seed in 0..30 {
        let mut dice = Dice::seeded(seed);
        let mut set = Set::new();
        let mut model = BTreeSet::new();
        let mut clones = Vec::new();
        let words_in_hundred = [0, 3, 50][seed as usize % 3];
        for step in 0..600 {
            let number = dice.below([7, 15, 300][seed as usize / 3 % 3]) as i64 - 5;
            let member = match dice.below(100) < words_in_hundred {
                true => format!("word {number}"),
                false => format!("{}", number << (number & 31)),
            };
            let member = member.as_bytes();
            if dice.below(3) == 0 {
                assert_eq!(set.remove(member), model.remove(member));
            } else {
                assert_eq!(set.add(member, &LIMITS), model.insert(member.to_vec()));
            }
            assert_eq!(set.contains(member), model.contains(member));
            if step % 100 == 0 {
                clones.push((set.clone(), model.clone()));
            }
        }
        assert_eq!(members(&set), model, "seed {seed}");
        assert!(set.iter().all(|element| set.contains_element(element)));
        clones.iter().for_each(|(set, model)| assert_eq!(&members(set), model, "seed {seed}"));
    }
}

#[test]
fn a_set_changes_its_form_where_redis_changes_it() {
    let mut set = integers(0..16);
    assert_eq!(set.encoding(), "intset");
    assert!(!set.add(b"15", &LIMITS));
    assert!(set.add(b"16", &LIMITS));
    assert_eq!((set.encoding(), set.len()), ("hashtable", 17)); // never a listpack

    let mut set = integers(0..7);
    assert!(set.add(b"word", &LIMITS));
    assert_eq!((set.encoding(), set.len()), ("listpack", 8));
    assert!(!set.add(b"3", &LIMITS) && set.encoding() == "listpack");
    assert!(set.add(b"another", &LIMITS));
    assert_eq!((set.encoding(), set.len()), ("hashtable", 9));

    let mut set = integers(0..8);
    assert!(set.add(b"word", &LIMITS));
    assert_eq!((set.encoding(), set.len()), ("hashtable", 9)); // already too many for a listpack

    let mut set = integers(0..2);
    assert!(set.add(&[b'x'; 21], &LIMITS));
    assert_eq!((set.encoding(), set.len()), ("hashtable", 3));

    let narrow = SetLimits { listpack_value_bytes: 4, ..LIMITS };
    let mut set = integers(-12_345..-12_344);
    assert!(set.add(b"word", &narrow));
    assert_eq!(set.encoding(), "hashtable"); // the integer's own text is too long

    let mut set = words(8);
    assert!(set.remove(b"word 1") && set.add(&[b'x'; 20], &LIMITS));
    assert_eq!(set.encoding(), "listpack");
    assert!(set.remove(b"word 2") && set.add(&[b'y'; 21], &LIMITS));
    assert_eq!(set.encoding(), "hashtable");
}

#[test]
fn the_form_of_a_new_set_follows_from_its_first_member_and_their_number() {
    let table = [
        (&b"1"[..], 16, "intset"),
        (b"1", 17, "hashtable"),
        (b"word", 8, "listpack"),
        (b"word", 9, "hashtable"),
        (b"01", 1, "listpack"),
    ];
    for (first, expected, encoding) in table {
        assert_eq!(Set::with_expected(first, expected, &LIMITS).encoding(), encoding);
    }
    let wide = SetLimits { listpack_entries: 100, ..LIMITS };
    assert_eq!(Set::with_expected(b"1", 17, &wide).encoding(), "listpack");
    assert_eq!(Set::from_file(16, &LIMITS).encoding(), "intset");
    assert_eq!(Set::from_file(17, &LIMITS).encoding(), "hashtable");
    for (mut set, more, encoding) in
        [(integers(0..1), 16, "intset"), (integers(0..1), 17, "hashtable"), (words(1), 9, "hashtable")]
    {
        set.make_ready_for(more, &LIMITS);
        assert_eq!((set.encoding(), set.len()), (encoding, 1));
    }
}

#[test]
fn integers_are_recognised_in_any_form() {
    let mut set = words(1);
    assert!(set.add(b"7", &LIMITS) && set.add(b"-3", &LIMITS));
    set.make_integers(&LIMITS);
    assert_eq!(set.encoding(), "listpack");
    set.remove(b"word 0");
    set.make_integers(&LIMITS);
    assert_eq!((set.encoding(), set.len()), ("intset", 2));
    let mut large = integers(0..17);
    large.make_integers(&LIMITS);
    assert_eq!(large.encoding(), "hashtable");
    large.remove(b"0");
    large.make_integers(&LIMITS);
    assert_eq!((large.encoding(), large.len()), ("intset", 16));
}

#[test]
fn one_member_taken_out_by_chance_is_gone() {
    for set in [integers(0..10), words(8), words(300), integers(0..300)] {
        let mut dice = Dice::seeded(4);
        let (all, mut rest, mut taken) = (members(&set), set.clone(), BTreeSet::new());
        while rest.pop(&mut dice, |element| assert!(taken.insert(element.to_vec()))) {
            assert_eq!(rest.len() + taken.len(), all.len());
        }
        assert_eq!((taken, members(&set)), (all.clone(), all));
    }
}

#[test]
fn many_members_taken_out_and_those_left_are_the_whole() {
    let mut dice = Dice::seeded(8);
    for set in [integers(0..16), words(8), words(300), integers(0..300)] {
        let len = set.len();
        for count in [0, 1, len / 2, len - 2, len - 1, len, len + 5] {
            let mut rest = set.clone();
            let mut taken = BTreeSet::new();
            rest.pop_many(count, &mut dice, &LIMITS, |element| assert!(taken.insert(element.to_vec())));
            assert_eq!((taken.len(), rest.len()), (count.min(len), len - count.min(len)));
            taken.append(&mut members(&rest));
            assert_eq!(taken, members(&set));
        }
    }
    let mut few = words(300);
    few.pop_many(295, &mut dice, &LIMITS, |_| ());
    assert_eq!(few.encoding(), "listpack"); // those left moved to a new set
    let mut half = words(300);
    half.pop_many(240, &mut dice, &LIMITS, |_| ());
    assert_eq!(half.encoding(), "hashtable");
}

#[test]
fn samples_are_distinct_and_reach_every_member() {
    let mut dice = Dice::seeded(2);
    for set in [integers(0..16), words(8), words(300)] {
        for count in [1, set.len() / 2, set.len(), usize::MAX] {
            let mut reached = BTreeSet::new();
            for _ in 0..4_000 / count.min(set.len()) + 1 {
                let mut seen = BTreeSet::new();
                set.sample(count, &mut dice, |element| assert!(seen.insert(element.to_vec())));
                assert_eq!(seen.len(), count.min(set.len()));
                reached.append(&mut seen);
                assert!(set.random(&mut dice).is_some_and(|element| set.contains_element(element)));
            }
            assert_eq!(reached, members(&set));
        }
    }
    assert!(Set::new().random(&mut dice).is_none());
}

#[test]
fn compact_bytes_from_a_file_are_checked() {
    let (small, compact) = (integers(-3..12), words(8));
    let intset = small.as_intset().expect("integers").to_vec();
    let listpack = compact.as_listpack().expect("compact").to_vec();
    let tight = SetLimits { intset_entries: 3, listpack_entries: 3, ..LIMITS };
    for (limits, encodings) in [(LIMITS, ["intset", "listpack"]), (tight, ["hashtable", "hashtable"])] {
        let read = Set::from_intset(&intset, &limits).expect("sound");
        assert_eq!((members(&read), read.encoding()), (members(&small), encodings[0]));
        let read = Set::from_listpack(&listpack, &limits).expect("sound");
        assert_eq!((members(&read), read.encoding()), (members(&compact), encodings[1]));
        let mut twice = Listpack::new();
        ["a", "5", "b", "5"].iter().for_each(|text| twice.push_back(text.as_bytes()));
        assert!(Set::from_listpack(twice.bytes(), &limits).is_err());
    }
    let mut dice = Dice::seeded(6);
    for (bytes, read) in
        [(&intset, Set::from_intset as fn(&[u8], &SetLimits) -> _), (&listpack, Set::from_listpack)]
    {
        for _ in 0..20_000 {
            let mut hostile = bytes.clone();
            for _ in 0..=dice.below(3) {
                let at = dice.below(hostile.len() as u64) as usize;
                hostile[at] = dice.roll() as u8;
            }
            let set: Result<Set, Malformed> = read(&hostile, &LIMITS);
            if let Ok(set) = set {
                assert_eq!(members(&set).len(), set.len());
            }
        }
    }
}

#[test]
fn a_scan_visits_small_sets_whole_and_large_ones_in_steps() {
    for set in [integers(0..16), words(8)] {
        let mut visited = 0;
        assert_eq!(set.scan(77, 1, |_| visited += 1), 0);
        assert_eq!(visited, set.len());
    }
    let set = words(500);
    let (mut cursor, mut seen) = (0, BTreeSet::new());
    loop {
        cursor = set.scan(cursor, 10, |element| assert!(seen.insert(element.to_vec())));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, members(&set));
}

#[test]
fn memory_follows_what_is_there() {
    let mut set = integers(0..16);
    assert!((1..256).contains(&set.memory()));
    (0..3_000u32).for_each(|number| {
        set.add(&number.to_le_bytes(), &LIMITS);
    });
    assert!(set.memory() > 3_000 * 8);
    for member in members(&set) {
        assert!(set.remove(&member));
    }
    assert!(set.is_empty() && set.memory() < 256, "{} bytes", set.memory());
}
