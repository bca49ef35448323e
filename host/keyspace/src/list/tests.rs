//! Lists against a model, with clones that must not change; encodings at their thresholds; what a change to
//! a clone copies.

use super::tree::{Leaf, Tree};
use super::*;
use std::collections::VecDeque;
use tenon_base::Dice;

type Model = VecDeque<Vec<u8>>;

fn limits(listpack_size: i64) -> ListLimits {
    ListLimits { listpack_size, ..ListLimits::default() }
}

fn list_of(elements: &[&[u8]], limits: &ListLimits) -> List {
    let mut list = List::new();
    elements.iter().for_each(|element| list.push(End::Back, element, limits));
    list
}

fn texts(list: &List) -> Model {
    list.iter().map(|element| element.to_vec()).collect()
}

fn any_text(dice: &mut Dice) -> Vec<u8> {
    match dice.below(40) {
        0 => vec![b'x'; dice.below(12_000) as usize],
        1..4 => vec![b'y'; dice.below(400) as usize],
        4..20 => (dice.roll() as i64 >> dice.below(63)).to_string().into_bytes(),
        _ => vec![b'a' + dice.below(5) as u8],
    }
}

fn end_of(dice: &mut Dice) -> End {
    if dice.below(2) == 0 { End::Front } else { End::Back }
}

/// Any index, in the list or a little beside it.
fn any_index(len: usize, dice: &mut Dice) -> i64 {
    dice.below(2 * len as u64 + 4) as i64 - len as i64 - 2
}

fn push(list: &mut List, model: &mut Model, limits: &ListLimits, dice: &mut Dice) {
    let end = end_of(dice);
    let elements: Vec<Vec<u8>> = (0..=dice.below(6)).map(|_| any_text(dice)).collect();
    list.extend(end, elements.iter().map(Vec::as_slice), limits);
    for element in elements {
        match end {
            End::Front => model.push_front(element),
            End::Back => model.push_back(element),
        }
    }
}

fn change(list: &mut List, model: &mut Model, limits: &ListLimits, dice: &mut Dice) {
    let text = any_text(dice);
    match dice.below(20) {
        0..3 => {
            let end = end_of(dice);
            let expected = match end {
                End::Front => model.pop_front(),
                End::Back => model.pop_back(),
            };
            assert_eq!(list.pop_with(end, limits, |element| element.to_vec()), expected);
        }
        3..7 => {
            let index = any_index(model.len(), dice);
            let position = if index < 0 { index + model.len() as i64 } else { index };
            let slot = usize::try_from(position).ok().and_then(|position| model.get_mut(position));
            assert_eq!(list.set(index, &text, limits), slot.is_some());
            slot.into_iter().for_each(|slot| slot.clone_from(&text));
        }
        7..12 => {
            let pivot =
                model.get(dice.below(model.len() as u64 + 1) as usize).cloned().unwrap_or(text.clone());
            let side = if dice.below(2) == 0 { Side::Before } else { Side::After };
            let position = model.iter().position(|element| *element == pivot);
            assert_eq!(list.insert(side, &pivot, &text, limits), position.is_some());
            let shift = usize::from(side == Side::After);
            position.into_iter().for_each(|position| model.insert(position + shift, text.clone()));
        }
        12 => {
            let count = dice.below(9) as i64 - 4;
            assert_eq!(list.remove(count, &text, limits), remove_from_model(model, count, &text));
        }
        13 => {
            let start = dice.below(model.len() as u64 + 2) as usize;
            let count = dice.below(1 + model.len() as u64 / 8) as usize;
            let last = (start + count).min(model.len());
            let removed = model.drain(start.min(last)..last).count();
            assert_eq!(list.remove_range(start, count, limits), removed);
        }
        14 if dice.below(6) == 0 => {
            let (start, stop) = (any_index(model.len(), dice), any_index(model.len(), dice));
            let absolute = |index: i64| if index < 0 { index + model.len() as i64 } else { index };
            let kept = absolute(start).max(0)..=absolute(stop);
            let mut position = -1;
            model.retain(|_| {
                position += 1;
                kept.contains(&position)
            });
            list.trim(start, stop, limits);
        }
        _ => push(list, model, limits, dice),
    }
}

