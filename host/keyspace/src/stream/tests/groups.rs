//! Groups beside a plain model of one, changed by dice, with clones that must not change.

use tenon_base::UnixMillis;

use super::*;

#[derive(Clone, Default)]
struct GroupModel {
    /// By id: whose, when, how often.
    pending: BTreeMap<StreamId, (Vec<u8>, i64, u64)>,
    /// By name: when seen, when active.
    consumers: BTreeMap<Vec<u8>, (i64, Option<i64>)>,
}

fn check_group(group: &StreamGroup, model: &GroupModel) {
    let pending = |(id, pending): (StreamId, &StreamPending)| {
        (id, (pending.consumer().to_vec(), pending.delivery_time().0, pending.delivery_count()))
    };
    let all = group.pending_range(StreamId::MIN, StreamId::MAX).map(pending);
    assert!(all.eq(model.pending.iter().map(|(id, held)| (*id, held.clone()))));
    assert_eq!(group.pending_len(), model.pending.len());
    assert_eq!(group.consumer_count(), model.consumers.len());
    let names = group.consumers().map(|consumer| consumer.name().to_vec());
    assert!(names.eq(model.consumers.keys().cloned()));
    for consumer in group.consumers() {
        let (seen, active) = model.consumers[consumer.name()];
        assert_eq!((consumer.seen_time().0, consumer.active_time().map(|time| time.0)), (seen, active));
        let own: Vec<_> = model.pending.iter().filter(|(_, (name, ..))| name == consumer.name()).collect();
        assert!(consumer.pending_ids().eq(own.iter().map(|(id, _)| **id)));
        assert_eq!(consumer.pending_len(), own.len());
        let (from, to) = (StreamId::new(200, 0), StreamId::new(700, 0));
        let range = group.consumer_pending_range(consumer.name(), from, to).map(pending);
        let own = own.into_iter().filter(|(id, _)| (from..=to).contains(id));
        assert!(range.eq(own.map(|(id, held)| (*id, held.clone()))));
    }
    assert_eq!(group.memory(), group.memory_weighed());
}

fn step(group: &mut StreamGroup, model: &mut GroupModel, dice: &mut Dice) {
    let id = StreamId::new(dice.below(1_000), 0);
    let name = format!("consumer {}", dice.below(8)).into_bytes();
    let time = dice.below(1 << 40) as i64;
    match dice.below(20) {
        0..12 => {
            let there = model.consumers.contains_key(&name);
            let count = dice.below(9);
            assert_eq!(group.assign(id, &name, UnixMillis(time), count), there);
            if there {
                model.pending.insert(id, (name, time, count));
            }
        }
        12..15 => assert_eq!(group.acknowledge(id), model.pending.remove(&id).is_some()),
        15 if dice.below(8) == 0 => {
            let removed = model.consumers.remove(&name).map(|_| {
                let before = model.pending.len();
                model.pending.retain(|_, (owner, ..)| *owner != name);
                before - model.pending.len()
            });
            assert_eq!(group.remove_consumer(&name), removed);
        }
        15 | 16 => {
            let there = model.consumers.contains_key(&name);
            assert_eq!(group.create_consumer(&name, UnixMillis(time)), !there);
            model.consumers.entry(name).or_insert((time, None));
        }
        17 | 18 => {
            let held = model.consumers.get_mut(&name);
            assert_eq!(group.set_seen_time(&name, UnixMillis(time)), held.is_some());
            held.into_iter().for_each(|(seen, _)| *seen = time);
        }
        _ => {
            let held = model.consumers.get_mut(&name);
            assert_eq!(group.set_active_time(&name, Some(UnixMillis(time))), held.is_some());
            held.into_iter().for_each(|(_, active)| *active = Some(time));
        }
    }
}

#[test]
fn a_group_and_its_model_stay_equal_and_clones_stay_what_they_were() {
    let dice = &mut Dice::seeded(11);
    let mut stream = Stream::new();
    assert!(stream.create_group(b"group", StreamId::new(3, 4), None));
    assert!(!stream.create_group(b"group", StreamId::MIN, None));
    assert!(stream.create_group(b"another", StreamId::MIN, Some(0)));
    let mut model = GroupModel::default();
    let mut clones: Vec<(Stream, GroupModel)> = Vec::new();
    for number in 0..20_000 {
        step(&mut stream.group_mut(b"group").expect("made above"), &mut model, dice);
        if number % 4_000 == 0 {
            clones.push((stream.clone(), model.clone()));
        }
        if number % 500 == 0 {
            check_group(stream.group(b"group").expect("made above"), &model);
        }
    }
    for (stream, model) in &clones {
        check_group(stream.group(b"group").expect("made above"), model);
    }
    check_groups_memory(&stream);
    let names: Vec<_> = stream.groups().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(names, [&b"another"[..], &b"group"[..]]);
    let removed = stream.remove_group(b"group").expect("made above");
    check_group(&removed, &model);
    assert!(stream.remove_group(b"group").is_none());
    check_groups_memory(&stream);
    assert!(stream.remove_group(b"another").is_some());
    assert_eq!((stream.group_count(), stream.memory()), (0, Stream::new().memory()));
}

fn check_groups_memory(stream: &Stream) {
    let groups: usize = stream.groups().map(|(_, group)| group.memory()).sum();
    assert_eq!(stream.body.groups.as_ref().expect("groups").memory, groups);
}
