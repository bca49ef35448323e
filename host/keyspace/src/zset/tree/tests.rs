//! The tree against a plain ordered set.

use super::*;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use tenon_base::Dice;

/// A pair in the model's order.
#[derive(Clone, Debug)]
struct Pair(f64, Vec<u8>);

impl Ord for Pair {
    fn cmp(&self, other: &Pair) -> Ordering {
        self.0.partial_cmp(&other.0).expect("numbers").then_with(|| self.1.cmp(&other.1))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

fn any_score(dice: &mut Dice) -> f64 {
    match dice.below(12) {
        0 => 0.0,
        1 => -0.0,
        2 => f64::INFINITY,
        3 => f64::NEG_INFINITY,
        4 => 1e-310,
        5 => f64::MAX,
        6..=8 => dice.below(4) as f64,
        _ => (dice.below(2_000_000) as f64 - 1e6) / 7.0,
    }
}

/// Members of many lengths, or of such lengths that a page holds four and the tree grows high.
fn any_member(dice: &mut Dice, high: bool) -> Vec<u8> {
    let length = match dice.below(100) {
        _ if high => 800 + dice.below(102) as usize,
        0 => 0,
        1 => 20_000,
        2 => 901,
        3..6 => 900,
        6..10 => 250 + dice.below(10) as usize,
        10..30 => 40,
        _ => 1 + dice.below(12) as usize,
    };
    // Long common prefixes, so that separators are long now and then.
    let mut member = vec![b'm'; length];
    let tail = length.saturating_sub(if dice.below(2) == 0 { 3 } else { 30 });
    dice.fill(&mut member[tail..]);
    member
}

fn check(tree: &Tree, model: &BTreeSet<Pair>) {
    assert_eq!(tree.len(), model.len());
    let forward = tree.pairs(0, tree.len()).map(|(member, score)| Pair(score, member.to_vec()));
    assert!(forward.eq(model.iter().cloned()), "forward");
    let backward = {
        let mut pairs = tree.pairs(0, tree.len());
        std::iter::from_fn(move || pairs.next_back())
    };
    let backward = backward.map(|(member, score)| Pair(score, member.to_vec()));
    assert!(backward.eq(model.iter().rev().cloned()), "backward");
    assert_eq!(tree.memory(), measured(&tree.root), "memory");
    soundness(&tree.root, tree.len());
}

/// The memory of a subtree, counted the long way.
fn measured(node: &Node) -> usize {
    BLOCK_BYTES
        + match node {
            Node::Leaf(leaf) => leaf.outside_memory(),
            Node::Inner(inner) => {
                inner.separator_memory() + (0..inner.len()).map(|at| measured(inner.child(at))).sum::<usize>()
            }
        }
}

/// Counts are right, no node but the root is empty; the depth comes back.
fn soundness(node: &Node, len: usize) -> usize {
    match node {
        Node::Leaf(leaf) => {
            assert_eq!(leaf.len(), len);
            0
        }
        Node::Inner(inner) => {
            assert!(inner.len() > 0);
            assert_eq!(inner.count_until(inner.len()), len);
            let mut depths = (0..inner.len()).map(|at| {
                assert!(inner.count(at) > 0);
                soundness(inner.child(at), inner.count(at))
            });
            let depth = depths.next().expect("a child");
            assert!(depths.all(|other| other == depth));
            depth + 1
        }
    }
}

#[test]
fn the_tree_does_as_a_sorted_set_does() {
    for seed in 0..6 {
        let mut dice = Dice::seeded(seed);
        let mut tree = Tree::new();
        let mut model: BTreeSet<Pair> = BTreeSet::new();
        let mut kept: Vec<(Tree, BTreeSet<Pair>)> = Vec::new();
        for step in 0..6_000 {
            let growing = (step / 1_500) % 2 == 0;
            match dice.below(20) {
                0 if dice.below(if growing { 60 } else { 6 }) == 0 => {
                    let start = dice.below(model.len() as u64 + 1) as usize;
                    let end = start + dice.below((model.len() - start) as u64 + 1) as usize;
                    tree.remove_ranks(start, end);
                    let removed: Vec<Pair> = model.iter().skip(start).take(end - start).cloned().collect();
                    removed.iter().for_each(|pair| assert!(model.remove(pair)));
                }
                1..=5 if !model.is_empty() => {
                    let rank = dice.below(model.len() as u64) as usize;
                    let (member, old) = tree.pair(rank);
                    let (member, new) = (member.to_vec(), any_score(&mut dice));
                    if old != new && !model.contains(&Pair(new, member.clone())) {
                        tree.rescore(old, new, &member);
                        assert!(model.remove(&Pair(old, member.clone())));
                        model.insert(Pair(new, member));
                    }
                }
                kind if (kind < 16) == growing => {
                    let (score, member) = (any_score(&mut dice), any_member(&mut dice, seed % 2 == 1));
                    if model.insert(Pair(score, member.clone())) {
                        tree.insert(score, &member);
                    }
                }
                _ if !model.is_empty() => {
                    let rank = dice.below(model.len() as u64) as usize;
                    let (member, score) = tree.pair(rank);
                    let member = member.to_vec();
                    assert!(tree.remove(score, &member));
                    assert!(!tree.remove(score, &member));
                    assert!(model.remove(&Pair(score, member)));
                }
                _ => {}
            }
            if step % 500 == 0 {
                kept.push((tree.clone(), model.clone()));
                check(&tree, &model);
            }
        }
        check(&tree, &model);
        kept.iter().for_each(|(tree, model)| check(tree, model));
        tree.remove_ranks(0, tree.len());
        assert_eq!((tree.len(), tree.memory()), (0, Tree::new().memory()));
    }
}

#[test]
fn ranks_and_bounds_are_those_of_the_model() {
    let mut dice = Dice::seeded(21);
    let (mut tree, mut model) = (Tree::new(), BTreeSet::new());
    for _ in 0..3_000 {
        let (score, member) = (any_score(&mut dice), any_member(&mut dice, false));
        if model.insert(Pair(score, member.clone())) {
            tree.insert(score, &member);
        }
    }
    for (rank, Pair(score, member)) in model.iter().enumerate() {
        assert_eq!(tree.pair(rank), (member.as_slice(), *score));
        assert_eq!(tree.count_before(Bound::Before(*score, member)), rank);
        assert_eq!(tree.count_before(Bound::After(*score, member)), rank + 1);
    }
    for _ in 0..300 {
        let (score, member) = (any_score(&mut dice), any_member(&mut dice, false));
        let probe = Pair(score, member.clone());
        let before = model.iter().filter(|pair| **pair < probe).count();
        assert_eq!(tree.count_before(Bound::Before(score, &member)), before);
        let below = model.iter().filter(|pair| pair.0 < score).count();
        assert_eq!(tree.count_before(Bound::BeforeScore(score)), below);
        let until = model.iter().filter(|pair| pair.0 <= score).count();
        assert_eq!(tree.count_before(Bound::AfterScore(score)), until);
    }
}

#[test]
fn pairs_in_order_fill_their_pages() {
    let member = |number: usize| format!("member:{number:06}").into_bytes();
    let ascending = (0..50_000).map(|number| (member(number), number as f64));
    let built = Tree::from_sorted(ascending.clone()).expect("in order");
    let (mut upward, mut downward) = (Tree::new(), Tree::new());
    ascending.clone().for_each(|(member, score)| upward.insert(score, &member));
    ascending.clone().rev().for_each(|(member, score)| downward.insert(score, &member));
    for tree in [&built, &upward, &downward] {
        let pairs = tree.pairs(0, tree.len()).map(|(member, score)| (member.to_vec(), score));
        assert!(pairs.eq(ascending.clone()));
        assert_eq!(tree.memory(), measured(&tree.root));
        soundness(&tree.root, 50_000);
        assert!(tree.memory() < 50_000 * 28, "{}", tree.memory()); // 24 with its slot, full pages
    }
    assert!(Tree::from_sorted([(b"b", 1.0), (b"a", 1.0)].into_iter()).is_none());
    assert!(Tree::from_sorted([(b"b", 1.0), (b"b", 1.0)].into_iter()).is_none());
    let nothing = Tree::from_sorted(std::iter::empty::<(Vec<u8>, f64)>()).expect("in order");
    assert_eq!((nothing.len(), nothing.memory()), (0, BLOCK_BYTES));
}

#[test]
fn after_a_clone_a_change_copies_its_path_and_no_more() {
    let mut tree =
        Tree::from_sorted((0..2_000_000).map(|number: u32| (number.to_be_bytes(), f64::from(number))))
            .expect("in order");
    let cut = tree.clone();
    assert!(tree.root.same_block(&cut.root));
    tree.insert(1_000_000.5, b"between");
    let copied = blocks(&tree.root) - shared_blocks(&tree.root, &cut.root);
    assert!((3..=6).contains(&copied), "{copied}");
    assert_eq!((cut.len(), tree.len()), (2_000_000, 2_000_001));
    assert_eq!(cut.pair(1_000_001), (&1_000_001u32.to_be_bytes()[..], 1_000_001.0));
}

fn blocks(node: &Node) -> usize {
    match node {
        Node::Leaf(_) => 1,
        Node::Inner(inner) => 1 + (0..inner.len()).map(|at| blocks(inner.child(at))).sum::<usize>(),
    }
}

/// Blocks below `one` that are the same blocks below `other`; whole subtrees are recognised by their root.
fn shared_blocks(one: &Shared<Node>, other: &Shared<Node>) -> usize {
    if one.same_block(other) {
        return blocks(one);
    }
    match (&**one, &**other) {
        (Node::Inner(one), Node::Inner(other)) => (0..one.len())
            .map(|at| {
                let twin = (0..other.len())
                    .find(|&place| other.child(place).same_block(one.child(at)))
                    .unwrap_or(at);
                shared_blocks(one.child(at), other.child(twin.min(other.len() - 1)))
            })
            .sum(),
        _ => 0,
    }
}