fn remove_from_model(model: &mut Model, count: i64, text: &[u8]) -> usize {
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let equal = |(position, element): (usize, &Vec<u8>)| (element == text).then_some(position);
    let mut positions: Vec<usize> = model.iter().enumerate().filter_map(equal).collect();
    if count < 0 {
        positions.reverse();
    }
    positions.truncate(most);
    positions.sort_unstable();
    positions.iter().rev().for_each(|&position| drop(model.remove(position)));
    positions.len()
}

fn compare(list: &List, model: &Model, dice: &mut Dice) {
    assert_eq!(list.len(), model.len());
    let index = any_index(model.len(), dice);
    let position = if index < 0 { index + model.len() as i64 } else { index };
    let expected = usize::try_from(position).ok().and_then(|position| model.get(position));
    assert_eq!(list.get(index).map(|element| element.to_vec()).as_ref(), expected);
    let (start, count) = (dice.below(model.len() as u64 + 2) as usize, dice.below(40) as usize);
    let forward = list.range(start, count).map(|element| element.to_vec());
    assert!(forward.eq(model.iter().skip(start).take(count).cloned()));
    let start = start.min(model.len().saturating_sub(1));
    let backward = list.range_backward(start, count).map(|element| element.to_vec());
    assert!(backward.eq(model.iter().take(start + 1).rev().take(count).cloned()));
}

/// The memory that a list states is what its blocks come to when each is weighed.
fn weigh_again(list: &List) {
    if let Form::Large(tree) = &list.form {
        assert_eq!(tree.memory(), tree.memory_weighed());
        assert!(tree.leaves().all(|leaf| leaf.len() > 0));
        assert_eq!(tree.leaves().count(), tree.leaf_count());
        let bounded = |leaf: &Leaf| match leaf {
            Leaf::Packed(listpack) => listpack.total_bytes() <= NODE_BYTES_MAX || listpack.len() == 1,
            Leaf::Plain(_) => true,
        };
        assert!(tree.leaves().all(bounded));
    }
}

#[test]
fn it_behaves_as_a_deque_and_clones_do_not_change() {
    for (seed, listpack_size) in [(1, -2), (2, -1), (3, -5), (4, 1), (5, 4), (6, 128), (7, 0)] {
        let limits = limits(listpack_size);
        let mut dice = Dice::seeded(seed);
        let (mut list, mut model) = (List::new(), Model::new());
        let mut clones: Vec<(List, Model)> = Vec::new();
        for step in 0..4_000 {
            change(&mut list, &mut model, &limits, &mut dice);
            compare(&list, &model, &mut dice);
            if step % 400 == 0 {
                weigh_again(&list);
                assert_eq!(texts(&list), model, "seed {seed}, step {step}");
                clones.push((list.clone(), model.clone()));
            }
        }
        for (clone, model) in &clones {
            weigh_again(clone);
            assert_eq!(texts(clone), *model);
        }
    }
}

#[test]
fn elements_outside_of_listpacks_behave_as_others() {
    let limits = limits(4);
    for seed in 30..50 {
        let mut dice = Dice::seeded(seed);
        let mut builder = ListBuilder::new(&limits);
        let mut model = Model::new();
        for number in 0..200 {
            let text = format!("element {number}").into_bytes();
            match dice.below(2) {
                0 => builder.push_plain(&text).expect("not empty"),
                _ => builder.push(&text),
            }
            model.push_back(text);
        }
        let mut list = builder.finish();
        for step in 0..100 {
            change(&mut list, &mut model, &limits, &mut dice);
            compare(&list, &model, &mut dice);
            assert_eq!(texts(&list), model, "seed {seed}, step {step}");
        }
        weigh_again(&list);
    }
}

