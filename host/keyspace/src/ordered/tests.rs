//! The map beside a `BTreeMap`, changed by dice, with clones that must not change.

use std::collections::BTreeMap;

use tenon_base::Dice;

use super::Map;
use super::node::{MOST, Node};
use crate::name::Name;
use crate::ordered::Weighed;
use crate::shared::Shared;

/// A value whose weight changes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Load(usize);

impl Weighed for Load {
    fn heap_bytes(&self) -> usize {
        self.0
    }
}

type Model = BTreeMap<Vec<u8>, usize>;

/// Walks everything: order, bounds, depth, length and bytes.
fn check(map: &Map<Name, Load>, model: &Model) {
    assert_eq!(map.len(), model.len());
    let found: Vec<_> = map.iter().map(|(name, load)| (name.bytes().to_vec(), load.0)).collect();
    assert!(
        found.iter().eq(model.iter().map(|(name, load)| (name.clone(), *load)).collect::<Vec<_>>().iter())
    );
    let (mut bytes, mut depths) = (0, Vec::new());
    if let Some(root) = &map.root {
        visit(root, 0, &mut bytes, &mut depths);
    }
    assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "leaves at depths {depths:?}");
    assert_eq!(map.memory(), bytes);
}

fn visit(node: &Shared<Node<Name, Load>>, depth: usize, bytes: &mut usize, depths: &mut Vec<usize>) {
    *bytes += node.own_bytes();
    match &**node {
        Node::Leaf(entries) => {
            assert!((1..=MOST).contains(&entries.len()));
            *bytes += entries.iter().map(|(name, load)| name.heap_bytes() + load.0).sum::<usize>();
            depths.push(depth);
        }
        Node::Branch(parts) => {
            assert!((1..=MOST).contains(&parts.len()) && (depth > 0 || parts.len() > 1));
            for (part, behind) in parts.iter().zip(parts.iter().skip(1)) {
                let last = part.node.last_leaf().last().map(|(name, _)| name);
                assert!(last.is_some_and(|last| *last < behind.first));
                assert!(behind.first <= behind.node.first_leaf()[0].0);
            }
            parts.iter().for_each(|part| visit(&part.node, depth + 1, bytes, depths));
        }
    }
}

fn key(dice: &mut Dice, keys: u64) -> Vec<u8> {
    format!("{:05}", dice.below(keys)).into_bytes()
}

#[test]
fn a_map_and_its_model_stay_equal_and_clones_stay_what_they_were() {
    for (seed, keys, steps) in [(1, 40, 4_000), (2, 3_000, 40_000), (3, 60_000, 60_000)] {
        let dice = &mut Dice::seeded(seed);
        let (mut map, mut model) = (Map::new(), Model::new());
        let mut clones: Vec<(Map<Name, Load>, Model)> = Vec::new();
        for step in 0..steps {
            let name = key(dice, keys);
            // Growth and shrinking take turns.
            match dice.below(10) + if step / (steps / 6) % 2 == 0 { 0 } else { 3 } {
                0..=6 => {
                    let load = dice.below(100) as usize;
                    let former = map.insert(Name::new(&name), Load(load)).map(|load| load.0);
                    assert_eq!(former, model.insert(name, load));
                }
                7 => {
                    let edited = map.edit(&name[..], |load| std::mem::replace(&mut load.0, 7));
                    let expected = model.get_mut(&name).map(|load| std::mem::replace(load, 7));
                    assert_eq!(edited, expected);
                }
                _ => assert_eq!(map.remove(&name[..]).map(|load| load.0), model.remove(&name)),
            }
            if step % (steps / 8) == 0 {
                clones.push((map.clone(), model.clone()));
            }
            if step % (steps / 40) == 0 {
                check(&map, &model);
                look_around(&map, &model, &key(dice, keys));
            }
        }
        clones.iter().for_each(|(map, model)| check(map, model));
        for name in model.keys().cloned().collect::<Vec<_>>() {
            map.remove(&name[..]);
            model.remove(&name);
        }
        check(&map, &model);
        assert_eq!(map.memory(), 0, "seed {seed}");
    }
}

fn look_around(map: &Map<Name, Load>, model: &Model, from: &[u8]) {
    let bytes = |(name, load): (&Name, &Load)| (name.bytes().to_vec(), load.0);
    let plain = |(name, load): (&Vec<u8>, &usize)| (name.clone(), *load);
    assert!(map.iter_from(from).map(bytes).eq(model.range(from.to_vec()..).map(plain)));
    assert!(map.iter_back_from(from).map(bytes).eq(model.range(..=from.to_vec()).rev().map(plain)));
    assert_eq!(map.find(from).map(|load| load.0), model.get(from).copied());
    let pair = |pair: Option<&(Name, Load)>| pair.map(|(name, load)| (name.bytes().to_vec(), load.0));
    assert_eq!(pair(map.floor(from)), model.range(..=from.to_vec()).next_back().map(plain));
    assert_eq!(pair(map.first()), model.first_key_value().map(plain));
    assert_eq!(pair(map.last()), model.last_key_value().map(plain));
}

#[test]
fn ascending_keys_fill_their_blocks() {
    let mut map = Map::new();
    for number in 0..10_000 {
        map.insert(Name::new(format!("{number:05}").as_bytes()), Load(0));
    }
    let mut depths = Vec::new();
    visit(map.root.as_ref().expect("not empty"), 0, &mut 0, &mut depths);
    assert_eq!(depths.len(), 10_000_usize.div_ceil(MOST));
}

#[test]
fn what_changes_nothing_copies_nothing() {
    let mut map = Map::new();
    for number in 0..1_000 {
        map.insert(Name::new(format!("{number:05}").as_bytes()), Load(0));
    }
    let clone = map.clone();
    assert!(map.remove(&b"absent"[..]).is_none());
    assert!(map.edit(&b"absent"[..], |_| ()).is_none());
    let (one, other) = (map.root.as_ref().expect("not empty"), clone.root.as_ref().expect("not empty"));
    assert!(one.same_block(other));
}