#[test]
fn a_deep_tree_keeps_its_order_and_its_weights() {
    let limits = limits(1); // a leaf for each element
    let mut dice = Dice::seeded(21);
    let (mut list, mut model) = (List::new(), Model::new());
    for step in 0..20_000u32 {
        let text = step.to_string().into_bytes();
        let end = end_of(&mut dice);
        list.push(end, &text, &limits);
        match end {
            End::Front => model.push_front(text),
            End::Back => model.push_back(text),
        }
    }
    weigh_again(&list);
    assert_eq!(list.node_count(), 20_000);
    assert_eq!(texts(&list), model);
    while model.len() > 40 {
        let start = dice.below(model.len() as u64) as usize;
        let count = (1 + dice.below(120) as usize).min(model.len() - start);
        model.drain(start..start + count);
        assert_eq!(list.remove_range(start, count, &limits), count);
    }
    weigh_again(&list);
    assert_eq!(texts(&list), model);
}

#[test]
fn a_list_takes_sixteen_bytes_in_place_and_crosses_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<List>();
    assert_eq!(size_of::<List>(), 16);
}

#[test]
fn growing_lists_change_encoding_at_the_limit() {
    for (listpack_size, large) in [(3, 20), (-1, 4_096)] {
        let limits = limits(listpack_size);
        let large = vec![b'x'; large];
        let small = list_of(&[b"a", b"b", b"c"], &limits);
        assert_eq!(small.encoding(), "listpack");
        let mut pushed = small.clone();
        pushed.push(End::Back, &large, &limits);
        let mut inserted = small.clone();
        assert!(inserted.insert(Side::After, b"b", &large, &limits));
        let mut changed = small.clone();
        assert!(changed.set(0, &large, &limits));
        for list in [pushed, inserted, changed] {
            assert_eq!(list.encoding(), "quicklist");
        }
        // The encoding is settled before the pivot or the index is looked for.
        let mut missed = small.clone();
        assert!(!missed.insert(Side::After, b"none", &large, &limits));
        assert_eq!(missed.encoding(), "quicklist");
    }
    let elements: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
    let mut together = List::new();
    together.extend(End::Back, elements, &limits(3));
    assert_eq!((together.encoding(), together.len()), ("quicklist", 4));
    let mut single = List::new();
    single.push(End::Back, b"a", &limits(0));
    assert_eq!(single.encoding(), "listpack");
    single.push(End::Back, b"b", &limits(0));
    assert_eq!(single.encoding(), "quicklist");
    let mut largest = List::new();
    largest.push(End::Back, &[b'x'; 60_000], &limits(-6));
    assert_eq!(largest.encoding(), "listpack");
    largest.push(End::Back, &[b'x'; 5_536], &limits(-6));
    assert_eq!(largest.encoding(), "quicklist");
}

#[test]
fn shrinking_lists_change_encoding_at_half_the_limit() {
    let three = limits(3);
    let mut list = list_of(&[b"a", b"b", b"c", b"d"], &three);
    list.pop_with(End::Back, &three, |_| ());
    assert_eq!(list.encoding(), "quicklist", "one node, but more than half of three");
    list.remove_range(1, 2, &three);
    assert_eq!(list.encoding(), "listpack");
    let mut list = list_of(&[b"a", b"a", b"a", b"d"], &three);
    assert_eq!(list.remove(3, b"a", &three), 3);
    assert_eq!(list.encoding(), "listpack");
    let mut list = list_of(&[b"a", b"b", b"c", b"d"], &three);
    assert_eq!(list.trim(1, 1, &three), 3);
    assert_eq!(list.encoding(), "listpack");

    let bytes = limits(-1);
    let large = [b'x'; 5_000];
    let mut list = list_of(&[b"a", &large], &bytes);
    assert_eq!((list.encoding(), list.remove(1, &large, &bytes)), ("quicklist", 1));
    assert_eq!(list.encoding(), "listpack");
    let mut list = list_of(&[&large, b"a", b"b"], &bytes);
    list.remove_range(1, 2, &bytes);
    assert_eq!(list.encoding(), "quicklist");
    assert!(list.set(-1, b"c", &bytes));
    assert_eq!(list.encoding(), "listpack");
}

#[test]
fn nodes_make_the_same_list_again() {
    let limits = limits(-2);
    let mut list = List::new();
    (0..20_000).for_each(|number| list.push(End::Front, number.to_string().as_bytes(), &limits));
    let rebuilt = |list: &List| {
        let mut builder = ListBuilder::new(&limits);
        for node in list.nodes() {
            match node {
                ListNode::Packed(bytes) => builder.push_node(bytes).expect("own bytes are sound"),
                ListNode::Plain(element) => builder.push_plain(element).expect("not empty"),
            }
        }
        builder.finish()
    };
    let again = rebuilt(&list);
    assert!(list.node_count() > 2 && again.nodes().eq(list.nodes()));
    list.trim(0, 99, &limits);
    assert_eq!((rebuilt(&list).encoding(), rebuilt(&list).len()), ("listpack", 100));

    let mut builder = ListBuilder::new(&limits);
    builder.push_node(Listpack::new().bytes()).expect("sound, if useless");
    builder.push_plain(b"plain").expect("not empty");
    builder.push(b"one");
    assert!(builder.push_plain(b"").is_err());
    assert!(builder.push_node(b"not a listpack").is_err());
    let mut list = builder.finish();
    assert_eq!((list.encoding(), list.node_count()), ("quicklist", 2));
    assert!(list.set(0, b"packed", &limits));
    assert_eq!(texts(&list), [b"packed".to_vec(), b"one".to_vec()]);
    assert!(ListBuilder::new(&limits).finish().is_empty());
}

#[test]
fn a_listpack_from_outside_is_divided_if_too_large() {
    let mut listpack = Listpack::new();
    (0..40_000).for_each(|number| listpack.push_back(number));
    let list = List::from_listpack(listpack.bytes(), &limits(-2)).expect("sound");
    assert_eq!((list.encoding(), list.len()), ("quicklist", 40_000));
    weigh_again(&list);
    assert_eq!(list.get(-1).and_then(|element| element.integer()), Some(39_999));
    let small = List::from_listpack(Listpack::new().bytes(), &limits(-2)).expect("sound");
    assert_eq!(small.as_listpack(), Some(Listpack::new().bytes()));
}

#[test]
fn many_tiny_elements_at_once_do_not_make_one_large_block() {
    let limits = limits(-2);
    let mut list = List::new();
    let elements: Vec<&[u8]> = vec![b""; 200_000];
    list.extend(End::Front, elements, &limits);
    assert_eq!((list.encoding(), list.len()), ("quicklist", 200_000));
    weigh_again(&list);
}

#[test]
fn changing_a_clone_copies_few_blocks() {
    let limits = limits(-2);
    let mut list = List::new();
    (0..1_000_000u32).for_each(|number| list.push(End::Back, &number.to_le_bytes(), &limits));
    let blocks = |list: &List| match &list.form {
        Form::Large(tree) => tree.block_count(),
        Form::Compact(_) => 0,
    };
    let common = |one: &List, two: &List| match (&one.form, &two.form) {
        (Form::Large(one), Form::Large(two)) => Tree::common_block_count(one, two),
        _ => 0,
    };
    assert!(blocks(&list) > 500);
    let kept = list.clone();
    assert_eq!(common(&list, &kept), blocks(&list));
    assert!(list.set(500_000, b"changed", &limits));
    list.push(End::Front, b"first", &limits);
    list.pop_with(End::Back, &limits, |_| ());
    // Three paths of at most four blocks each.
    assert!(common(&list, &kept) + 12 >= blocks(&kept), "{} of {}", common(&list, &kept), blocks(&kept));
    assert!(kept.get(500_000).is_some_and(|element| element.equals(&500_000u32.to_le_bytes())));
    assert_eq!(kept.len(), 1_000_000);
    weigh_again(&list);
}
